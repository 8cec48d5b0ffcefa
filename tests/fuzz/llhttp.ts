import { createRequire } from 'node:module'

/** A request as llhttp reads it, strict as Node's own servers are. Names of fields are lower case. */
export interface Message {
  readonly method: string
  readonly target: string
  readonly fields: readonly (readonly [name: string, value: string])[]
  body: string
  trailers: readonly (readonly [name: string, value: string])[]
  whole: boolean
  readonly upgrade: boolean
}

interface Parser {
  initialize(type: number, resource: object): void
  execute(bytes: Buffer): number | Error
  [callback: number]: unknown
}

interface ParserClass {
  new (): Parser
  readonly REQUEST: number
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

/** Methods that llhttp knows; it refuses any other. */
export const METHODS: ReadonlySet<string> = new Set(methods)

/** Every request in the bytes; `fault` where they are none, or end in the middle of a head. */
export function readRequests(bytes: Buffer): { messages: Message[]; fault: string | undefined } {
  const messages: Message[] = []
  const parser = new HTTPParser()
  parser.initialize(HTTPParser.REQUEST, {})
  let more: string[] = []
  parser[HTTPParser.kOnHeaders] = (fields: string[]) => {
    more.push(...fields)
  }
  parser[HTTPParser.kOnHeadersComplete] = (
    _major: number,
    _minor: number,
    fields: string[] | undefined,
    method: number,
    target: string,
    _status: number,
    _reason: string,
    upgrade: boolean,
  ) => {
    messages.push({
      method: methods[method] as string,
      target,
      fields: pairs(fields ?? more),
      body: '',
      trailers: [],
      whole: false,
      upgrade,
    })
    more = []
    return 0
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
  }
  const taken = parser.execute(bytes)
  const fault = taken instanceof Error ? taken.message : undefined
  return { messages, fault }
}

function pairs(flat: readonly string[]): (readonly [string, string])[] {
  return flat.flatMap((name, i) =>
    i % 2 === 0 ? [[name.toLowerCase(), flat[i + 1] as string] as const] : [],
  )
}
