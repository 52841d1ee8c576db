const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** Bytes in binary units, with three figures at most: 1.7 GiB, 532 MiB. */
export function bytes(value: number): string {
  let rest = value
  let unit = 0
  while (rest >= 1000 && unit < UNITS.length - 1) {
    rest /= 1024
    unit += 1
  }
  const digits = rest < 10 && unit > 0 ? 1 : 0
  return `${rest.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits })} ${UNITS[unit]}`
}

export function percent(value: number): string {
  return `${value.toLocaleString('en', { maximumFractionDigits: 1, minimumFractionDigits: 1 })}%`
}

export function count(value: number): string {
  return value.toLocaleString('en')
}

/** How long ago, in one unit: 4 min, 57 d. */
export function age(moment: string | null | undefined, now = Date.now()): string {
  if (!moment) return ''
  const seconds = Math.max(0, Math.round((now - Date.parse(moment)) / 1000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h`
  return `${Math.floor(hours / 24)} d`
}

export function exact(moment: string | null | undefined): string {
  return moment ? new Date(moment).toLocaleString() : ''
}

export function clock(milliseconds: number): string {
  const time = new Date(milliseconds)
  const two = (value: number) => String(value).padStart(2, '0')
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, '0')}`
}

/** The form of a reference that people say: no registry of a hundred letters, no digest. */
export function shortImage(image: string): string {
  const [name = image] = image.split('@')
  return name.startsWith('sha256:') ? name.slice(7, 19) : name
}

/** A command line into words, by the shell's quotes; null when a quote is left open. */
export function words(line: string): string[] | null {
  const found: string[] = []
  let word: string | null = null
  let quote = ''
  for (let i = 0; i < line.length; i += 1) {
    const letter = line[i] as string
    if (quote) {
      if (letter === quote) quote = ''
      else if (letter === '\\' && quote === '"' && '"\\$`'.includes(line[i + 1] ?? '')) {
        i += 1
        word += line[i] as string
      } else word += letter
    } else if (letter === '"' || letter === "'") {
      quote = letter
      word ??= ''
    } else if (letter === '\\' && i + 1 < line.length) {
      i += 1
      word = (word ?? '') + line[i]
    } else if (/\s/.test(letter)) {
      if (word !== null) found.push(word)
      word = null
    } else word = (word ?? '') + letter
  }
  if (quote) return null
  if (word !== null) found.push(word)
  return found
}

/** "512m" or "1.5 GiB" in bytes; null when it is no size. */
export function parseBytes(text: string): number | null {
  const found = /^\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(?:i?b)?|b)?\s*$/i.exec(text)
  if (!found) return null
  const power = found[2] ? 'kmgt'.indexOf(found[2].toLowerCase()) + 1 : 0
  return Math.round(Number(found[1]) * 1024 ** power)
}
