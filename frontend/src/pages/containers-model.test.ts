import { describe, expect, it } from 'vitest'
import type { Container } from '@/api/client'
import {
  distinctPorts,
  groupOf,
  legal,
  matches,
  nextSort,
  parseSort,
  sorted,
} from './containers-model'

function row(change: Partial<Container>): Container {
  return {
    id: 'f00d',
    name: 'web-1',
    state: 'running',
    status: 'Up 3 minutes',
    exit_code: null,
    health: null,
    image: 'acme/web:2',
    command: 'serve',
    created: '2026-01-01T00:00:00Z',
    stack: null,
    ports: [],
    labels: {},
    networks: [],
    ...change,
  }
}

describe('containers', () => {
  it('finds words in name, image, stack and id', () => {
    const one = row({ stack: 'checkout', labels: { tier: 'Front' } })
    expect(matches(one, 'web acme')).toBe(true)
    expect(matches(one, 'CHECKOUT')).toBe(true)
    expect(matches(one, 'label:tier=front')).toBe(true)
    expect(matches(one, 'web postgres')).toBe(false)
    expect(
      matches(row({ ports: [{ ip: null, private: 80, public: 8080, type: 'tcp' }] }), 'port:8080'),
    ).toBe(true)
  })

  it('counts an exit with a code as a failure', () => {
    expect(groupOf(row({ state: 'exited', exit_code: 137 }))).toBe('failed')
    expect(groupOf(row({ state: 'exited', exit_code: 0 }))).toBe('exited')
    expect(groupOf(row({ health: 'healthy' }))).toBe('running')
    expect(groupOf(row({ health: 'unhealthy' }))).toBe('unhealthy')
  })

  it('sorts names by number and live columns by figures', () => {
    const rows = [row({ id: 'a', name: 'web-10' }), row({ id: 'b', name: 'web-9' })]
    const names = (list: Container[]) => list.map((one) => one.name)
    expect(names(sorted(rows, parseSort('name'), () => undefined))).toEqual(['web-9', 'web-10'])
    const live = (id: string) => ({ cpu_pct: id === 'a' ? 5 : 1, memory: 0 })
    expect(names(sorted(rows, parseSort('-cpu'), live))).toEqual(['web-10', 'web-9'])
  })

  it('sorts in three steps', () => {
    expect(nextSort(parseSort(undefined), 'name')).toBe('name')
    expect(nextSort(parseSort('name'), 'name')).toBe('-name')
    expect(nextSort(parseSort('-name'), 'name')).toBeUndefined()
  })

  it('offers only verbs that can do something', () => {
    expect(legal(row({})).has('start')).toBe(false)
    expect(legal(row({ state: 'exited' })).has('stop')).toBe(false)
  })

  it('shows a port of both families once', () => {
    const ports = [
      { ip: '::', private: 80, public: 8080, type: 'tcp' },
      { ip: '0.0.0.0', private: 80, public: 8080, type: 'tcp' },
      { ip: null, private: 22, public: null, type: 'tcp' },
    ]
    expect(distinctPorts({ ports }).map((port) => port.ip)).toEqual([null, '0.0.0.0'])
  })
})
