import type { Container } from '@/api/client'
import { type Kind, kindOf } from '@/ui/Status'

export type Sorting = { column: string; descending: boolean }
export type LiveValue = (id: string) => { cpu_pct: number; memory: number } | undefined

export const STATE_ORDER: Kind[] = [
  'running',
  'starting',
  'unhealthy',
  'restarting',
  'paused',
  'failed',
  'exited',
  'created',
  'removing',
  'dead',
]

/** The chip a container counts for; a passed health check is plainly running. */
export function groupOf(row: Container): Kind {
  const kind = kindOf(row)
  return kind === 'healthy' ? 'running' : kind
}

export function parseSort(text: string | undefined): Sorting {
  if (!text) return { column: '', descending: false }
  return text.startsWith('-')
    ? { column: text.slice(1), descending: true }
    : { column: text, descending: false }
}

/** Three steps: up, down, none. */
export function nextSort(now: Sorting, column: string): string | undefined {
  if (now.column !== column) return column
  return now.descending ? undefined : `-${column}`
}

/** Rows whose name, image, stack or id holds every word; `label:x` and `port:80` look there. */
export function matches(row: Container, query: string): boolean {
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => {
      if (word.startsWith('label:')) {
        const wanted = word.slice(6)
        return Object.entries(row.labels).some(([k, v]) =>
          `${k}=${v}`.toLowerCase().includes(wanted),
        )
      }
      if (word.startsWith('port:')) {
        return row.ports.some(
          (port) => `${port.public}` === word.slice(5) || `${port.private}` === word.slice(5),
        )
      }
      return `${row.name}\n${row.image}\n${row.stack ?? ''}\n${row.id}`.toLowerCase().includes(word)
    })
}

export function sorted(
  rows: Container[],
  { column, descending }: Sorting,
  live: LiveValue,
): Container[] {
  const collator = new Intl.Collator('en', { numeric: true })
  const value: Record<string, (row: Container) => string | number> = {
    state: (row) => STATE_ORDER.indexOf(groupOf(row)),
    name: (row) => row.name,
    image: (row) => row.image,
    cpu: (row) => live(row.id)?.cpu_pct ?? -1,
    memory: (row) => live(row.id)?.memory ?? -1,
    created: (row) => -Date.parse(row.created),
  }
  const of = value[column]
  if (!of) return rows
  const sign = descending ? -1 : 1
  return [...rows].sort((a, b) => {
    const [x, y] = [of(a), of(b)]
    const order =
      typeof x === 'number' && typeof y === 'number' ? x - y : collator.compare(`${x}`, `${y}`)
    return order * sign || collator.compare(a.name, b.name)
  })
}

/** The verbs that can do something to a container. */
export function legal(row: Container): Set<string> {
  if (row.state === 'running' || row.state === 'restarting')
    return new Set(['stop', 'restart', 'kill', 'remove'])
  if (row.state === 'paused') return new Set(['kill', 'remove'])
  return new Set(['start', 'restart', 'remove'])
}

/** Ports without the twin for IPv6, lowest first. */
export function distinctPorts(row: Pick<Container, 'ports'>): Container['ports'] {
  const seen = new Map<string, Container['ports'][number]>()
  for (const port of row.ports) {
    const key = `${port.public}/${port.private}/${port.type}`
    if (!seen.has(key) || !port.ip?.includes(':')) seen.set(key, port)
  }
  return [...seen.values()].sort((a, b) => (a.public ?? a.private) - (b.public ?? b.private))
}
