import { useMutation, useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { type FormEvent, type ReactNode, useEffect, useState } from 'react'
import { ApiError, api, body, type Session, setCsrfToken } from '@/api/client'
import { queryClient, sessionQuery } from '@/api/queries'
import { Logo, ThemeButton } from '@/components/Shell'
import { text } from '@/messages/en/accounts'
import { Button, Failure, Field, Input } from '@/ui/controls'
import css from './signin.module.css'

function Card({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Hythe`
  }, [title])
  return (
    <main className={css.card}>
      <div className={css.brand}>
        <Logo size={28} /> Hythe
        <ThemeButton />
      </div>
      <h1>{title}</h1>
      {children}
    </main>
  )
}

function accept(session: Session) {
  setCsrfToken(session.csrf_token)
  queryClient.setQueryData(sessionQuery.queryKey, session)
}

function fault(error: Error | null, field: string): string | undefined {
  const found = error instanceof ApiError ? error.fields[field] : undefined
  return Array.isArray(found) ? found.join(' ') : undefined
}

type FormProps = {
  verb: string
  hint?: string
  fresh: boolean
  send: (name: string, password: string) => Promise<Session>
  done: () => void
}

function Credentials({ verb, hint, fresh, send, done }: FormProps) {
  const [username, setUsername] = useState('')
  const [password, setPassword] = useState('')
  const ask = useMutation({
    mutationFn: () => send(username, password),
    onSuccess: (session) => {
      accept(session)
      done()
    },
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    ask.mutate()
  }
  const named = fault(ask.error, 'username') || fault(ask.error, 'password')
  return (
    <form className={css.form} onSubmit={submit}>
      <Field label={text.username} fault={fault(ask.error, 'username')}>
        {(props) => (
          <Input
            {...props}
            autoComplete="username"
            autoCapitalize="none"
            autoFocus
            required
            value={username}
            onChange={(event) => setUsername(event.target.value)}
          />
        )}
      </Field>
      <Field label={text.password} hint={hint} fault={fault(ask.error, 'password')}>
        {(props) => (
          <Input
            {...props}
            type="password"
            autoComplete={fresh ? 'new-password' : 'current-password'}
            required
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        )}
      </Field>
      {ask.error && !named && <Failure error={ask.error} />}
      <Button kind="primary" type="submit" disabled={ask.isPending}>
        {verb}
      </Button>
    </form>
  )
}

export function SignIn() {
  const { next } = useSearch({ from: '/login' })
  const navigate = useNavigate()
  const { data, error } = useQuery(sessionQuery)
  return (
    <Card title={text.signIn}>
      {error && <Failure error={error} />}
      {data?.setup_required && <p>{text.setupNeeded}</p>}
      <Credentials
        verb={text.signIn}
        fresh={false}
        send={(username, password) =>
          body(api.POST('/api/v1/session', { body: { username, password } }))
        }
        done={() => navigate({ href: next ?? '/', replace: true })}
      />
    </Card>
  )
}

export function Setup() {
  const { token } = useSearch({ from: '/setup' })
  const navigate = useNavigate()
  const { data, error } = useQuery(sessionQuery)
  return (
    <Card title={text.setup}>
      {error && <Failure error={error} />}
      {data && !data.setup_required ? (
        <p>
          {text.setupDone} <Link to="/login">{text.toSignIn}</Link>
        </p>
      ) : (
        <>
          <p className="muted">{token ? text.setupLead : text.noToken}</p>
          {token && (
            <Credentials
              verb={text.create}
              hint={text.passwordHint}
              fresh
              send={(username, password) =>
                body(api.POST('/api/v1/setup', { body: { token, username, password } }))
              }
              done={() => navigate({ to: '/', replace: true })}
            />
          )}
        </>
      )}
    </Card>
  )
}
