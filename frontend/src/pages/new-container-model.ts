import type { NewContainer } from '@/api/queries'
import { parseBytes, words } from '@/util/format'

export type Form = {
  image: string
  name: string
  command: string
  env: { name: string; value: string }[]
  ports: { host: string; container: string; protocol: 'tcp' | 'udp' }[]
  volumes: { source: string; target: string; readOnly: boolean }[]
  memory: string
  cpus: string
  pids: string
  restart: 'no' | 'on-failure' | 'always' | 'unless-stopped'
  terminal: boolean
  autoRemove: boolean
  start: boolean
}

export const EMPTY: Form = {
  image: '',
  name: '',
  command: '',
  env: [],
  ports: [],
  volumes: [],
  memory: '',
  cpus: '',
  pids: '',
  restart: 'no',
  terminal: false,
  autoRemove: false,
  start: true,
}

/** What the server is asked for; an empty field is not sent. */
export function specOf(form: Form): NewContainer {
  const command = words(form.command) ?? []
  return {
    image: form.image.trim(),
    tty: form.terminal,
    open_stdin: form.terminal,
    auto_remove: form.autoRemove,
    start: form.start,
    restart_policy: { name: form.restart },
    ...(form.name.trim() && { name: form.name.trim() }),
    ...(command.length > 0 && { command }),
    ...(form.memory.trim() && { memory: parseBytes(form.memory) }),
    ...(form.cpus.trim() && { cpus: Number(form.cpus) }),
    ...(form.pids.trim() && { pids: Number(form.pids) }),
    env: Object.fromEntries(form.env.map((one) => [one.name, one.value])),
    ports: form.ports.map((one) => ({
      host_port: one.host.trim() ? Number(one.host) : null,
      container_port: Number(one.container),
      protocol: one.protocol,
    })),
    volumes: form.volumes.map((one) => ({
      source: one.source,
      target: one.target,
      read_only: one.readOnly,
    })),
  } as NewContainer
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/** The same container as a docker command. */
export function commandOf(form: Form): string {
  const parts = ['docker', form.start ? 'run' : 'create']
  if (form.start) parts.push('-d')
  if (form.terminal) parts.push('-it')
  if (form.autoRemove) parts.push('--rm')
  if (form.name.trim()) parts.push('--name', quoted(form.name.trim()))
  for (const one of form.ports) {
    const host = one.host.trim() ? `${one.host}:` : ''
    parts.push('-p', `${host}${one.container}${one.protocol === 'udp' ? '/udp' : ''}`)
  }
  for (const one of form.env) parts.push('-e', quoted(`${one.name}=${one.value}`))
  for (const one of form.volumes) {
    parts.push('-v', quoted(`${one.source}:${one.target}${one.readOnly ? ':ro' : ''}`))
  }
  if (form.memory.trim()) parts.push('--memory', quoted(form.memory.trim()))
  if (form.cpus.trim()) parts.push('--cpus', form.cpus)
  if (form.pids.trim()) parts.push('--pids-limit', form.pids)
  if (form.restart !== 'no') parts.push('--restart', form.restart)
  parts.push(quoted(form.image.trim() || 'IMAGE'))
  for (const word of words(form.command) ?? []) parts.push(quoted(word))
  return parts.join(' ')
}
