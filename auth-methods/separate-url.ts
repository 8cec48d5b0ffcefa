import type { AuthMethod, Grant, MethodIO } from '../core/auth-method.ts'
import type { CallOutRules } from '../core/call-out.ts'
import { BODY_TYPES, type BodyRule, compileBody } from '../core/common-body.ts'
import { fillParameters } from '../core/common-query.ts'
import { parseConfiguredTemplate } from '../core/configured.ts'
import { LocumError } from '../core/errors.ts'
import { encodePercent } from '../core/percent.ts'
import { fill, type Template, type VariablePath, type VariableSources } from '../core/placeholder.ts'
import type { Json, JsonObject } from '../core/secret.ts'
import { checkHeaderName, headerText } from '../core/slots.ts'
import { type AuthValues, type CommonBody, NOBODY } from '../core/words.ts'
import { EXPIRES_SCHEMA, expiryOf, readExpires } from './expires.ts'
import { isObject, readRules, text, urlOf, wrong } from './reading.ts'

const KEYS = [
  'method',
  'url',
  'headers',
  'json',
  'form',
  'text',
  'allowPrivateNetwork',
  'allowPlaintext',
  'ca',
]
const METHOD = /^[A-Z]{1,20}$/

/** The request that is sent to the authentication URL. */
interface Asking {
  readonly method: string
  /** Draws on nothing: where a credential goes is not the credential's to say. */
  readonly url: string
  readonly headers: readonly { readonly name: string; readonly template: Template }[]
  readonly body: BodyRule | undefined
  readonly rules: CallOutRules
}

/** One request to another URL, whose answer is kept and read through `$Auth.Response`. */
export const separateUrl: AuthMethod = {
  id: 'separate-url',
  title: 'Separate authentication URL',
  fields: 'any',
  variables: ['Response'],
  configKeys: ['request', 'expires'],
  configFiles: [['request', 'ca']],
  configSchema: {
    request: {
      type: 'object',
      description:
        'The request whose answer is kept. Its texts may draw on `$Auth`: the fields of the credential.',
      properties: {
        method: { type: 'string', description: 'GET, or POST where it has a body, unless told.' },
        url: { type: 'string', description: 'Where it goes. No variables in it.' },
        headers: {
          type: 'object',
          additionalProperties: { type: 'string' },
          description: 'Its header fields.',
        },
        json: {
          type: 'object',
          description: 'Its body, as JSON. A variable that stands alone keeps its type.',
        },
        form: {
          type: 'object',
          additionalProperties: { type: 'string' },
          description: 'Its body, as a form.',
        },
        text: { type: 'string', description: 'Its body, as text.' },
        allowPrivateNetwork: {
          type: 'boolean',
          description: 'Lets it reach loopback and private addresses.',
        },
        allowPlaintext: { type: 'boolean', description: 'Lets it go over http.' },
        ca: { type: 'string', description: 'A PEM file: the CA of that URL, in place of the usual ones.' },
      },
      required: ['url'],
      additionalProperties: false,
    },
    expires: EXPIRES_SCHEMA,
  },
  checkConfig(config) {
    readAsking(config)
    readExpires(config.expires)
  },
  endpoints: (config) => [new URL(readAsking(config).url).origin],
  // Every variable of the request is the credential's.
  worksWithoutCredential: (config) => pathsOf(readAsking(config)).length === 0,
  async acquire({ config, fields }, io) {
    const asking = readAsking(config)
    const response = await ask(asking, fields, io)
    if (!response.ok) throw refused(asking, response.status)
    const body = bodyOf(response, await response.text())
    const headers: Record<string, string> = {}
    for (const [name, value] of response.headers) headers[name] = value
    const answer = { Body: body, Headers: headers }
    return {
      values: answer,
      expiresAt: expiryOf(readExpires(config.expires), answer, io.now()),
    } satisfies Grant
  },
  values: ({ grant }) => ({
    values: { Response: grant?.values ?? null },
    plain: [],
    caseless: ['Response.Headers'],
  }),
  challenge: (_config, response) => (response.status === 401 ? 'renew' : undefined),
}

/** Throws bad_request where the request is none. */
function readAsking(config: JsonObject): Asking {
  const request = config.request
  if (!isObject(request)) throw wrong('`request` says what is asked: { method: POST, url: https://… }')
  const unknown = Object.keys(request).find((key) => !KEYS.includes(key))
  if (unknown !== undefined) throw wrong(`\`request\` has no \`${unknown}\`; it takes ${KEYS.join(', ')}`)
  const body = readBody(request)
  const { method = body ? 'POST' : 'GET' } = request
  const rules = readRules(request, 'request.')
  if (typeof method !== 'string' || !METHOD.test(method))
    throw wrong('`request.method` is a method in capitals')
  if (body && (method === 'GET' || method === 'HEAD')) throw wrong(`a ${method} has no body`)
  const asking = {
    method,
    url: readUrl(request, rules),
    headers: readHeaders(request.headers ?? {}),
    body,
    rules,
  }
  const other = pathsOf(asking).find(({ root }) => root !== 'Auth')
  if (other) {
    // Its answer serves every caller of the credential (R24).
    throw wrong(`${other.text} is one caller's, and the answer serves all; only $Auth stands here`)
  }
  return asking
}

function readUrl(request: JsonObject, rules: CallOutRules): string {
  const url = text(request.url, 'request.url')
  if (parseConfiguredTemplate(url).expressions.length > 0)
    throw wrong('no variable can stand in `request.url`')
  return urlOf(request, 'url', rules, 'request.')
}

function readHeaders(headers: Json): Asking['headers'] {
  if (!isObject(headers)) throw wrong('`request.headers` is a mapping of names to texts')
  return Object.entries(headers).map(([name, value]) => {
    checkHeaderName(name)
    return { name, template: parseConfiguredTemplate(text(value, `request.headers.${name}`)) }
  })
}

function readBody({ json, form, text: plain }: JsonObject): BodyRule | undefined {
  const given = [json, form, plain].filter((one) => one !== undefined)
  if (given.length > 1) throw wrong('`request` has one of json, form and text')
  if (given.length === 0) return undefined
  let body: CommonBody
  if (json !== undefined) {
    if (!isObject(json)) throw wrong('`request.json` is an object')
    body = { json }
  } else if (form !== undefined) {
    if (!isObject(form)) throw wrong('`request.form` is a mapping of names to texts')
    body = { form: Object.entries(form).map(([name, value]) => [name, text(value, `request.form.${name}`)]) }
  } else body = { text: text(plain, 'request.text') }
  return compileBody(body)
}

/** Every variable of the request. */
function pathsOf({ headers, body }: Pick<Asking, 'headers' | 'body'>): VariablePath[] {
  return [
    ...headers.flatMap(({ template }) => template.paths),
    ...(body?.kind === 'text' ? body.text.paths : []),
    ...(body?.kind === 'form' ? body.fields.flatMap(({ template }) => template.paths) : []),
    ...(body?.kind === 'json' ? [...body.members.values()].flatMap(({ paths }) => paths) : []),
  ]
}

async function ask(asking: Asking, fields: JsonObject, io: MethodIO): Promise<Response> {
  const sources: VariableSources = { auth: namesOf(fields), caller: NOBODY, now: io.now() }
  const headers = new Headers()
  for (const { name, template } of asking.headers)
    headers.set(name, headerText(fill(template, sources, ignore), name))
  const body = written(asking.body, sources)
  if (asking.body && !headers.has('content-type')) headers.set('content-type', BODY_TYPES[asking.body.kind])
  if (!headers.has('accept')) headers.set('accept', 'application/json')
  const { method, url, rules } = asking
  return io.callOut(rules)(url, { method, headers, body, signal: io.signal, redirect: 'manual' })
}

/** Searching is for answers to callers; this one none of them sees. */
function ignore(): void {}

function written(body: BodyRule | undefined, sources: VariableSources): string | undefined {
  if (body === undefined) return undefined
  if (body.kind === 'text') return body.text.write(sources, ignore)
  if (body.kind === 'form') {
    return fillParameters(body.fields, sources, ignore, encodePercent)
      .map((one) => one.text)
      .join('&')
  }
  const members = [...body.members].map(
    ([name, one]) => `${JSON.stringify(name)}:${one.write(sources, ignore)}`,
  )
  return `{${members.join(',')}}`
}

/** A credential's fields by their own names, and by those that other methods give them. */
function namesOf(fields: JsonObject): AuthValues {
  const { username, password, apiKey } = fields
  const usual: Record<string, Json> = {}
  if (username !== undefined) usual.Username = username
  if (password !== undefined) usual.Password = password
  if (apiKey !== undefined) usual.API_Key = apiKey
  if (typeof username === 'string' && typeof password === 'string')
    usual.BasicAuth = Buffer.from(`${username}:${password}`, 'utf8').toString('base64')
  return { values: { ...usual, ...fields }, plain: [] }
}

/** JSON where it says so or looks so, else text. */
function bodyOf(response: Response, body: string): Json {
  const type = response.headers.get('content-type') ?? ''
  const says = /^application\/(?:[\w.+-]+\+)?json\b/i.test(type)
  if (!says && !/^\s*[[{]/.test(body)) return body
  try {
    return JSON.parse(body) as Json
  } catch {
    // Without the parser's error: it would show a piece of the text.
    if (!says) return body
    throw new LocumError(
      'refresh_failed',
      'The authentication URL said that it answers in JSON, and did not.',
    )
  }
}

function refused({ url }: Asking, status: number): LocumError {
  const where = new URL(url).origin
  if (status === 401 || status === 403) {
    return new LocumError('refresh_failed', `${where} refused the credential (${status}).`, {
      hint: 'Enter it again if it has changed: locum credential set CONNECTION',
      lasting: true,
    })
  }
  const moved = status >= 300 && status < 400
  return new LocumError('refresh_failed', `${where} answered with ${status}, not with what was asked for.`, {
    hint: moved
      ? 'It is elsewhere now: name that address in `request.url`.'
      : 'See what it says to the same request.',
  })
}
