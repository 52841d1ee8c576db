export type Level = 'error' | 'warn' | 'info' | 'debug' | ''
export type Line = { key: number; at: number; stream: 'o' | 'e'; text: string; level: Level }

export const RING = 100_000

const NAMES: Record<string, Level> = {
  fatal: 'error',
  crit: 'error',
  critical: 'error',
  alert: 'error',
  emerg: 'error',
  error: 'error',
  err: 'error',
  warn: 'warn',
  warning: 'warn',
  notice: 'info',
  info: 'info',
  debug: 'debug',
  trace: 'debug',
}
const FIELD = /"?(?:level|severity|lvl)"?\s*[=:]\s*"?(\w+)/i
const WORD = /\b(fatal|critical|crit|alert|emerg|error|err|warning|warn|notice|info|debug|trace)\b/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal sequences begin with one
const SEQUENCE = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-_])/g

/** The level that a line tells: by its field, else by a word near its begin. */
export function levelOf(text: string): Level {
  const head = text.slice(0, 160)
  const found = FIELD.exec(head) ?? WORD.exec(head)
  return NAMES[found?.[1]?.toLowerCase() ?? ''] ?? ''
}

/** Text without terminal sequences: a log is data, not commands. */
export function plain(text: string): string {
  return text.includes('\u001b') ? text.replace(SEQUENCE, '') : text
}

/** The newest lines, with the ones that a search keeps; told about in batches. */
export class LogStore {
  lines: Line[] = []
  shown: Line[] = []
  private next = 0
  private query = ''
  private levels: ReadonlySet<string> = new Set()

  add(batch: [number, 'o' | 'e', string][]) {
    for (const [at, stream, raw] of batch) {
      const text = plain(raw)
      const line: Line = { key: this.next, at, stream, text, level: levelOf(text) }
      this.next += 1
      this.lines.push(line)
      if (this.lines !== this.shown && this.keeps(line)) this.shown.push(line)
    }
    // Cut in large steps: cutting an array's head costs as much as the array is long.
    if (this.lines.length > RING * 1.1) {
      this.lines = this.lines.slice(-RING)
      this.filter(this.query, this.levels)
    }
  }

  get last(): number {
    return this.lines.at(-1)?.at ?? 0
  }

  filter(query: string, levels: ReadonlySet<string>) {
    this.query = query.toLowerCase()
    this.levels = levels
    const all = !this.query && levels.size === 0
    this.shown = all ? this.lines : this.lines.filter((line) => this.keeps(line))
  }

  clear() {
    this.lines = []
    this.filter(this.query, this.levels)
  }

  /** Counts over `slots` equal spans of time, with how many were errors and warnings. */
  histogram(slots: number): { all: number; bad: number; warn: number }[] {
    const result = Array.from({ length: slots }, () => ({ all: 0, bad: 0, warn: 0 }))
    const first = this.shown[0]
    const last = this.shown.at(-1)
    if (!first || !last) return result
    const span = Math.max(last.at - first.at, 1)
    for (const line of this.shown) {
      const place = Math.floor(((line.at - first.at) / span) * (slots - 1))
      const slot = result[Math.min(Math.max(place, 0), slots - 1)]
      if (!slot) continue
      slot.all += 1
      if (line.level === 'error') slot.bad += 1
      if (line.level === 'warn') slot.warn += 1
    }
    return result
  }

  private keeps(line: Line): boolean {
    if (this.levels.size > 0 && !this.levels.has(line.level)) return false
    return !this.query || line.text.toLowerCase().includes(this.query)
  }
}
