import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { isProxyKey } from '../../core/proxy-key.ts'
import { openShell } from './kit.ts'

const SECRET = 'a-very-long-secret'
const FILE = `name: team
connections:
  - name: stripe
    destinations: [https://api.stripe.com]
    auth: { method: api-key }
    headers: { Authorization: "Bearer {{$Auth.API_Key}}" }
  - name: crm
    destinations: [https://crm.example]
    auth: { method: basic }
    source: per-user
    fallback: [shared]
  - name: lab
    destinations: [https://lab.example]
    auth: { method: raw }
    slots: { path: true, query: [key, id], json: [/auth/token], form: [] }
    placeholders: { sk_test_standin123: $Auth.token }
    query: { version: "2" }
    body: { json: { tenant: acme } }
credentials:
  - { connection: stripe, for: shared, fields: { apiKey: { env: STRIPE_KEY } } }
`

function shellWithFile(t: Parameters<typeof openShell>[0]) {
  const shell = openShell(t)
  const file = `${t.testdirName}/locum.yaml`
  writeFileSync(file, FILE)
  shell.env.STRIPE_KEY = SECRET
  return { ...shell, file }
}

t.test('a command line that cannot be read is 2, what failed is 1, what is done is 0', async (t) => {
  const { run } = openShell(t)
  const unreadable = [
    'principall',
    'principal',
    'principal addd x',
    'principal add',
    'principal add ada --knd user',
    'principal add ada --kind robot',
    'principal add ada bob',
    'apply',
    'credential set x',
    'serve --workers 4',
    'serve --grace soon',
    'audit tail -n many',
    'ca export --format p7b',
    'ca rotate --which next',
    'provider lst',
    'connect',
    'connection try api --as ada',
    'credential share cred_1',
    'credential use cred_1 --connection api',
    'credential give cred_1',
    'project member add x',
    'doctor',
    'backup x',
    'run --as ada',
    'run -- true',
    'run --as ada true',
    'run --as ada curl -sS',
  ]
  for (const line of unreadable) {
    const { code, out, err } = await run(line)
    t.equal(code, 2, line)
    t.equal(out, '', line)
    t.match(err, /^(?:locum: |Usage: )/, line)
  }
  t.match(await run('principal show ada'), {
    code: 1,
    out: '',
    err: /^locum: not_found: There is no principal `ada`/,
  })
  t.match(await run('principal ls'), { code: 0, out: '' })
  t.match(await run('--version'), { code: 0, out: '0.0.0-test\n' })
})

t.test('every verb explains itself to a newcomer', async (t) => {
  const { run } = openShell(t)
  const { out } = await run('--help')
  for (const verb of [
    'serve',
    'add',
    'apply',
    'check',
    'principal',
    'connection',
    'credential',
    'ca',
    'site',
    'explain',
    'audit',
    'run',
    'demo',
  ]) {
    t.match(out, new RegExp(`^  ${verb}\\b.*  \\S`, 'm'), verb)
    t.match(await run([verb, '--help']), { code: 0, out: /^Usage: locum /, err: '' }, verb)
  }
  for (const line of [
    'principal add',
    'credential set',
    'apply',
    'add',
    'serve',
    'explain',
    'ca export',
    'ca rotate',
    'run',
  ]) {
    t.match((await run(`${line} --help`)).out, /\$ .*locum /, `${line} shows an example`)
  }
  t.match((await run('principal add --help')).out, /--data <folder>/, 'and the options that every verb has')
})

t.test('a key stands alone on standard output', async (t) => {
  const { run, json } = openShell(t)
  const { code, out, err } = await run(
    'principal add ada --profile sales --project north --project south --ttl 90d',
  )
  t.equal(code, 0)
  t.ok(isProxyKey(out.trimEnd()))
  t.match(err, /Added ada \(user\)/)
  t.notMatch(err, out.trim())
  const rotated = await json('principal rotate-key ada')
  t.match(rotated, { id: 'ada', key: /^lcm_/ })
  const [ada] = await json('principal ls')
  t.match(ada, { id: 'ada', kind: 'user', profile: 'sales', projects: ['north', 'south'], disabled: false })
  t.equal(ada.keys.length, 1)
  for (const line of ['principal ls', 'principal show ada', 'audit export']) {
    t.notMatch((await run(line)).out, new RegExp(`${out.trim()}|${rotated.key}`), line)
  }
})

t.test('principals are disabled, enabled and revoked', async (t) => {
  const { run, json } = openShell(t)
  await run('principal add billing --kind service')
  t.match(await run('principal disable billing'), {
    code: 0,
    out: 'billing is refused until it is enabled again.\n',
  })
  t.match(await json('principal show billing'), { disabled: true })
  t.match(await run('principal show billing'), { out: /state +disabled/ })
  t.match(await json('principal enable billing'), { id: 'billing', disabled: false })
  t.match(await json('principal revoke billing'), { id: 'billing', revoked: 1 })
})

t.test('limits are said with a principal, told, and bad ones refused', async (t) => {
  const { run, json } = openShell(t)
  await run('principal add ada --rate 0.5 --burst 10 --in-flight 4 --connections 20')
  const limits = { rate: 0.5, burst: 10, inFlight: 4, connections: 20 }
  t.strictSame((await json('principal show ada')).limits, limits)
  t.match(await run('principal show ada'), { out: /limits +connections 20, inFlight 4, rate 0\.5, burst 10/ })
  for (const option of ['--rate 0', '--rate x', '--in-flight 1.5', '--connections -1'])
    t.match(await run(`principal add bob ${option}`), { out: '', err: /limits/ }, option)
  t.match(await run('principal show bob'), { code: 1 })
})

t.test('people get a table, programs get tabs', async (t) => {
  const { run } = openShell(t)
  await run('principal add ada --profile sales')
  await run('principal add a-very-long-name-indeed')
  const people = (await run('principal ls', { isInteractive: true })).out.split('\n')
  t.match(people[0], /^ID +KIND +PROFILE +PROJECTS +KEYS +STATE +ADDED$/)
  t.equal(people[0]?.indexOf('KIND'), people[2]?.indexOf('user'))
  t.match(people[2], /^ada +user +sales +- +1 +active +just now$/)
  const programs = (await run('principal ls')).out.split('\n')
  t.match(programs[1], /^ada\tuser\tsales\t-\t1\tactive\t\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  const narrow = (await run('principal ls', { isInteractive: true, columns: 30 })).out.trimEnd().split('\n')
  t.ok(narrow.every((line) => line.length <= 30))
})

t.test('checking a file makes nothing, not even the data folder', async (t) => {
  const { run, json, file, data } = shellWithFile(t)
  t.match(await run(['check', '-f', file]), {
    code: 0,
    out: /^\+ connection stripe\n.*4 changes to make\.\n$/s,
  })
  t.same(Object.keys(await json(['check', '-f', file])), ['changes'])
  t.notOk(existsSync(data))
})

t.test('applying says what changed; a second time, nothing', async (t) => {
  const { run, json, file } = shellWithFile(t)
  t.match(await run(['apply', '-f', file]), {
    code: 0,
    out: /\+ credential stripe\/shared\n4 changes made\.\n$/,
    err: '',
  })
  t.match(await run(['apply', '-f', file]), { code: 0, out: 'Nothing to change.\n' })
  t.same(await json(['apply', '-f', file]), { changes: [] })
  writeFileSync(file, FILE.replace('Bearer ', 'Token '))
  t.same(await json(['check', '-f', file]), {
    changes: [{ action: 'update', kind: 'connection', id: 'stripe', keys: ['headers'] }],
  })
  t.match(await run(['apply', '-f', file]), { out: '~ connection stripe: headers\n1 change made.\n' })
  writeFileSync(file, 'name: team\n')
  t.match(await run(['apply', '-f', file, '--prune']), {
    out: /- credential stripe\/shared\n.*4 changes made/s,
  })
})

t.test('a bad file is one line with its place, and exit 1', async (t) => {
  const { run, file } = shellWithFile(t)
  writeFileSync(file, FILE.replace('headers:', 'header:'))
  for (const line of [
    ['check', '-f', file],
    ['apply', '-f', file],
    ['serve', '--config', file],
  ]) {
    const { code, out, err } = await run(line, { untilStopped: () => Promise.resolve() })
    t.match({ code, out }, { code: 1, out: '' })
    t.equal(
      err,
      `locum: bad_request: ${file}:6:5: connections[0].header: unknown key; did you mean \`headers\`\n`,
    )
  }
  t.match(await run('apply -f gone.yaml'), {
    code: 1,
    err: 'locum: bad_request: Cannot read gone.yaml: there is no such file\n',
  })
})

t.test('a credential comes from standard input as one JSON object', async (t) => {
  const { run, json, file } = shellWithFile(t)
  await run(['apply', '-f', file])
  const input = JSON.stringify({ username: 'ada', password: SECRET })
  const entered = await run('credential set crm --for shared', { input })
  t.match(entered, { code: 0, out: /^cred_\w{22} serves crm for shared \(version 1\)\.\n$/, err: '' })
  t.match(await json('credential set crm --for shared', { input }), {
    version: 2,
    fields: ['username', 'password'],
  })
  const bad = [
    ['', /is not one JSON object/],
    [`{"password":"${SECRET}"`, /is not one JSON object/],
    [`["${SECRET}"]`, /is not one JSON object/],
    [`"${SECRET}"`, /is not one JSON object/],
    ['null', /is not one JSON object/],
    [`{"username":"a:b","password":"${SECRET}"}`, /colon/],
    [`{"user":"ada","password":"${SECRET}"}`, /no such field/],
  ] as const
  for (const [text, says] of bad) {
    const { code, out, err } = await run('credential set crm --for shared', { input: text })
    t.match({ code, out, err }, { code: 1, out: '', err: says }, text)
    t.notMatch(err, SECRET)
  }
  t.match(await run('credential set gone --for shared', { input }), { code: 1, err: /no connection `gone`/ })
  t.match(await run('credential set crm --for everybody', { input }), {
    code: 1,
    err: /`for`: expected shared/,
  })
})

t.test('on a terminal its fields are asked for, and secrets are not echoed', async (t) => {
  const { run, json, file } = shellWithFile(t)
  await run(['apply', '-f', file])
  const ask = (answers: readonly string[]) => {
    const input = new PassThrough()
    const output = new PassThrough()
    let shown = ''
    let asked = 0
    let at = 0
    output.on('data', (chunk) => {
      shown += chunk
      // Each question ends its first drawing with the bar below it.
      const questions = shown.split('◆').length - 1
      // It listens once it is drawn.
      for (; asked < Math.min(questions, answers.length); asked++) {
        setImmediate(() => input.write(answers[at++] ?? ''))
      }
    })
    return { asking: { input, output }, shown: () => shown }
  }
  const basic = ask(['ada\r', `${SECRET}\r`])
  t.match(await run('credential set crm --for shared', { asking: basic.asking }), { code: 0 })
  t.match(basic.shown(), /User name/)
  t.match(basic.shown(), /ada/)
  t.match(basic.shown(), /Password \(not shown\)/)
  t.notMatch(basic.shown(), new RegExp(`${SECRET}|▪`))
  const raw = ask([`${JSON.stringify({ token: SECRET })}\r`])
  t.match(await run('credential set lab --for shared', { asking: raw.asking }), { code: 0 })
  t.notMatch(raw.shown(), SECRET)
  const typed = `${file}.type.json`
  const properties = {
    host: { type: 'string', title: 'Host', default: 'crm.example' },
    port: { type: 'integer' },
    mode: { enum: ['fast', 'slow'] },
    apiKey: { type: 'string' },
  }
  writeFileSync(typed, JSON.stringify({ type: 'object', properties, required: ['apiKey'] }))
  t.equal((await run(`type import ${typed} --name lab`)).code, 0)
  const withType = readFileSync(file, 'utf8').replace('method: raw', 'method: raw, type: lab')
  writeFileSync(file, withType)
  t.match(await run(['apply', '-f', file]), { code: 0 })
  const asked = ask(['\r', '8443\r', 'fast\r', `${SECRET}\r`])
  t.match(await run('credential set lab --for shared', { asking: asked.asking }), { code: 0 })
  t.match(asked.shown(), /Host/)
  t.match(asked.shown(), /mode, if any \(fast, slow\)/)
  t.match(asked.shown(), /apiKey \(not shown\)/)
  t.notMatch(asked.shown(), SECRET)
  const given = ask(['\u0003'])
  t.match(await run('credential set lab --for shared', { asking: given.asking }), {
    code: 1,
    err: /Nothing was entered/,
  })
  const all = await json('credential ls')
  t.match(all.map(({ fields }: { fields: string[] }) => fields.join()).sort(), [
    'apiKey',
    'host,port,mode,apiKey',
    'username,password',
  ])
})

t.test('credentials are listed, shown, disabled, enabled and removed without their secrets', async (t) => {
  const { run, json, file } = shellWithFile(t)
  await run(['apply', '-f', file])
  const input = JSON.stringify({ token: SECRET })
  const { id } = await json('credential set lab --for shared', { input })
  t.match(await json(`credential show ${id}`), {
    id,
    state: 'ready',
    bindings: [{ connection: 'lab', for: 'shared' }],
  })
  t.match(await run(`credential show ${id}`), { out: /serves +lab for shared\n/ })
  t.match(await run(`credential disable ${id}`), { out: `${id} is no longer used.\n` })
  t.match(await run('credential ls'), { out: new RegExp(`${id}\tlab\tshared\ttoken\tdisabled`) })
  t.match(await json(`credential enable ${id}`), { state: 'ready' })
  t.match(await json(`credential rm ${id}`), { id })
  t.match(await run(`credential show ${id}`), { code: 1 })
  t.match(await run('connection show stripe'), {
    out: /sets +Authorization: Bearer \{\{\$Auth.API_Key\}\}\n/,
  })
  const lab = (await run('connection show lab')).out
  for (const line of [
    /sets in the query +version=2\n/,
    /merges into bodies +\{"json":\{"tenant":"acme"\}\}\n/,
    /path slot +yes\n/,
    /query slots +key, id\n/,
    /JSON slots +\/auth\/token\n/,
    /form slots +none\n/,
    /stand-in +sk_test_standin123 for \$Auth.token\n/,
  ])
    t.match(lab, line)
  t.match((await json('connection ls')).map(({ name }: { name: string }) => name).sort(), [
    'crm',
    'lab',
    'stripe',
  ])
})

t.test('explains a request', async (t) => {
  const { run, json, file } = shellWithFile(t)
  await run(['apply', '-f', file])
  await run('principal add ada')
  t.match(await run('explain GET https://api.stripe.com/v1/x --as ada'), {
    code: 0,
    out: /connection +stripe \(api-key; shared\)\n.*sets +Authorization from \$Auth.API_Key\n\n✓ It would be sent\.\n$/s,
  })
  const header = ['--header', 'X-Api-Key: {{$Auth.API_Key}}', '--header', 'X-Other: {{$Auth.API_Key}}']
  const refused = await run(['explain', 'GET', 'https://api.stripe.com/', '--as', 'ada', ...header])
  t.match(refused, {
    code: 0,
    out: /\$Auth.API_Key in x-api-key: replaced\n.*in x-other: refused\n.*✗ 400 placeholder_not_allowed/s,
  })
  t.match(await json('explain GET https://nowhere.example/ --as ada'), {
    error: { code: 'connection_not_found' },
  })
  t.match(await run('explain GET https://api.stripe.com/ --as ada --header nonsense'), {
    code: 2,
    err: /Name: value/,
  })
})

t.test('the audit is shown, exported and verified, and a changed line is found', async (t) => {
  const { run, json, data } = shellWithFile(t)
  for (const id of ['ada', 'bob', 'cyd']) await run(`principal add ${id}`)
  t.match(await run('audit verify'), { code: 0, out: 'The audit is whole.\n' })
  t.same(await json('audit verify'), { faults: [] })
  const lines = (await run('audit export')).out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ event }) => event === 'change')
  t.match(lines, [{ event: 'change', operation: 'principal.add', subject: 'ada' }, {}, { subject: 'cyd' }])
  t.equal((await run('audit tail -n 2')).out.trimEnd().split('\n').length, 2)
  t.match(await run('audit tail -n 1', { isInteractive: true }), {
    out: /^TIME.*\n.*change +local +principal.add +cyd +done\n$/,
  })
  t.match(JSON.parse((await run('audit tail -n 1 --json')).out), { subject: 'cyd' })
  const { readdirSync } = await import('node:fs')
  const file = `${data}/audit/${readdirSync(`${data}/audit`).sort()[1]}`
  writeFileSync(file, readFileSync(file, 'utf8').replace('bob', 'eve'))
  t.match(await run('audit verify'), {
    code: 1,
    out: /\.jsonl:1: /,
    err: /^locum: internal: The audit has a fault/,
  })
})

t.test("the CA's certificate is exported, and its key never", async (t) => {
  const { run, data } = openShell(t)
  const pem = await run('ca export')
  t.match(pem, { code: 0, out: /^-----BEGIN CERTIFICATE-----\n[^-]+-----END CERTIFICATE-----\n$/ })
  const out = `${t.testdirName}/ca.der`
  t.match(await run(['ca', 'export', '--format', 'der', '--out', out]), { code: 0, out: '' })
  t.match(Buffer.from(pem.out.replace(/-----.*-----|\n/g, ''), 'base64').equals(readFileSync(out)), true)
  t.match(await run('ca export --format der', { isInteractive: true }), { code: 1, err: /--out/ })
  t.match(await run(['ca', 'export', '--out', `${data}/no/such/folder`]), { code: 1, err: /Cannot write/ })
})

t.test('the site has an id of its own', async (t) => {
  const { json, run } = openShell(t)
  const { id } = await json('site show')
  t.match(id, /^[0-9a-f]{8}-[0-9a-f-]{27}$/)
  t.match(await run('site show'), { out: new RegExp(`^id +${id}\n`) })
})

t.test('a wrong master key is one line and a hint, and nothing is overwritten', async (t) => {
  const { run, env, data } = openShell(t)
  await run('principal add ada')
  const before = readFileSync(`${data}/master.key`)
  env.LOCUM_MASTER_KEY = Buffer.alloc(32, 7).toString('base64')
  const { code, out, err } = await run('principal ls')
  t.match({ code, out }, { code: 1, out: '' })
  t.match(err, /^locum: internal: The master key does not open this site's data keys\.\n[^\n]+\n$/)
  t.ok(before.equals(readFileSync(`${data}/master.key`)))
})

t.test('what nobody expected is said without a trace, unless it is asked for', async (t) => {
  const { run, env } = openShell(t)
  const readInput = () => Promise.reject(new Error('the cause'))
  await run('site show')
  const { file } = shellWithFile(t)
  await run(['apply', '-f', file])
  env.STRIPE_KEY = SECRET
  await run(['apply', '-f', file])
  const quiet = await run('credential set lab --for shared', { readInput })
  t.match(quiet, { code: 1, err: /^locum: internal: .*\nLOCUM_DEBUG=1 shows the cause\.\n$/ })
  env.LOCUM_DEBUG = '1'
  t.match(
    (await run('credential set lab --for shared', { readInput })).err,
    /caused by Error: the cause\n +at /,
  )
})
