import t from 'tap'
import {
  canonicalRequest,
  canonicalValue,
  EMPTY_HASH,
  sha256,
  signedNames,
} from '../../auth-methods/aws/canonical.ts'
import { Signer } from '../../auth-methods/aws/signature.ts'
import { vectors } from '../kit/vectors.ts'

interface Case {
  name: string
  'request.txt': string
  'context.json': {
    credentials: { access_key_id: string; secret_access_key: string; token?: string }
    expiration_in_seconds: number
    normalize: boolean
    omit_session_token?: boolean
    region: string
    service: string
    sign_body: boolean
    timestamp: string
  }
  [expected: string]: unknown
}

/** A request of the vectors, every text latin1. */
function readRequest(text: string) {
  const latin1 = Buffer.from(text, 'utf8').toString('latin1')
  const [head = '', body = ''] = latin1.split(/\r?\n\r?\n(.*)/s)
  const [first = '', ...lines] = head.replace(/\r?\n[\t ]+/g, ' ').split(/\r?\n/)
  const [, method = '', target = ''] = /^(\S+) (.*) HTTP\/1\.1$/.exec(first) ?? []
  const [path = '', query = ''] = target.split(/\?(.*)/s)
  const headers = lines.filter(Boolean).map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1)] as const
  })
  return { method, path, query, headers, body }
}

function joined(headers: readonly (readonly [string, string])[]): [string, string][] {
  const all = new Map<string, string>()
  for (const [name, value] of headers) {
    const before = all.get(name)
    all.set(name, before === undefined ? canonicalValue(value) : `${before},${canonicalValue(value)}`)
  }
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1))
}

const { options, read } = vectors('sigv4/cases.json')

t.test('AWS’s own vectors, in the head and in the query, byte for byte', options, async (t) => {
  const cases = JSON.parse(read()) as Case[]
  t.equal(cases.length, 38)
  for (const one of cases) {
    const { credentials, region, service, timestamp, sign_body, normalize, ...context } = one['context.json']
    const { method, path, query, headers, body } = readRequest(one['request.txt'])
    const keys = { accessKeyId: credentials.access_key_id, secretAccessKey: credentials.secret_access_key }
    const signer = new Signer(keys, { region, service }, timestamp.replaceAll(/[-:]/g, ''))
    const hash = body === '' ? EMPTY_HASH : sha256(body)
    const token = credentials.token
    // Without normalising is how S3 has it: the vectors’ own paths are not encoded yet.
    const once = !normalize
    const check = (form: string, input: { query: string; headers: [string, string][] }) => {
      const canonical = canonicalRequest({ method, path, hash, ...input }, { once })
      t.equal(canonical, one[`${form}-canonical-request.txt`], `${one.name}, ${form}: canonical request`)
      const text = `AWS4-HMAC-SHA256\n${signer.stamp}\n${signer.scope}\n${sha256(canonical)}`
      t.equal(text, one[`${form}-string-to-sign.txt`], `${one.name}, ${form}: string to sign`)
      t.equal(signer.signRequest(canonical), one[`${form}-signature.txt`], `${one.name}, ${form}: signature`)
    }
    const own: [string, string][] = [['x-amz-date', signer.stamp]]
    if (sign_body) own.push(['x-amz-content-sha256', hash])
    if (token !== undefined && !context.omit_session_token) own.push(['x-amz-security-token', token])
    check('header', { query, headers: joined([...headers, ...own]) })
    const signed = joined(headers)
    const parameters = new URLSearchParams({
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': `${keys.accessKeyId}/${signer.scope}`,
      'X-Amz-Date': signer.stamp,
      'X-Amz-Expires': String(context.expiration_in_seconds),
      'X-Amz-SignedHeaders': signedNames(signed),
    })
    if (token !== undefined && !context.omit_session_token) parameters.set('X-Amz-Security-Token', token)
    check('query', { query: query === '' ? `${parameters}` : `${query}&${parameters}`, headers: signed })
  }
})

t.test('blanks are those of ASCII', async (t) => {
  for (const [value, canonical] of [
    ['  a \t b  ', 'a b'],
    ['\u00a0a\u00a0\u00a0b\u0085', '\u00a0a\u00a0\u00a0b\u0085'],
    ['\ta', 'a'],
    ['plain', 'plain'],
  ] as const)
    t.equal(canonicalValue(value), canonical, JSON.stringify(value))
})
