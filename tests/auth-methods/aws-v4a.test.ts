import { createHash, createHmac, createPublicKey, verify } from 'node:crypto'
import { SignatureV4a } from '@smithy/signature-v4a'
import t from 'tap'
import { derive } from '../../auth-methods/aws/asymmetric.ts'
import { awsKeys } from '../../auth-methods/aws-keys.ts'
import { Secret } from '../../core/secret.ts'
import { Fields } from '../../proxy/wire/message.ts'
import { makeCaller, refusal } from '../core/kit.ts'

/** Of the test suite of aws-c-auth for SigV4a. */
const KEYS = {
  accessKeyId: 'AKISORANDOMAASORANDOM',
  secretAccessKey: 'q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom',
}
const PUBLIC = {
  x: '15d242ceebf8d8169fd6a8b5a746c41140414c3b07579038da06af89190fffcb',
  y: '0515242cedd82e94799482e4c0514b505afccf2c0c98d6a553bf539f424c5ec0',
}
const HOST = 'name.accesspoint.s3-global.amazonaws.com'
const NOW = Date.UTC(2026, 10, 27, 12)
const values = new Secret(awsKeys.values({ config: {}, fields: KEYS, caller: makeCaller() }))

class Sha256 {
  readonly #hash
  constructor(key?: string | Uint8Array) {
    this.#hash = key === undefined ? createHash('sha256') : createHmac('sha256', key)
  }
  update(data: Uint8Array) {
    this.#hash.update(data)
  }
  async digest() {
    return new Uint8Array(this.#hash.digest())
  }
  reset() {}
}

function signed(headers: [string, string][], host = HOST, target = '/a%20b?x=1') {
  const head = { method: 'GET', target, minor: 1 as const, host, fields: Fields.from(headers) }
  const edits = awsKeys.sign?.({ config: {}, values, now: NOW, secure: true }, head as never, Buffer.alloc(0))
  return { ...edits, fields: Object.fromEntries(edits?.set ?? []) as Record<string, string> }
}

const publicKey = createPublicKey({
  key: {
    kty: 'EC',
    crv: 'P-256',
    x: Buffer.from(PUBLIC.x, 'hex').toString('base64url'),
    y: Buffer.from(PUBLIC.y, 'hex').toString('base64url'),
  },
  format: 'jwk',
})

t.test('the key is the one that AWS derives', async (t) => {
  t.equal(derive(KEYS).toString('hex'), '7fd3bd010c0d9c292141c2b77bfbde1042c92e6836fff749d1269ec890fca1bd')
})

t.test(
  'a multi-region access point is signed for every region, as the SDK’s own signer has it',
  async (t) => {
    const { fields } = signed([['X-Amz-Meta-Note', 'a']])
    t.equal(fields['X-Amz-Region-Set'], '*')
    const [, names = '', signature = ''] =
      /^AWS4-ECDSA-P256-SHA256 Credential=AKISORANDOMAASORANDOM\/20261127\/s3\/aws4_request, SignedHeaders=(\S+), Signature=(\S+)$/.exec(
        fields.Authorization ?? '',
      ) ?? []
    t.equal(names, 'host;x-amz-content-sha256;x-amz-date;x-amz-meta-note;x-amz-region-set')
    let text = ''
    const library = new SignatureV4a({
      credentials: KEYS,
      region: '*',
      service: 's3',
      sha256: Sha256 as never,
      uriEscapePath: false,
    })
    // What is signed, taken from the library.
    Object.assign(library, {
      async getSignature(_: Uint8Array, stringToSign: string) {
        text = stringToSign
        return ''
      },
    })
    await library.sign(
      {
        method: 'GET',
        protocol: 'https:',
        hostname: HOST,
        path: '/a%20b',
        query: { x: '1' },
        headers: {
          host: HOST,
          'x-amz-meta-note': 'a',
          'x-amz-content-sha256': fields['X-Amz-Content-Sha256'] ?? '',
        },
      } as never,
      { signingDate: new Date(NOW) },
    )
    t.ok(verify('sha256', Buffer.from(text), publicKey, Buffer.from(signature, 'hex')), text)
  },
)

t.test('what the client asks for in several regions is signed so', async (t) => {
  const authorization = (algorithm: string, scope: string) => [
    `${algorithm} Credential=AKIADUMMYDUMMYDUMMY/20261127/${scope}/aws4_request, SignedHeaders=host, Signature=00`,
  ]
  const v4a = authorization('AWS4-ECDSA-P256-SHA256', 's3')[0] as string
  const one = signed(
    [
      ['Authorization', v4a],
      ['X-Amz-Region-Set', 'eu-west-1,us-east-1'],
    ],
    'minio.internal',
  )
  t.equal(one.fields['X-Amz-Region-Set'], 'eu-west-1,us-east-1')
  t.match(one.fields.Authorization, /^AWS4-ECDSA-P256-SHA256 /)
  const chunks: [string, string][] = [
    ['Authorization', v4a],
    ['X-Amz-Content-Sha256', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'],
  ]
  t.match(refusal(() => signed(chunks)).message, /SigV4a/)
})
