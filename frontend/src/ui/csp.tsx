import { CSPProvider as BaseProvider } from '@base-ui/react/csp-provider'
import type { ReactNode } from 'react'

/** The nonce of this page: browsers hide it in the attribute and keep it in the property. */
export function nonce(): string {
  return (
    document.querySelector<HTMLElement>('script[nonce], link[nonce], style[nonce]')?.nonce ?? ''
  )
}

export function CSPProvider({ children }: { children: ReactNode }) {
  return <BaseProvider nonce={nonce()}>{children}</BaseProvider>
}
