import t from 'tap'
import { methods } from '../../auth-methods/index.ts'
import { SIGNATURES } from '../../core/identity.ts'
import { readConfigFile } from '../../operations/file.ts'

/** Reads a file whose `identity` holds these issuers. */
const read = (issuers: unknown) =>
  readConfigFile('locum.yaml', {
    methods,
    env: {},
    readFile: async () => JSON.stringify({ identity: { issuers } }),
  })

const IDP = { issuer: 'https://idp.example.com', audience: 'locum' }

t.test('an issuer needs its name and an audience, and has usual ways for the rest', async (t) => {
  const { identity, notes } = await read([IDP, { ...IDP, issuer: 'https://idp.example.com/realms/b' }])
  t.strictSame(identity.issuers[0], {
    ...IDP,
    claims: { id: 'sub' },
    jwksUri: undefined,
    algorithms: SIGNATURES,
    rules: { allowPrivateNetwork: undefined, allowPlaintext: undefined, ca: undefined },
  })
  t.equal(identity.issuers.length, 2)
  t.strictSame(notes, [])
  t.strictSame(
    (await readConfigFile('locum.yaml', { methods, env: {}, readFile: async () => '{}' })).identity,
    {
      default: undefined,
      issuers: [],
    },
  )
})

t.test('an issuer that cannot be one is refused where it stands', async (t) => {
  for (const [issuers, says] of [
    [[{ issuer: IDP.issuer }], /issuers\[0\].audience: missing/],
    [[{ audience: 'locum' }], /issuers\[0\].issuer: missing/],
    [[{ ...IDP, issuer: 'idp.example.com' }], /expected an URL/],
    [[{ ...IDP, issuer: 'https://a:b@idp.example.com' }], /expected an URL/],
    [[{ ...IDP, issuer: 'https://idp.example.com?x=1' }], /no query/],
    [[{ ...IDP, issuer: 'http://idp.example.com' }], /is no https address/],
    [[{ ...IDP, issuer: 'https://*.example.com' }], /no single host/],
    [[{ ...IDP, issuer: 'https://localhost' }], /is a loopback address; say `allowPrivateNetwork: true`/],
    [[{ ...IDP, jwksUri: 'https://10.0.0.1/jwks' }], /jwksUri: 10.0.0.1 is a private address/],
    [[IDP, IDP], /issuers\[1\].issuer: .*twice/],
    [[{ ...IDP, algorithms: ['none'] }], /algorithms/],
    [[{ ...IDP, algorithms: ['HS256'] }], /algorithms/],
    [[{ ...IDP, algorithms: [] }], /algorithms/],
    [[{ ...IDP, claims: { admin: 'role' } }], /unknown key/],
    [[{ ...IDP, ca: './none.pem' }], /holds no PEM/],
  ] as const)
    await t.rejects(read(issuers), { code: 'bad_request', detail: says }, String(says))
})

t.test('a claim that can pass to another user is warned of', async (t) => {
  for (const id of ['email', 'preferred_username', 'upn']) {
    const { notes } = await read([{ ...IDP, claims: { id } }])
    t.match(notes, [/^locum.yaml:1: whoever gets a user's/])
  }
  t.strictSame((await read([{ ...IDP, claims: { id: 'oid' } }])).notes, [])
})
