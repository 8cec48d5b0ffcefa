import Type from 'typebox'
import { covers } from '../core/destination.ts'
import { LocumError } from '../core/errors.ts'
import type { Connection, Credential, Scope, Source } from '../core/words.ts'
import { type ConnectionView, showConnection } from './connections.ts'
import { type CredentialView, checkScope, setCredential } from './credentials.ts'
import { toConnection } from './file-connection.ts'
import type { ConnectionEntry } from './file-schema.ts'
import { administrators, type Context, defineOperation } from './operation.ts'
import { refuseManaged } from './ownership.ts'
import { changedKeys, fileKey } from './reconcile.ts'
import { closed, Name, pathText, ScopeText } from './schema.ts'
import { checkAnswers, type Filled, fillTemplate, findTemplate, type Template } from './template.ts'

/** What was added. It holds no secret. */
export interface Added {
  readonly connection: ConnectionView
  readonly credential: CredentialView
  /** Other connections that reach one of its destinations: callers have to name the one they mean. */
  readonly beside: readonly string[]
}

const Input = closed({
  template: Type.String({ minLength: 1, maxLength: 128 }),
  for: ScopeText,
  answers: Type.Record(Type.String(), Type.String(), { expected: 'answers to what it asks' }),
  name: Type.Optional(Name),
  replace: Type.Optional(Type.Boolean()),
})

interface Asked {
  readonly template: string
  readonly for: string
  readonly answers: Readonly<Record<string, string>>
  readonly name?: string
  readonly replace?: boolean
}

interface Plan {
  /** What is to be written; undefined where it is there already. */
  readonly write: Omit<Connection, 'version'> | undefined
  readonly name: string
  readonly filled: Filled
  readonly beside: readonly string[]
}

type Kind = 'user' | 'profile' | 'shared'

function kindOf(scope: Scope): Kind {
  return scope.split(':')[0] as Kind
}

/** The source that looks for all of these, nearest first. */
export function sourceFor(kinds: readonly Kind[]): Pick<Connection, 'source' | 'fallback'> {
  const order: readonly Kind[] = ['user', 'profile', 'shared']
  const [first = 'shared', ...rest] = order.filter((kind) => kinds.includes(kind))
  const source: Source = first === 'shared' ? 'shared' : `per-${first}`
  return { source, fallback: rest as Connection['fallback'] }
}

function kindsOf({ source, fallback }: Pick<Connection, 'source' | 'fallback'>): Kind[] {
  return [source.replace(/^per-/, '') as Kind, ...fallback]
}

/** A template as an entry of a file. */
export function entryOf(name: string, { connection }: Filled, scope: Scope): ConnectionEntry {
  const { source, fallback } = sourceFor([kindOf(scope)])
  const { destinations, auth, ...rest } = connection
  return {
    name,
    destinations,
    auth,
    source,
    ...(fallback.length > 0 ? { fallback: [...fallback] } : {}),
    ...rest,
  }
}

/**
 * What adding would do, reading only; secrets may be missing. Throws bad_request and not_allowed for
 * everything that would keep it from being done.
 */
async function plan(context: Context, asked: Asked, secrets: boolean): Promise<Plan> {
  const { as, store, methods } = context
  const template = findTemplate(asked.template)
  const scope = asked.for as Scope
  await checkScope(context, scope)
  const filled = fillTemplate(template, checkAnswers(template, asked.answers, { secrets }))
  const name = asked.name ?? template.name

  const problems: string[] = []
  const wanted = await toConnection(
    entryOf(name, filled, scope),
    methods,
    async () => ({ problem: 'a template reads no file' }),
    (path, says) => problems.push(`${pathText(path)}: ${says}`),
  )
  if (!wanted) throw new LocumError('bad_request', `This makes no connection: ${problems.join('; ')}.`)

  const connections = await store.connections(as)
  const found = connections.find((connection) => connection.name === name)
  const beside = connections
    .filter((other) => other.name !== name && shareDestination(other, wanted))
    .map((other) => other.name)
  if (!found) {
    if (beside.length > 0 && asked.name === undefined) throw reachedAlready(template, beside)
    return { write: wanted, name, filled, beside }
  }
  checkSame(found, wanted, template)
  const current = await boundTo(context, name, scope)
  if (current && !asked.replace) {
    throw new LocumError('bad_request', `\`${name}\` has a credential for ${scope} already.`, {
      hint: `--replace enters it again; --name ${name}-2 makes another connection beside it.`,
    })
  }
  if (current) refuseManaged(current)
  const { version: _, ...kept } = found
  const rule = sourceFor([...kindsOf(found), kindOf(scope)])
  const widens = changedKeys(found, rule).length > 0
  return { write: widens ? { ...kept, ...rule } : undefined, name, filled, beside }
}

function shareDestination(a: Pick<Connection, 'destinations'>, b: Pick<Connection, 'destinations'>): boolean {
  return a.destinations.some((one) => b.destinations.some((two) => covers(one, two) || covers(two, one)))
}

/** Two connections to one destination have to be told apart by every caller, so nobody makes the second by chance. */
function reachedAlready({ title, name }: Template, beside: readonly string[]): LocumError {
  const [other] = beside as [string]
  return new LocumError('bad_request', `${title} is reached by the connection \`${other}\` already.`, {
    hint: `locum credential set ${other} enters its credential; --name ${name} makes another beside it, and callers then say which in Locum-Connection.`,
  })
}

/** Throws where what stands under this name is a file's, or is something else than this template makes. */
function checkSame(
  found: Connection,
  wanted: Omit<Connection, 'version' | 'managedBy'>,
  template: Template,
): void {
  const hint = `locum credential set ${found.name} enters its credential; --name ${found.name}-2 makes another connection beside it.`
  if (found.managedBy !== undefined) {
    throw new LocumError(
      'not_allowed',
      `The connection \`${found.name}\` belongs to the file named \`${found.managedBy}\`.`,
      { hint },
    )
  }
  const differs = changedKeys(found, wanted).filter((key) => key !== 'source' && key !== 'fallback')
  if (differs.length === 0) return
  throw new LocumError(
    'bad_request',
    `There is a connection \`${found.name}\` already, and it is not what the template \`${template.name}\` makes (${differs.map(fileKey).join(', ')}).`,
    { hint },
  )
}

async function boundTo(
  { as, store }: Context,
  connection: string,
  scope: Scope,
): Promise<Credential | undefined> {
  const binding = (await store.bindings(as, connection)).find((one) => one.scope === scope)
  return binding && (await store.credential(as, binding.credential))
}

/** Whether it could be added, so that nobody types a secret in vain. */
export const checkTemplate = defineOperation({
  name: 'add.check',
  summary: 'Say whether a well-known API can be added',
  input: Input,
  who: administrators,
  run: async (context, input): Promise<{ name: string }> => ({
    name: (await plan(context, input, false)).name,
  }),
})

export const addTemplate = defineOperation({
  name: 'add',
  summary: 'Add a well-known API with its key',
  input: Input,
  who: administrators,
  subject: (input) => `${input.name ?? input.template}/${input.for}`,
  async run(context, input): Promise<Added> {
    const { write, name, filled, beside } = await plan(context, input, true)
    if (write) await context.store.putConnection(context.as, write)
    const credential = await setCredential.run(context, {
      connection: name,
      for: input.for,
      fields: filled.fields,
    })
    return { connection: await showConnection.run(context, { name }), credential, beside }
  },
})
