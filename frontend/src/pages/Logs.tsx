import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { ArrowDown, Download, Pause, Play } from 'lucide-react'
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react'
import { containerQuery } from '@/api/queries'
import { text } from '@/messages/en/containers'
import { useStream } from '@/realtime/stream'
import { Button, buttonClass, Check, Empty, Failure, Input } from '@/ui/controls'
import { clock } from '@/util/format'
import { type Line, LogStore } from './log-model'
import css from './logs.module.css'

const ROW = 20
const OVERSCAN = 20
const SLOTS = 60
const WRAPPED = 5000
const t = text.logs

export function Logs() {
  const { env, ref } = useParams({ from: '/e/$env/containers/$ref' })
  const { data } = useQuery(containerQuery(env, ref))
  return data ? <LogView key={data.id} env={env} id={data.id} name={data.name} /> : null
}

function LogView({ env, id, name }: { env: string; id: string; name: string }) {
  const [store] = useState(() => new LogStore())
  const [, setVersion] = useState(0)
  const [query, setQuery] = useState('')
  const [levels, setLevels] = useState<ReadonlySet<string>>(new Set())
  const [paused, setPaused] = useState(false)
  const [wrap, setWrap] = useState(localStorage.getItem('hythe.logs.wrap') === '1')
  const [times, setTimes] = useState(localStorage.getItem('hythe.logs.times') !== '0')
  const [following, setFollowing] = useState(true)
  const [news, setNews] = useState(0)
  const held = useRef<[number, 'o' | 'e', string][]>([])
  const frame = useRef(0)
  const scroller = useRef<HTMLDivElement>(null)
  const [view, setView] = useState({ top: 0, height: 600 })

  const draw = useCallback(() => {
    cancelAnimationFrame(frame.current)
    frame.current = requestAnimationFrame(() => setVersion((now) => now + 1))
  }, [])
  const path = `environments/${env}/containers/${id}/logs`
  const { state, error } = useStream(
    `${path}?tail=1000`,
    (message) => {
      const lines = message.lines as [number, 'o' | 'e', string][] | undefined
      if (!lines) return
      if (paused) held.current.push(...lines)
      else store.add(lines)
      if (!following || paused) setNews((now) => now + lines.length)
      draw()
    },
    // What came before the loss is here already.
    () => `${path}?tail=all&since=${(store.last + 1) / 1000}`,
  )

  useEffect(() => {
    store.filter(query, levels)
    setVersion((now) => now + 1)
  }, [store, query, levels])

  const resume = () => {
    store.add(held.current)
    held.current = []
    setPaused(false)
    setNews(0)
  }
  const jump = () => {
    if (paused) resume()
    setFollowing(true)
    setNews(0)
  }
  const remember = (key: string, value: boolean) => localStorage.setItem(key, value ? '1' : '0')
  const toggle = (level: string) => {
    const next = new Set(levels)
    if (!next.delete(level)) next.add(level)
    setLevels(next)
  }

  const lines = wrap ? store.shown.slice(-WRAPPED) : store.shown
  const count = lines.length
  useLayoutEffect(() => {
    const box = scroller.current
    if (box && following && !paused) box.scrollTop = box.scrollHeight
  })
  useLayoutEffect(() => {
    const box = scroller.current
    if (!box) return
    const measure = new ResizeObserver(() =>
      setView((now) => ({ ...now, height: box.clientHeight })),
    )
    measure.observe(box)
    return () => measure.disconnect()
  }, [])
  const onScroll = () => {
    const box = scroller.current
    if (!box) return
    setView({ top: box.scrollTop, height: box.clientHeight })
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < ROW * 2
    setFollowing(atEnd)
    if (atEnd && !paused) setNews(0)
  }
  const save = () => {
    const content = store.shown.map((line) => `${new Date(line.at).toISOString()} ${line.text}\n`)
    const link = document.createElement('a')
    link.href = URL.createObjectURL(new Blob(content, { type: 'text/plain' }))
    link.download = `${name}.log`
    link.click()
    URL.revokeObjectURL(link.href)
  }

  const top = following ? Math.max(0, count * ROW - view.height) : view.top
  const first = wrap ? 0 : Math.max(0, Math.floor(top / ROW) - OVERSCAN)
  const last = wrap ? count : Math.min(count, Math.ceil((top + view.height) / ROW) + OVERSCAN)
  return (
    <div className={css.view}>
      <div className={css.tools}>
        <Input
          type="search"
          aria-label={t.search}
          placeholder={t.search}
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
        {(['error', 'warn', 'info'] as const).map((level) => (
          <button
            type="button"
            key={level}
            className={css.level}
            data-level={level}
            aria-pressed={levels.has(level)}
            onClick={() => toggle(level)}
          >
            {t.levels[level]}
          </button>
        ))}
        <span role="status" className="muted">
          {t.reach(store.shown.length, store.lines.length)}
        </span>
        <span className={css.gap} />
        <Check
          label={t.times}
          checked={times}
          onChange={(event) => {
            setTimes(event.target.checked)
            remember('hythe.logs.times', event.target.checked)
          }}
        />
        <Check
          label={t.wrap}
          checked={wrap}
          onChange={(event) => {
            setWrap(event.target.checked)
            remember('hythe.logs.wrap', event.target.checked)
          }}
        />
        <Button onClick={save} disabled={store.shown.length === 0}>
          <Download size={15} aria-hidden /> {t.download}
        </Button>
        <Button onClick={() => (paused ? resume() : setPaused(true))} aria-pressed={paused}>
          {paused ? <Play size={15} aria-hidden /> : <Pause size={15} aria-hidden />}
          {paused ? t.resume : t.pause}
        </Button>
      </div>
      {error && <Failure error={error} />}
      {state === 'lost' && <p role="status">{t.lost}</p>}
      <Histogram store={store} />
      <div className={css.frame}>
        <div
          ref={scroller}
          className={css.scroller}
          onScroll={onScroll}
          role="log"
          aria-live="off"
          aria-label={t.label}
          tabIndex={0}
        >
          {count === 0 && state !== 'connecting' && <Empty title={t.none} />}
          <div
            className={css.lines}
            data-wrap={wrap}
            style={wrap ? undefined : { height: count * ROW }}
          >
            {lines.slice(first, last).map((line, index) => (
              <LogLine
                key={line.key}
                line={line}
                times={times}
                top={wrap ? null : (first + index) * ROW}
              />
            ))}
          </div>
          {state === 'ended' && !error && <p className={css.end}>{t.ended}</p>}
        </div>
        {(!following || news > 0) && (
          <button type="button" className={`${buttonClass('primary')} ${css.jump}`} onClick={jump}>
            <ArrowDown size={15} aria-hidden /> {t.jump(news)}
          </button>
        )}
      </div>
    </div>
  )
}

function LogLine({ line, times, top }: { line: Line; times: boolean; top: number | null }) {
  return (
    <div
      className={css.line}
      data-level={line.level}
      data-stream={line.stream}
      style={top === null ? undefined : { transform: `translateY(${top}px)` }}
    >
      <i />
      {times && <time>{clock(line.at)}</time>}
      <span>{line.text}</span>
    </div>
  )
}

function Histogram({ store }: { store: LogStore }) {
  const slots = store.histogram(SLOTS)
  const top = Math.max(...slots.map((slot) => slot.all), 1)
  return (
    <svg
      className={css.histogram}
      viewBox={`0 0 ${SLOTS * 10} 30`}
      preserveAspectRatio="none"
      role="img"
      aria-label={t.histogram}
    >
      {slots.map((slot, index) => {
        const height = (slot.all / top) * 30
        const bad = (slot.bad / top) * 30
        const warn = (slot.warn / top) * 30
        const x = index * 10 + 1
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a slot is its place
          <g key={index}>
            <rect x={x} width={8} y={30 - height} height={height} fill="var(--track)" />
            <rect x={x} width={8} y={30 - bad} height={bad} fill="var(--bad)" />
            <rect x={x} width={8} y={30 - bad - warn} height={warn} fill="var(--warn)" />
          </g>
        )
      })}
    </svg>
  )
}
