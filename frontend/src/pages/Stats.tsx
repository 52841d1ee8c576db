import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { containerQuery } from '@/api/queries'
import { Chart } from '@/components/Chart'
import { text } from '@/messages/en/containers'
import type { Figures } from '@/realtime/live'
import { useStream } from '@/realtime/stream'
import { Empty, Failure, Panel } from '@/ui/controls'
import { bytes, percent } from '@/util/format'
import css from './container.module.css'

type Sample = Figures & { at: number }
const KEPT = 300
const t = text.stats

export function Stats() {
  const { env, ref } = useParams({ from: '/e/$env/containers/$ref' })
  const { data } = useQuery(containerQuery(env, ref))
  const id = data?.id
  return id ? (
    <Charts
      key={id}
      path={`environments/${env}/containers/${id}/stats`}
      running={data.state === 'running'}
    />
  ) : null
}

function rates(samples: Sample[], of: (sample: Sample) => number): (number | null)[] {
  return samples.map((sample, index) => {
    const before = samples[index - 1]
    const change = before ? of(sample) - of(before) : null
    return change === null || change < 0 || !before
      ? null
      : change / Math.max((sample.at - before.at) / 1000, 0.2)
  })
}

function Charts({ path, running }: { path: string; running: boolean }) {
  const [samples, setSamples] = useState<Sample[]>([])
  const { error } = useStream(path, (message) => {
    if ('cpu_pct' in message) {
      setSamples((now) => [...now.slice(1 - KEPT), message as unknown as Sample])
    }
  })
  useEffect(() => {
    if (!running) setSamples([])
  }, [running])
  const last = samples.at(-1)
  if (error) return <Failure error={error} />
  if (!running) return <Empty title={t.stopped} />
  if (!last) return <div style={{ minHeight: 300 }} aria-busy />
  const times = samples.map((sample) => sample.at)
  const rate = (value: number) => t.perSecond(bytes(value))
  const pair = (a: string, b: string, one: (s: Sample) => number, two: (s: Sample) => number) => [
    { label: a, values: rates(samples, one), color: 1 as const },
    { label: b, values: rates(samples, two), color: 2 as const },
  ]
  const network = pair(
    t.received,
    t.sent,
    (s) => s.net_rx,
    (s) => s.net_tx,
  )
  const disk = pair(
    t.read,
    t.written,
    (s) => s.blk_read,
    (s) => s.blk_write,
  )
  const now = (pairs: typeof network) =>
    pairs.map((one) => `${one.label} ${rate(one.values.at(-1) ?? 0)}`).join(', ')
  const cpu = t.cpuNow(percent(last.cpu_pct), last.cores)
  const memory = last.memory_limit
    ? `${bytes(last.memory)} of ${bytes(last.memory_limit)}`
    : bytes(last.memory)
  return (
    <div className={css.charts}>
      <Panel title={t.cpu} aside={<span className={css.now}>{cpu}</span>}>
        <Chart
          times={times}
          series={[{ label: t.cpu, values: samples.map((s) => s.cpu_pct), color: 1 }]}
          format={(value) => `${Math.round(value)}%`}
          floor={5}
          sentence={cpu}
        />
      </Panel>
      <Panel title={t.memory} aside={<span className={css.now}>{memory}</span>}>
        <Chart
          times={times}
          series={[{ label: t.memory, values: samples.map((s) => s.memory), color: 1 }]}
          format={bytes}
          floor={1024 * 1024}
          sentence={`${memory}, ${t.cache(bytes(last.memory_cache))}`}
        />
      </Panel>
      <Panel title={t.network} aside={<span className={css.now}>{now(network)}</span>}>
        <Chart times={times} series={network} format={bytes} floor={1024} sentence={now(network)} />
      </Panel>
      <Panel title={t.disk} aside={<span className={css.now}>{now(disk)}</span>}>
        <Chart times={times} series={disk} format={bytes} floor={1024} sentence={now(disk)} />
      </Panel>
      <p className="muted">{t.processes(last.pids)}</p>
    </div>
  )
}
