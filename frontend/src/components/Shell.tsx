import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useParams, useRouterState } from '@tanstack/react-router'
import {
  BookOpen,
  Box,
  Boxes,
  LayoutDashboard,
  LogOut,
  Menu as MenuIcon,
  Moon,
  Plus,
  Sun,
  User,
} from 'lucide-react'
import { useEffect, useState } from 'react'
import { api } from '@/api/client'
import { environmentsQuery, sessionQuery } from '@/api/queries'
import { text } from '@/messages/en/common'
import { live, useEvents, useLiveState } from '@/realtime/live'
import { buttonClass, Drawer, Menu } from '@/ui/controls'
import { count } from '@/util/format'
import { JobsTray } from './JobsTray'
import css from './shell.module.css'

/** The frame of every page below an environment. */
export function Shell() {
  const { env } = useParams({ from: '/e/$env' })
  const [menu, setMenu] = useState(false)
  const path = useRouterState({ select: (state) => state.location.pathname })
  useEvents(env)
  // biome-ignore lint/correctness/useExhaustiveDependencies: a navigation closes the drawer
  useEffect(() => setMenu(false), [path])
  return (
    <div className={css.shell}>
      <a className={css.skip} href="#main">
        {text.skip}
      </a>
      <aside className={css.sidebar}>
        <Navigation env={env} />
      </aside>
      <Drawer open={menu} onClose={() => setMenu(false)} label={text.navigation}>
        <Navigation env={env} />
      </Drawer>
      <header className={css.topbar}>
        <button
          type="button"
          className={`${buttonClass('quiet', true)} ${css.burger}`}
          aria-label={text.menu}
          onClick={() => setMenu(true)}
        >
          <MenuIcon size={20} aria-hidden />
        </button>
        <Crumbs env={env} path={path} />
        <div className={css.tools}>
          <JobsTray />
          <ThemeButton />
          <Account />
        </div>
      </header>
      <main id="main" className={css.main} tabIndex={-1}>
        <Paused />
        <Outlet />
      </main>
      <nav className={css.bottom} aria-label={text.home}>
        <Link to="/e/$env" params={{ env }} activeOptions={{ exact: true }}>
          <LayoutDashboard size={20} aria-hidden /> {text.home}
        </Link>
        <Link to="/e/$env/containers" params={{ env }} activeOptions={{ includeSearch: false }}>
          <Box size={20} aria-hidden /> {text.pages.containers}
        </Link>
        <Link to="/e/$env/images" params={{ env }}>
          <Boxes size={20} aria-hidden /> {text.pages.images}
        </Link>
        <Link to="/e/$env/containers/new" params={{ env }} search={{}}>
          <Plus size={20} aria-hidden /> {text.pages.newContainer}
        </Link>
      </nav>
    </div>
  )
}

function Navigation({ env }: { env: string }) {
  const { data } = useQuery(environmentsQuery)
  const environment = data?.items.find((row) => row.name === env)
  const up = environment?.status === 'up'
  return (
    <div className={css.navigation}>
      <Link to="/" className={css.brand}>
        <Logo /> {text.product}
      </Link>
      <div className={css.environment}>
        <span className={css.dot} data-up={up} />
        <div>
          <strong>{env}</strong>
          <span>
            {up ? text.engine(environment.engine_version, environment.cpus ?? 0) : text.engineAway}
          </span>
        </div>
      </div>
      <nav aria-label={text.navigation}>
        <Link to="/e/$env" params={{ env }} activeOptions={{ exact: true }} className={css.link}>
          <LayoutDashboard size={16} aria-hidden /> {text.pages.dashboard}
        </Link>
        <div className={css.group}>{text.groups.workloads}</div>
        <Link
          to="/e/$env/containers"
          params={{ env }}
          activeOptions={{ includeSearch: false }}
          className={css.link}
        >
          <Box size={16} aria-hidden /> {text.pages.containers}
          {environment?.containers && <span>{count(environment.containers.total)}</span>}
        </Link>
        <Link to="/e/$env/images" params={{ env }} className={css.link}>
          <Boxes size={16} aria-hidden /> {text.pages.images}
          {environment?.images != null && <span>{count(environment.images)}</span>}
        </Link>
      </nav>
    </div>
  )
}

export function Logo({ size = 22 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" aria-hidden>
      <rect width="24" height="24" rx="6" fill="#2b5fd9" />
      <path
        d="M7 5.5v13M17 5.5v13M7 12.2c1.7-2.2 3.3-2.2 5 0s3.3 2.2 5 0"
        fill="none"
        stroke="#fff"
        strokeWidth="2.4"
        strokeLinecap="round"
      />
    </svg>
  )
}

function Crumbs({ env, path }: { env: string; path: string }) {
  const [, , , area = '', object = ''] = path.split('/')
  const names: Record<string, string> = {
    '': text.pages.dashboard,
    containers: text.pages.containers,
    images: text.pages.images,
  }
  return (
    <div className={css.crumbs}>
      <Link to="/e/$env" params={{ env }} className={css.crumbEnvironment}>
        {env}
      </Link>
      <span aria-hidden className={css.crumbEnvironment}>
        /
      </span>
      {object ? (
        <Link to="/e/$env/containers" params={{ env }}>
          {names[area]}
        </Link>
      ) : (
        <strong>{names[area] ?? area}</strong>
      )}
    </div>
  )
}

export function ThemeButton() {
  const [dark, setDark] = useState(document.documentElement.dataset.theme === 'dark')
  const change = () => {
    const theme = dark ? 'light' : 'dark'
    document.documentElement.dataset.theme = theme
    localStorage.setItem('hythe.theme', theme)
    setDark(!dark)
  }
  return (
    <button
      type="button"
      className={buttonClass('quiet', true)}
      aria-label={text.theme}
      onClick={change}
    >
      {dark ? <Sun size={17} aria-hidden /> : <Moon size={17} aria-hidden />}
    </button>
  )
}

function Account() {
  const { data } = useQuery(sessionQuery)
  const client = useQueryClient()
  const navigate = useNavigate()
  const signOut = async () => {
    await api.DELETE('/api/v1/session')
    live.close()
    client.clear()
    navigate({ to: '/login', search: {} })
  }
  return (
    <Menu
      trigger={
        <button
          type="button"
          className={buttonClass('quiet')}
          aria-label={text.accountOf(data?.user?.username ?? '')}
        >
          <User size={16} aria-hidden /> <span className={css.who}>{data?.user?.username}</span>
        </button>
      }
      items={[
        {
          label: text.apiDocs,
          icon: <BookOpen size={15} aria-hidden />,
          onSelect: () => window.open('/api/docs/', '_blank', 'noopener'),
        },
        'separator',
        { label: text.signOut, icon: <LogOut size={15} aria-hidden />, onSelect: signOut },
      ]}
    />
  )
}

/** Says that what is seen may be old, and when it will be tried again. */
function Paused() {
  const state = useLiveState()
  const [now, setNow] = useState(Date.now())
  const lost = state.lost !== null && now - state.lost > 1000
  useEffect(() => {
    if (state.lost === null) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), 500)
    return () => clearInterval(timer)
  }, [state.lost])
  if (!lost || state.lost === null) return null
  const since = new Date(state.lost).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
  const seconds = Math.max(0, Math.ceil(((state.retry ?? now) - now) / 1000))
  return (
    <div role="status" className={css.paused}>
      {text.paused(since, seconds)}
    </div>
  )
}
