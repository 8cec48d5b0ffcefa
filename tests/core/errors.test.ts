import { inspect } from 'node:util'
import t from 'tap'
import { asLocumError, CODES, type Code, LocumError, statusOf } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'

const SECRET = 'sk_live_never_shown_1234'

t.test('gives each code the status that is promised, and a title', async (t) => {
  const promised: Record<Code, number> = {
    bad_request: 400,
    placeholder_unknown: 400,
    placeholder_not_allowed: 400,
    connection_ambiguous: 400,
    caller_unauthenticated: 407,
    destination_forbidden: 403,
    not_allowed: 403,
    connection_not_found: 403,
    not_found: 404,
    conflict: 409,
    outdated: 412,
    too_large: 413,
    authority_mismatch: 421,
    credential_missing: 424,
    credential_outside_audience: 424,
    reauthorization_required: 424,
    rate_limited: 429,
    internal: 500,
    refresh_failed: 502,
    upstream_unreachable: 502,
    upstream_tls: 502,
    upstream_invalid: 502,
    upstream_echoed_secret: 502,
    store_unavailable: 503,
    overloaded: 503,
    upstream_timeout: 504,
  }
  t.same(new Set(Object.keys(CODES)), new Set(Object.keys(promised)))
  const titles = new Set<string>()
  for (const [code, status] of Object.entries(promised) as [Code, number][]) {
    for (const entrance of ['forward', 'connect'] as const) t.equal(statusOf(code, entrance), status, code)
    titles.add(CODES[code].title)
    t.match(CODES[code].title, /^[A-Z]/, code)
    t.match(CODES[code].proxyError, /^[a-z_]+$/, code)
  }
  t.equal(titles.size, Object.keys(promised).length, 'no two codes have one title')
})

t.test('answers as an origin does at the gateway', async (t) => {
  t.equal(statusOf('caller_unauthenticated', 'gateway'), 401)
  t.equal(statusOf('connection_not_found', 'gateway'), 404)
  for (const code of Object.keys(CODES) as Code[]) {
    if (code === 'caller_unauthenticated' || code === 'connection_not_found') continue
    t.equal(statusOf(code, 'gateway'), statusOf(code, 'forward'), code)
  }
})

t.test('says 431 of a head that is too large and 413 of anything else', async (t) => {
  t.equal(statusOf('too_large', 'forward', true), 431)
  t.equal(statusOf('too_large', 'gateway', true), 431)
  t.equal(statusOf('too_large', 'forward', false), 413)
  t.equal(statusOf('bad_request', 'forward', true), 400)
})

t.test('never prints the cause of an error', async (t) => {
  const cause = Object.assign(new Error(`refused: ${SECRET}`), { headers: { authorization: SECRET } })
  const error = new LocumError('refresh_failed', 'It failed.', { cause, hint: 'Try again.' })
  t.equal(error.cause, cause, 'whoever debugs has it')
  const prints = [
    inspect(error, { depth: 9, showHidden: true }),
    inspect(new Error('outer', { cause: error }), { depth: 9 }),
    inspect({ error }, { depth: 9 }),
    JSON.stringify(error),
    String(error),
    error.stack ?? '',
  ]
  for (const print of prints) t.notMatch(print, SECRET)
  t.equal(error.name, 'LocumError')
  t.match(inspect(error), /refresh_failed: It failed\./)
})

t.test('makes a fixed text of whatever else is thrown', async (t) => {
  for (const thrown of [new Error(SECRET), new TypeError(SECRET), SECRET, undefined, null, { code: 'x' }]) {
    const error = asLocumError(thrown)
    t.equal(error.code, 'internal')
    t.notMatch(error.message + error.detail + (error.hint ?? ''), SECRET)
    t.equal(error.cause, thrown)
  }
  const known = new LocumError('overloaded', 'Too much.')
  t.equal(asLocumError(known), known)
})

t.test('a secret shows itself to nothing but reveal', async (t) => {
  const secret = new Secret(SECRET)
  const prints = [
    String(secret),
    `${secret}`,
    `${[secret]}`,
    JSON.stringify({ secret }),
    inspect(secret, { showHidden: true, depth: 9 }),
    inspect({ deep: [secret] }, { showHidden: true, depth: 9, customInspect: false }),
    JSON.stringify(structuredClone(secret)),
    JSON.stringify(Object.entries(secret)),
  ]
  for (const print of prints) t.notMatch(print, SECRET)
  t.equal(`${secret}`, '[secret]')
  t.equal(JSON.stringify({ secret }), '{"secret":"[secret]"}')
  t.equal(secret.reveal(), SECRET)
})
