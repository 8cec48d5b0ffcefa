import { randomBytes } from 'node:crypto'
import t from 'tap'
import { proxyKeyText } from '../../core/proxy-key.ts'
import { startSite } from '../kit/site.ts'
import { filled, NEEDS } from './needs.ts'
import { absent, runProgram } from './running.ts'
import { s3, startVendor } from './vendors.ts'

const AWS = '/usr/bin/aws'
const KEY = 'AKIA-look-alike-7f3a9c51e0b2'
const { proxy, trust } = NEEDS.aws

t.test(
  'AWS CLI asks without a signature, and what it must show is put in',
  { skip: absent(AWS, ['--version'], 'awscli') ?? false },
  async (t) => {
    const vendor = await startVendor(t, s3)
    const site = await startSite(t, {
      principals: [{ id: 'ada', kind: 'user' }],
      connections: [
        {
          name: 'bucket',
          destinations: [vendor.origin],
          ca: vendor.ca,
          allowPrivateNetwork: true,
          auth: { method: 'api-key' },
          headers: { Authorization: '{{$Auth.API_Key}}' },
        },
      ],
      credentials: [{ connection: 'bucket', for: 'shared', fields: { apiKey: KEY } }],
    })
    const list = (endpoint: string, x: { leftOut?: string; key?: string; debug?: boolean } = {}) => {
      const means = {
        id: 'ada',
        key: x.key ?? (site.keys.ada as string),
        port: site.port,
        caFile: site.caFile,
      }
      const env = { ...filled({ ...proxy, ...trust }, means) } as Record<string, string>
      if (x.leftOut !== undefined) delete env[x.leftOut]
      return runProgram(
        AWS,
        [
          's3api',
          'list-objects-v2',
          '--no-sign-request',
          '--bucket',
          'bucket',
          '--endpoint-url',
          endpoint,
          '--output',
          'json',
          ...(x.debug ? ['--debug'] : []),
        ],
        {
          env: {
            ...env,
            AWS_REGION: 'eu-west-1',
            AWS_MAX_ATTEMPTS: '1',
            AWS_EC2_METADATA_DISABLED: 'true',
            AWS_CONFIG_FILE: '/dev/null',
          },
        },
      )
    }
    const hosts = { declared: `a.localhost:${vendor.port}`, undeclared: `b.localhost:${vendor.port}` }

    for (const scheme of ['http', 'https']) {
      const { out, errors } = await list(`${scheme}://${hosts.declared}`)
      t.match(errors, /^$/, scheme)
      t.match(JSON.parse(out), { Contents: [{ Key: 'report.csv', ETag: `"${'*'.repeat(KEY.length)}"` }] })
      t.equal(
        vendor.requests.at(-1)?.headers.authorization,
        KEY,
        `${scheme}: the upstream got the real value`,
      )
    }
    const seen = vendor.requests.length
    const wrong = { key: proxyKeyText(randomBytes(32)) }
    // It hides what the proxy said, unless it is asked to --debug.
    for (const [scheme, shown] of [
      ['http', /An error occurred \((407|403)\)/],
      ['https', /Failed to connect to proxy URL: "http:\/\/\*\*\*:\*\*\*@/],
    ] as const) {
      const [refused, undeclared] = await Promise.all([
        list(`${scheme}://${hosts.declared}`, wrong),
        list(`${scheme}://${hosts.undeclared}`),
      ])
      t.match(refused.errors, shown, `${scheme}: a wrong key`)
      t.match(undeclared.errors, shown, `${scheme}: nobody declared it`)
    }
    const debugged = await list(`https://${hosts.declared}`, { ...wrong, debug: true })
    t.match(debugged.errors, /caller_unauthenticated/)
    for (const [leftOut, scheme] of [
      ['HTTP_PROXY', 'http'],
      ['HTTPS_PROXY', 'https'],
      ['AWS_CA_BUNDLE', 'https'],
    ] as const) {
      const { code } = await list(`${scheme}://${hosts.declared}`, { leftOut })
      t.not(code, 0, `it needs ${leftOut}`)
    }
    t.equal(vendor.requests.length, seen, 'nothing left')
    const uses = (await site.audit()).filter(({ event }) => event === 'use')
    t.match(uses, [{ caller: 'ada' }, { caller: 'ada' }])
  },
)
