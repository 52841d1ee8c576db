import { useEffect, useSyncExternalStore } from 'react'
import type { Job } from '@/api/client'
import { queryClient, takeJob } from '@/api/queries'

export type Figures = {
  cpu_pct: number
  cores: number
  memory: number
  memory_cache: number
  memory_limit: number
  net_rx: number
  net_tx: number
  blk_read: number
  blk_write: number
  pids: number
}

type Message =
  | { topic: 'events'; environment: string; keys: string[][] }
  | { topic: 'jobs'; job: Job }
  | { topic: 'stats'; environment: string; at: number; stats: Record<string, Figures> }
  | { type: 'error'; error: { code: string; message: string } }

export type LiveState = { connected: boolean; lost: number | null; retry: number | null }

const SAMPLES = 300
const DELAYS = [500, 1000, 2000, 4000, 8000]

export function address(path: string): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws/${path}`
}

/** The one socket of this tab; subscriptions outlive its reconnects. */
class Live {
  private socket: WebSocket | null = null
  private wishes = new Map<string, object>()
  private attempts = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  private listeners = new Set<() => void>()
  private stale = new Map<string, string[]>()
  private flush: ReturnType<typeof setTimeout> | undefined
  state: LiveState = { connected: false, lost: null, retry: null }

  open() {
    if (this.socket) return
    clearTimeout(this.timer)
    const socket = new WebSocket(address('live'))
    this.socket = socket
    socket.onopen = () => {
      const again = this.state.lost !== null
      this.attempts = 0
      this.set({ connected: true, lost: null, retry: null })
      for (const wish of this.wishes.values()) socket.send(JSON.stringify(wish))
      // What happened while nobody listened is read again.
      if (again) queryClient.invalidateQueries()
    }
    socket.onmessage = (event) => this.take(JSON.parse(event.data))
    socket.onclose = (event) => {
      this.socket = null
      if (event.code === 4401) {
        queryClient.invalidateQueries({ queryKey: ['session'] })
        return
      }
      const delay = DELAYS[Math.min(this.attempts, DELAYS.length - 1)] as number
      this.attempts += 1
      const lost = this.state.lost ?? Date.now()
      this.set({ connected: false, lost, retry: Date.now() + delay })
      this.timer = setTimeout(() => this.open(), delay)
    }
  }

  close() {
    clearTimeout(this.timer)
    if (this.socket) {
      this.socket.onclose = null
      this.socket.close()
    }
    this.socket = null
    this.wishes.clear()
    this.set({ connected: false, lost: null, retry: null })
  }

  subscribe(name: string, wish: object) {
    this.wishes.set(name, wish)
    this.send(wish)
  }

  unsubscribe(name: string, wish: object) {
    if (this.wishes.delete(name)) this.send(wish)
  }

  listen = (listener: () => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  private send(message: object) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message))
  }

  private set(state: LiveState) {
    this.state = state
    for (const listener of this.listeners) listener()
  }

  private take(message: Message) {
    if (!('topic' in message)) return
    if (message.topic === 'jobs') takeJob(message.job)
    else if (message.topic === 'stats') figures.take(message.at, message.stats)
    else {
      // A burst of events is one refetch.
      for (const key of message.keys) {
        this.stale.set(key.join('/'), ['env', message.environment, ...key])
      }
      this.flush ??= setTimeout(() => {
        this.flush = undefined
        const keys = [...this.stale.values()]
        this.stale.clear()
        for (const queryKey of keys) queryClient.invalidateQueries({ queryKey })
        queryClient.invalidateQueries({ queryKey: ['environments'] })
      }, 80)
    }
  }
}

/** The last minutes of every watched container's figures. */
class FigureStore {
  private rings = new Map<string, { at: number; value: Figures }[]>()
  private listeners = new Set<() => void>()
  version = 0

  take(at: number, rows: Record<string, Figures>) {
    for (const [id, value] of Object.entries(rows)) {
      const ring = this.rings.get(id) ?? []
      ring.push({ at, value })
      if (ring.length > SAMPLES) ring.shift()
      this.rings.set(id, ring)
    }
    this.version += 1
    for (const listener of this.listeners) listener()
  }

  of(id: string) {
    return this.rings.get(id) ?? []
  }

  /** The newest figures, undefined when they are older than a few seconds. */
  latest(id: string): Figures | undefined {
    const last = this.rings.get(id)?.at(-1)
    return last && Date.now() - last.at < 5000 ? last.value : undefined
  }

  listen = (listener: () => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}

export const live = new Live()
export const figures = new FigureStore()

export function useLiveState(): LiveState {
  return useSyncExternalStore(live.listen, () => live.state)
}

/** Hears of an environment's changes and of the jobs while mounted. */
export function useEvents(environment: string) {
  useEffect(() => {
    live.open()
    const name = `events:${environment}`
    live.subscribe(name, { subscribe: 'events', environment })
    live.subscribe('jobs', { subscribe: 'jobs' })
    return () => live.unsubscribe(name, { unsubscribe: 'events', environment })
  }, [environment])
}

/** Watches containers' figures while mounted; the number changes with every reading. */
export function useFigures(environment: string, ids: string[]): number {
  const wanted = ids.join(',')
  useEffect(() => {
    if (!wanted) return
    live.subscribe('stats', { subscribe: 'stats', environment, ids: wanted.split(',') })
    return () => live.unsubscribe('stats', { unsubscribe: 'stats' })
  }, [environment, wanted])
  return useSyncExternalStore(figures.listen, () => figures.version)
}
