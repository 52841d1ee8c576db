import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { type FormEvent, lazy, Suspense, useState } from 'react'
import { containerQuery } from '@/api/queries'
import { text } from '@/messages/en/containers'
import { Button, Empty, Failure, Field, Input } from '@/ui/controls'
import css from './console.module.css'
import tools from './container.module.css'

const Terminal = lazy(() =>
  import('@/components/Terminal').then((part) => ({ default: part.Terminal })),
)
const t = text.console

export function ConsolePage() {
  const { env, ref } = useParams({ from: '/e/$env/containers/$ref' })
  const { data } = useQuery(containerQuery(env, ref))
  const [command, setCommand] = useState('')
  const [user, setUser] = useState('')
  const [session, setSession] = useState<{ number: number; path: string } | null>(null)
  const [end, setEnd] = useState<{ code: number | null; error: string } | null>(null)
  if (!data) return null
  const open = (event?: FormEvent) => {
    event?.preventDefault()
    const query = new URLSearchParams({ command, user })
    setEnd(null)
    setSession({
      number: (session?.number ?? 0) + 1,
      path: `environments/${env}/containers/${data.id}/console?${query}`,
    })
  }
  if (!session && data.state !== 'running') return <Empty title={t.stopped} />
  return (
    <div className={css.console}>
      {(!session || end) && (
        <form className={tools.tools} onSubmit={open}>
          <Field label={t.command} hint={t.commandHint}>
            {(props) => (
              <Input
                {...props}
                className="mono"
                value={command}
                onChange={(event) => setCommand(event.target.value)}
              />
            )}
          </Field>
          <Field label={t.user} hint={t.userHint}>
            {(props) => (
              <Input {...props} value={user} onChange={(event) => setUser(event.target.value)} />
            )}
          </Field>
          <Button kind="primary" type="submit" disabled={data.state !== 'running'}>
            {session ? t.restart : t.connect}
          </Button>
        </form>
      )}
      {end?.error && <Failure error={end.error} />}
      {end && !end.error && <p role="status">{t.ended(end.code)}</p>}
      {session && (
        <div className={css.screen}>
          <Suspense fallback={null}>
            <Terminal
              key={session.number}
              path={session.path}
              onEnd={(code, error) => setEnd({ code, error })}
            />
          </Suspense>
        </div>
      )}
      <p className="muted">
        {t.audited} {session && t.leave}
      </p>
    </div>
  )
}
