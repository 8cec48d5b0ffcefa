import { createHash } from 'node:crypto'
import type { CallOut, CallOutRules } from '../../core/call-out.ts'
import { authorityOf, type Destination, destinationText, parseDestination } from '../../core/destination.ts'
import { LocumError } from '../../core/errors.ts'
import { checkPath } from '../../core/target.ts'
import { type BodySource, Fields, type RequestHead, type ResponseHead } from '../wire/message.ts'
import type { UpstreamSpec } from './spec.ts'
import type { Upstreams } from './upstreams.ts'

/** Bytes of an answer. */
const LARGEST_ANSWER = 1024 * 1024
/** Fields that are the wire's own to write. */
const FRAMING = new Set(['connection', 'content-length', 'host', 'transfer-encoding', 'accept-encoding'])

/** Locum's own requests, by the way of every upstream. */
export function callOutBy(upstreams: Pick<Upstreams, 'send'>): CallOut {
  return (rules) => async (input, init) => {
    const request = new Request(input, init)
    const { destination, path } = judge(request.url, rules)
    const body = request.body === null ? undefined : Buffer.from(await request.arrayBuffer())
    const head = headOf(request, destination, path, body)
    const answer = await send(upstreams, specOf(destination, rules), head, body, request.signal)
    return responseOf(answer, destination)
  }
}

function judge(text: string, rules: CallOutRules): { destination: Destination; path: string } {
  const url = new URL(text)
  const destination = parseDestination(url.origin)
  if (destination.wildcard) throw new LocumError('bad_request', `${url.origin} names no single host.`)
  if (destination.scheme === 'http' && !rules.allowPlaintext) {
    throw new LocumError(
      'destination_forbidden',
      `${url.origin} is no https address, and a secret goes there.`,
      {
        hint: 'Name an https address, or say `allowPlaintext: true` beside it.',
      },
    )
  }
  return { destination, path: checkPath(`${url.pathname}${url.search}`) }
}

function headOf(
  request: Request,
  destination: Destination,
  path: string,
  body: Buffer | undefined,
): RequestHead {
  const fields = new Fields()
  for (const [name, value] of request.headers) if (!FRAMING.has(name)) fields.append(name, value)
  fields.append('accept-encoding', 'identity')
  return {
    method: request.method,
    target: path,
    minor: 1,
    host: authorityOf(destination),
    fields,
    contentLength: body?.length,
    chunked: false,
    upgrade: undefined,
    expectContinue: false,
  }
}

function specOf(destination: Destination, rules: CallOutRules): UpstreamSpec {
  const { ca, identity, allowPrivateNetwork = false } = rules
  const digest = (text = '') => (text === '' ? '' : createHash('sha256').update(text).digest('base64url'))
  const shows = digest(identity && `${identity.cert}\n${identity.key}`)
  const key = `call-out\n${destinationText(destination)}\n${allowPrivateNetwork}\n${digest(ca)}\n${shows}`
  return { key, destination, ca, identity, allowPrivateNetwork }
}

interface Answer {
  readonly head: ResponseHead
  readonly body: Buffer
}

function send(
  upstreams: Pick<Upstreams, 'send'>,
  spec: UpstreamSpec,
  head: RequestHead,
  body: Buffer | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  return new Promise<Answer>((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason)
      return
    }
    const fail = (error: LocumError) => {
      signal.removeEventListener('abort', onabort)
      reject(failure(spec.destination, error))
    }
    const onabort = () => {
      sending.abort()
      reject(signal.reason)
    }
    const sending = upstreams.send(spec, head, body && sourceOf(body), {
      informational() {},
      response(answer, source) {
        gather(source, (fault, bytes) => {
          if (bytes === undefined) {
            sending.abort()
            fail(new LocumError('upstream_invalid', fault))
            return
          }
          signal.removeEventListener('abort', onabort)
          resolve({ head: answer, body: bytes })
        })
      },
      upgraded(_head, tunnel) {
        tunnel.socket.destroy()
        fail(new LocumError('upstream_invalid', 'It answered with another protocol.'))
      },
      failed: fail,
    })
    signal.addEventListener('abort', onabort, { once: true })
  })
}

function sourceOf(bytes: Buffer): BodySource {
  return {
    empty: bytes.length === 0,
    start(sink) {
      if (bytes.length > 0) sink.write(bytes)
      sink.end()
    },
    discard() {},
  }
}

/** `done` is called once: with a fault, or with all bytes. */
function gather(source: BodySource, done: (fault: string, bytes?: Buffer) => void): void {
  const pieces: Buffer[] = []
  let size = 0
  let over = false
  const finish = (fault: string, bytes?: Buffer) => {
    if (over) return
    over = true
    done(fault, bytes)
  }
  source.start({
    ondrain: undefined,
    write(chunk) {
      size += chunk.length
      if (size > LARGEST_ANSWER) finish(`Its answer is larger than ${LARGEST_ANSWER >> 20} MiB.`)
      else pieces.push(Buffer.from(chunk))
      return true
    },
    end: () => finish('', Buffer.concat(pieces)),
    abort: () => finish('Its answer broke off.'),
  })
}

/** What the rules forbid is a mistake of whoever configured it; all else may be over the next time. */
function failure(destination: Destination, error: LocumError): LocumError {
  const where = destinationText(destination)
  const { code, detail, hint } = error
  return new LocumError(
    code === 'destination_forbidden' ? code : 'refresh_failed',
    `Nothing could be had from ${where}. ${detail}`,
    { hint, cause: error },
  )
}

function responseOf({ head, body }: Answer, destination: Destination): Response {
  const coding = head.fields.get('content-encoding')?.toLowerCase() ?? 'identity'
  if (coding !== 'identity')
    throw failure(destination, new LocumError('upstream_invalid', 'It encoded its answer, unasked.'))
  const headers = new Headers()
  for (let i = 0; i < head.fields.size; i++)
    headers.append(head.fields.names[i] as string, head.fields.values[i] as string)
  const bare = head.status === 204 || head.status === 205 || head.status === 304
  return new Response(bare ? null : new Uint8Array(body), { status: head.status, headers })
}
