import { describe, expect, it } from 'vitest'
import { commandOf, EMPTY, specOf } from './new-container-model'

describe('new container', () => {
  const form = {
    ...EMPTY,
    image: 'acme/web:2',
    name: 'web',
    command: 'sh -c "echo hi"',
    env: [{ name: 'A', value: 'b c' }],
    ports: [{ host: '', container: '80', protocol: 'tcp' as const }],
    volumes: [{ source: 'data', target: '/srv', readOnly: true }],
    memory: '64m',
  }

  it('sends what is filled in, and nothing else', () => {
    const spec = specOf(form)
    expect(spec.command).toEqual(['sh', '-c', 'echo hi'])
    expect(spec.memory).toBe(64 * 1024 ** 2)
    expect(spec.ports).toEqual([{ host_port: null, container_port: 80, protocol: 'tcp' }])
    expect(specOf({ ...EMPTY, image: 'x' })).not.toHaveProperty('name')
    expect(specOf({ ...EMPTY, image: 'x' })).not.toHaveProperty('memory')
  })

  it('tells the same as a command that a shell can read', () => {
    expect(commandOf(form)).toBe(
      "docker run -d --name web -p 80 -e 'A=b c' -v data:/srv:ro --memory 64m acme/web:2 sh -c 'echo hi'",
    )
  })
})
