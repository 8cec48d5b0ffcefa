import Type from 'typebox'
import { namedOf, servedFor } from '../core/act-for.ts'
import type { Grant } from '../core/auth-method.ts'
import { LocumError } from '../core/errors.ts'
import type { Json, JsonObject } from '../core/secret.ts'
import { withoutSecrets } from '../core/shown.ts'
import type { Principal, PrincipalRecord, Scope } from '../core/words.ts'
import { checkInput, closed, Duration, durationMs, Name } from '../operations/schema.ts'
import { givePageKey, PAGE_FOR, whoShows, whosePage } from '../operations/sessions.ts'
import { type Answer, type Asked, bearerOf } from './asked.ts'
import { demandListed } from './origins.ts'
import type { ConsolePages } from './pages.ts'

const Input = closed({
  for: Type.String({ pattern: '^user:[A-Za-z0-9._@-]{1,128}$', expected: 'user:ID' }),
  origin: Type.String({ pattern: '^https?://[^/?#]+$', expected: 'an origin: https://app.example.com' }),
  connections: Type.Optional(Type.Array(Name)),
  ttl: Type.Optional(Duration),
})

/** `POST /api/v1/sessions`: a back end asks for a short key that it hands to its page. */
export async function openPageSession(pages: ConsolePages, asked: Asked): Promise<Answer> {
  const who = await whoShows(pages.using, bearerOf(asked))
  const input = checkInput(Input, jsonOf(asked))
  const ttl = input.ttl === undefined ? PAGE_FOR.usual : durationMs(input.ttl)
  if (ttl > PAGE_FOR.most) throw new LocumError('bad_request', '`ttl`: at most 1h.')
  const id = input.for.slice('user:'.length)
  if (id !== who.id || who.kind !== 'user') await demandActing(pages, who, id)
  const { key, expiresAt } = await givePageKey(
    pages.using,
    { id },
    { origin: input.origin, connections: input.connections },
    who,
    ttl,
  )
  return json(201, {
    key,
    expiresAt: new Date(expiresAt).toISOString(),
    ...(await pages.wayFor(input.origin, asked)),
  })
}

/** Throws not_allowed, the same whether it may not or there is no such user. */
async function demandActing({ using }: ConsolePages, who: PrincipalRecord, id: string): Promise<void> {
  const { as, store } = using
  const record = await store.principal(as, id)
  const caller = (one: PrincipalRecord) => ({
    principal: { ...one, via: 'key' as const },
    mayActFor: one.admin ? undefined : one.mayActFor,
    sessionId: '',
  })
  const user = record && !record.disabled ? namedOf(record, caller(record), await store.keys(as, id)) : null
  servedFor(caller(who), user)
}

/** `GET /api/v1/oauth/NAME`: what a provider answered to the user of a page, secrets masked. */
export async function showConsent(pages: ConsolePages, asked: Asked): Promise<Answer> {
  const { provider, scope } = await consentOf(pages, asked)
  const grant = await pages.consents.held(provider, scope)
  if (!grant)
    throw new LocumError(
      'credential_missing',
      `You have not consented at \`${provider}\`, or that is over.`,
      {
        authorizeUrl: pages.connectUrl(provider),
      },
    )
  return json(200, maskedAnswer(grant))
}

/** `DELETE /api/v1/oauth/NAME`: revoked at the provider, and forgotten. */
export async function endConsent(pages: ConsolePages, asked: Asked): Promise<Answer> {
  const { provider, scope, principal } = await consentOf(pages, asked)
  const by: Principal = { ...principal, via: 'session' }
  return json(200, await pages.consents.end({ provider, scope, by }))
}

async function consentOf(pages: ConsolePages, asked: Asked) {
  const { principal, only } = await whosePage(pages.using, bearerOf(asked), asked.origin)
  const { as, store } = pages.using
  const connection = await store.connection(as, asked.name)
  const provider = connection?.provider ?? asked.name
  const mayUse = (await store.connections(as)).some(
    (one) =>
      one.provider === provider &&
      one.corsOrigins.includes(only.origin) &&
      (only.connections?.includes(one.name) ?? true),
  )
  if (!mayUse)
    throw new LocumError('not_allowed', 'This page may use no connection of that name or provider.')
  const scope: Scope = `user:${principal.id}`
  return { provider, scope, principal }
}

/** Enough to see what is wrong, and nothing that could be used. */
function maskedAnswer({ values, expiresAt }: Grant): JsonObject {
  const { token = {}, ...tokens } = values
  const masked = Object.entries(tokens).map(([name, value]) => [name, masking(value)] as const)
  const rest = Object.entries(token as JsonObject).map(([name, value]) => [name, shown(name, value)] as const)
  return {
    ...Object.fromEntries([...masked, ...rest]),
    ...(expiresAt === undefined ? {} : { expires_at: new Date(expiresAt).toISOString() }),
  }
}

function masking(value: Json | undefined): string {
  return `[${String(value).length} characters]`
}

function shown(name: string, value: Json): Json {
  if (/token|secret|key|password|assertion|code/i.test(name) && name !== 'token_type') return masking(value)
  return typeof value === 'string' ? withoutSecrets(value) : typeof value === 'object' ? '…' : value
}

/** `OPTIONS /api/v1/oauth/NAME` */
export async function preflight(pages: ConsolePages, { origin }: Asked): Promise<Answer> {
  await demandListed(pages, origin)
  const headers = {
    'Access-Control-Allow-Methods': 'GET, DELETE',
    'Access-Control-Allow-Headers': 'authorization',
    'Access-Control-Max-Age': '600',
  }
  return { status: 204, type: 'text/plain', body: '', headers }
}

function json(status: number, value: object): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` }
}

function jsonOf({ type, body }: Asked): unknown {
  if (!/^application\/json\b/i.test(type)) throw new LocumError('bad_request', 'This takes JSON.')
  try {
    return JSON.parse(body)
  } catch {
    // Without the parser's error: it would show a piece of the text.
    throw new LocumError('bad_request', 'The body is no JSON.')
  }
}
