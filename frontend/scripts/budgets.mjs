// Holds the built frontend to its size budgets: what the entry loads, and each lazy route on top.
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const ENTRY_KIB = 200
const ROUTE_KIB = 40
// Parts that are heavy by nature and load only where they are looked at.
const PARTS_KIB = { Terminal: 110, Chart: 30, Palette: 40 }

const dist = new URL('../dist/', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'))

function closure(key, seen = new Set()) {
  if (seen.has(key)) return seen
  seen.add(key)
  for (const next of manifest[key].imports ?? []) closure(next, seen)
  return seen
}

function kib(keys) {
  let bytes = 0
  for (const key of keys) {
    const { file } = manifest[key]
    if (file.endsWith('.js'))
      bytes += gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length
  }
  return bytes / 1024
}

const entry = closure('index.html')
const failures = []
function hold(name, size, budget) {
  console.log(`${name.padEnd(28)} ${size.toFixed(1).padStart(7)} KiB of ${budget}`)
  if (size > budget)
    failures.push(`${name} is ${size.toFixed(1)} KiB, over its budget of ${budget}.`)
}

hold('entry', kib(entry), ENTRY_KIB)
for (const [key, chunk] of Object.entries(manifest)) {
  if (!chunk.isDynamicEntry) continue
  const own = [...closure(key)].filter((part) => !entry.has(part))
  const part = Object.keys(PARTS_KIB).find((name) => key.includes(name))
  hold(chunk.name ?? key, kib(own), part ? PARTS_KIB[part] : ROUTE_KIB)
}
if (failures.length > 0) {
  console.error(failures.join('\n'))
  process.exit(1)
}
