import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { containerQuery } from '@/api/queries'
import { text } from '@/messages/en/containers'
import { Panel } from '@/ui/controls'
import { age, bytes, exact } from '@/util/format'
import css from './container.module.css'
import { distinctPorts } from './containers-model'

const t = text.overview

function Facts({ rows }: { rows: [string, ReactNode][] }) {
  return (
    <dl className={css.facts}>
      {rows
        .filter(([, value]) => value !== null && value !== undefined && value !== '')
        .map(([name, value]) => (
          <div key={name} style={{ display: 'contents' }}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  )
}

function Rows({ title, rows }: { title: string; rows: { key: string; cells: ReactNode[] }[] }) {
  return (
    <Panel title={title}>
      {rows.length === 0 ? (
        <p className="muted">{t.nothing}</p>
      ) : (
        <ul className={css.rows}>
          {rows.map((row) => (
            <li key={row.key}>{row.cells}</li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

function moment(value: string | null) {
  return value ? <span title={exact(value)}>{age(value)} ago</span> : null
}

const mono = (value: string, key = value) => (
  <span key={key} className="mono">
    {value}
  </span>
)

export function Overview() {
  const { env, ref } = useParams({ from: '/e/$env/containers/$ref' })
  const { data } = useQuery(containerQuery(env, ref))
  if (!data) return null
  const { detail, limits, restart_policy: policy } = data
  const policies: Record<string, string> = text.form.policies
  return (
    <div className={css.columns}>
      <div className={css.stack}>
        <Panel title={t.state}>
          <Facts
            rows={[
              [text.columns.state, data.status],
              [
                t.exit,
                data.state === 'exited' || data.state === 'dead' ? (
                  <span key="exit" className={detail.exit_code ? css.bad : undefined}>
                    {detail.exit_code} {detail.oom_killed && `· ${t.oom}`}
                  </span>
                ) : null,
              ],
              [
                '',
                detail.error ? (
                  <span key="error" className={css.bad}>
                    {detail.error}
                  </span>
                ) : null,
              ],
              [t.created, moment(data.created)],
              [t.started, moment(detail.started)],
              [t.finished, data.state === 'running' ? null : moment(detail.finished)],
              [t.restarts, detail.restarts || null],
              [t.restartPolicy, policies[policy.name] ?? policy.name],
            ]}
          />
        </Panel>
        <Panel title={t.config}>
          <Facts
            rows={[
              [t.id, mono(data.id.slice(0, 12))],
              [t.image, mono(data.image)],
              [t.entrypoint, data.entrypoint.length ? mono(data.entrypoint.join(' ')) : null],
              [t.command, data.arguments.length ? mono(data.arguments.join(' ')) : null],
              [t.workingDir, data.working_dir && mono(data.working_dir)],
              [t.user, data.user],
              [t.hostname, mono(data.hostname)],
              [t.logDriver, data.log_driver],
            ]}
          />
        </Panel>
        <Panel title={t.limits}>
          <Facts
            rows={[
              [t.memory, limits.memory ? bytes(limits.memory) : t.noLimit],
              [t.cpus, limits.cpus ?? t.noLimit],
              [t.pids, limits.pids ?? t.noLimit],
            ]}
          />
        </Panel>
      </div>
      <div className={css.stack}>
        <Rows
          title={t.ports}
          rows={distinctPorts(data).map((port) => ({
            key: `${port.public}/${port.private}/${port.type}`,
            cells: [
              mono(`${port.private}/${port.type}`, 'private'),
              <span key="public">{port.public ? `${port.ip}:${port.public}` : t.unpublished}</span>,
            ],
          }))}
        />
        <Rows
          title={t.networks}
          rows={data.endpoints.map((one) => ({
            key: one.name,
            cells: [
              <strong key="name">{one.name}</strong>,
              one.address && mono(one.address, 'address'),
              one.gateway && (
                <span key="gateway" className="muted">
                  {t.gateway(one.gateway)}
                </span>
              ),
            ],
          }))}
        />
        <Rows
          title={t.mounts}
          rows={data.mounts.map((mount) => ({
            key: mount.target,
            cells: [
              mono(mount.target, 'target'),
              <span key="source">{mount.source}</span>,
              <span key="kind" className="muted">
                {mount.type}
                {mount.read_only && `, ${t.readOnly}`}
              </span>,
            ],
          }))}
        />
        <Rows
          title={t.env}
          rows={data.env.map((one) => ({
            key: one.name,
            cells: [
              mono(one.name, 'name'),
              one.secret ? (
                <span key="value" className="muted">
                  {t.secret}
                </span>
              ) : (
                mono(one.value ?? '', 'value')
              ),
            ],
          }))}
        />
        <Rows
          title={t.labels}
          rows={Object.entries(data.labels).map(([name, value]) => ({
            key: name,
            cells: [mono(name, 'name'), mono(value, 'value')],
          }))}
        />
      </div>
    </div>
  )
}
