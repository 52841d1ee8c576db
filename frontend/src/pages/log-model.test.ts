import { describe, expect, it } from 'vitest'
import { LogStore, levelOf, plain, RING } from './log-model'

describe('logs', () => {
  it('reads levels from fields before words', () => {
    expect(levelOf('{"level":"warn","msg":"error budget"}')).toBe('warn')
    expect(levelOf('time=1 lvl=eror severity=ERROR')).toBe('')
    expect(levelOf('2026/01/01 [error] 12#0: upstream')).toBe('error')
    expect(levelOf('GET / 200')).toBe('')
  })

  it('drops terminal sequences', () => {
    expect(plain('\u001b[31mred\u001b[0m \u001b]0;title\u0007on')).toBe('red on')
  })

  it('keeps what matches, also of what comes later', () => {
    const store = new LogStore()
    store.add([[1, 'o', 'GET /a']])
    store.filter('get', new Set())
    store.add([
      [2, 'o', 'POST /b'],
      [3, 'e', 'GET /c error'],
    ])
    expect(store.shown.map((line) => line.text)).toEqual(['GET /a', 'GET /c error'])
    store.filter('', new Set(['error']))
    expect(store.shown.map((line) => line.at)).toEqual([3])
    store.filter('', new Set())
    expect(store.shown).toHaveLength(3)
  })

  it('never holds much more than its ring', () => {
    const store = new LogStore()
    const batch = Array.from(
      { length: 5000 },
      (_, i) => [i, 'o', `line ${i}`] as [number, 'o', string],
    )
    for (let i = 0; i < 30; i += 1) store.add(batch)
    expect(store.lines.length).toBeLessThanOrEqual(RING * 1.1)
    expect(store.lines.length).toBeGreaterThanOrEqual(RING)
    expect(store.shown).toBe(store.lines)
    expect(store.lines.at(-1)?.text).toBe('line 4999')
  })
})
