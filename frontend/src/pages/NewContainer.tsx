import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { Plus, X } from 'lucide-react'
import { useFieldArray, useForm } from 'react-hook-form'
import { ApiError } from '@/api/client'
import { imagesQuery, useCreateContainer } from '@/api/queries'
import { Page } from '@/components/page'
import { text } from '@/messages/en/containers'
import { Button, Check, Failure, Field, Input, Panel, Select } from '@/ui/controls'
import { parseBytes, words } from '@/util/format'
import { commandOf, EMPTY, type Form, specOf } from './new-container-model'
import css from './newcontainer.module.css'

const t = text.form
const FIELDS: Record<string, keyof Form> = {
  image: 'image',
  name: 'name',
  command: 'command',
  memory: 'memory',
  cpus: 'cpus',
  pids: 'pids',
}

export function NewContainer() {
  const { env } = useParams({ from: '/e/$env/containers/new' })
  const { image } = useSearch({ from: '/e/$env/containers/new' })
  const navigate = useNavigate()
  const { data: images } = useQuery(imagesQuery(env))
  const create = useCreateContainer(env)
  const { register, control, handleSubmit, watch, setError, formState } = useForm<Form>({
    defaultValues: { ...EMPTY, image: image ?? '' },
  })
  const envs = useFieldArray({ control, name: 'env' })
  const ports = useFieldArray({ control, name: 'ports' })
  const volumes = useFieldArray({ control, name: 'volumes' })
  const form = watch()
  const { errors } = formState
  const tags = (images?.items ?? []).flatMap((row) => row.tags)
  const missing = create.error instanceof ApiError && create.error.status === 404

  const submit = handleSubmit((values) =>
    create.mutate(specOf(values), {
      onSuccess: ({ name }) =>
        navigate({ to: '/e/$env/containers/$ref', params: { env, ref: name } }),
      onError: (error) => {
        if (!(error instanceof ApiError)) return
        for (const [name, told] of Object.entries(error.fields)) {
          const field = FIELDS[name]
          if (field) setError(field, { message: Array.isArray(told) ? told.join(' ') : `${told}` })
        }
      },
    }),
  )
  const whole = { pattern: { value: /^\d+$/, message: t.required } }
  return (
    <Page title={t.title} tab={`${t.title} · ${env}`} narrow>
      <form className={css.form} onSubmit={submit} noValidate>
        <div className={css.sections}>
          <Panel title={t.basics}>
            <div className={css.pair}>
              <Field label={t.image} hint={t.imageHint} fault={errors.image?.message}>
                {(props) => (
                  <Input
                    {...props}
                    className="mono"
                    list="images"
                    autoCapitalize="none"
                    spellCheck={false}
                    {...register('image', { required: t.required })}
                  />
                )}
              </Field>
              <datalist id="images">
                {tags.map((tag) => (
                  <option key={tag} value={tag} />
                ))}
              </datalist>
              <Field label={t.name} hint={t.nameHint} fault={errors.name?.message}>
                {(props) => (
                  <Input
                    {...props}
                    autoCapitalize="none"
                    spellCheck={false}
                    {...register('name')}
                  />
                )}
              </Field>
            </div>
            <Field label={t.command} hint={t.commandHint} fault={errors.command?.message}>
              {(props) => (
                <Input
                  {...props}
                  className="mono"
                  spellCheck={false}
                  {...register('command', {
                    validate: (line) => words(line) !== null || t.openQuote,
                  })}
                />
              )}
            </Field>
          </Panel>

          <Panel title={t.ports}>
            {ports.fields.map((row, index) => (
              <div key={row.id} className={css.row}>
                <Field
                  label={t.hostPort}
                  hint={t.hostPortHint}
                  fault={errors.ports?.[index]?.host?.message}
                >
                  {(props) => (
                    <Input
                      {...props}
                      inputMode="numeric"
                      {...register(`ports.${index}.host`, {
                        pattern: { value: /^\d*$/, message: t.required },
                      })}
                    />
                  )}
                </Field>
                <Field label={t.containerPort} fault={errors.ports?.[index]?.container?.message}>
                  {(props) => (
                    <Input
                      {...props}
                      inputMode="numeric"
                      {...register(`ports.${index}.container`, { required: t.required, ...whole })}
                    />
                  )}
                </Field>
                <Field label={t.protocol}>
                  {(props) => (
                    <Select {...props} {...register(`ports.${index}.protocol`)}>
                      <option value="tcp">TCP</option>
                      <option value="udp">UDP</option>
                    </Select>
                  )}
                </Field>
                <RemoveRow what={t.ports} onClick={() => ports.remove(index)} />
              </div>
            ))}
            <Button onClick={() => ports.append({ host: '', container: '', protocol: 'tcp' })}>
              <Plus size={15} aria-hidden /> {t.addPort}
            </Button>
          </Panel>

          <Panel title={t.env}>
            {envs.fields.map((row, index) => (
              <div key={row.id} className={css.row}>
                <Field label={t.envName} fault={errors.env?.[index]?.name?.message}>
                  {(props) => (
                    <Input
                      {...props}
                      className="mono"
                      {...register(`env.${index}.name`, { required: t.required })}
                    />
                  )}
                </Field>
                <Field label={t.envValue}>
                  {(props) => (
                    <Input {...props} className="mono" {...register(`env.${index}.value`)} />
                  )}
                </Field>
                <RemoveRow what={t.env} onClick={() => envs.remove(index)} />
              </div>
            ))}
            <Button onClick={() => envs.append({ name: '', value: '' })}>
              <Plus size={15} aria-hidden /> {t.addEnv}
            </Button>
          </Panel>

          <Panel title={t.volumes}>
            {volumes.fields.map((row, index) => (
              <div key={row.id} className={css.row}>
                <Field label={t.source} fault={errors.volumes?.[index]?.source?.message}>
                  {(props) => (
                    <Input
                      {...props}
                      className="mono"
                      {...register(`volumes.${index}.source`, { required: t.required })}
                    />
                  )}
                </Field>
                <Field label={t.target} fault={errors.volumes?.[index]?.target?.message}>
                  {(props) => (
                    <Input
                      {...props}
                      className="mono"
                      placeholder="/data"
                      {...register(`volumes.${index}.target`, { required: t.required })}
                    />
                  )}
                </Field>
                <div className={css.readOnly}>
                  <Check label={t.readOnly} {...register(`volumes.${index}.readOnly`)} />
                </div>
                <RemoveRow what={t.volumes} onClick={() => volumes.remove(index)} />
              </div>
            ))}
            <Button onClick={() => volumes.append({ source: '', target: '', readOnly: false })}>
              <Plus size={15} aria-hidden /> {t.addVolume}
            </Button>
          </Panel>

          <Panel title={t.limits}>
            <div className={css.pair}>
              <Field label={t.memory} hint={t.memoryHint} fault={errors.memory?.message}>
                {(props) => (
                  <Input
                    {...props}
                    {...register('memory', {
                      validate: (value) =>
                        !value.trim() || parseBytes(value) !== null || t.badMemory,
                    })}
                  />
                )}
              </Field>
              <Field label={t.cpus} hint={t.cpusHint} fault={errors.cpus?.message}>
                {(props) => (
                  <Input
                    {...props}
                    inputMode="decimal"
                    {...register('cpus', {
                      pattern: { value: /^\d*(\.\d+)?$/, message: t.cpusHint },
                    })}
                  />
                )}
              </Field>
              <Field label={t.pids} fault={errors.pids?.message}>
                {(props) => (
                  <Input
                    {...props}
                    inputMode="numeric"
                    {...register('pids', { pattern: { value: /^\d*$/, message: t.required } })}
                  />
                )}
              </Field>
              <Field label={t.restart}>
                {(props) => (
                  <Select {...props} {...register('restart')}>
                    {Object.entries(t.policies).map(([value, label]) => (
                      <option key={value} value={value}>
                        {label}
                      </option>
                    ))}
                  </Select>
                )}
              </Field>
            </div>
            <Check label={t.terminal} {...register('terminal')} />
            <Check label={t.autoRemove} {...register('autoRemove')} />
            <Check label={t.start} {...register('start')} />
          </Panel>
        </div>

        <aside className={css.rail}>
          <Panel title={t.summary}>
            <pre className={css.command} tabIndex={0}>
              {commandOf(form)}
            </pre>
          </Panel>
          {create.error && !missing && <Failure error={create.error} />}
          {missing && (
            <div role="alert" className={css.missing}>
              <p>{create.error?.message || t.missing}</p>
              <Link to="/e/$env/images" params={{ env }}>
                {t.pull}
              </Link>
            </div>
          )}
          <Button kind="primary" type="submit" disabled={create.isPending}>
            {t.create}
          </Button>
        </aside>
      </form>
    </Page>
  )
}

function RemoveRow({ what, onClick }: { what: string; onClick: () => void }) {
  return (
    <Button kind="quiet" icon aria-label={t.removeRow(what)} onClick={onClick}>
      <X size={15} aria-hidden />
    </Button>
  )
}
