import { type ErrorComponentProps, Link } from '@tanstack/react-router'
import { text } from '@/messages/en/common'
import { Empty, Failure } from '@/ui/controls'

export function NotFound() {
  return (
    <Empty title={text.notFound}>
      <Link to="/">{text.toDashboard}</Link>
    </Empty>
  )
}

export function RouteFailure({ error, reset }: ErrorComponentProps) {
  return (
    <div style={{ padding: 24 }}>
      <Failure error={error} retry={reset} />
    </div>
  )
}
