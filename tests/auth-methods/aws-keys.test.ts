import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { type Aws, type Keys, NO_BOTOCORE, startAws } from '../kit/aws.ts'
import { makeServices } from '../kit/aws-services.ts'
import { type Asked, askBy, ENTRANCES, type Entrance } from '../kit/raw.ts'
import { type SiteOptions, startSite } from '../kit/site.ts'

const KEYS: Keys = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
}
const TEMPORARY: Keys = {
  ...KEYS,
  accessKeyId: 'ASIAIOSFODNN7EXAMPLE',
  sessionToken: 'FwoGZXIvYXdzEXAMPLEtoken/+=',
}
const S3 = 's3.eu-west-1.amazonaws.com'
const DYNAMODB = 'dynamodb.us-east-2.amazonaws.com'
const ELSEWHERE = 'minio.internal'
/** As a client with keys of no worth signs. */
const dummy = (region: string, service: string, headers = 'host;x-amz-date') => [
  `Authorization: AWS4-HMAC-SHA256 Credential=AKIADUMMYDUMMYDUMMY/20150830/${region}/${service}/aws4_request, SignedHeaders=${headers}, Signature=${'0'.repeat(64)}`,
  'X-Amz-Date: 20150830T123600Z',
  'X-Amz-Security-Token: a-token-of-the-client',
]

async function startLab(
  t: Test,
  x: { keys?: Keys; auth?: object; provider?: boolean; options?: SiteOptions } = {},
) {
  const { keys = KEYS, auth = {}, provider = false } = x
  const aws = await startAws(t, [S3, `*.${S3}`, DYNAMODB, ELSEWHERE], [KEYS, TEMPORARY], makeServices())
  const at = (host: string) => `https://${host}:${aws.port}`
  const config = {
    principals: [{ id: 'ada', kind: 'user' }],
    providers: provider ? [{ name: 'site', method: 'aws-keys', credentials: { ...keys } }] : [],
    connections: [
      {
        name: 'aws',
        destinations: [S3, `*.${S3}`, DYNAMODB, ELSEWHERE].map(at),
        ownedWildcard: true,
        base: at(S3),
        ca: aws.ca,
        allowPrivateNetwork: true,
        auth: { method: 'aws-keys', ...auth, ...(provider && { provider: 'site' }) },
      },
    ],
    credentials: provider ? [] : [{ connection: 'aws', for: 'shared', fields: { ...keys } }],
  }
  const site = await startSite(t, config, { lookup: aws.lookup, ...x.options })
  const ask = (entrance: Entrance, host: string, asked: Asked) =>
    askBy(t, site, entrance, { authority: `${host}:${aws.port}`, origin: at(host), name: 'aws' }, asked)
  return { aws, site, ask }
}

const last = ({ calls }: Aws) => calls.at(-1)

for (const entrance of ENTRANCES) {
  t.test(
    `${entrance}: a request is signed with keys that its client does not have`,
    { skip: NO_BOTOCORE ?? false },
    async (t) => {
      const { aws, ask, site } = await startLab(t)
      for (const [title, headers] of [
        ['with dummy keys', dummy('eu-west-1', 's3')],
        ['without any', []],
      ] as const) {
        const put = {
          method: 'PUT',
          path: '/bucket/a%20b%2Bc/d~e?x-id=PutObject&b=&a=%20',
          body: 'hello',
          headers: [...headers],
        }
        const { status, body } = await ask(entrance, S3, put)
        t.equal(status, 200, `${title}: ${body} ${aws.refused.join()}`)
        t.match(last(aws), { path: '/bucket/a b+c/d~e', scope: { region: 'eu-west-1', service: 's3' } })
        t.equal(
          last(aws)?.headers['x-amz-content-sha256'],
          'UNSIGNED-PAYLOAD',
          'over TLS nothing is read to be hashed',
        )
        t.equal(last(aws)?.headers['x-amz-security-token'], undefined)
        t.equal(last(aws)?.body.toString(), 'hello')
      }
      t.equal((await ask(entrance, S3, { path: '/bucket/a%20b%2Bc/d~e' })).body, 'hello')
      t.notMatch(JSON.stringify(await site.audit()), KEYS.secretAccessKey)
    },
  )
}

t.test(
  'a body whose hash has to be signed is read, up to a bound',
  { skip: NO_BOTOCORE ?? false },
  async (t) => {
    const { aws, ask } = await startLab(t)
    const headers = ['X-Amz-Target: DynamoDB_20120810.GetItem', 'Content-Type: application/x-amz-json-1.0']
    const body = JSON.stringify({ TableName: 't', Key: { id: { S: 'x'.repeat(100_000) } } })
    const answer = await ask('connect', DYNAMODB, { method: 'POST', path: '/', headers, body })
    t.equal(answer.status, 200, aws.refused.join())
    t.match(last(aws), { scope: { region: 'us-east-2', service: 'dynamodb' } })
    t.ok(last(aws)?.signedHeaders.includes('x-amz-target'))
    const large = {
      method: 'POST',
      path: '/',
      headers: [...headers, `Content-Length: ${17 * 1024 * 1024}`],
    }
    const refused = await ask('forward', DYNAMODB, large)
    t.equal(refused.status, 413, refused.body)
    t.match(JSON.parse(refused.body), { code: 'too_large', hint: /X-Amz-Content-Sha256/ })
  },
)

t.test(
  'what the client hashed is not read, and its hash is signed',
  { skip: NO_BOTOCORE ?? false },
  async (t) => {
    const { aws, ask } = await startLab(t)
    const body = 'x'.repeat(200_000)
    const hash = createHash('sha256').update(body).digest('hex')
    const headers = [...dummy('eu-west-1', 's3'), `X-Amz-Content-Sha256: ${hash}`]
    t.equal((await ask('connect', S3, { method: 'PUT', path: '/bucket/k', headers, body })).status, 200)
    t.equal(last(aws)?.headers['x-amz-content-sha256'], hash)
    const lies = await ask('connect', S3, {
      method: 'PUT',
      path: '/bucket/k',
      headers,
      body: `y${body.slice(1)}`,
    })
    t.equal(lies.status, 403)
    t.match(lies.body, 'XAmzContentSHA256Mismatch', 'AWS’s own error passes untouched')
    const none = ['X-Amz-Content-Sha256: something']
    const odd = await ask('connect', S3, { method: 'PUT', path: '/bucket/k', headers: none, body })
    t.match(JSON.parse(odd.body), { code: 'bad_request' })
  },
)

t.test(
  'chunks are signed anew as they pass, with and without trailers',
  { skip: NO_BOTOCORE ?? false },
  async (t) => {
    const { aws, ask } = await startLab(t)
    const pieces = ['a'.repeat(65_536), 'b'.repeat(65_536), 'c'.repeat(1000), '']
    const fake = (i: number) => String(i).repeat(64)
    const chunks = pieces.map(
      (one, i) =>
        `${one.length.toString(16)};chunk-signature=${fake(i)}\r\n${one}${one === '' ? '' : '\r\n'}`,
    )
    const decoded = pieces.join('')
    for (const [hash, end] of [
      ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', '\r\n'],
      [
        'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
        `x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:${fake(9)}\r\n\r\n`,
      ],
    ] as const) {
      const headers = [
        ...dummy('eu-west-1', 's3'),
        `X-Amz-Content-Sha256: ${hash}`,
        `X-Amz-Decoded-Content-Length: ${decoded.length}`,
        'Content-Encoding: aws-chunked',
        ...(hash.endsWith('TRAILER') ? ['X-Amz-Trailer: x-amz-checksum-crc32'] : []),
      ]
      const put = { method: 'PUT', path: '/bucket/chunks', headers, body: chunks.join('') + end }
      const { status, body } = await ask('connect', S3, put)
      t.equal(status, 200, `${hash}: ${body} ${aws.refused.join()}`)
      t.equal(last(aws)?.body.toString(), decoded)
      const broken = await ask('connect', S3, { ...put, body: `zz${put.body.slice(2)}` })
      t.equal(broken.status, 400)
      t.match(JSON.parse(broken.body), { code: 'bad_request', detail: /aws-chunked/ })
    }
    const unsigned = `5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n`
    const headers = [
      'X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'X-Amz-Decoded-Content-Length: 5',
      'X-Amz-Trailer: x-amz-checksum-crc32',
    ]
    t.equal(
      (await ask('connect', S3, { method: 'PUT', path: '/bucket/u', headers, body: unsigned })).status,
      200,
    )
    t.equal(last(aws)?.body.toString(), 'hello', 'chunks that are not signed pass as they are')
  },
)

t.test(
  'a presigned query is taken off, and all else of it stays',
  { skip: NO_BOTOCORE ?? false },
  async (t) => {
    const { aws, ask } = await startLab(t)
    await ask('connect', S3, { method: 'PUT', path: '/bucket/k', body: 'hello' })
    const query =
      'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIADUMMYDUMMYDUMMY%2F20150830%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&response-content-type=text%2Fplain&X-Amz-Signature=00'
    const { status, body } = await ask('forward', S3, { path: `/bucket/k?${query}` })
    t.equal(status, 200, body)
    t.same([...(last(aws)?.query ?? [])], [['response-content-type', 'text/plain']])
    const v2 =
      'AWSAccessKeyId=AKIADUMMYDUMMYDUMMY&Signature=abc%3D&Expires=1700000000&x-amz-security-token=t&response-expires=Thu&versionId=1'
    const older = await ask('connect', S3, { path: `/bucket/k?${v2}` })
    t.equal(older.status, 200, `${older.body} ${aws.refused.join()}`)
    t.same(
      [...(last(aws)?.query ?? [])],
      [
        ['response-expires', 'Thu'],
        ['versionId', '1'],
      ],
    )
    const plain = await ask('connect', S3, { path: '/bucket/k?Expires=1&Signature=mine&x-amz-of=client' })
    t.equal(plain.status, 403, 'a query that nobody signed stays as it is')
  },
)

t.test(
  'headers that a presigned query holds in their place are headers again',
  { skip: NO_BOTOCORE ?? false },
  async (t) => {
    const { aws, ask } = await startLab(t)
    const query = (more: string) =>
      `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Credential=AKIADUMMYDUMMYDUMMY%2F20150830%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00&x-id=PutObject${more}`
    const more = '&x-amz-acl=private&x-amz-meta-note=a%20%20b&x-amz-tagging=a%3Db'
    const headers = ['X-Amz-Tagging: mine=1']
    const put = { method: 'PUT', path: `/bucket/k?${query(more)}`, body: 'hello', headers }
    const { status, body } = await ask('connect', S3, put)
    t.equal(status, 200, `${body} ${aws.refused.join()}`)
    t.same([...(last(aws)?.query ?? [])], [['x-id', 'PutObject']])
    t.match(last(aws)?.headers, {
      'x-amz-acl': 'private',
      'x-amz-meta-note': 'a b',
      'x-amz-tagging': 'mine=1',
      'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
    })
    for (const odd of ['&x-amz-acl=a%0d%0aX-Evil:%201', '&x-amz-%0d%0a=1', '&x-amz-acl=%00']) {
      const refused = await ask('connect', S3, { ...put, path: `/bucket/k?${query(odd)}` })
      t.equal(refused.status, 400, odd)
      t.match(JSON.parse(refused.body), { code: 'bad_request' })
    }
  },
)

t.test(
  'temporary keys sign with their token, which does not come back',
  { skip: NO_BOTOCORE ?? false },
  async (t) => {
    const { aws, ask, site } = await startLab(t, { keys: TEMPORARY })
    const key = `/bucket/${encodeURIComponent(TEMPORARY.sessionToken ?? '')}`
    await ask('connect', S3, { method: 'PUT', path: key, body: `token ${TEMPORARY.sessionToken}` })
    t.equal(last(aws)?.headers['x-amz-security-token'], TEMPORARY.sessionToken)
    const { status, body } = await ask('connect', S3, { path: key, headers: dummy('eu-west-1', 's3') })
    t.equal(status, 200)
    t.match(body, /^token \*+$/)
    t.ok((await site.audit()).length > 0)
  },
)

t.test(
  'keys of a provider serve every connection, which takes no credential then',
  { skip: NO_BOTOCORE ?? false },
  async (t) => {
    const { ask, aws } = await startLab(t, { provider: true })
    t.equal(
      (await ask('connect', S3, { method: 'PUT', path: '/bucket/k', body: 'x' })).status,
      200,
      aws.refused.join(),
    )
  },
)

t.test(
  'the region is the connection’s, else the host’s, else the client’s; the service the client’s before the host’s',
  { skip: NO_BOTOCORE ?? false },
  async (t) => {
    const bare = await startLab(t)
    const unknown = await bare.ask('connect', ELSEWHERE, { path: '/bucket/k' })
    t.equal(unknown.status, 400)
    t.match(JSON.parse(unknown.body), {
      code: 'bad_request',
      detail: /region and service/,
      hint: /region: eu-west-1/,
    })
    await bare.ask('connect', ELSEWHERE, {
      method: 'PUT',
      path: '/b/k',
      body: 'x',
      headers: dummy('local-1', 's3'),
    })
    t.match(last(bare.aws)?.scope, { region: 'local-1', service: 's3' })
    const elsewhere = { method: 'PUT', path: '/bucket/k', body: 'x', headers: dummy('us-east-1', 's3') }
    t.equal((await bare.ask('connect', S3, elsewhere)).status, 200)
    t.match(last(bare.aws)?.scope, { region: 'eu-west-1', service: 's3' }, 'where it goes, it is good')
    const told = await startLab(t, { auth: { region: 'home-1', service: 's3' } })
    await told.ask('connect', ELSEWHERE, {
      method: 'PUT',
      path: '/b/k',
      body: 'x',
      headers: dummy('local-1', 'sqs'),
    })
    t.match(last(told.aws)?.scope, { region: 'home-1', service: 's3' })
  },
)

t.test(
  'a clock that is off is put right once, by the answer’s Date',
  { skip: NO_BOTOCORE ?? false },
  async (t) => {
    const { ask, aws } = await startLab(t)
    aws.ahead = 3_600_000
    const get = () => ask('connect', S3, { path: '/bucket?list-type=2' })
    t.equal((await get()).status, 200)
    t.equal(aws.refused.length, 1, 'the first request was asked twice')
    t.equal((await get()).status, 200)
    t.equal(aws.refused.length, 1, 'and is remembered')
    aws.keys = []
    t.equal((await get()).status, 403, 'a wrong key is no wrong clock')
    t.equal(aws.refused.length, 2)
    aws.keys = [KEYS]
    aws.ahead = -3_600_000
    const streamed = { method: 'PUT', path: '/bucket/k', body: 'x' }
    t.equal((await ask('connect', S3, streamed)).status, 403, 'what streams is not sent twice')
    t.equal((await ask('connect', S3, streamed)).status, 200, 'and the next is right')
    aws.ahead = 0
    t.equal((await get()).status, 200, 'a clock that is put right again is right again')
    const before = aws.refused.length
    t.equal((await get()).status, 200)
    t.equal(aws.refused.length, before)
    aws.ahead = 23 * 3_600_000
    t.equal((await get()).status, 200)
    aws.ahead = 46 * 3_600_000
    t.equal((await get()).status, 403, 'nor is one led away day by day')
  },
)

t.test('no variable is drawn from keys', { skip: NO_BOTOCORE ?? false }, async (t) => {
  const { ask, aws } = await startLab(t)
  for (const name of ['secretAccessKey', 'accessKeyId', 'signing', 'Secret_Access_Key']) {
    const { status, body } = await ask('connect', S3, {
      path: '/b',
      headers: [`X-Api-Key: <<$Auth.${name}>>`],
    })
    t.equal(status, 400)
    t.match(JSON.parse(body), { code: 'placeholder_unknown' })
  }
  t.equal(aws.calls.length, 0)
})

t.test('keys that are none are told', { skip: NO_BOTOCORE ?? false }, async (t) => {
  for (const fields of [
    { accessKeyId: 'no key', secretAccessKey: KEYS.secretAccessKey },
    { accessKeyId: KEYS.accessKeyId, secretAccessKey: 'two words' },
    { ...KEYS, sessionToken: 'two words' },
  ])
    await t.rejects(startLab(t, { keys: fields as Keys }), /access key|session token/i)
})
