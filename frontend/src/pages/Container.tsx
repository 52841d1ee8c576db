import { useQuery } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useParams } from '@tanstack/react-router'
import {
  ChartLine,
  FileJson,
  Play,
  RotateCw,
  ScrollText,
  SlidersHorizontal,
  Square,
  SquareTerminal,
  Trash2,
  Zap,
} from 'lucide-react'
import { useState } from 'react'
import { ApiError } from '@/api/client'
import { containerQuery, useContainerVerb, type Verb } from '@/api/queries'
import { Page } from '@/components/page'
import { text } from '@/messages/en/containers'
import { text as states } from '@/messages/en/states'
import { Button, buttonClass, Empty, Failure, Skeleton } from '@/ui/controls'
import { Status } from '@/ui/Status'
import { RemoveDialog } from './Containers'
import css from './container.module.css'
import { legal } from './containers-model'

const VERBS = [
  ['start', Play],
  ['stop', Square],
  ['restart', RotateCw],
  ['kill', Zap],
] as const

const TABS = [
  ['/e/$env/containers/$ref', text.tabs.overview, SlidersHorizontal],
  ['/e/$env/containers/$ref/logs', text.tabs.logs, ScrollText],
  ['/e/$env/containers/$ref/stats', text.tabs.stats, ChartLine],
  ['/e/$env/containers/$ref/console', text.tabs.console, SquareTerminal],
  ['/e/$env/containers/$ref/inspect', text.tabs.inspect, FileJson],
] as const

/** The frame of one container: its state, its verbs and its tabs. */
export function ContainerPage() {
  const { env, ref } = useParams({ from: '/e/$env/containers/$ref' })
  const { data, error, refetch } = useQuery(containerQuery(env, ref))
  const act = useContainerVerb(env)
  const navigate = useNavigate()
  const [removing, setRemoving] = useState(false)
  if (error instanceof ApiError && error.status === 404) {
    return (
      <Empty title={text.gone(ref)}>
        <Link to="/e/$env/containers" params={{ env }} className={buttonClass()}>
          {text.toList}
        </Link>
      </Empty>
    )
  }
  const intent = act.isPending ? states.intents[act.variables.verb as Verb] : undefined
  const can = data ? legal(data) : new Set<string>()
  return (
    <Page
      title={data?.name ?? ref}
      tab={`${data?.name ?? ref} · ${env}`}
      count={data && <Status {...data} intent={intent} title={data.status} />}
      actions={
        data && (
          <>
            {VERBS.filter(([verb]) => can.has(verb)).map(([verb, Icon]) => (
              <Button
                key={verb}
                disabled={act.isPending}
                onClick={() => act.mutate({ id: data.id, verb })}
              >
                <Icon size={15} aria-hidden /> {text.verbs[verb]}
              </Button>
            ))}
            <Button kind="danger" onClick={() => setRemoving(true)}>
              <Trash2 size={15} aria-hidden /> {text.verbs.remove}
            </Button>
          </>
        )
      }
    >
      {error && <Failure error={error} retry={() => refetch()} />}
      {act.error && <Failure error={act.error} />}
      <nav className={css.tabs} aria-label={data?.name ?? ref}>
        {TABS.map(([to, label, Icon]) => (
          <Link
            key={to}
            to={to}
            params={{ env, ref }}
            activeOptions={{ exact: true }}
            className={css.tab}
            replace
          >
            <Icon size={15} aria-hidden /> {label}
          </Link>
        ))}
      </nav>
      {data ? <Outlet /> : <Skeleton height={180} />}
      <RemoveDialog
        env={env}
        rows={removing && data ? [data] : []}
        onClose={() => setRemoving(false)}
        onDone={() => navigate({ to: '/e/$env/containers', params: { env } })}
      />
    </Page>
  )
}
