import type { Static, TSchema } from 'typebox'
import { CODES, type Code, LocumError } from '../core/errors.ts'
import type { Operation } from '../operations/operation.ts'
import { outsidePath, pathWith, ROOT, ROUTES, type Route } from './routes.ts'

/** What asks: `fetch`, or what stands in for it. */
type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** What an answer may hold beside what the operation gives. */
interface Around {
  readonly items?: readonly unknown[]
  readonly next?: string
  readonly notes?: readonly string[]
}

/** ms that a server may take. */
const PATIENCE = 60_000

/**
 * Runs operations at a Locum's console, each as it would run here: the same input, the same output,
 * the same errors.
 */
export class ApiClient {
  readonly #origin: string
  readonly #key: string
  readonly #fetch: Fetch
  readonly #warn: (line: string) => void

  /** `server` is the console's address. Throws bad_request for none, not_allowed where the key would go in clear over a network. */
  constructor(x: { server: string; key: string; fetch: Fetch; warn?: (line: string) => void }) {
    this.#origin = originOf(x.server)
    this.#key = x.key
    this.#fetch = x.fetch
    this.#warn = x.warn ?? (() => {})
  }

  /** All of a list, page by page. Rejects with what the operation throws, upstream_unreachable, upstream_invalid. */
  async run<I extends TSchema, O>(operation: Operation<I, O>, input: Static<I>): Promise<O> {
    const route = ROUTES.find((one) => one.operation.name === operation.name)
    if (!route) throw new LocumError('not_allowed', 'A server does not do that for anybody.')
    const given = input as Readonly<Record<string, unknown>>
    const items: unknown[] = []
    let path = ROOT + pathWith(route.path, given) + queryOf(route, given)
    for (;;) {
      const answer = await this.#ask(route, path, given)
      const { notes, ...output } = answer ?? {}
      for (const note of notes ?? []) this.#warn(note)
      if ((route.answer as { type?: string } | undefined)?.type !== 'array') return (answer && output) as O
      items.push(...(answer?.items ?? []))
      if (answer?.next === undefined) return items as O
      // A page of the same list, and nothing that leads the key elsewhere.
      if (!answer.next.startsWith(`${ROOT}${pathWith(route.path, given)}?`)) throw notLocum(this.#origin)
      path = answer.next
    }
  }

  async #ask(
    route: Route,
    path: string,
    input: Readonly<Record<string, unknown>>,
  ): Promise<Around | undefined> {
    const { method } = route
    const hasBody = method === 'POST' || method === 'PUT'
    let response: Response
    let text: string
    try {
      response = await this.#fetch(`${this.#origin}${path}`, {
        method,
        headers: {
          Authorization: `Bearer ${this.#key}`,
          ...(hasBody ? { 'Content-Type': 'application/json' } : {}),
        },
        ...(hasBody ? { body: JSON.stringify(outsidePath(route, input)) } : {}),
        // Where it leads is not where the key belongs.
        redirect: 'manual',
        signal: AbortSignal.timeout(PATIENCE),
      })
      text = await response.text()
    } catch (cause) {
      throw new LocumError('upstream_unreachable', `${this.#origin} does not answer.`, {
        hint: "Is that the console's address? NODE_EXTRA_CA_CERTS names the CA of one that has its own.",
        cause,
      })
    }
    if (response.status === 204) return undefined
    const value = objectOf(text)
    if (response.ok && value) return value as Around
    throw refusalOf(value) ?? notLocum(this.#origin)
  }
}

/** Throws bad_request, not_allowed. */
function originOf(server: string): string {
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol))
    throw new LocumError('bad_request', 'The server is no URL.', {
      hint: "It is the console's address: https://locum.example.com",
    })
  const { origin, protocol, hostname } = new URL(server)
  if (protocol === 'https:' || /^(?:localhost|\[::1\]|127(?:\.\d+){3})$/.test(hostname)) return origin
  throw new LocumError('not_allowed', 'The key would go to that server in clear.', {
    hint: 'Use https:, or a tunnel that ends on this machine.',
  })
}

function queryOf(route: Route, input: Readonly<Record<string, unknown>>): string {
  if (route.method === 'POST' || route.method === 'PUT') return ''
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(outsidePath(route, input)))
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== undefined) query.append(name, String(one))
  const text = query.toString()
  return text === '' ? '' : `?${text}`
}

function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined // JSON.parse has no other way to say no.
  }
}

/** A refusal of a Locum's; undefined where it is none. */
function refusalOf(value: Readonly<Record<string, unknown>> | undefined): LocumError | undefined {
  const { code, detail, hint } = value ?? {}
  if (typeof code !== 'string' || !Object.hasOwn(CODES, code) || typeof detail !== 'string') return undefined
  return new LocumError(code as Code, detail, { hint: typeof hint === 'string' ? hint : undefined })
}

function notLocum(origin: string): LocumError {
  return new LocumError('upstream_invalid', `What answers at ${origin} is no console of a Locum.`, {
    hint: 'The console has an address of its own, beside that of the proxy.',
  })
}
