import { type ReactNode, useEffect, useRef } from 'react'
import css from './page.module.css'

type PageProps = {
  title: string
  /** What stands in the browser's tab, from the special to the general. */
  tab?: string
  count?: ReactNode
  actions?: ReactNode
  narrow?: boolean
  children: ReactNode
}

/** A page with its heading; the heading takes the focus after a navigation. */
export function Page({ title, tab, count, actions, narrow, children }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = `${tab ?? title} · Hythe`
  }, [tab, title])
  useEffect(() => heading.current?.focus({ preventScroll: true }), [])
  return (
    <div className={css.page} data-narrow={narrow}>
      <div className={css.head}>
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {count}
        {actions && <div className={css.actions}>{actions}</div>}
      </div>
      {children}
    </div>
  )
}
