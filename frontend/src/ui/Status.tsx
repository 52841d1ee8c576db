import type { ReactNode } from 'react'
import { text } from '@/messages/en/states'
import css from './controls.module.css'

export type Tone = 'ok' | 'warn' | 'bad' | 'info' | 'off'
export type Kind =
  | 'running'
  | 'healthy'
  | 'starting'
  | 'unhealthy'
  | 'paused'
  | 'restarting'
  | 'removing'
  | 'created'
  | 'exited'
  | 'failed'
  | 'dead'
  | 'unknown'

const TONES: Record<Kind, Tone> = {
  running: 'ok',
  healthy: 'ok',
  starting: 'info',
  unhealthy: 'warn',
  paused: 'warn',
  restarting: 'info',
  removing: 'info',
  created: 'off',
  exited: 'off',
  failed: 'bad',
  dead: 'bad',
  unknown: 'off',
}

const ARC = (
  <path d="M6 1.5a4.5 4.5 0 1 1-4.5 4.5" fill="none" strokeWidth="2" stroke="currentColor" />
)
const CUT = 'var(--surface)'

const SHAPES: Record<Kind, ReactNode> = {
  running: <circle cx="6" cy="6" r="4.5" fill="currentColor" />,
  healthy: (
    <>
      <circle cx="6" cy="6" r="5.2" fill="currentColor" />
      <path d="m3.6 6.2 1.7 1.7 3.2-3.6" fill="none" stroke={CUT} strokeWidth="1.5" />
    </>
  ),
  starting: ARC,
  unhealthy: (
    <>
      <path d="M6 .8 11.6 11H.4z" fill="currentColor" />
      <path d="M6 4.4v3M6 8.6v1.2" stroke={CUT} strokeWidth="1.4" />
    </>
  ),
  paused: <path d="M3.6 1.5v9M8.4 1.5v9" stroke="currentColor" strokeWidth="2.6" />,
  restarting: ARC,
  removing: ARC,
  created: (
    <circle
      cx="6"
      cy="6"
      r="4.5"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.7"
      strokeDasharray="2 1.6"
    />
  ),
  exited: <rect x="2" y="2" width="8" height="8" rx="1" fill="currentColor" />,
  failed: <path d="m2.2 2.2 7.6 7.6m0-7.6L2.2 9.8" stroke="currentColor" strokeWidth="2.2" />,
  dead: <path d="m6 .8 5.2 5.2L6 11.2.8 6z" fill="currentColor" />,
  unknown: <circle cx="6" cy="6" r="4.5" fill="none" stroke="currentColor" strokeWidth="1.7" />,
}

type Stated = { state: string; health?: string | null; exit_code?: number | null }

/** What a container's state is called, its health counted in. */
export function kindOf({ state, health, exit_code }: Stated): Kind {
  if (state === 'running') {
    if (health === 'healthy' || health === 'unhealthy' || health === 'starting') return health
    return 'running'
  }
  if (state === 'exited') return exit_code ? 'failed' : 'exited'
  return state in TONES ? (state as Kind) : 'unknown'
}

export function Mark({ kind, coloured = false }: { kind: Kind; coloured?: boolean }) {
  const turning = SHAPES[kind] === ARC
  const color = coloured ? `var(--${TONES[kind]}-text)` : undefined
  return (
    <svg
      className={css.mark}
      viewBox="0 0 12 12"
      data-turning={turning}
      style={{ color }}
      aria-hidden
    >
      {SHAPES[kind]}
    </svg>
  )
}

/** Shape, word and colour of a state; `intent` is the verb that is on its way. */
export function Status(props: Stated & { intent?: string | undefined; title?: string }) {
  const kind = props.intent ? 'restarting' : kindOf(props)
  return (
    <span className={css.status} data-tone={TONES[kind]} title={props.title}>
      <Mark kind={kind} />
      {props.intent ?? text.word(kind, props.exit_code)}
    </span>
  )
}

export function toneOf(kind: Kind): Tone {
  return TONES[kind]
}
