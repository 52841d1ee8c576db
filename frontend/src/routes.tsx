import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { queryClient, sessionQuery } from '@/api/queries'
import { NotFound, RouteFailure } from '@/components/RouteStates'
import { Shell } from '@/components/Shell'

const rootRoute = createRootRoute({
  component: Outlet,
  notFoundComponent: NotFound,
  errorComponent: RouteFailure,
})

const setupRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/setup',
  validateSearch: (search): { token: string } => ({ token: String(search.token ?? '') }),
  component: lazyRouteComponent(() => import('@/pages/SignIn'), 'Setup'),
})

const loginRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/login',
  validateSearch: (search): { next?: string } =>
    typeof search.next === 'string' && /^\/(?![/\\])/.test(search.next)
      ? { next: search.next }
      : {},
  component: lazyRouteComponent(() => import('@/pages/SignIn'), 'SignIn'),
})

const indexRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/e/$env', params: { env: 'local' }, replace: true })
  },
})

const environmentRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/e/$env',
  beforeLoad: async ({ location }) => {
    const session = await queryClient.ensureQueryData(sessionQuery)
    if (!session.user) throw redirect({ to: '/login', search: { next: location.href } })
  },
  component: Shell,
})

const dashboardRoute = createRoute({
  getParentRoute: () => environmentRoute,
  path: '/',
  component: lazyRouteComponent(() => import('@/pages/Dashboard'), 'Dashboard'),
})

export type ContainersSearch = { q?: string; state?: string; sort?: string }

const containersRoute = createRoute({
  getParentRoute: () => environmentRoute,
  path: '/containers',
  validateSearch: (search): ContainersSearch => ({
    ...(search.q ? { q: String(search.q) } : {}),
    ...(search.state ? { state: String(search.state) } : {}),
    ...(search.sort ? { sort: String(search.sort) } : {}),
  }),
  component: lazyRouteComponent(() => import('@/pages/Containers'), 'Containers'),
})

const newContainerRoute = createRoute({
  getParentRoute: () => environmentRoute,
  path: '/containers/new',
  validateSearch: (search): { image?: string } =>
    search.image ? { image: String(search.image) } : {},
  component: lazyRouteComponent(() => import('@/pages/NewContainer'), 'NewContainer'),
})

const containerRoute = createRoute({
  getParentRoute: () => environmentRoute,
  path: '/containers/$ref',
  component: lazyRouteComponent(() => import('@/pages/Container'), 'ContainerPage'),
})

const overviewRoute = createRoute({
  getParentRoute: () => containerRoute,
  path: '/',
  component: lazyRouteComponent(() => import('@/pages/Overview'), 'Overview'),
})

const logsRoute = createRoute({
  getParentRoute: () => containerRoute,
  path: '/logs',
  component: lazyRouteComponent(() => import('@/pages/Logs'), 'Logs'),
})

const statsRoute = createRoute({
  getParentRoute: () => containerRoute,
  path: '/stats',
  component: lazyRouteComponent(() => import('@/pages/Stats'), 'Stats'),
})

const consoleRoute = createRoute({
  getParentRoute: () => containerRoute,
  path: '/console',
  component: lazyRouteComponent(() => import('@/pages/Console'), 'ConsolePage'),
})

const inspectRoute = createRoute({
  getParentRoute: () => containerRoute,
  path: '/inspect',
  component: lazyRouteComponent(() => import('@/pages/Inspect'), 'Inspect'),
})

const imagesRoute = createRoute({
  getParentRoute: () => environmentRoute,
  path: '/images',
  component: lazyRouteComponent(() => import('@/pages/Images'), 'Images'),
})

export const router = createRouter({
  routeTree: rootRoute.addChildren([
    setupRoute,
    loginRoute,
    indexRoute,
    environmentRoute.addChildren([
      dashboardRoute,
      containersRoute,
      newContainerRoute,
      containerRoute.addChildren([
        overviewRoute,
        logsRoute,
        statsRoute,
        consoleRoute,
        inspectRoute,
      ]),
      imagesRoute,
    ]),
  ]),
  defaultPreload: 'intent',
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
