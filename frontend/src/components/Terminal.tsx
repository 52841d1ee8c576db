import '@xterm/xterm/css/xterm.css'
import { FitAddon } from '@xterm/addon-fit'
import { Terminal as Xterm } from '@xterm/xterm'
import { useEffect, useRef } from 'react'
import { text } from '@/messages/en/containers'
import { address } from '@/realtime/live'
import { nonce } from '@/ui/csp'

type TerminalProps = {
  path: string
  onEnd: (code: number | null, error: string) => void
}

/** xterm makes style elements without a nonce, which the page's policy refuses. */
function stampStyles(): () => void {
  const create = document.createElement.bind(document)
  document.createElement = ((name: string, options?: ElementCreationOptions) => {
    const element = create(name, options)
    if (name === 'style') element.nonce = nonce()
    return element
  }) as typeof document.createElement
  return () => {
    document.createElement = create
  }
}

/** A terminal on a console's websocket; the session ends with the component. */
export function Terminal({ path, onEnd }: TerminalProps) {
  const place = useRef<HTMLDivElement>(null)
  const ended = useRef(onEnd)
  ended.current = onEnd
  useEffect(() => {
    const box = place.current
    if (!box) return
    const restore = stampStyles()
    const terminal = new Xterm({
      fontFamily: 'JetBrains Mono Variable, monospace',
      fontSize: 13,
      cursorBlink: true,
      scrollback: 10_000,
      theme: { background: '#10141b', foreground: '#dfe4ec' },
    })
    const fit = new FitAddon()
    terminal.loadAddon(fit)
    terminal.open(box)
    fit.fit()
    terminal.textarea?.setAttribute('aria-label', text.console.label)
    const joint = path.includes('?') ? '&' : '?'
    const socket = new WebSocket(
      address(`${path}${joint}rows=${terminal.rows}&columns=${terminal.cols}`),
    )
    socket.binaryType = 'arraybuffer'
    let code: number | null = null
    let error = ''
    let leaving = false
    socket.onmessage = (event) => {
      if (typeof event.data !== 'string') {
        terminal.write(new Uint8Array(event.data))
        return
      }
      const message = JSON.parse(event.data)
      if ('exit' in message) code = message.exit
      if (message.type === 'error') error = message.error.message
    }
    socket.onclose = (event) => {
      if (leaving) return
      terminal.options.cursorBlink = false
      terminal.options.disableStdin = true
      ended.current(code, error || (event.code === 1000 ? '' : text.console.lost))
    }
    const encoder = new TextEncoder()
    const send = (data: string | ArrayBufferView<ArrayBuffer>) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(data)
    }
    terminal.onData((data) => send(encoder.encode(data)))
    terminal.onBinary((data) => send(Uint8Array.from(data, (letter) => letter.charCodeAt(0))))
    terminal.onResize(({ rows, cols }) => send(JSON.stringify({ resize: [rows, cols] })))
    // Escape, then Tab gives the focus back to the page.
    let escaped = false
    terminal.attachCustomKeyEventHandler((event) => {
      if (event.type !== 'keydown') return true
      if (event.key === 'Tab' && escaped) return false
      escaped = event.key === 'Escape'
      if (event.ctrlKey && event.shiftKey && event.key === 'C') {
        navigator.clipboard?.writeText(terminal.getSelection())
        return false
      }
      return !(event.ctrlKey && event.shiftKey && event.key === 'V')
    })
    const size = new ResizeObserver(() => fit.fit())
    size.observe(box)
    terminal.focus()
    return () => {
      leaving = true
      size.disconnect()
      socket.close()
      terminal.dispose()
      restore()
    }
  }, [path])
  return <div ref={place} style={{ height: '100%' }} />
}
