import { Dialog as BaseDialog } from '@base-ui/react/dialog'
import { Menu as BaseMenu } from '@base-ui/react/menu'
import { Popover as BasePopover } from '@base-ui/react/popover'
import { Toast as BaseToast } from '@base-ui/react/toast'
import { RotateCw, X } from 'lucide-react'
import {
  type ComponentProps,
  type ReactElement,
  type ReactNode,
  useEffect,
  useId,
  useRef,
  useState,
} from 'react'
import { ApiError } from '@/api/client'
import { text } from '@/messages/en/common'
import css from './controls.module.css'

type Kind = 'primary' | 'danger' | 'quiet'

/** The classes of a button, for links that look like one. */
export function buttonClass(kind?: Kind, icon = false): string {
  return [css.button, kind && css[kind], icon && css.icon].filter(Boolean).join(' ')
}

type ButtonProps = ComponentProps<'button'> & { kind?: Kind; icon?: boolean }

export function Button({ kind, icon, className, ...rest }: ButtonProps) {
  return (
    <button type="button" className={`${buttonClass(kind, icon)} ${className ?? ''}`} {...rest} />
  )
}

type FieldProps = {
  label: string
  hint?: string | undefined
  fault?: string | undefined
  children: (props: {
    id: string
    'aria-describedby': string | undefined
    'aria-invalid': boolean
  }) => ReactNode
}

/** A labelled control; the fault is told where it was made. */
export function Field({ label, hint, fault, children }: FieldProps) {
  const id = useId()
  const described = fault || hint ? `${id}-more` : undefined
  return (
    <div className={css.field}>
      <label className={css.label} htmlFor={id}>
        {label}
      </label>
      {children({ id, 'aria-describedby': described, 'aria-invalid': Boolean(fault) })}
      {described && (
        <span id={described} className={fault ? css.fault : css.hint}>
          {fault || hint}
        </span>
      )}
    </div>
  )
}

export function Input({ className, ...rest }: ComponentProps<'input'>) {
  return <input className={`${css.input} ${className ?? ''}`} {...rest} />
}

export function Select({ className, ...rest }: ComponentProps<'select'>) {
  return <select className={`${css.input} ${className ?? ''}`} {...rest} />
}

export function Checkbox({ some = false, ...rest }: ComponentProps<'input'> & { some?: boolean }) {
  const box = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (box.current) box.current.indeterminate = some
  }, [some])
  return <input ref={box} type="checkbox" className={css.checkbox} {...rest} />
}

export function Check({ label, ...rest }: ComponentProps<'input'> & { label: string }) {
  const id = useId()
  return (
    <div className={css.check}>
      <Checkbox id={id} {...rest} />
      <label htmlFor={id}>{label}</label>
    </div>
  )
}

type PanelProps = { title?: ReactNode; aside?: ReactNode; children: ReactNode; className?: string }

export function Panel({ title, aside, children, className }: PanelProps) {
  return (
    <section className={`${css.panel} ${className ?? ''}`}>
      {title && (
        <div className={css.panelHead}>
          <h2>{title}</h2>
          {aside}
        </div>
      )}
      <div className={css.panelBody}>{children}</div>
    </section>
  )
}

/** What failed, in the engine's own words, with a way to try again. */
export function Failure({ error, retry }: { error: unknown; retry?: (() => void) | undefined }) {
  const known = error instanceof ApiError ? error : null
  const message = error instanceof Error ? error.message : String(error)
  return (
    <div role="alert" className={css.notice}>
      <div className={css.noticeRow}>
        <strong>{message}</strong>
        {retry && (
          <Button kind="quiet" onClick={retry}>
            <RotateCw size={14} aria-hidden /> {text.retry}
          </Button>
        )}
      </div>
      {known?.permission && <span>{text.whoGrants(known.permission)}</span>}
      {known?.requestId && (
        <span className="mono">
          {text.request} {known.requestId}
        </span>
      )}
    </div>
  )
}

type MeterProps = { label: string; value: number; tone?: 'warn' | 'bad' | 'ok' | 'off' | undefined }

/** A bar from 0 to 1; `label` is for those who do not see it. */
export function Meter({ label, value, tone }: MeterProps) {
  const part = Math.min(Math.max(value, 0), 1)
  return (
    <span
      className={css.meter}
      role="progressbar"
      aria-label={label}
      aria-valuenow={Math.round(part * 100)}
      aria-valuemin={0}
      aria-valuemax={100}
      data-tone={tone}
    >
      <i style={{ transform: `scaleX(${part})` }} />
    </span>
  )
}

export function Skeleton({ width = '100%', height = 14 }: { width?: string; height?: number }) {
  return <div className={css.skeleton} style={{ width, height }} aria-hidden />
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={css.empty}>
      <strong>{title}</strong>
      {children}
    </div>
  )
}

type DialogProps = {
  open: boolean
  onClose: () => void
  title: string
  children: ReactNode
  actions: ReactNode
}

export function Dialog({ open, onClose, title, children, actions }: DialogProps) {
  return (
    <BaseDialog.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <BaseDialog.Portal>
        <BaseDialog.Backdrop className={css.backdrop} />
        <BaseDialog.Popup className={css.dialog}>
          <BaseDialog.Title className={css.dialogTitle}>{title}</BaseDialog.Title>
          {children}
          <div className={css.dialogActions}>{actions}</div>
        </BaseDialog.Popup>
      </BaseDialog.Portal>
    </BaseDialog.Root>
  )
}

type ConfirmProps = {
  open: boolean
  onClose: () => void
  onConfirm: () => void
  title: string
  verb: string
  /** Typed before the button works: for what cannot be undone. */
  word?: string | undefined
  error?: unknown
  children: ReactNode
}

/** Asks before something is lost; the button repeats the verb. */
export function Confirm({ word, verb, error, children, onConfirm, ...rest }: ConfirmProps) {
  const [typed, setTyped] = useState('')
  useEffect(() => {
    if (rest.open) setTyped('')
  }, [rest.open])
  const ready = !word || typed === word
  return (
    <Dialog
      {...rest}
      actions={
        <>
          <Button autoFocus={!word} onClick={rest.onClose}>
            {text.cancel}
          </Button>
          <Button kind="danger" disabled={!ready} onClick={onConfirm}>
            {verb}
          </Button>
        </>
      }
    >
      {children}
      {word && (
        <Field label={text.typeToConfirm(word)}>
          {(props) => (
            <Input
              {...props}
              value={typed}
              autoFocus
              autoComplete="off"
              onChange={(event) => setTyped(event.target.value)}
              onKeyDown={(event) => event.key === 'Enter' && ready && onConfirm()}
            />
          )}
        </Field>
      )}
      {error ? <Failure error={error} /> : null}
    </Dialog>
  )
}

export function Drawer(props: {
  open: boolean
  onClose: () => void
  label: string
  children: ReactNode
}) {
  return (
    <BaseDialog.Root open={props.open} onOpenChange={(next) => !next && props.onClose()}>
      <BaseDialog.Portal>
        <BaseDialog.Backdrop className={css.backdrop} />
        <BaseDialog.Popup className={css.drawer} aria-label={props.label}>
          {props.children}
        </BaseDialog.Popup>
      </BaseDialog.Portal>
    </BaseDialog.Root>
  )
}

export type MenuItem =
  | { label: string; icon?: ReactNode; danger?: boolean; disabled?: boolean; onSelect: () => void }
  | 'separator'

export function Menu({ trigger, items }: { trigger: ReactElement; items: MenuItem[] }) {
  return (
    <BaseMenu.Root>
      <BaseMenu.Trigger render={trigger as ReactElement<Record<string, unknown>>} />
      <BaseMenu.Portal>
        <BaseMenu.Positioner className={css.positioner} sideOffset={6} align="end">
          <BaseMenu.Popup className={css.popup}>
            {items.map((item, index) =>
              item === 'separator' ? (
                // biome-ignore lint/suspicious/noArrayIndexKey: separators have no identity
                <BaseMenu.Separator key={`separator-${index}`} className={css.separator} />
              ) : (
                <BaseMenu.Item
                  key={item.label}
                  className={css.item}
                  data-danger={item.danger}
                  disabled={item.disabled ?? false}
                  onClick={item.onSelect}
                >
                  {item.icon}
                  {item.label}
                </BaseMenu.Item>
              ),
            )}
          </BaseMenu.Popup>
        </BaseMenu.Positioner>
      </BaseMenu.Portal>
    </BaseMenu.Root>
  )
}

type PopoverProps = {
  trigger: ReactElement
  title: string
  className?: string
  children: ReactNode
}

export function Popover({ trigger, title, className, children }: PopoverProps) {
  return (
    <BasePopover.Root>
      <BasePopover.Trigger render={trigger as ReactElement<Record<string, unknown>>} />
      <BasePopover.Portal>
        <BasePopover.Positioner className={css.positioner} sideOffset={6} align="end">
          <BasePopover.Popup className={`${css.popup} ${className ?? ''}`}>
            <BasePopover.Title className="sr">{title}</BasePopover.Title>
            {children}
          </BasePopover.Popup>
        </BasePopover.Positioner>
      </BasePopover.Portal>
    </BasePopover.Root>
  )
}

const manager = BaseToast.createToastManager()

/** Confirms what cannot be seen already; never the only place of an error. */
export function toast(title: string) {
  manager.add({ title, timeout: 5000 })
}

function ToastList() {
  const { toasts } = BaseToast.useToastManager()
  return toasts.map((one) => (
    <BaseToast.Root key={one.id} toast={one} className={css.toast}>
      <BaseToast.Title />
      <BaseToast.Close className={buttonClass('quiet', true)} aria-label={text.close}>
        <X size={14} aria-hidden />
      </BaseToast.Close>
    </BaseToast.Root>
  ))
}

export function Toasts({ children }: { children: ReactNode }) {
  return (
    <BaseToast.Provider toastManager={manager} limit={3}>
      {children}
      <BaseToast.Portal>
        <BaseToast.Viewport className={css.toasts}>
          <ToastList />
        </BaseToast.Viewport>
      </BaseToast.Portal>
    </BaseToast.Provider>
  )
}
