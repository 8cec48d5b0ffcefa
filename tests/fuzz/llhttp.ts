import { createRequire } from 'node:module'

export type Pairs = readonly (readonly [name: string, value: string])[]

/** A message as llhttp reads it, strict as Node's own servers are. Names of fields are lower case. */
interface Message {
  readonly fields: Pairs
  body: string
  trailers: Pairs
  whole: boolean
  readonly upgrade: boolean
}

export interface Request extends Message {
  readonly method: string
  readonly target: string
}

export interface Answer extends Message {
  readonly status: number
  readonly reason: string
}

interface ParseError extends Error {
  readonly reason: string
}

interface Parser {
  initialize(type: number, resource: object, headBytes: number, lenience: number): void
  execute(bytes: Buffer): number | ParseError
  finish(): ParseError | undefined
  [callback: number]: unknown
}

interface ParserClass {
  new (): Parser
  readonly REQUEST: number
  readonly RESPONSE: number
  readonly kLenientKeepAlive: number
  readonly kOnHeaders: number
  readonly kOnHeadersComplete: number
  readonly kOnBody: number
  readonly kOnMessageComplete: number
}

// Node's servers go through sockets; what they parse with can be had by itself.
const { HTTPParser, methods } = createRequire(import.meta.url)('_http_common') as {
  HTTPParser: ParserClass
  methods: readonly string[]
}

/** One for all, since they are dear to make. */
const parser = new HTTPParser()

/** Methods that llhttp knows; it refuses any other. */
export const METHODS: ReadonlySet<string> = new Set(methods)

/** Every request in the bytes; `fault` where they are none, or go on as none. */
export function readRequests(bytes: Buffer): { messages: Request[]; fault: string | undefined } {
  return read(HTTPParser.REQUEST, bytes, (head, method, target) => ({
    message: { ...head, method: methods[method] as string, target },
    bodiless: false,
  }))
}

/** Every answer to a request of that method, interim ones among them. `ended`: nothing comes behind the bytes. */
export function readAnswers(
  bytes: Buffer,
  method: string,
  ended: boolean,
): { messages: Answer[]; fault: string | undefined } {
  return read(
    HTTPParser.RESPONSE,
    bytes,
    (head, _method, _target, status, reason) => ({
      message: { ...head, status, reason },
      bodiless: status < 200 || method === 'HEAD',
    }),
    ended,
  )
}

function read<T extends Message>(
  type: number,
  bytes: Buffer,
  make: (
    head: Message,
    method: number,
    target: string,
    status: number,
    reason: string,
  ) => { message: T; bodiless: boolean },
  ended = false,
): { messages: T[]; fault: string | undefined } {
  const messages: T[] = []
  // An interim answer may say `Connection: close`, and the final one comes behind it.
  const lenience = type === HTTPParser.RESPONSE ? HTTPParser.kLenientKeepAlive : 0
  parser.initialize(type, {}, 0, lenience)
  // What of a head was told before it was whole.
  let more: string[] = []
  let begun = ''
  parser[HTTPParser.kOnHeaders] = (fields: string[], target: string) => {
    more.push(...fields)
    begun += target
  }
  parser[HTTPParser.kOnHeadersComplete] = (
    _major: number,
    _minor: number,
    fields: string[] | undefined,
    method: number,
    target: string | undefined,
    status: number,
    reason: string,
    upgrade: boolean,
  ) => {
    const head = { fields: pairs(fields ?? more), body: '', trailers: [], whole: false, upgrade }
    const { message, bodiless } = make(head, method, target ?? begun, status, reason)
    messages.push(message)
    more = []
    begun = ''
    return bodiless ? 1 : 0
  }
  parser[HTTPParser.kOnBody] = (chunk: Buffer) => {
    const last = messages.at(-1)
    if (last) last.body += chunk.toString('latin1')
  }
  parser[HTTPParser.kOnMessageComplete] = () => {
    const last = messages.at(-1)
    if (!last) return
    last.whole = true
    last.trailers = pairs(more)
    more = []
    begun = ''
  }
  const taken = parser.execute(bytes)
  const fault = taken instanceof Error ? taken : ended ? parser.finish() : undefined
  return { messages, fault: fault?.reason }
}

function pairs(flat: readonly string[]): Pairs {
  return flat.flatMap((name, i) =>
    i % 2 === 0 ? [[name.toLowerCase(), flat[i + 1] as string] as const] : [],
  )
}
