import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { lazy, type ReactNode, Suspense, useEffect, useRef, useState } from 'react'
import type { Summary } from '@/api/client'
import { jobsQuery, summaryQuery } from '@/api/queries'
import { isRunning, JobView } from '@/components/JobsTray'
import { Page } from '@/components/page'
import { text as common } from '@/messages/en/common'
import { text } from '@/messages/en/dashboard'
import { text as states } from '@/messages/en/states'
import { figures, useFigures } from '@/realtime/live'
import { buttonClass, Empty, Failure, Meter, Panel, Skeleton } from '@/ui/controls'
import { Mark, Status, toneOf } from '@/ui/Status'
import { age, bytes, count, exact, percent } from '@/util/format'
import { STATE_ORDER } from './containers-model'
import css from './dashboard.module.css'

const Chart = lazy(() => import('@/components/Chart').then((part) => ({ default: part.Chart })))
const KEPT = 300

export function Dashboard() {
  const { env } = useParams({ from: '/e/$env' })
  const { data, error, refetch } = useQuery(summaryQuery(env))
  const { data: jobs } = useQuery(jobsQuery)
  const running = (jobs?.items ?? []).filter(isRunning)
  const total = data ? Object.values(data.containers).reduce((a, b) => a + b, 0) : 0
  return (
    <Page title={text.title} tab={`${text.title} · ${env}`}>
      {error && <Failure error={error} retry={() => refetch()} />}
      {!data && !error && <Skeleton height={220} />}
      {data && (
        <>
          {total === 0 ? (
            <Panel>
              <Empty title={text.none}>
                <p className="muted">{text.noneLead}</p>
                <div className={css.start}>
                  <Link to="/e/$env/images" params={{ env }} className={buttonClass('primary')}>
                    {text.pull}
                  </Link>
                  <Link
                    to="/e/$env/containers/new"
                    params={{ env }}
                    search={{}}
                    className={buttonClass()}
                  >
                    {text.run}
                  </Link>
                </div>
              </Empty>
            </Panel>
          ) : (
            <StateBar env={env} containers={data.containers} total={total} />
          )}
          <Live env={env} summary={data} />
          <div className={css.columns}>
            <Panel title={text.activity}>
              <Activity summary={data} />
            </Panel>
            <div className={css.side}>
              {running.length > 0 && (
                <Panel title={common.jobs}>
                  {running.map((job) => (
                    <JobView key={job.id} job={job} />
                  ))}
                </Panel>
              )}
              <Panel title={text.attention}>
                <Attention env={env} summary={data} />
              </Panel>
            </div>
          </div>
        </>
      )}
    </Page>
  )
}

type BarProps = { env: string; containers: Summary['containers']; total: number }

function StateBar({ env, containers, total }: BarProps) {
  const kinds = STATE_ORDER.filter((kind) => containers[kind])
  return (
    <Panel title={text.containers(total)}>
      <div className={css.bar} aria-hidden>
        {kinds.map((kind) => (
          <i key={kind} data-tone={toneOf(kind)} style={{ flexGrow: containers[kind] }} />
        ))}
      </div>
      <div className={css.chips}>
        {kinds.map((kind) => (
          <Link
            key={kind}
            to="/e/$env/containers"
            params={{ env }}
            search={{ state: kind }}
            className={css.chip}
          >
            <Mark kind={kind} coloured /> {states.words[kind]} <b>{count(containers[kind] ?? 0)}</b>
          </Link>
        ))}
      </div>
    </Panel>
  )
}

function Capacity(props: { name: string; aside: string; value: string; part: number | null }) {
  const tone =
    props.part !== null && props.part > 0.9 ? 'bad' : (props.part ?? 0) > 0.75 ? 'warn' : undefined
  return (
    <div className={css.capacity}>
      <span>{props.name}</span>
      <span className="muted">{props.aside}</span>
      <strong>{props.value}</strong>
      {props.part !== null && <Meter label={props.name} value={props.part} tone={tone} />}
    </div>
  )
}

/** What the running containers use of the machine, now and over the last minutes. */
function Live({ env, summary }: { env: string; summary: Summary }) {
  const version = useFigures(env, summary.running)
  const history = useRef<{ at: number; cpu: number; memory: number }[]>([])
  const [, redraw] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: one sample for each reading
  useEffect(() => {
    const now = summary.running.map((id) => figures.latest(id)).filter((one) => one !== undefined)
    if (now.length === 0 && summary.running.length > 0) return
    const sample = {
      at: Date.now(),
      cpu: now.reduce((sum, one) => sum + one.cpu_pct, 0) / summary.cpus,
      memory: now.reduce((sum, one) => sum + one.memory, 0),
    }
    history.current = [...history.current.slice(1 - KEPT), sample]
    redraw((count) => count + 1)
  }, [version])
  const last = history.current.at(-1)
  const disk = summary.disk
  const cpu = last ? percent(last.cpu) : '–'
  const used = last ? (last.cpu * summary.cpus) / 100 : 0
  return (
    <>
      <div className={css.capacities}>
        <Capacity
          name={text.cpu}
          aside={text.cores(used.toFixed(1), summary.cpus)}
          value={cpu}
          part={(last?.cpu ?? 0) / 100}
        />
        <Capacity
          name={text.memory}
          aside={text.of(bytes(last?.memory ?? 0), bytes(summary.memory))}
          value={percent(((last?.memory ?? 0) / summary.memory) * 100)}
          part={(last?.memory ?? 0) / summary.memory}
        />
        <Capacity
          name={text.disk}
          aside={disk.total ? text.of(bytes(disk.used ?? 0), bytes(disk.total)) : text.unknown}
          value={disk.total ? percent(((disk.used ?? 0) / disk.total) * 100) : '–'}
          part={disk.total ? (disk.used ?? 0) / disk.total : null}
        />
        <Capacity
          name={text.images}
          aside={text.imageBytes(bytes(disk.images_bytes))}
          value={count(summary.images)}
          part={null}
        />
      </div>
      {summary.running.length > 0 && (
        <Panel title={text.byContainers} aside={<span className="muted">{cpu}</span>}>
          <Suspense fallback={<div style={{ height: 200 }} />}>
            <Chart
              times={history.current.map((one) => one.at)}
              series={[
                { label: text.cpu, values: history.current.map((one) => one.cpu), color: 1 },
              ]}
              format={(value) => `${Math.round(value)}%`}
              floor={5}
              height={200}
              sentence={`${text.byContainers}: ${cpu}`}
            />
          </Suspense>
        </Panel>
      )}
    </>
  )
}

function Row({ children }: { children: ReactNode }) {
  return <li className={css.row}>{children}</li>
}

function Activity({ summary }: { summary: Summary }) {
  if (summary.activity.length === 0) return <p className="muted">{text.noActivity}</p>
  return (
    <ul>
      {summary.activity.map((entry) => (
        <Row key={entry.id}>
          <span>
            <strong>{entry.actor}</strong> {entry.result === 'ok' ? '' : `${text.refused} `}
            {text.act(entry.permission)} {entry.target && shorten(entry.target)}
          </span>
          <time className="muted" title={exact(entry.time)}>
            {age(entry.time)}
          </time>
        </Row>
      ))}
    </ul>
  )
}

function shorten(target: string): string {
  return /^[0-9a-f]{64}$/.test(target) ? target.slice(0, 12) : target
}

function Attention({ env, summary }: { env: string; summary: Summary }) {
  if (summary.attention.length === 0) return <p className="muted">{text.allWell}</p>
  return (
    <ul>
      {summary.attention.map((one) => (
        <Row key={one.id}>
          <Status {...one} />
          <span>
            <Link to="/e/$env/containers/$ref" params={{ env, ref: one.container }}>
              {one.container}
            </Link>
            <br />
            <span className="muted">{one.reason}</span>
          </span>
          <time className="muted" title={exact(one.since)}>
            {age(one.since)}
          </time>
        </Row>
      ))}
    </ul>
  )
}
