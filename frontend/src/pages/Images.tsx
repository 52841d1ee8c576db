import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { Download, Play, Trash2 } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import type { Image } from '@/api/client'
import { imagesQuery, jobsQuery, usePull, useRemoveImage } from '@/api/queries'
import { isRunning, JobView } from '@/components/JobsTray'
import { Page } from '@/components/page'
import { text } from '@/messages/en/images'
import { Button, buttonClass, Confirm, Empty, Failure, Input, Panel, Skeleton } from '@/ui/controls'
import { age, bytes, exact } from '@/util/format'
import css from './images.module.css'

const SHOWN_PULLS = 3
const RECENT = 10 * 60 * 1000

export function Images() {
  const { env } = useParams({ from: '/e/$env/images' })
  const { data, error, refetch } = useQuery(imagesQuery(env))
  const [query, setQuery] = useState('')
  const [removing, setRemoving] = useState<string | null>(null)
  const remove = useRemoveImage(env)
  const all = data?.items ?? []
  const wanted = query.toLowerCase()
  const rows = all.filter((row) => `${row.tags.join(' ')} ${row.id}`.toLowerCase().includes(wanted))
  const close = () => {
    setRemoving(null)
    remove.reset()
  }
  return (
    <Page
      title={text.title}
      tab={`${text.title} · ${env}`}
      count={
        <span role="status" className="muted">
          {data && text.total(rows.length, all.length)}
        </span>
      }
      actions={
        <Input
          type="search"
          aria-label={text.filter}
          placeholder={text.filter}
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
      }
    >
      <PullBox env={env} />
      {error && <Failure error={error} retry={() => refetch()} />}
      <div className={css.frame}>
        <table className={css.table}>
          <thead>
            <tr>
              <th>{text.columns.tags}</th>
              <th>{text.columns.id}</th>
              <th>{text.columns.size}</th>
              <th>{text.columns.used}</th>
              <th>{text.columns.created}</th>
              <th>
                <span className="sr">{text.remove}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row key={row.id} env={env} row={row} onRemove={setRemoving} />
            ))}
          </tbody>
        </table>
        {!data && !error && (
          <div className={css.loading}>
            <Skeleton width="70%" />
            <Skeleton width="60%" />
          </div>
        )}
        {data && all.length === 0 && (
          <Empty title={text.none}>
            <p className="muted">{text.noneLead}</p>
          </Empty>
        )}
      </div>
      <Confirm
        open={removing !== null}
        onClose={close}
        onConfirm={() =>
          removing && remove.mutate({ ref: removing, force: false }, { onSuccess: close })
        }
        title={text.removeTitle(removing ?? '')}
        verb={text.remove}
        error={remove.error}
      >
        <p>{text.removeLead}</p>
      </Confirm>
    </Page>
  )
}

function Row({ env, row, onRemove }: { env: string; row: Image; onRemove: (ref: string) => void }) {
  const short = row.id.replace('sha256:', '').slice(0, 12)
  const [name = short] = row.tags
  return (
    <tr>
      <td>
        {row.tags.length === 0 && <span className="muted">{text.untagged}</span>}
        {row.tags.map((tag) => (
          <div key={tag} className={css.tag}>
            {tag}
          </div>
        ))}
      </td>
      <td className="mono" data-label={text.columns.id}>
        {short}
      </td>
      <td data-label={text.columns.size}>{bytes(row.size)}</td>
      <td data-label={text.columns.used}>
        {row.containers > 0 ? (
          <Link to="/e/$env/containers" params={{ env }} search={{ q: name }}>
            {text.containers(row.containers)}
          </Link>
        ) : (
          <span className="muted">{text.unused}</span>
        )}
      </td>
      <td data-label={text.columns.created} title={exact(row.created)}>
        {age(row.created)}
      </td>
      <td className={css.actions}>
        <Link
          to="/e/$env/containers/new"
          params={{ env }}
          search={{ image: name }}
          className={buttonClass('quiet')}
          aria-label={text.runOf(name)}
        >
          <Play size={15} aria-hidden /> {text.run}
        </Link>
        <Button
          kind="quiet"
          icon
          aria-label={text.removeOf(name)}
          onClick={() => onRemove(row.tags[0] ?? row.id)}
        >
          <Trash2 size={15} aria-hidden />
        </Button>
      </td>
    </tr>
  )
}

/** Pulls an image and shows every layer's bar; leaving the page does not stop it. */
function PullBox({ env }: { env: string }) {
  const [reference, setReference] = useState('')
  const pull = usePull(env)
  const { data } = useQuery(jobsQuery)
  const pulls = (data?.items ?? [])
    .filter((job) => job.kind === 'image.pull' && job.environment === env)
    .filter((job) => isRunning(job) || Date.now() - Date.parse(job.created) < RECENT)
    .slice(0, SHOWN_PULLS)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    pull.mutate(reference.trim(), { onSuccess: () => setReference('') })
  }
  return (
    <>
      <form className={css.pull} onSubmit={submit}>
        <Input
          className="mono"
          aria-label={text.reference}
          placeholder={text.placeholder}
          autoCapitalize="none"
          spellCheck={false}
          required
          value={reference}
          onChange={(event) => setReference(event.target.value)}
        />
        <Button kind="primary" type="submit" disabled={pull.isPending || !reference.trim()}>
          <Download size={15} aria-hidden /> {text.pull}
        </Button>
      </form>
      {pull.error && <Failure error={pull.error} />}
      {pulls.length > 0 && (
        <Panel title={text.pulls}>
          <ul className={css.pulls}>
            {pulls.map((job, index) => (
              <li key={job.id}>
                <JobView job={job} open={isRunning(job) || index === 0} />
              </li>
            ))}
          </ul>
        </Panel>
      )}
    </>
  )
}
