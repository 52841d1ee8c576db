import { count } from '@/util/format'

export const text = {
  title: 'Images',
  pull: 'Pull',
  reference: 'Image to pull',
  placeholder: 'nginx:1.29 or registry.example.com/team/web:2',
  filter: 'Filter by tag or id',
  total: (shown: number, total: number) =>
    shown === total ? count(total) : `${count(shown)} of ${count(total)}`,
  columns: { tags: 'Tags', id: 'ID', size: 'Size', used: 'Used by', created: 'Age' },
  untagged: 'untagged',
  containers: (value: number) => (value === 1 ? '1 container' : `${count(value)} containers`),
  unused: 'unused',
  run: 'Run',
  runOf: (name: string) => `Run ${name}`,
  remove: 'Remove',
  removeOf: (name: string) => `Remove ${name}`,
  removeTitle: (name: string) => `Remove ${name}?`,
  removeLead: 'Its layers go, if no other image has them. It can be pulled again.',
  none: 'No images yet',
  noneLead: 'Pull one above, or with the docker command line.',
  pulls: 'Pulls',
}
