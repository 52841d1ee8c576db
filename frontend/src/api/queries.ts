import { QueryClient, queryOptions, useMutation, useQueryClient } from '@tanstack/react-query'
import { ApiError, api, body, type Job, type Shapes, setCsrfToken } from './client'

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // Events say what is stale; until one does, what was read holds.
      staleTime: 60_000,
      refetchOnWindowFocus: false,
      retry: (count, error) => !(error instanceof ApiError && error.status < 500) && count < 2,
    },
  },
})

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: async () => {
    const session = await body(api.GET('/api/v1/session'))
    setCsrfToken(session.csrf_token)
    return session
  },
  staleTime: Number.POSITIVE_INFINITY,
})

export const environmentsQuery = queryOptions({
  queryKey: ['environments'],
  queryFn: () => body(api.GET('/api/v1/environments')),
})

export const summaryQuery = (environment: string) =>
  queryOptions({
    queryKey: ['env', environment, 'summary'],
    queryFn: () =>
      body(
        api.GET('/api/v1/environments/{environment}/summary', {
          params: { path: { environment } },
        }),
      ),
  })

export const containersQuery = (environment: string) =>
  queryOptions({
    queryKey: ['env', environment, 'containers'],
    queryFn: () =>
      body(
        api.GET('/api/v1/environments/{environment}/containers', {
          params: { path: { environment } },
        }),
      ),
  })

export const containerQuery = (environment: string, ref: string) =>
  queryOptions({
    queryKey: ['env', environment, 'container', ref],
    queryFn: () =>
      body(
        api.GET('/api/v1/environments/{environment}/containers/{ref}', {
          params: { path: { environment, ref } },
        }),
      ),
  })

export const inspectQuery = (environment: string, ref: string) =>
  queryOptions({
    queryKey: ['env', environment, 'container', ref, 'inspect'],
    queryFn: () =>
      body(
        api.GET('/api/v1/environments/{environment}/containers/{ref}/inspect', {
          params: { path: { environment, ref } },
        }),
      ),
  })

export const imagesQuery = (environment: string) =>
  queryOptions({
    queryKey: ['env', environment, 'images'],
    queryFn: () =>
      body(
        api.GET('/api/v1/environments/{environment}/images', { params: { path: { environment } } }),
      ),
  })

export const jobsQuery = queryOptions({
  queryKey: ['jobs'],
  queryFn: () => body(api.GET('/api/v1/jobs')),
})

/** Puts one job's news into the list that is held. */
export function takeJob(job: Job) {
  queryClient.setQueryData(jobsQuery.queryKey, (held) => {
    if (!held) return held
    const rest = held.items.filter((row) => row.id !== job.id)
    const items = [job, ...rest].sort((a, b) => b.created.localeCompare(a.created))
    return { items, total: held.total + (rest.length === held.items.length ? 1 : 0) }
  })
}

export type Verb = 'start' | 'stop' | 'restart' | 'kill'

/** One verb on one container; its refusal is the mutation's error. */
export function useContainerVerb(environment: string) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: ({ id, verb }: { id: string; verb: Verb }) =>
      body(
        api.POST('/api/v1/environments/{environment}/containers/{ref}/{verb}', {
          params: { path: { environment, ref: id, verb } },
        }),
      ),
    onSettled: () => client.invalidateQueries({ queryKey: ['env', environment] }),
  })
}

export function useRemoveContainer(environment: string) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: ({ id, force }: { id: string; force: boolean }) =>
      body(
        api.DELETE('/api/v1/environments/{environment}/containers/{ref}', {
          params: { path: { environment, ref: id }, query: { force } },
        }),
      ),
    onSettled: () => client.invalidateQueries({ queryKey: ['env', environment, 'containers'] }),
  })
}

export function useBulk(environment: string) {
  return useMutation({
    mutationFn: ({ verb, ids }: { verb: Verb | 'remove'; ids: string[] }) =>
      body(
        api.POST('/api/v1/environments/{environment}/containers/bulk', {
          params: { path: { environment } },
          body: { verb, ids },
        }),
      ),
    onSuccess: takeJob,
  })
}

export function usePull(environment: string) {
  return useMutation({
    mutationFn: (reference: string) =>
      body(
        api.POST('/api/v1/environments/{environment}/images/pull', {
          params: { path: { environment } },
          body: { reference },
        }),
      ),
    onSuccess: takeJob,
  })
}

export function useRemoveImage(environment: string) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: ({ ref, force }: { ref: string; force: boolean }) =>
      body(
        api.DELETE('/api/v1/environments/{environment}/images/{ref}', {
          params: { path: { environment, ref }, query: { force } },
        }),
      ),
    onSettled: () => client.invalidateQueries({ queryKey: ['env', environment, 'images'] }),
  })
}

export function useCancelJob() {
  return useMutation({
    mutationFn: (id: string) =>
      body(api.POST('/api/v1/jobs/{id}/cancel', { params: { path: { id } } })),
    onSuccess: takeJob,
  })
}

export type NewContainer = Shapes['NewContainer']

export function useCreateContainer(environment: string) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (spec: NewContainer) =>
      body(
        api.POST('/api/v1/environments/{environment}/containers', {
          params: { path: { environment } },
          body: spec,
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: ['env', environment, 'containers'] }),
  })
}
