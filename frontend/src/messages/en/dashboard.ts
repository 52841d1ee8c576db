import { count } from '@/util/format'

const acts: Record<string, string> = {
  'container.create': 'created',
  'container.start': 'started',
  'container.stop': 'stopped',
  'container.restart': 'restarted',
  'container.kill': 'killed',
  'container.remove': 'removed',
  'container.console': 'opened a console in',
  'image.pull': 'pulled',
  'image.remove': 'removed the image',
  'job.cancel': 'cancelled',
}

export const text = {
  title: 'Dashboard',
  containers: (value: number) => (value === 1 ? '1 container' : `${count(value)} containers`),
  cpu: 'CPU',
  memory: 'Memory',
  disk: 'Disk',
  images: 'Images',
  cores: (used: string, all: number) => `${used} of ${all} cores`,
  of: (used: string, all: string) => `${used} of ${all}`,
  imageBytes: (value: string) => `${value} of images`,
  byContainers: 'CPU of all containers',
  attention: 'Needs attention',
  allWell: 'Nothing needs attention.',
  activity: 'Recent activity',
  noActivity: 'Nothing has been done yet.',
  act: (permission: string) => acts[permission] ?? permission,
  refused: 'was refused:',
  none: 'No containers yet',
  noneLead: 'Pull an image, then run it here, or use the docker command line:',
  pull: 'Pull an image',
  run: 'Run a container',
  unknown: 'Cannot be seen from here',
}
