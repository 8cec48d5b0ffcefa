import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { buffer } from 'node:stream/consumers'
import { issue, makeCa } from './certificates.ts'
import type { Teardown } from './site.ts'

/** Debian's, whose packages have botocore, and whatever else is called so. */
export const AWS_PYTHON = ['/usr/bin/python3', 'python3'].find(
  (one) => spawnSync(one, ['-c', 'import boto3'], { stdio: 'ignore' }).status === 0,
)
/** Why nothing can be verified here; undefined where botocore is. */
export const NO_BOTOCORE = AWS_PYTHON === undefined ? 'python3-boto3 is not installed' : undefined

/** Every host that botocore knows in these regions, and the region and service that it is signed for. */
export function awsHosts(regions: readonly string[]): [host: string, region: string, service: string][] {
  const script = join(import.meta.dirname, 'aws_hosts.py')
  return JSON.parse(
    execFileSync(AWS_PYTHON as string, [script, ...regions], { encoding: 'utf8', maxBuffer: 1 << 26 }),
  )
}

export interface Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** A request as AWS read it: its body without chunks. */
export interface AwsCall {
  readonly method: string
  readonly host: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  readonly scope: { readonly region: string; readonly service: string }
  readonly signedHeaders: readonly string[]
}

export interface Said {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

export interface Aws {
  readonly port: number
  readonly ca: string
  readonly calls: AwsCall[]
  /** What was refused, and why. */
  readonly refused: string[]
  /** For a site's `lookup`: every name is here. */
  lookup(): Promise<{ address: string; family: number }[]>
  /** ms that this AWS is ahead of the test. */
  ahead: number
  /** Who may call. */
  keys: readonly Keys[]
}

type Ask = Readonly<Record<string, unknown>>
interface Verdict {
  readonly canonical: string
  readonly chain: readonly string[]
}

/** botocore, beside the test until it ends. */
function startVerifier(t: Teardown): (ask: Ask) => Promise<Verdict> {
  const child = spawn(AWS_PYTHON as string, [join(import.meta.dirname, 'sigv4_verifier.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const waiting: ((verdict: Verdict) => void)[] = []
  createInterface(child.stdout).on('line', (line) => waiting.shift()?.(JSON.parse(line)))
  t.teardown(async () => {
    child.stdin.end()
    if (child.exitCode === null) await once(child, 'exit')
  })
  return (ask) =>
    new Promise((resolve) => {
      waiting.push(resolve)
      child.stdin.write(`${JSON.stringify(ask)}\n`)
    })
}

/**
 * An AWS on a free port: checks each signature by botocore, each hash and each chunk, then says what `answer` says. Its
 * certificate is for these hosts.
 */
export async function startAws(
  t: Teardown,
  hosts: readonly string[],
  keys: readonly Keys[],
  answer: (call: AwsCall) => Said | Promise<Said>,
): Promise<Aws> {
  const verify = startVerifier(t)
  const ca = await makeCa('Amazon, or so it says')
  const open = new Set<Socket>()
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    response.setHeader('Date', new Date(Date.now() + aws.ahead).toUTCString())
    response.setHeader('x-amz-request-id', randomUUID())
    const raw = await buffer(request)
    const read = await readCall(aws, request, raw, verify)
    if ('code' in read) {
      aws.refused.push(`${read.code}: ${read.why}`)
      response.writeHead(403, { 'Content-Type': 'application/xml' })
      response.end(`<Error><Code>${read.code}</Code><Message>${read.code}</Message></Error>`)
      return
    }
    aws.calls.push(read)
    const { status = 200, headers = {}, body = '' } = await answer(read)
    response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body)
  }
  const server = https.createServer(await issue(ca, hosts), (request, response) => {
    serve(request, response).catch((error) => response.destroy(error))
  })
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  const aws: Aws = {
    port: (server.address() as AddressInfo).port,
    ca: ca.cert,
    calls: [],
    refused: [],
    lookup: async () => [{ address: '127.0.0.1', family: 4 }],
    ahead: 0,
    keys,
  }
  return aws
}

interface Refusal {
  readonly code: string
  readonly why: string
}

const SIGNED =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/

/** What authenticates in a query: of presigned URLs by Signature Version 4 and 2. */
const ALSO = /^(?:X-Amz-(?:Algorithm|Credential|Signature)|AWSAccessKeyId|Signature)$/i

async function readCall(
  aws: Aws,
  request: IncomingMessage,
  raw: Buffer,
  verify: (ask: Ask) => Promise<Verdict>,
): Promise<AwsCall | Refusal> {
  const { method = '', url = '', headers } = request
  const refuse = (code: string, why: string): Refusal => ({ code, why })
  const other = [...new URL(url, 'https://aws').searchParams.keys()].find((name) => ALSO.test(name))
  if (other !== undefined && headers.authorization !== undefined)
    return refuse('InvalidArgument', `Authorization, and ${other} in the query: two ways to authenticate`)
  const match = SIGNED.exec(headers.authorization ?? '')
  if (!match) return refuse('MissingAuthenticationToken', headers.authorization ?? 'nothing')
  const [, id, , region = '', service = '', names = '', signature = ''] = match
  const known = aws.keys.find(({ accessKeyId }) => accessKeyId === id)
  if (!known) return refuse('InvalidAccessKeyId', `${id}`)
  if (known.sessionToken !== headers['x-amz-security-token'])
    return refuse('InvalidClientTokenId', `${headers['x-amz-security-token']}`)
  const stamp = String(headers['x-amz-date'])
  const at = Date.parse(stamp.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'))
  if (!(Math.abs(at - Date.now() - aws.ahead) < 5 * 60_000)) return refuse('RequestTimeTooSkewed', stamp)
  const signedHeaders = names.split(';')
  for (const name of ['host', ...Object.keys(headers).filter((one) => one.startsWith('x-amz-'))])
    if (!signedHeaders.includes(name)) return refuse('AccessDenied', `${name} is not signed`)
  const hash = headers['x-amz-content-sha256']
  const chunked = typeof hash === 'string' && hash.startsWith('STREAMING-') ? readChunks(raw) : undefined
  const verdict = await verify({
    ...known,
    service,
    region,
    method,
    url: `https://${headers.host}${url}`,
    timestamp: stamp,
    headers: signedHeaders.map((name) => [name, headers[name] ?? '']),
    body: raw.toString('hex'),
    ...(hash?.includes('HMAC') && {
      chunks: chunked?.chunks.map(({ data }) => data.toString('hex')),
      ...(chunked?.trailerSignature !== undefined && { trailers: chunked.trailers }),
    }),
  })
  if (verdict.chain[0] !== signature) return refuse('SignatureDoesNotMatch', verdict.canonical)
  if (hash?.includes('HMAC')) {
    const signatures = chunked?.chunks.map((one) => one.signature) ?? []
    if (chunked?.trailerSignature !== undefined) signatures.push(chunked.trailerSignature)
    if (signatures.join() !== verdict.chain.slice(1).join()) return refuse('SignatureDoesNotMatch', 'a chunk')
  }
  const body = chunked ? Buffer.concat(chunked.chunks.map(({ data }) => data)) : raw
  const said = createHash('sha256').update(raw).digest('hex')
  if (typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash) && hash !== said)
    return refuse('XAmzContentSHA256Mismatch', hash)
  const decoded = headers['x-amz-decoded-content-length']
  if (chunked && Number(decoded) !== body.length) return refuse('IncompleteBody', String(decoded))
  const { pathname, searchParams } = new URL(url, 'https://aws')
  return {
    method,
    host: String(headers.host),
    path: decodeURIComponent(pathname),
    query: searchParams,
    headers,
    body,
    scope: { region, service },
    signedHeaders,
  }
}

interface Chunks {
  readonly chunks: { readonly data: Buffer; readonly signature: string }[]
  /** As they are signed. */
  readonly trailers: string
  readonly trailerSignature: string | undefined
}

function readChunks(raw: Buffer): Chunks {
  const chunks: { data: Buffer; signature: string }[] = []
  let at = 0
  const line = () => {
    const end = raw.indexOf('\r\n', at)
    const text = raw.toString('latin1', at, end)
    at = end + 2
    return text
  }
  for (;;) {
    const [size = '', rest = ''] = line().split(';')
    const length = Number.parseInt(size, 16)
    chunks.push({ data: raw.subarray(at, at + length), signature: rest.replace('chunk-signature=', '') })
    if (length === 0) break
    at += length + 2
  }
  let trailers = ''
  let trailerSignature: string | undefined
  while (at < raw.length) {
    const text = line()
    if (text === '') break
    if (text.startsWith('x-amz-trailer-signature:')) trailerSignature = text.split(':')[1]
    else trailers += `${text}\n`
  }
  return { chunks, trailers, trailerSignature }
}
