import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { AWS_PYTHON, type Keys, NO_BOTOCORE, startAws } from '../kit/aws.ts'
import { makeServices } from '../kit/aws-services.ts'
import { startSite } from '../kit/site.ts'
import { absent, NODE_MISSING, PROGRAMS, runProgram } from './running.ts'

/** Debian's, or the one that is found. */
const AWS = existsSync('/usr/bin/aws') ? '/usr/bin/aws' : 'aws'
const KEYS: Keys = {
  accessKeyId: 'ASIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  sessionToken: 'FwoGZXIvYXdzEXAMPLEtoken/+=',
}
const SERVICES = ['s3', 'dynamodb', 'sqs', 'sns', 'sts', 'lambda']
const hostOf = (service: string) => `${service}.eu-west-1.amazonaws.com`
/** What a client has of its own: nothing of worth. */
const DUMMY = {
  AWS_ACCESS_KEY_ID: 'AKIADUMMYDUMMYDUMMY',
  AWS_SECRET_ACCESS_KEY: 'dummy',
  AWS_DEFAULT_REGION: 'eu-west-1',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_MAX_ATTEMPTS: '1',
}

async function startLab(t: Test) {
  const hosts = SERVICES.flatMap((service) => [hostOf(service), `*.${hostOf(service)}`])
  const aws = await startAws(t, hosts, [KEYS], makeServices())
  const at = (host: string) => `https://${host}:${aws.port}`
  const shared = { ca: aws.ca, allowPrivateNetwork: true, auth: { method: 'aws-keys', provider: 'site' } }
  const site = await startSite(
    t,
    {
      principals: [{ id: 'ada', kind: 'user' }],
      providers: [{ name: 'site', method: 'aws-keys', credentials: { ...KEYS } }],
      connections: SERVICES.map((service) => ({
        ...shared,
        name: service,
        destinations: [at(hostOf(service)), at(`*.${hostOf(service)}`)],
        ownedWildcard: true,
        base: at(hostOf(service)),
      })),
      identity: { default: 'ada' },
    },
    { lookup: aws.lookup },
  )
  const proxy = `http://ada:${site.keys.ada}@127.0.0.1:${site.port}`
  const ways = {
    proxy: {
      endpoint: at('{service}.eu-west-1.amazonaws.com'),
      env: { HTTPS_PROXY: proxy, AWS_CA_BUNDLE: site.caFile, SSL_CERT_FILE: site.caFile },
    },
    gateway: { endpoint: `http://127.0.0.1:${site.port}/c/{service}`, env: {} },
  }
  return { aws, site, ways }
}

t.test(
  'boto3 does all that it does, by the proxy and by the gateway',
  { skip: NO_BOTOCORE ?? false },
  async (t) => {
    const { aws, site, ways } = await startLab(t)
    for (const [way, style] of [
      ['proxy', 'virtual'],
      ['proxy', 'path'],
      ['gateway', 'path'],
    ] as const) {
      const { endpoint, env } = ways[way]
      const key: Record<string, string> = way === 'gateway' ? { GATEWAY_KEY: site.keys.ada as string } : {}
      const { out, errors } = await runProgram(AWS_PYTHON as string, [join(PROGRAMS, 'aws_calls.py')], {
        env: { ...DUMMY, ...env, ...key, ENDPOINT: endpoint, STYLE: style },
      })
      t.equal(errors, '', `${way}, ${style}: ${aws.refused.join('\n')}`)
      t.match(JSON.parse(out || '{}'), {
        part: '234',
        whole: true,
        presigned: way === 'proxy' ? ['0123456789', '0123456789'] : null,
        listed: ['a b+c/d', 'large', 'sum'],
        item: true,
        lambda: '{"a":1}',
        sqs: 'm-1',
        sns: 'm-2',
        sts: '123456789012',
      })
    }
    t.same(aws.refused, [])
    const scopes = new Set(aws.calls.map(({ scope }) => scope.service))
    t.same([...scopes].sort(), [...SERVICES].sort())
  },
)

t.test(
  'AWS CLI does, with dummy keys and with none',
  { skip: NO_BOTOCORE ?? absent(AWS, ['--version'], 'awscli') ?? false },
  async (t) => {
    const { aws, ways } = await startLab(t)
    for (const way of ['proxy', 'gateway'] as const) {
      const { endpoint, env } = ways[way]
      const call = (service: string, args: readonly string[], input = '') =>
        runProgram(AWS, [...args, '--endpoint-url', endpoint.replace('{service}', service)], {
          env: { ...DUMMY, ...env },
          input,
        })
      const put = await call('s3', ['s3', 'cp', '-', 's3://bucket/from the cli'], 'hello from the CLI')
      t.equal(put.errors, '', way)
      const got = await call('s3', ['s3', 'cp', 's3://bucket/from the cli', '-'])
      t.equal(got.out, 'hello from the CLI', got.errors)
      const unsigned = await call('s3', ['s3', 'cp', 's3://bucket/from the cli', '-', '--no-sign-request'])
      t.equal(unsigned.out, 'hello from the CLI', unsigned.errors)
      const who = await call('sts', ['sts', 'get-caller-identity', '--output', 'json'])
      t.match(JSON.parse(who.out || '{}'), { Account: '123456789012' }, who.errors)
    }
    t.same(aws.refused, [])
  },
)

t.test(
  'the SDK for JavaScript does, streams with checksums behind them included',
  { skip: NO_BOTOCORE ?? NODE_MISSING ?? false },
  async (t) => {
    const { aws, site, ways } = await startLab(t)
    for (const way of ['proxy', 'gateway'] as const) {
      const { endpoint, env } = ways[way]
      const { out, errors } = await runProgram(process.execPath, [join(PROGRAMS, 'aws-sdk.mjs')], {
        env: {
          ...DUMMY,
          ...env,
          ENDPOINT: endpoint,
          NODE_EXTRA_CA_CERTS: site.caFile,
          NODE_NO_WARNINGS: '1',
        },
      })
      t.equal(errors, '', `${way}: ${aws.refused.join('\n')}`)
      t.match(JSON.parse(out || '{}'), {
        whole: 'hello',
        range: 'el',
        streamed: 64 * 16_384,
        joined: 'one two',
        item: { id: { S: 'k' } },
        account: '123456789012',
      })
    }
    t.same(aws.refused, [])
    const hashes = aws.calls.map(({ headers }) => headers['x-amz-content-sha256'])
    t.ok(hashes.includes('STREAMING-UNSIGNED-PAYLOAD-TRAILER'))
  },
)
