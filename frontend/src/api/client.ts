import createClient, { type Middleware } from 'openapi-fetch'
import type { components, paths } from './__generated__/schema'

export type Shapes = components['schemas']
export type Session = Shapes['Session']
export type Environment = Shapes['Environment']
export type Container = Shapes['Container']
export type ContainerDetail = Shapes['ContainerDetail']
export type Image = Shapes['Image']
export type Job = Shapes['Job']
export type Summary = Shapes['Summary']

/** What the server refused, in its own words. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string,
    readonly fields: Record<string, unknown>,
    readonly permission: string | undefined,
  ) {
    super(message)
  }
}

let csrfToken = ''

/** Remembers the token that a session's changes must carry. */
export function setCsrfToken(token: string) {
  csrfToken = token
}

const manners: Middleware = {
  onRequest({ request }) {
    if (request.method !== 'GET') request.headers.set('X-CSRFToken', csrfToken)
    return request
  },
  async onResponse({ response }) {
    if (response.ok) return response
    const body = await response
      .clone()
      .json()
      .catch(() => ({}))
    const error = body.error ?? {}
    throw new ApiError(
      response.status,
      error.code ?? 'unknown',
      error.message ?? `${response.status} ${response.statusText}`,
      error.request_id ?? '',
      error.fields ?? {},
      error.permission,
    )
  },
}

export const api = createClient<paths>({ baseUrl: '/' })
api.use(manners)

/** Returns the answer's body; refusals were thrown as ApiError before. */
export async function body<T>(answer: Promise<{ data?: T }>): Promise<T> {
  const { data } = await answer
  return data as T
}
