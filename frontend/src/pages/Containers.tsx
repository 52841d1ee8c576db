import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import {
  ArrowDown,
  ArrowUp,
  Ellipsis,
  Play,
  Plus,
  RotateCw,
  ScrollText,
  Square,
  SquareTerminal,
  Trash2,
  X,
  Zap,
} from 'lucide-react'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { Container } from '@/api/client'
import {
  containersQuery,
  useBulk,
  useContainerVerb,
  useRemoveContainer,
  type Verb,
} from '@/api/queries'
import { Page } from '@/components/page'
import { Sparkline } from '@/components/Sparkline'
import { text } from '@/messages/en/containers'
import { text as states } from '@/messages/en/states'
import { figures, useFigures } from '@/realtime/live'
import {
  Button,
  buttonClass,
  Checkbox,
  Confirm,
  Empty,
  Failure,
  Input,
  Menu,
  type MenuItem,
  Meter,
  Skeleton,
} from '@/ui/controls'
import { Mark, Status } from '@/ui/Status'
import { age, bytes, count, exact, percent, shortImage } from '@/util/format'
import css from './containers.module.css'
import {
  distinctPorts,
  groupOf,
  legal,
  matches,
  nextSort,
  parseSort,
  STATE_ORDER,
  sorted,
} from './containers-model'

const COLUMNS = ['state', 'name', 'image', 'cpu', 'memory', 'ports', 'created'] as const
const SORTABLE = new Set<string>(['state', 'name', 'image', 'cpu', 'memory', 'created'])
const RESORT = 5000
const WATCHED = 1000

function rowHeight() {
  return matchMedia('(max-width: 820px)').matches ? 82 : 40
}

export function Containers() {
  const { env } = useParams({ from: '/e/$env/containers' })
  const search = useSearch({ from: '/e/$env/containers' })
  const navigate = useNavigate({ from: '/e/$env/containers' })
  const { data, error, refetch } = useQuery(containersQuery(env))
  const [selection, setSelection] = useState<ReadonlySet<string>>(new Set())
  const [removing, setRemoving] = useState<Container[]>([])
  const [tick, setTick] = useState(0)
  const scroller = useRef<HTMLDivElement>(null)
  const box = useRef<HTMLInputElement>(null)
  const anchor = useRef<string | null>(null)
  const sorting = parseSort(search.sort)
  const isLive = sorting.column === 'cpu' || sorting.column === 'memory'

  const all = data?.items ?? []
  const found = useMemo(
    () => (search.q ? all.filter((row) => matches(row, search.q as string)) : all),
    [all, search.q],
  )
  // biome-ignore lint/correctness/useExhaustiveDependencies: live columns sort again by the tick alone
  const rows = useMemo(() => {
    const wanted = search.state ? found.filter((row) => groupOf(row) === search.state) : found
    return sorted(wanted, sorting, (id) => figures.latest(id))
  }, [found, search.state, search.sort, tick])

  useEffect(() => {
    if (!isLive) return
    // Rows do not move under the pointer.
    const timer = setInterval(() => {
      if (!scroller.current?.matches(':hover, :focus-within')) setTick((now) => now + 1)
    }, RESORT)
    return () => clearInterval(timer)
  }, [isLive])

  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement
      if (event.key !== '/' || target.matches('input, textarea, select')) return
      event.preventDefault()
      box.current?.focus()
    }
    addEventListener('keydown', listen)
    return () => removeEventListener('keydown', listen)
  }, [])

  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: rowHeight,
    overscan: 12,
    getItemKey: (index) => rows[index]?.id ?? index,
  })
  const items = virtual.getVirtualItems()
  const first = Math.max(0, (items[0]?.index ?? 0) - 8)
  const last = (items.at(-1)?.index ?? 0) + 8
  const watched = (isLive ? rows : rows.slice(first, last + 1))
    .filter((row) => row.state === 'running')
    .map((row) => row.id)
    .slice(0, WATCHED)
  useFigures(env, watched)

  const select = (row: Container, index: number, range: boolean) => {
    const next = new Set(selection)
    const from = anchor.current ? rows.findIndex((one) => one.id === anchor.current) : -1
    if (range && from >= 0) {
      const [low, high] = from < index ? [from, index] : [index, from]
      for (const one of rows.slice(low, high + 1)) next.add(one.id)
    } else if (!next.delete(row.id)) next.add(row.id)
    anchor.current = row.id
    setSelection(next)
  }
  const chosen = all.filter((row) => selection.has(row.id))
  const shownChosen = rows.filter((row) => selection.has(row.id)).length
  const counts = new Map<string, number>()
  for (const row of found) counts.set(groupOf(row), (counts.get(groupOf(row)) ?? 0) + 1)
  const setSearch = (change: Partial<typeof search>) =>
    navigate({ search: (now) => clean({ ...now, ...change }), replace: true })

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
        <>
          <Input
            ref={box}
            type="search"
            className={css.search}
            placeholder={text.filter}
            aria-label={text.filter}
            value={search.q ?? ''}
            onChange={(event) => setSearch({ q: event.target.value || undefined })}
          />
          <Link
            to="/e/$env/containers/new"
            params={{ env }}
            search={{}}
            className={buttonClass('primary')}
          >
            <Plus size={16} aria-hidden /> {text.newContainer}
          </Link>
        </>
      }
    >
      <div className={css.chips}>
        <Chip pressed={!search.state} onClick={() => setSearch({ state: undefined })}>
          {text.all} <b>{count(found.length)}</b>
        </Chip>
        {STATE_ORDER.filter((kind) => counts.has(kind) || search.state === kind).map((kind) => (
          <Chip
            key={kind}
            pressed={search.state === kind}
            onClick={() => setSearch({ state: search.state === kind ? undefined : kind })}
          >
            <Mark kind={kind} coloured={search.state !== kind} /> {states.words[kind]}{' '}
            <b>{count(counts.get(kind) ?? 0)}</b>
          </Chip>
        ))}
      </div>
      {error && <Failure error={error} retry={() => refetch()} />}
      <div className={css.frame} data-bar={chosen.length > 0}>
        <div ref={scroller} className={css.scroller}>
          <div
            role="grid"
            aria-label={text.title}
            aria-rowcount={rows.length + 1}
            className={css.grid}
          >
            <div role="row" aria-rowindex={1} className={`${css.row} ${css.headRow}`}>
              <div role="columnheader" className={css.check}>
                <Checkbox
                  aria-label={text.selectAll}
                  checked={rows.length > 0 && shownChosen === rows.length}
                  some={shownChosen > 0 && shownChosen < rows.length}
                  onChange={() =>
                    setSelection(
                      shownChosen === rows.length ? new Set() : new Set(rows.map((row) => row.id)),
                    )
                  }
                />
              </div>
              {COLUMNS.map((column) => (
                <Head
                  key={column}
                  column={column}
                  sorting={sorting}
                  onSort={() => setSearch({ sort: nextSort(sorting, column) })}
                />
              ))}
              <div role="columnheader" className={css.menu}>
                <span className="sr">{text.more('')}</span>
              </div>
            </div>
            <div role="rowgroup" className={css.body} style={{ height: virtual.getTotalSize() }}>
              {items.map((item) => {
                const row = rows[item.index]
                if (!row) return null
                return (
                  <Row
                    key={row.id}
                    env={env}
                    row={row}
                    index={item.index}
                    top={item.start}
                    selected={selection.has(row.id)}
                    onSelect={(range) => select(row, item.index, range)}
                    onRemove={() => setRemoving([row])}
                  />
                )
              })}
            </div>
          </div>
          {!data && !error && (
            <div className={css.loading}>
              {[70, 55, 80, 60, 75].map((width) => (
                <Skeleton key={width} width={`${width}%`} />
              ))}
            </div>
          )}
          {data && all.length === 0 && (
            <Empty title={text.none}>
              <p className="muted">{text.noneLead}</p>
              <Link to="/e/$env/images" params={{ env }} className={buttonClass()}>
                {text.form.pull}
              </Link>
            </Empty>
          )}
          {all.length > 0 && rows.length === 0 && (
            <Empty title={text.noMatch(all.length)}>
              <Button onClick={() => setSearch({ q: undefined, state: undefined })}>
                {text.clearFilter}
              </Button>
            </Empty>
          )}
        </div>
      </div>
      {chosen.length > 0 && (
        <BulkBar
          env={env}
          chosen={chosen}
          hidden={chosen.length - shownChosen}
          onClear={() => setSelection(new Set())}
          onRemove={() => setRemoving(chosen)}
        />
      )}
      <RemoveDialog
        env={env}
        rows={removing}
        onClose={() => setRemoving([])}
        onDone={() => {
          setRemoving([])
          setSelection(new Set())
        }}
      />
    </Page>
  )
}

function clean<T extends object>(search: T): T {
  return Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined)) as T
}

function Chip(props: { pressed: boolean; onClick: () => void; children: React.ReactNode }) {
  return (
    <button type="button" className={css.chip} aria-pressed={props.pressed} onClick={props.onClick}>
      {props.children}
    </button>
  )
}

type HeadProps = {
  column: (typeof COLUMNS)[number]
  sorting: { column: string; descending: boolean }
  onSort: () => void
}

function Head({ column, sorting, onSort }: HeadProps) {
  const name = text.columns[column]
  const active = sorting.column === column
  const order = active ? (sorting.descending ? 'descending' : 'ascending') : 'none'
  return (
    <div
      role="columnheader"
      className={css[column]}
      aria-sort={SORTABLE.has(column) ? order : undefined}
    >
      {SORTABLE.has(column) ? (
        <button type="button" className={css.sort} onClick={onSort}>
          {name}
          {active &&
            (sorting.descending ? (
              <ArrowDown size={13} aria-hidden />
            ) : (
              <ArrowUp size={13} aria-hidden />
            ))}
        </button>
      ) : (
        name
      )}
    </div>
  )
}

type RowProps = {
  env: string
  row: Container
  index: number
  top: number
  selected: boolean
  onSelect: (range: boolean) => void
  onRemove: () => void
}

function Row({ env, row, index, top, selected, onSelect, onRemove }: RowProps) {
  const act = useContainerVerb(env)
  const navigate = useNavigate()
  const intent = act.isPending ? states.intents[act.variables.verb] : undefined
  const ring = figures.of(row.id)
  const now = row.state === 'running' ? figures.latest(row.id) : undefined
  const can = legal(row)
  const verb = (name: Verb) => () => act.mutate({ id: row.id, verb: name })
  const params = { env, ref: row.name }
  const items: MenuItem[] = [
    {
      label: text.verbs.start,
      icon: <Play size={14} aria-hidden />,
      disabled: !can.has('start'),
      onSelect: verb('start'),
    },
    {
      label: text.verbs.stop,
      icon: <Square size={14} aria-hidden />,
      disabled: !can.has('stop'),
      onSelect: verb('stop'),
    },
    {
      label: text.verbs.restart,
      icon: <RotateCw size={14} aria-hidden />,
      disabled: !can.has('restart'),
      onSelect: verb('restart'),
    },
    {
      label: text.verbs.kill,
      icon: <Zap size={14} aria-hidden />,
      disabled: !can.has('kill'),
      onSelect: verb('kill'),
    },
    'separator',
    {
      label: text.verbs.logs,
      icon: <ScrollText size={14} aria-hidden />,
      onSelect: () => navigate({ to: '/e/$env/containers/$ref/logs', params }),
    },
    {
      label: text.verbs.console,
      icon: <SquareTerminal size={14} aria-hidden />,
      onSelect: () => navigate({ to: '/e/$env/containers/$ref/console', params }),
    },
    'separator',
    {
      label: text.verbs.remove,
      icon: <Trash2 size={14} aria-hidden />,
      danger: true,
      onSelect: onRemove,
    },
  ]
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      aria-selected={selected}
      className={css.row}
      data-name={row.name}
      style={{ transform: `translateY(${top}px)` }}
    >
      <Cell name="check">
        <Checkbox
          aria-label={text.select(row.name)}
          checked={selected}
          onChange={() => undefined}
          onClick={(event) => onSelect(event.shiftKey)}
        />
      </Cell>
      <Cell name="state">
        <Status {...row} intent={intent} title={act.error?.message ?? row.status} />
      </Cell>
      <Cell name="name">
        <Link to="/e/$env/containers/$ref" params={params} title={row.name}>
          {row.name}
        </Link>
        {act.error && <span className={css.refusal}>{act.error.message}</span>}
      </Cell>
      <Cell name="image">
        <span title={row.image}>{shortImage(row.image)}</span>
      </Cell>
      <Cell name="cpu">
        {now && (
          <>
            <Sparkline values={ring.slice(-40).map((one) => one.value.cpu_pct)} />
            <span>{percent(now.cpu_pct)}</span>
          </>
        )}
      </Cell>
      <Cell name="memory">
        {now && (
          <>
            <span>{bytes(now.memory)}</span>
            {now.memory_limit > 0 && (
              <i>
                <Meter
                  label={text.columns.memory}
                  value={now.memory / now.memory_limit}
                  tone={now.memory / now.memory_limit > 0.8 ? 'warn' : undefined}
                />
              </i>
            )}
          </>
        )}
      </Cell>
      <Cell name="ports">
        <Ports row={row} />
      </Cell>
      <Cell name="created">
        <span title={exact(row.created)}>{age(row.created)}</span>
      </Cell>
      <Cell name="menu">
        <Menu
          trigger={
            <button
              type="button"
              className={buttonClass('quiet', true)}
              aria-label={text.more(row.name)}
            >
              <Ellipsis size={16} aria-hidden />
            </button>
          }
          items={items}
        />
      </Cell>
    </div>
  )
}

function Cell({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div role="gridcell" className={css[name]}>
      {children}
    </div>
  )
}

/** Published ports as links to this machine; others as figures. */
export function Ports({ row }: { row: Pick<Container, 'ports'> }) {
  return distinctPorts(row).map((port, index) => (
    <span key={`${port.public}/${port.private}/${port.type}`} className="mono">
      {index > 0 && ', '}
      {port.public && port.type === 'tcp' ? (
        <a
          href={`http://${location.hostname}:${port.public}/`}
          target="_blank"
          rel="noreferrer"
          title={`${port.ip}:${port.public} → ${port.private}/${port.type}`}
        >
          {port.public}
        </a>
      ) : (
        <span className="muted">{port.public ?? port.private}</span>
      )}
    </span>
  ))
}

type BulkProps = {
  env: string
  chosen: Container[]
  hidden: number
  onClear: () => void
  onRemove: () => void
}

const BULK = [
  ['start', Play],
  ['stop', Square],
  ['restart', RotateCw],
] as const

function BulkBar({ env, chosen, hidden, onClear, onRemove }: BulkProps) {
  const bulk = useBulk(env)
  return (
    <section className={css.bar} aria-label={text.selected(chosen.length, hidden)}>
      <strong>{text.selected(chosen.length, hidden)}</strong>
      {BULK.map(([verb, Icon]) => {
        const ids = chosen.filter((row) => legal(row).has(verb)).map((row) => row.id)
        const label = text.legal(text.verbs[verb], ids.length, chosen.length)
        return (
          <Button
            key={verb}
            disabled={ids.length === 0 || bulk.isPending}
            aria-label={label}
            onClick={() => bulk.mutate({ verb, ids })}
          >
            <Icon size={15} aria-hidden /> <span>{label}</span>
          </Button>
        )
      })}
      <Button kind="danger" aria-label={text.verbs.remove} onClick={onRemove}>
        <Trash2 size={15} aria-hidden /> <span>{text.verbs.remove}</span>
      </Button>
      <Button kind="quiet" icon aria-label={text.clear} onClick={onClear}>
        <X size={15} aria-hidden />
      </Button>
      {bulk.error && <Failure error={bulk.error} />}
    </section>
  )
}

type RemoveProps = { env: string; rows: Container[]; onClose: () => void; onDone: () => void }

/** Asks before containers go; one is removed at once, several by a job. */
export function RemoveDialog({ env, rows, onClose, onDone }: RemoveProps) {
  const bulk = useBulk(env)
  const one = useRemoveContainer(env)
  const names = rows.map((row) => row.name)
  const running = rows.some((row) => row.state === 'running')
  const confirm = () => {
    const [only] = rows
    if (rows.length === 1 && only)
      one.mutate({ id: only.id, force: running }, { onSuccess: onDone })
    else bulk.mutate({ verb: 'remove', ids: rows.map((row) => row.id) }, { onSuccess: onDone })
  }
  return (
    <Confirm
      open={rows.length > 0}
      onClose={onClose}
      onConfirm={confirm}
      title={text.removeTitle(names)}
      verb={text.removeVerb(names)}
      word={running || rows.length > 1 ? text.removeWord(names) : undefined}
      error={one.error ?? bulk.error}
    >
      <p>{text.removeGoes}</p>
      {running && <p>{text.removeKills}</p>}
      {names.length > 1 && <p className="muted">{names.slice(0, 12).join(', ')}</p>}
    </Confirm>
  )
}
