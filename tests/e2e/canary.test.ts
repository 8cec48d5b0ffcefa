import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freePort } from '../../bench/processes.ts'
import { runCommand } from '../../cli/program.ts'
import { CODES } from '../../core/errors.ts'
import { Canaries } from '../kit/canary.ts'
import { issue, makeCa } from '../kit/certificates.ts'
import { askBy, ENTRANCES, type Entrance, eventually, openTunnel, sendBy } from '../kit/raw.ts'
import { replying, startBytes, startUpstream } from '../kit/upstream.ts'

const COMMAND = join(import.meta.dirname, '../../bin/locum')
const PLACEHOLDER = '<<$Auth.API_Key>>'
const ASKS = `Authorization: Bearer ${PLACEHOLDER}`

t.test('a canary is found in each of nine encodings, and in pieces', async (t) => {
  const canaries = new Canaries()
  const secret = canaries.make('secret')
  const forms = [
    secret,
    Buffer.from(`a${secret}`).toString('base64'),
    Buffer.from(`ab${secret}`).toString('base64url'),
    Buffer.from(secret).toString('hex'),
    Buffer.from(secret).toString('hex').toUpperCase(),
    encodeURIComponent(secret).replace(/./g, (char) => `%${char.charCodeAt(0).toString(16)}`),
    JSON.stringify(secret).replace(/\w/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`),
    secret.replace(/./g, (char) => `&#${char.charCodeAt(0)};`),
    Buffer.from(secret, 'utf16le'),
    secret.slice(0, 20),
  ]
  for (const form of forms) {
    const bytes = Buffer.concat([randomBytes(50), Buffer.from(form as string), randomBytes(50)])
    t.not(canaries.findIn(bytes).length, 0, String(form).slice(0, 20))
  }
  t.same(canaries.findIn(randomBytes(100_000)), [])
  t.same(canaries.findIn(secret, ['secret']), [], 'where it belongs')
})

/** A site of the real command, every secret of it a canary, and everything that it ever said. */
async function startCage(t: Test) {
  const folder = t.testdir({})
  const canaries = new Canaries()
  const said: string[] = []
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    HOME: folder,
    TMPDIR: join(folder, 'tmp'),
  }
  mkdirSync(env.TMPDIR as string)
  const data = join(folder, 'data')
  const master = randomBytes(32).toString('base64')
  canaries.watch('master key', master.slice(0, 40))
  env.LOCUM_MASTER_KEY = master

  function begin(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
    const child = spawn(COMMAND, ['--data', data, ...args], {
      env: { ...env, ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const heard = { out: '', err: '' }
    child.stdout?.on('data', (chunk) => (heard.out += chunk))
    child.stderr?.on('data', (chunk) => (heard.err += chunk))
    const ended = once(child, 'close').then(([code]) => code as number | null)
    t.teardown(async () => {
      child.kill('SIGKILL')
      await ended
    })
    return { child, heard, ended }
  }
  /** Runs a command in this process. What it says is kept, but for the key that it prints alone. */
  async function run(args: readonly string[], input = '', more: Readonly<Record<string, string>> = {}) {
    const out: Buffer[] = []
    const heard: string[] = []
    const code = await runCommand(
      ['--data', data, ...args],
      {
        env: { ...env, ...more },
        isInteractive: false,
        columns: 120,
        write: (text) => out.push(Buffer.from(text)),
        note: (text) => heard.push(`${text}\n`),
        readInput: async () => input,
        untilStopped: async () => {},
      },
      '0.0.0-test',
    )
    const err = heard.join('')
    const text = Buffer.concat(out).toString()
    said.push(err, /^(?:add|rotate-key)$/.test(args[1] ?? '') ? '' : text)
    return { code, out: text, err }
  }
  return { folder, data, env, canaries, said, begin, run }
}

t.test('no canary gets out, whatever is done and whatever fails', { timeout: 120_000 }, async (t) => {
  const { folder, data, env, canaries, said, begin, run } = await startCage(t)
  const upstream = await startUpstream(t)
  const other = await makeCa('Nobody trusts this one')
  const misnamed = await startBytes(t, () => {}, { leaf: await issue(other, ['localhost']) })
  const garbage = await startBytes(
    t,
    replying(() => 'SSH-2.0-garbage\r\n\r\n'),
  )
  const slow = await startUpstream(t, { tls: false })
  const gone = await freePort()
  writeFileSync(join(folder, 'ca.pem'), upstream.ca as string)

  env.SHARED = canaries.make('a shared key')
  env.PASSWORD = canaries.make('a password')
  env.EGRESS = canaries.make('the parent proxy’s password')
  env.BROKEN = `${canaries.make('a key with a line end')}\r\nX: y`
  writeFileSync(join(folder, 'raw.txt'), canaries.make('a key in a file'))
  const inline = canaries.make('a key in the configuration')
  const tls = await issue(await makeCa('Locum’s listeners'), ['localhost'])
  writeFileSync(join(folder, 'listen.pem'), tls.cert)
  writeFileSync(join(folder, 'listen.key'), tls.key)
  canaries.watch('a listener’s private key', tls.key.split('\n')[2]?.slice(0, 48) as string)

  const open = { ca: './ca.pem', allowPrivateNetwork: true, auth: { method: 'api-key' } }
  const connection = (name: string, origin: string, more: object = {}) => ({
    name,
    destinations: [origin],
    ...open,
    ...(origin.startsWith('http:') && { ca: undefined, allowPlaintext: true }),
    allow: { paths: [`/${name}*`, `/c/${name}*`] },
    ...more,
  })
  const names = [
    'echo',
    'blocked',
    'gone',
    'tls',
    'garbage',
    'plain',
    'broken',
    'rated',
    'limited',
    'spent',
    'short',
  ]
  const config = {
    limits: { newcomers: 50 },
    principals: [
      { id: 'ada', kind: 'user' },
      { id: 'busy', kind: 'user', limits: { rate: 0.001, inFlight: 1 } },
    ],
    connections: [
      connection('echo', upstream.origin, {
        slots: { headers: ['authorization'], query: ['key'], json: ['/key'], path: true },
      }),
      connection('blocked', upstream.origin, { redact: 'block' }),
      connection('gone', `https://localhost:${gone}`),
      connection('tls', misnamed.origin),
      connection('garbage', garbage.origin),
      connection('plain', slow.origin),
      connection('broken', upstream.origin),
      connection('rated', upstream.origin),
      connection('limited', upstream.origin, { allow: { paths: ['/limited*'], methods: ['GET'] } }),
      connection('spent', upstream.origin, { budget: { total: '1/day' } }),
      connection('short', upstream.origin, { source: 'per-user' }),
      connection('login', upstream.origin, { auth: { method: 'basic' }, source: 'shared' }),
      connection('raw', upstream.origin, {
        auth: { method: 'raw' },
        headers: { 'X-Raw': '{{$Auth.Body.deep[0].token}}' },
      }),
    ],
    credentials: [
      ...names.slice(0, -1).map((name) => ({
        connection: name,
        for: 'shared',
        fields: { apiKey: { env: name === 'broken' ? 'BROKEN' : 'SHARED' } },
      })),
      { connection: 'login', for: 'shared', fields: { username: 'ada', password: { env: 'PASSWORD' } } },
      {
        connection: 'raw',
        for: 'shared',
        fields: { body: { deep: [{ token: { file: './raw.txt' } }] }, inline },
      },
    ],
  }
  const file = join(folder, 'locum.json')
  writeFileSync(file, JSON.stringify(config))

  // What people do, and do wrong.
  const keys: Record<string, string> = {}
  const applied = await run(['apply', '-f', file])
  t.equal(applied.code, 0, applied.err)
  for (const id of ['ada', 'busy']) {
    keys[id] = (await run(['principal', 'rotate-key', id])).out.trim()
    canaries.watch(`the proxy key of ${id}`, keys[id] as string)
  }
  await run(
    ['credential', 'set', 'login', '--for', 'user:ada'],
    JSON.stringify({ username: 'ada', password: canaries.make('a password from standard input') }),
  )
  const slip = canaries.make('a slip of the hand')
  const wrong: readonly (readonly [args: readonly string[], input?: string])[] = [
    [['credential', 'set', 'login', slip]],
    [['credential', 'set', 'login', '--for', slip], '{"username":"a","password":"b"}'],
    [['credential', 'set', 'login', '--value', slip]],
    [['credential', 'set', 'login', `--password=${slip}`]],
    [['credential', 'set', slip, '--for', 'shared'], '{}'],
    [['credential', 'set', 'login', '--for', 'shared'], slip],
    [['credential', 'set', 'login', '--for', 'shared'], `{"username":"a","password":"${slip}"`],
    [['credential', 'set', 'login', '--for', 'shared'], `{"username":"a","${slip}":"b"}`],
    [['credential', 'set', 'login', '--for', 'shared'], `{"username":"${slip}","password":7}`],
    [['add', 'stripe', slip]],
    [['add', slip]],
    [['run', '--as', slip, '--', 'true']],
    [['run', '--as', 'ada', slip]],
    [[slip]],
    [['serve', `--${slip}`]],
    [['serve', '--proxy', slip]],
    [['serve', '--config', slip]],
    [['explain', '--as', 'ada', `https://user:${slip}@localhost/`]],
    [['principal', 'add', slip, slip]],
  ]
  for (const [args, input] of wrong) {
    const { code, err } = await run(args, input)
    t.not(code, 0, args.join(' ').replace(slip, 'SECRET'))
    t.ok(err.length > 0, 'it says why')
  }
  const pem = tls.key
  const files: readonly string[] = [
    JSON.stringify({ ...config, connections: [connection('x', upstream.origin, { ca: pem })] }),
    JSON.stringify({ ...config, connections: [connection('x', upstream.origin, { ca: slip })] }),
    JSON.stringify({ ...config, connections: [connection(`x ${slip}`, upstream.origin)] }),
    JSON.stringify({ ...config, connections: [connection(slip, 'nowhere')] }),
    JSON.stringify({ ...config, connections: [connection('x', `https://user:${slip}@localhost:1`)] }),
    JSON.stringify({ ...config, connections: [connection('x', `https://localhost:1/${slip}`)] }),
    JSON.stringify({
      ...config,
      connections: [connection('x', upstream.origin, { auth: { method: slip } })],
    }),
    JSON.stringify({
      ...config,
      connections: [connection('x', upstream.origin, { auth: { method: 'api-key', [slip]: 1 } })],
    }),
    JSON.stringify({
      ...config,
      connections: [connection('x', upstream.origin, { headers: { [`a ${slip}`]: 'x' } })],
    }),
    JSON.stringify({
      ...config,
      connections: [connection('x', upstream.origin, { headers: { Authorization: `{{$Auth.${slip}}}` } })],
    }),
    JSON.stringify({
      ...config,
      connections: [connection('x', upstream.origin, { headers: { Authorization: `{{Auth.${slip}` } })],
    }),
    JSON.stringify({
      ...config,
      connections: [connection('x', upstream.origin, { budget: { total: slip } })],
    }),
    JSON.stringify({ ...config, connections: [connection('x', upstream.origin, { redact: slip })] }),
    JSON.stringify({
      ...config,
      connections: [connection('x', upstream.origin, { base: `https://x/${slip}` })],
    }),
    JSON.stringify({
      ...config,
      connections: [connection('x', upstream.origin, { cors: { origins: [slip] } })],
    }),
    JSON.stringify({ ...config, credentials: [{ connection: 'echo', for: slip, fields: { apiKey: slip } }] }),
    JSON.stringify({
      ...config,
      credentials: [{ connection: slip, for: 'shared', fields: { apiKey: slip } }],
    }),
    JSON.stringify({ ...config, credentials: [{ connection: 'echo', for: 'shared', fields: slip }] }),
    JSON.stringify({
      ...config,
      credentials: [{ connection: 'echo', for: 'shared', fields: { [slip]: 'x' } }],
    }),
    JSON.stringify({
      ...config,
      credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: { env: slip } } }],
    }),
    JSON.stringify({
      ...config,
      credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: { file: slip } } }],
    }),
    JSON.stringify({
      ...config,
      credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: { vault: slip } } }],
    }),
    JSON.stringify({ ...config, credentials: [{ connection: 'echo', for: 'shared', apiKey: slip }] }),
    JSON.stringify({ ...config, principals: [{ id: `${slip}!` }] }),
    JSON.stringify({ ...config, principals: [{ id: 'x', key: slip }] }),
    JSON.stringify({ ...config, principals: [{ id: 'x', key: { env: 'SHARED' } }] }),
    JSON.stringify({ ...config, egress: { proxy: `http://locum:${slip}@corp:3128` } }),
    JSON.stringify({ ...config, egress: { proxy: 'http://corp:3128', username: 'x', password: slip } }),
    JSON.stringify({ ...config, listen: { proxy: slip } }),
    JSON.stringify({ ...config, site: { url: `https://${slip}@x/` } }),
    JSON.stringify({ ...config, [slip]: 1 }),
    JSON.stringify(config).replace('"connections"', `"${slip}`),
    `connections:\n  - name: echo\n   apiKey: ${slip}\n`,
    `credentials:\n  - { connection: echo, for: shared, fields: { apiKey ${slip} } }\n`,
    `credentials:\n  - { connection: echo, fields: { apiKey: "${slip} } }\n`,
    `apiKey: *${slip}\n`,
    `apiKey: !!${slip} x\n`,
    `apiKey: &${slip} x\nb: *${slip}x\n`,
    `%${slip}\n---\n`,
    `${slip}`,
    `- ${slip}`,
    `a: b: ${slip}`,
    `a: ${slip}\na: ${slip}\n`,
    `${slip}: 1\n${slip}: 2\n`,
    `a: >${slip}\n  x\n`,
    `a: "\\x${slip}"\n`,
  ]
  for (const [i, text] of files.entries()) {
    const path = join(folder, `wrong-${i}.yaml`)
    writeFileSync(path, text)
    for (const args of [
      ['check', '-f', path],
      ['apply', '-f', path],
    ]) {
      const { code, out, err } = await run(args)
      t.not(code, 0, `file ${i} is refused`)
      const found = canaries.findIn(out + err)
      if (found.length > 0) t.fail(`file ${i}: ${found.join('; ')}`, { err, text: text.slice(0, 200) })
      if (args[0] === 'check') continue
    }
  }

  // A server, and every way to ask it.
  const [port, consolePort] = [await freePort(), await freePort()]
  const serve = [
    'serve',
    '--grace',
    '0',
    '--config',
    file,
    '--proxy',
    `127.0.0.1:${port}`,
    '--console',
    `127.0.0.1:${consolePort}`,
  ]
  let server = begin(serve)
  await eventually(
    () => server.heard.out.includes(String(port)) || server.child.exitCode !== null,
    'it serves',
    20_000,
  )
  const ca = await run(['ca', 'export'])
  const site = { port, ca: ca.out, keys }
  const answers: string[] = []
  const codes = new Set<string>()
  const ask = async (
    entrance: Entrance,
    name: string,
    asked: Parameters<typeof askBy>[4] = {},
    to: { origin: string; authority: string } = upstream,
  ) => {
    const path = `/${name}${asked.path ?? '/echo'}`
    const got = await askBy(t, site, entrance, { ...to, name }, { headers: [ASKS], ...asked, path }).catch(
      (error: Error) => error.message,
    )
    const text = JSON.stringify(got)
    answers.push(text)
    for (const [, code] of text.matchAll(/\\"code\\":\\"(\w+)\\"|\((\w+)\)/g)) if (code) codes.add(code)
    return text
  }
  const mark = canaries.make('a body of a client')
  const cookie = canaries.make('a cookie of a client')
  const query = canaries.make('a query of a client')
  for (const entrance of ENTRANCES) {
    t.match(await ask(entrance, 'echo', { path: '/echo' }), /\*\*\*\*/, `${entrance}: an echo is masked`)
    for (const path of [
      '/gzip',
      '/sse/../x',
      '/trailers',
      '/chunks/1',
      '/chunks/3',
      '/reset',
      '/redirect?to=/x',
      '/status/401',
      '/status/500',
      '/early',
      '/headers?X=1',
      '/gzip',
    ])
      await ask(entrance, 'echo', {
        path,
        method: path === '/early' ? 'POST' : 'GET',
        ...(path === '/early' && { body: 'x' }),
      })
    for (const headers of [
      [`Authorization: Basic ${Buffer.from(`${PLACEHOLDER}:x`).toString('base64')}`],
      [`X-Other: ${PLACEHOLDER}`],
      ['Authorization: Bearer <<$Auth.Nothing>>'],
      [`Authorization: Bearer ${keys.ada}`],
      [ASKS, 'Host: other.example'],
      [ASKS, `Cookie: a=${PLACEHOLDER}`],
      [ASKS, 'Content-Length: 1', 'Content-Length: 2'],
      [ASKS, 'Locum-Connection: nobody'],
      [ASKS, 'Locum-For: user:busy'],
      [ASKS, 'Transfer-Encoding: cow'],
    ])
      await ask(entrance, 'echo', { headers })
    await ask(entrance, 'echo', { path: `/echo?key=${encodeURIComponent(PLACEHOLDER)}` })
    await ask(entrance, 'echo', { path: `/${encodeURIComponent(PLACEHOLDER)}` })
    await ask(entrance, 'echo', {
      method: 'POST',
      headers: ['Content-Type: application/json'],
      body: JSON.stringify({ key: PLACEHOLDER }),
    })
    await ask(entrance, 'echo', {
      method: 'POST',
      headers: [ASKS, 'Content-Type: application/json'],
      body: `{"key": "${PLACEHOLDER}`,
    })
    await ask(entrance, 'echo', {
      method: 'POST',
      headers: [ASKS, 'Content-Type: application/json'],
      body: `{"key": "${PLACEHOLDER}${'x'.repeat(2 << 20)}"}`,
    })
    // What clients send on their own behalf is theirs: it comes back to them, and stands nowhere else.
    await askBy(
      t,
      site,
      entrance,
      { ...upstream, name: 'echo' },
      {
        method: 'POST',
        path: `/echo/status/204?q=${query}`,
        headers: [ASKS, `Cookie: a=${cookie}`],
        body: mark,
      },
    )
    await ask(entrance, 'blocked')
    await ask(entrance, 'gone', {}, { origin: `https://localhost:${gone}`, authority: `localhost:${gone}` })
    await ask(entrance, 'tls', {}, misnamed)
    await ask(entrance, 'garbage', {}, garbage)
    await ask(entrance, 'plain', {}, slow)
    await ask(entrance, 'broken')
    await ask(entrance, 'limited', { method: 'POST', body: 'x' })
    await ask(entrance, 'spent')
    await ask(entrance, 'spent')
    await ask(entrance, 'short')
    await ask(entrance, 'login', { headers: [] })
    await ask(entrance, 'raw', { headers: [] })
    await ask(entrance, 'nobody', {}, { origin: 'https://localhost:1', authority: 'localhost:1' })
    await ask(entrance, 'echo', { as: `${keys.ada}x` })
    await ask(entrance, 'echo', { as: canaries.make(`a key that is none, ${entrance}`) })
    for (let i = 0; i < 3; i++) await ask(entrance, 'echo', { as: 'busy' })
    for (const path of ['/echo/slow', '/echo/sse']) {
      const client = await sendBy(t, site, entrance, { ...upstream, name: 'echo' }, { path, headers: [ASKS] })
      await client.until((received) => received.includes('\r\n\r\n'))
      client.reset()
      answers.push(client.received)
    }
  }
  for (const authority of ['localhost:22', 'nowhere.example:443', '10.0.0.1:443', 'localhost'])
    await openTunnel(t, site, authority, { plain: true }).catch((error: Error) => {
      answers.push(error.message)
      codes.add(/\((\w+)\)/.exec(error.message)?.[1] ?? '')
    })

  const misled = await openTunnel(t, site, upstream.authority, { servername: 'other.localhost' })
  misled.send(`GET / HTTP/1.1\r\nHost: ${upstream.authority}\r\n${ASKS}\r\n\r\n`)
  const { body } = await misled.response()
  answers.push(body)
  codes.add(JSON.parse(body).code)

  // Every refusal that a server in good health can come to was among them.
  const rare = [
    'internal',
    'refresh_failed',
    'reauthorization_required',
    'store_unavailable',
    'upstream_timeout',
    'credential_outside_audience',
    'connection_ambiguous',
    'overloaded',
    'destination_forbidden',
    // Of the management API alone.
    'not_found',
    'conflict',
    'outdated',
  ]
  t.same(
    Object.keys(CODES).filter((code) => !codes.has(code) && !rare.includes(code)),
    [],
    'codes that were not seen',
  )

  // What a child of the command gets.
  const shows =
    'console.log(JSON.stringify(process.env), require("node:fs").readFileSync("/proc/self/environ", "latin1"))'
  const exported = { SHARED: '', PASSWORD: '', EGRESS: '', BROKEN: '' }
  const program = begin(['run', '--as', 'ada', '--', process.execPath, '-e', shows], exported)
  t.equal(await program.ended, 0, program.heard.err)
  t.match(program.heard.out, /LOCUM_KEY/)
  said.push(program.heard.out, program.heard.err)
  t.same(childrenOf(server.child), [], 'a server starts no program of its own')

  // It dies, it starts again, it finds its database broken.
  const trail = await run(['audit', 'export'])
  t.match(trail.out, /"event":"use"/)
  for (const args of [
    ['audit', 'verify'],
    ['credential', 'ls'],
    ['credential', 'ls', '--json'],
    ['connection', 'ls', '--json'],
    ['connection', 'show', 'raw'],
    ['principal', 'show', 'ada', '--json'],
    ['site', 'show'],
    ['explain', '--as', 'ada', `${upstream.origin}/echo/x`],
  ])
    await run(args)
  server.child.kill('SIGKILL')
  await server.ended
  said.push(server.heard.out, server.heard.err)
  await look('after it was killed')
  await run(['serve', '--config', file, '--proxy', `127.0.0.1:${port}`, '--console', `127.0.0.1:${port}`])
  const bad = join(folder, 'bad')
  cpSync(data, bad, { recursive: true })
  truncateSync(join(bad, 'locum.db'), 5000)
  await run(['--data', bad, 'principal', 'ls'])
  await run(['principal', 'ls'], undefined, { LOCUM_MASTER_KEY: Buffer.alloc(32, 1).toString('base64') })
  await run(['principal', 'ls'], undefined, { LOCUM_MASTER_KEY: canaries.make('a master key that is none') })
  server = begin(serve)
  await eventually(
    () => server.heard.out.includes(String(port)) || server.child.exitCode !== null,
    'it serves again',
    20_000,
  )
  await ask('gateway', 'echo')
  server.child.kill('SIGTERM')
  await server.ended
  said.push(server.heard.out, server.heard.err)
  await look('after it has ended')

  async function look(when: string): Promise<void> {
    t.ok(existsSync(join(data, 'locum.db')))
    t.same(canaries.findBelow(data), [], `${when}: nothing in its folder`)
    t.same(canaries.findBelow(env.TMPDIR as string), [], `${when}: nothing in temporary files`)
    for (const text of said) t.same(canaries.findIn(text), [], `${when}: nothing in ${text.slice(0, 60)}`)
    // A client's own data is its own.
    const own = ['a body of a client', 'a cookie of a client', 'a query of a client']
    for (const text of answers) t.same(canaries.findIn(text, own), [], `${when}: nothing in an answer`)
  }
})

/** Programs that a process has started: their ids. */
function childrenOf({ pid }: ChildProcess): string[] {
  const path = `/proc/${pid}/task/${pid}/children`
  return existsSync(path) ? readFileSync(path, 'utf8').split(' ').filter(Boolean) : []
}
