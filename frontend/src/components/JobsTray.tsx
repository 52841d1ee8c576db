import { useQuery } from '@tanstack/react-query'
import { ListChecks, X } from 'lucide-react'
import type { Job } from '@/api/client'
import { jobsQuery, useCancelJob } from '@/api/queries'
import { text } from '@/messages/en/common'
import { Button, buttonClass, Failure, Meter, Popover } from '@/ui/controls'
import { age, bytes, exact } from '@/util/format'
import css from './jobs.module.css'

const SHOWN = 20

export function isRunning(job: Job): boolean {
  return job.state === 'queued' || job.state === 'running'
}

/** Every job of the person, running ones first seen in the top bar. */
export function JobsTray() {
  const { data } = useQuery(jobsQuery)
  const jobs = data?.items ?? []
  const running = jobs.filter(isRunning).length
  return (
    <Popover
      title={text.jobs}
      className={css.tray ?? ''}
      trigger={
        <button
          type="button"
          className={buttonClass('quiet')}
          aria-label={running ? text.jobsRunning(running) : text.jobs}
        >
          <ListChecks size={17} aria-hidden />
          {running > 0 && <span className={css.badge}>{running}</span>}
        </button>
      }
    >
      {jobs.length === 0 && <p className={css.none}>{text.noJobs}</p>}
      <ul>
        {jobs.slice(0, SHOWN).map((job) => (
          <li key={job.id} className={css.job}>
            <JobView job={job} />
          </li>
        ))}
      </ul>
    </Popover>
  )
}

/** One job: its title, how far it is, and a bar for each layer while it runs. */
export function JobView({ job, open = isRunning(job) }: { job: Job; open?: boolean }) {
  const cancel = useCancelJob()
  const { current = 0, total = 0, layers = [], items = [] } = job.progress
  const isPull = job.kind === 'image.pull'
  const amount = isPull ? text.of(bytes(current), bytes(total)) : text.of(`${current}`, `${total}`)
  const tone = job.state === 'failed' ? 'bad' : job.state === 'succeeded' ? 'ok' : undefined
  return (
    <div className={css.view} data-job={job.state}>
      <div className={css.line}>
        <strong>{job.title}</strong>
        <span className="muted" title={exact(job.created)}>
          {text.jobStates[job.state]}
          {!isRunning(job) && ` · ${age(job.finished ?? job.created)}`}
        </span>
        {isRunning(job) && (
          <Button
            kind="quiet"
            icon
            aria-label={text.cancelJob(job.title)}
            disabled={cancel.isPending}
            onClick={() => cancel.mutate(job.id)}
          >
            <X size={14} aria-hidden />
          </Button>
        )}
      </div>
      {open && total > 0 && (
        <div className={css.bar}>
          <Meter label={job.title} value={current / total} tone={tone} />
          <span>{amount}</span>
        </div>
      )}
      {open && layers.length > 0 && (
        <ul className={css.layers}>
          {layers.map((layer) => {
            const state = text.layerStates[layer.status] ?? layer.status
            const over = layer.status === 'done' || layer.status === 'exists'
            return (
              <li key={layer.id} data-layer={layer.status}>
                <span className="mono">{layer.id}</span>
                <Meter
                  label={text.layer(layer.id, state)}
                  value={over ? 1 : layer.total ? layer.current / layer.total : 0}
                  tone={layer.status === 'exists' ? 'off' : over ? 'ok' : undefined}
                />
                <span>{state}</span>
                <span>{layer.total ? bytes(layer.total) : ''}</span>
              </li>
            )
          })}
        </ul>
      )}
      {job.error && <p className={css.error}>{job.error}</p>}
      {items
        .filter((item) => item.state === 'failed')
        .slice(0, 5)
        .map((item) => (
          <p key={item.id} className={css.error}>
            <span className="mono">{item.id.slice(0, 12)}</span> {item.error}
          </p>
        ))}
      {cancel.error && <Failure error={cancel.error} />}
    </div>
  )
}
