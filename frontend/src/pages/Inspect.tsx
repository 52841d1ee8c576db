import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { Copy } from 'lucide-react'
import { useState } from 'react'
import { inspectQuery } from '@/api/queries'
import { text } from '@/messages/en/containers'
import { Button, Failure, Input, Skeleton, toast } from '@/ui/controls'
import css from './container.module.css'

export function Inspect() {
  const { env, ref } = useParams({ from: '/e/$env/containers/$ref' })
  const { data, error, refetch } = useQuery(inspectQuery(env, ref))
  const [query, setQuery] = useState('')
  if (error) return <Failure error={error} retry={() => refetch()} />
  if (!data) return <Skeleton height={300} />
  const full = JSON.stringify(data, null, 2)
  const wanted = query.toLowerCase()
  const shown = wanted
    ? full
        .split('\n')
        .filter((line) => line.toLowerCase().includes(wanted))
        .join('\n')
    : full
  const copy = async () => {
    await navigator.clipboard.writeText(full)
    toast(text.inspect.copied)
  }
  return (
    <>
      <div className={css.tools}>
        <Input
          type="search"
          aria-label={text.inspect.filter}
          placeholder={text.inspect.filter}
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
        {navigator.clipboard && (
          <Button onClick={copy}>
            <Copy size={15} aria-hidden /> {text.inspect.copy}
          </Button>
        )}
      </div>
      <pre className={css.json} tabIndex={0}>
        {shown}
      </pre>
    </>
  )
}
