import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { LocumError } from '../core/errors.ts'

/** Bytes of a body, unless told. */
const LARGEST_BODY = 64 * 1024

/** A request at the console, but for its body. */
export interface AskedHead {
  /** A HEAD is asked as a GET. */
  readonly method: string
  /** As it was sent, without its query. */
  readonly path: string
  /** At the address by which it came: `http://127.0.0.1:8081/connect/google?for=shared`. */
  readonly url: URL
  /** The last part of a path that names something: `google`. */
  readonly name: string
  readonly origin: string | undefined
  readonly authorization: string | undefined
  readonly cookies: ReadonlyMap<string, string>
  readonly type: string
  readonly headers: IncomingHttpHeaders
}

/** Read whole. */
export interface Asked extends AskedHead {
  readonly body: string
}

/** What a path answers with. */
export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
}

/** Throws too_large; and bad_request where it is cut short. */
export async function readAsked(request: IncomingMessage, name: string): Promise<Asked> {
  return { ...headOf(request, name), body: await readBody(request) }
}

/** What stands before its body. */
export function headOf(request: IncomingMessage, name: string): AskedHead {
  const { host = '', origin, authorization, cookie = '' } = request.headers
  const scheme = request.socket instanceof TLSSocket ? 'https' : 'http'
  return {
    method: request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET'),
    path: (request.url ?? '').split('?')[0] as string,
    url: new URL(`${scheme}://${host}${request.url}`),
    name,
    origin,
    authorization,
    cookies: new Map(cookie.split(';').map(pairOf)),
    type: request.headers['content-type'] ?? '',
    headers: request.headers,
  }
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf('=')
  return at < 0 ? ['', ''] : [text.slice(0, at).trim(), text.slice(at + 1).trim()]
}

/** Throws too_large beyond so many bytes; bad_request where it is cut short or no UTF-8. */
export async function readBody(request: IncomingMessage, largest = LARGEST_BODY): Promise<string> {
  const pieces: Buffer[] = []
  let size = 0
  try {
    for await (const piece of request as AsyncIterable<Buffer>) {
      size += piece.length
      if (size > largest) throw new LocumError('too_large', `The body is larger than ${largest / 1024} KiB.`)
      pieces.push(piece)
    }
  } catch (thrown) {
    if (thrown instanceof LocumError) throw thrown
    throw new LocumError('bad_request', 'The body broke off.', { cause: thrown })
  }
  const bytes = Buffer.concat(pieces)
  if (isUtf8(bytes)) return bytes.toString('utf8')
  throw new LocumError('bad_request', 'The body is not UTF-8.')
}

/** What a form of a page sends. Throws bad_request for anything else. */
export function formOf({ type, body }: Asked): URLSearchParams {
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) return new URLSearchParams(body)
  throw new LocumError('bad_request', 'This takes a form.')
}

/** Throws not_allowed where a page of another origin sends what cookies make strong (R21). */
export function demandOwnOrigin({ origin, url }: Pick<Asked, 'origin' | 'url'>): void {
  if (origin === url.origin) return
  throw new LocumError('not_allowed', 'This was not sent by a page of the console.', {
    hint: 'Open the page itself, and press its button.',
  })
}

/** The key in `Authorization: Bearer …`. Throws caller_unauthenticated. */
export function bearerOf({ authorization = '' }: Pick<Asked, 'authorization'>): string {
  const key = /^bearer +(\S+)$/i.exec(authorization)?.[1]
  if (key !== undefined) return key
  throw new LocumError('caller_unauthenticated', 'No key came with this request.', {
    hint: 'Send `Authorization: Bearer lcm_…`.',
  })
}
