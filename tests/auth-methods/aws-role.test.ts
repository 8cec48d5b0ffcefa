import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { readRole, sessionName } from '../../auth-methods/aws/role.ts'
import { trustFor } from '../../auth-methods/aws/trust.ts'
import { awsRole } from '../../auth-methods/aws-role.ts'
import { Grants } from '../../broker/grants.ts'
import { Proofs } from '../../broker/proofs.ts'
import { openSigningKeys } from '../../certs/signing.ts'
import type { JsonObject } from '../../core/secret.ts'
import { type Caller, LOCAL, NOBODY } from '../../core/words.ts'
import { callOutBy } from '../../proxy/upstreams/call-out.ts'
import { openShell } from '../cli/kit.ts'
import { refusal as thrown } from '../core/kit.ts'
import { NO_BOTOCORE } from '../kit/aws.ts'
import { askBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { BASE, refusal, STS_HOST, startSts } from '../kit/sts.ts'

const S3 = 's3.eu-west-1.amazonaws.com'
const ROLE = 'arn:aws:iam::123456789012:role/locum-assumable-role/reports'
const skip = { skip: NO_BOTOCORE ?? false }
const HOUR = 3_600_000
const ID = 'c8c1d4f0-0000-4000-8000-000000000000'

async function startLab(t: Test, more: JsonObject = {}) {
  let now = Date.now()
  const sts = await startSts(t, [S3])
  const { aws } = sts
  const at = (host: string) => `https://${host}:${aws.port}`
  const config = (provider: JsonObject) => ({
    principals: [
      { id: 'ada', kind: 'user', email: 'ada@example.com', profile: 'sales' },
      { id: 'ben', kind: 'user' },
    ],
    providers: [
      {
        name: 'reports',
        method: 'aws-role',
        roleArn: ROLE,
        credentials: { ...BASE },
        region: 'eu-west-1',
        stsEndpoint: at(STS_HOST),
        ca: aws.ca,
        allowPrivateNetwork: true,
        ...provider,
      },
    ],
    connections: [
      {
        name: 'aws',
        destinations: [at(S3)],
        ca: aws.ca,
        allowPrivateNetwork: true,
        auth: { method: 'aws-role', provider: 'reports' },
      },
    ],
  })
  const site = await startSite(t, config(more), { lookup: aws.lookup, clock: { now: () => now } })
  const { id } = await site.context.store.site()
  sts.roles.push({ arn: ROLE, externalIds: [id] })
  const goal = { authority: `${S3}:${aws.port}`, origin: at(S3), name: 'aws' }
  const ask = (as = 'ada') => askBy(t, site, 'connect', goal, { path: '/bucket?list-type=2', as })
  const later = async (ms: number) => {
    now += ms
    aws.ahead += ms
    await site.settle()
  }
  const apply = async (provider: JsonObject) => {
    await site.apply(config(provider))
    await site.settle()
  }
  return { sts, aws, site, id, ask, later, apply }
}

t.test('a role is assumed once per user, in the name of site and user, and signs', skip, async (t) => {
  const { ask, sts, id, aws } = await startLab(t)
  for (let i = 0; i < 50; i++) {
    t.equal((await ask('ada')).status, 200, aws.refused.join())
    t.equal((await ask('ben')).status, 200)
  }
  t.match(sts.asked, [
    { RoleArn: ROLE, ExternalId: id, DurationSeconds: '3600', RoleSessionName: `${id.slice(0, 8)}+ada` },
    { RoleArn: ROLE, ExternalId: id, RoleSessionName: `${id.slice(0, 8)}+ben` },
  ])
  t.equal(sts.asked.length, 2, '100 calls assume the role twice, once for each user')
  t.equal(new Set(aws.calls.slice(-2).map(({ headers }) => headers['x-amz-security-token'])).size, 2)
})

t.test('a session is renewed ahead of its end, and many ask once', skip, async (t) => {
  const { ask, sts, later } = await startLab(t)
  await ask()
  await later(HOUR - 20_000)
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask()))
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(sts.asked.length, 2)
  await later(HOUR + 1)
  await Promise.all(Array.from({ length: 20 }, () => ask()))
  t.equal(sts.asked.length, 3)
})

t.test('whatever goes into a session makes another one (R24)', skip, async (t) => {
  const { ask, sts, apply } = await startLab(t)
  const other = 'arn:aws:iam::123456789012:role/locum-assumable-role/other'
  sts.roles.push({ arn: other, externalIds: undefined })
  await ask()
  for (const [i, change] of (
    [
      { roleArn: other },
      { duration: 900 },
      { tags: { team: '{{$User.Profile}}' } },
      { policy: { Version: '2012-10-17', Statement: [] } },
      { sourceIdentity: true },
      { region: 'eu-central-1' },
    ] as JsonObject[]
  ).entries()) {
    await apply(change)
    t.equal((await ask()).status, 200, JSON.stringify(change))
    t.equal(sts.asked.length, i + 2, JSON.stringify(change))
  }
  t.match(sts.asked[3], { 'Tags.member.1.Key': 'team', 'Tags.member.1.Value': 'sales' })
  t.match(sts.asked[4], { Policy: '{"Version":"2012-10-17","Statement":[]}' })
  t.match(sts.asked[5], { SourceIdentity: /\+ada$/ })
})

t.test('a session of a provider that is gone serves no other of its name (R24)', skip, async (t) => {
  const { ask, sts, site, apply } = await startLab(t)
  const other = 'arn:aws:iam::123456789012:role/locum-assumable-role/other'
  sts.roles.push({ arn: other, externalIds: undefined })
  const arrived = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  sts.before = () => {
    arrived.resolve()
    return gate.promise
  }
  const first = ask()
  await arrived.promise
  await site.context.store.removeProvider(LOCAL, 'reports')
  await apply({ roleArn: other })
  gate.resolve()
  await first
  t.equal((await ask()).status, 200)
  t.same(
    sts.asked.map(({ RoleArn }) => RoleArn),
    [ROLE, other],
  )
})

t.test('a new token of the same user assumes nothing anew, and another user’s does', async (t) => {
  const user = (id: string, claims: JsonObject): Caller => ({
    ...NOBODY,
    principal: { ...NOBODY.principal, id, claims },
  })
  const config = { tags: { team: '{{$User.Claims.team}}', cost: '{{$User.Claims.groups[0].upperAscii()}}' } }
  const of = (caller: Caller, x: JsonObject = config) => awsRole.provider?.ofCaller?.(x, caller)
  const claims = { team: 'a', groups: ['x'], iat: 1, jti: 'one' }
  const ada = of(user('ada', claims))
  t.same(of(user('ada', { ...claims, iat: 2, jti: 'two' })), ada)
  for (const other of [
    user('ben', claims),
    user('ada', { ...claims, team: 'b' }),
    user('ada', { ...claims, groups: ['y'] }),
  ])
    t.notSame(of(other), ada)
  t.same(of(user('ada', claims), {}), of(user('ada', { team: 'z' }), {}))
  t.notSame(of(user('ada', claims), {}), of(user('ben', claims), {}))
})

t.test('a session ends when it does by STS’s clock, whatever this machine’s says', skip, async (t) => {
  const { ask, sts, aws, later } = await startLab(t)
  aws.ahead += 10 * 60_000
  t.equal((await ask()).status, 200)
  await later(HOUR + 60_000)
  await ask()
  t.equal(sts.asked.length, 2, 'ten minutes before the time that STS wrote')
})

t.test('the external id is no condition of what AWS does not say it with', async (t) => {
  const role = readRole({ tags: { team: '{{$User.Profile}}' }, sourceIdentity: true })
  const { policy } = trustFor(role, 'reports', [ID], 'arn:aws:iam::123456789012:user/locum')
  const allowed = { Effect: 'Allow', Principal: { AWS: 'arn:aws:iam::123456789012:user/locum' } }
  t.same(policy.Statement, [
    { ...allowed, Action: 'sts:AssumeRole', Condition: { StringEquals: { 'sts:ExternalId': ID } } },
    { ...allowed, Action: ['sts:SetSourceIdentity', 'sts:TagSession'] },
  ])
})

t.test('what AWS says of a refusal says what to do, and holds no secret', skip, async (t) => {
  const { ask, sts, apply } = await startLab(t)
  for (const [i, [code, hint]] of (
    [
      ['AccessDenied', /trust policy/],
      ['ExpiredToken', /have ended/],
      ['InvalidClientTokenId', /does not know the base access key/],
      ['SignatureDoesNotMatch', /secret key/],
      ['MalformedPolicyDocument', /`policy`/],
      ['RegionDisabledException', /`region`/],
    ] as const
  ).entries()) {
    sts.failing = refusal(code)
    // Each time another provider, which nothing is remembered of.
    await apply({ duration: 1000 + i })
    const { status, body } = await ask()
    t.equal(status, 502, code)
    t.match(JSON.parse(body), {
      code: 'refresh_failed',
      detail: new RegExp(`said ${code.replace('Exception', '')}`),
      hint,
    })
    t.notMatch(body, BASE.secretAccessKey)
  }
  // What a stranger calls an error can be what it was sent.
  sts.failing = refusal(`Throttling${BASE.secretAccessKey.replaceAll(/[^A-Za-z]/g, '')}`, 400)
  await apply({ duration: 1999 })
  const unknown = await ask()
  t.match(JSON.parse(unknown.body), { code: 'refresh_failed', detail: /refused with status 400\.$/ })
  t.notMatch(unknown.body, /wJalr/)
  sts.failing = undefined
  await apply({ duration: 2000 })
  t.equal((await ask()).status, 200)
})

t.test('without base credentials of its own it asks with the server’s', skip, async (t) => {
  const before = { ...process.env }
  t.teardown(() => {
    process.env = before
  })
  const { ask, sts, apply } = await startLab(t, { credentials: undefined as never })
  Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: 'true', AWS_CONFIG_FILE: '/dev/null' })
  t.match(JSON.parse((await ask()).body), { code: 'refresh_failed', hint: /identity of its own/ })
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: BASE.accessKeyId,
    AWS_SECRET_ACCESS_KEY: BASE.secretAccessKey,
  })
  await apply({ credentials: undefined as never, duration: 1800 })
  t.equal((await ask()).status, 200)
  t.equal(sts.asked.length, 1)
})

t.test('the clock of STS is followed', skip, async (t) => {
  const { ask, aws, sts } = await startLab(t)
  aws.ahead = HOUR
  t.equal((await ask()).status, 200, aws.refused.join())
  t.equal(sts.asked.length, 1)
})

t.test('without a role the policy comes first, and what has to be done is said', skip, async (t) => {
  const { ask, sts, site, id } = await startLab(t, { roleArn: undefined as never })
  const { code, hint } = JSON.parse((await ask()).body)
  t.equal(code, 'refresh_failed')
  t.match(hint, /locum provider trust-policy/)
  const proofs = proofsOf(site)
  const { policy, command } = await proofs.trust('reports', { sites: [], principal: undefined })
  t.same(policy, {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { AWS: 'arn:aws:iam::123456789012:user/locum' },
        Action: 'sts:AssumeRole',
        Condition: { StringEquals: { 'sts:ExternalId': id } },
      },
    ],
  })
  t.same(command.slice(0, 7), [
    'aws',
    'iam',
    'create-role',
    '--role-name',
    'locum-reports',
    '--path',
    '/locum-assumable-role/',
  ])
  t.equal(sts.asked.length, 0)
})

/** What the command works with, by the way of this site’s requests. */
function proofsOf(site: Awaited<ReturnType<typeof startSite>>) {
  const { store, sealer, clock, methods } = site.context
  const callOut = callOutBy(site.running.room.upstreams)
  const grants = new Grants({
    store,
    sealer,
    clock,
    callOut,
    signingKeys: openSigningKeys(store, sealer, clock),
  })
  return new Proofs({ store, sealer, clock, methods, grants })
}

t.test('a test proves that the role is refused to whoever has not this site’s id', skip, async (t) => {
  const { sts, site } = await startLab(t)
  const proofs = proofsOf(site)
  const fine = await proofs.connection('aws', 'ada')
  t.same(
    fine.findings.map(({ holds }) => holds),
    [true, true, true, true, true],
  )
  t.equal(sts.asked.at(-2)?.ExternalId, undefined)
  sts.roles.splice(0, 1, { arn: ROLE, externalIds: undefined })
  const open = await proofs.connection('aws', 'ben')
  t.match(
    open.findings.filter(({ holds }) => !holds),
    [
      { says: /assumed without an external id as well/, hint: /trust-policy/ },
      { says: /another site’s external id as well/ },
    ],
  )
  t.notMatch(JSON.stringify([fine, open]), /wJalr|ASIA/)
})

t.test('what makes no sense is said when it is applied', async (t) => {
  const check = (config: JsonObject, fields: string[] = []) =>
    thrown(() => awsRole.provider?.checkConfig?.(config, fields)).detail
  for (const [config, says] of [
    [{ roleArn: 'arn:aws:iam::123456789012:user/x' }, /is no role/],
    [{ roleArn: 'arn:aws:iam::123456789012:role/locum-assumable-role' }, /path is \/, and `rolePath` has/],
    [{ roleArn: 'arn:aws:iam::123456789012:role/other/locum-assumable-role' }, /path is \/other\//],
    [{ roleArn: ROLE, rolePath: ['locum'] }, /begin and end with a slash/],
    [{ rolePath: [] }, /begin and end with a slash/],
    [{ duration: 60 }, /900 to 43200/],
    [{ region: 'Europe' }, /`region`/],
    [{ stsEndpoint: 'http://sts.example' }, /no https address/],
    [{ tags: { 'aws:x': 'y' } }, /cannot have `aws:x`/],
    [{ tags: { team: '{{$Auth.x}}' } }, /\$Auth\.x cannot stand in a session tag/],
    [{ policy: {} }, /`policy` is a policy of IAM/],
    [{ policy: { Statement: ['x'.repeat(3000)] } }, /at most 2048/],
    [{ sourceIdentity: 'yes' }, /true or false/],
  ] as [JsonObject, RegExp][])
    t.match(check(config), says, JSON.stringify(config))
  t.match(check({}, ['accessKeyId']), /together/)
  t.match(check({}, ['sessionToken']), /together/)
})

t.test('no two users have one session name', async (t) => {
  const site = 'c8c1d4f0-0000-4000-8000-000000000000'
  const long = 'x'.repeat(100)
  const names = [
    'ada',
    'ada@example.com',
    long,
    `${long}y`,
    'https://idp.example|ada',
    'https://idp.example_ada',
  ].map((user) => sessionName(site, user))
  t.equal(new Set(names).size, names.length)
  for (const name of names) t.match(name, /^[\w+=,.@-]{2,64}$/)
  t.equal(names[0], 'c8c1d4f0+ada')
})

t.test('the command prints the policy and the line that makes the role', async (t) => {
  const shell = openShell(t)
  const file = `${shell.data}.yaml`
  writeFileSync(file, 'providers:\n  - { name: reports, method: aws-role }\n')
  t.equal((await shell.run(`apply -f ${file}`)).code, 0)
  const site = JSON.parse((await shell.run('site show --json')).out)
  const principal = 'arn:aws:sts::123456789012:assumed-role/locum/session'
  const { out, code } = await shell.run(`provider trust-policy reports --principal ${principal}`)
  t.equal(code, 0)
  t.match(out, `"sts:ExternalId": "${site.id}"`)
  t.match(out, '"AWS": "arn:aws:iam::123456789012:role/locum"')
  t.match(
    out,
    /\naws iam create-role --role-name locum-reports --path \/locum-assumable-role\/ --assume-role-policy-document '\{/,
  )
  const wrong = await shell.run(`provider trust-policy reports --principal ${principal} --site here`)
  t.match(wrong.err, /`locum site show` prints/)
})
