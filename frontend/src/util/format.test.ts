import { describe, expect, it } from 'vitest'
import { age, bytes, parseBytes, shortImage, words } from './format'

describe('format', () => {
  it('tells sizes in binary units', () => {
    expect(bytes(0)).toBe('0 B')
    expect(bytes(1536)).toBe('1.5 KiB')
    expect(bytes(532 * 1024 ** 2)).toBe('532 MiB')
  })

  it('reads sizes as people write them', () => {
    expect(parseBytes('512m')).toBe(512 * 1024 ** 2)
    expect(parseBytes('1.5 GiB')).toBe(1.5 * 1024 ** 3)
    expect(parseBytes('64')).toBe(64)
    expect(parseBytes('lots')).toBeNull()
  })

  it('splits a command line like a shell', () => {
    expect(words(`sh -c "echo 'a b' \\"c\\""`)).toEqual(['sh', '-c', `echo 'a b' "c"`])
    expect(words("a '' b\\ c")).toEqual(['a', '', 'b c'])
    expect(words('open "quote')).toBeNull()
    expect(words('  ')).toEqual([])
  })

  it('tells an age in one unit', () => {
    const now = Date.parse('2026-01-03T00:00:00Z')
    expect(age('2026-01-02T23:56:00Z', now)).toBe('4 min')
    expect(age('2025-12-25T00:00:00Z', now)).toBe('9 d')
    expect(age(null, now)).toBe('')
  })

  it('shortens images without losing their name', () => {
    expect(shortImage('acme/web:1@sha256:abc')).toBe('acme/web:1')
    expect(shortImage(`sha256:${'a'.repeat(64)}`)).toBe('a'.repeat(12))
  })
})
