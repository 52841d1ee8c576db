import { useEffect, useRef, useState } from 'react'
import { address } from './live'

export type StreamState = 'connecting' | 'open' | 'ended' | 'lost'

/** One container's own stream, reopened when it is lost; `take` gets every message. */
export function useStream(
  path: string,
  take: (message: Record<string, unknown>) => void,
  again: (() => string) | null = null,
): { state: StreamState; error: string } {
  const [state, setState] = useState<StreamState>('connecting')
  const [error, setError] = useState('')
  const taken = useRef(take)
  taken.current = take
  const retry = useRef(again)
  retry.current = again
  useEffect(() => {
    let socket: WebSocket | null = null
    let timer: ReturnType<typeof setTimeout> | undefined
    let over = false
    let attempts = 0
    const open = (where: string) => {
      socket = new WebSocket(address(where))
      let ended = false
      socket.onopen = () => {
        attempts = 0
        setState('open')
      }
      socket.onmessage = (event) => {
        const message = JSON.parse(event.data)
        if (message.end) ended = true
        if (message.type === 'error') {
          ended = true
          setError(message.error.message)
        } else taken.current(message)
      }
      socket.onclose = (event) => {
        if (over) return
        if (ended || event.code === 1000) {
          setState('ended')
          return
        }
        setState('lost')
        attempts += 1
        const next = () => open(retry.current ? retry.current() : path)
        timer = setTimeout(next, Math.min(500 * 2 ** attempts, 8000))
      }
    }
    setState('connecting')
    setError('')
    open(path)
    return () => {
      over = true
      clearTimeout(timer)
      socket?.close()
    }
  }, [path])
  return { state, error }
}
