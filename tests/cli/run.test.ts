import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { absent } from '../clients/running.ts'
import { ASKS, REAL, SECRET, startEchoSite } from '../kit/echo-site.ts'
import { eventually } from '../kit/raw.ts'
import { locum, locumLine, start } from './run-kit.ts'

// Programs of their own start here, on machines that may be busy.
t.setTimeout(120_000)

const NODE = process.execPath
const PYTHON = '/usr/bin/python3'
const LINUX = process.platform === 'linux' ? false : '/proc is not there'

const FETCH =
  'const r = await fetch(process.argv[1], { headers: { Authorization: "Bearer <<$Auth.API_Key>>" } }); process.stdout.write(await r.text())'
const REQUESTS =
  'import sys, requests; print(requests.get(sys.argv[1], headers={"Authorization": "Bearer <<$Auth.API_Key>>"}, timeout=20).text)'
const URLLIB = `import sys, urllib.request as u
print(u.urlopen(u.Request(sys.argv[1], headers={"Authorization": "Bearer <<$Auth.API_Key>>"}), timeout=20).read().decode())`

/** Programs that are told a URL and nothing of Locum. */
const PROGRAMS: readonly {
  name: string
  missing: string | undefined
  line: (url: string) => string[]
}[] = [
  {
    name: 'curl',
    missing: absent('curl', ['--version'], 'curl'),
    line: (url) => ['curl', '-q', '-sS', '-H', ASKS, url],
  },
  {
    name: 'wget',
    missing: absent('wget', ['--version'], 'wget'),
    line: (url) => ['wget', '-qO-', '--header', ASKS, url],
  },
  {
    name: "Node's fetch",
    missing: undefined,
    line: (url) => [NODE, '--input-type=module', '-e', FETCH, url],
  },
  {
    name: 'requests',
    missing: absent(PYTHON, ['-c', 'import requests'], 'python3-requests'),
    line: (url) => [PYTHON, '-c', REQUESTS, url],
  },
  {
    name: 'urllib',
    missing: absent(PYTHON, ['--version'], 'python3'),
    line: (url) => [PYTHON, '-c', URLLIB, url],
  },
  {
    name: 'git',
    missing: absent('git', ['--version'], 'git'),
    line: (url) => ['git', '-c', `http.extraHeader=${ASKS}`, 'ls-remote', url],
  },
]

t.test(
  'Java gets through with its environment and its own Authenticator',
  { skip: absent('javac', ['-version'], 'a JDK') ?? false },
  async (t) => {
    // Java reaches localhost directly, whatever it is told, but not what is below it.
    const { site, upstream } = await startEchoSite(t, { upstream: { host: 'a.localhost' } })
    const line = ['java', join(import.meta.dirname, 'proxied.java'), `${upstream.origin}/headers`]
    const { code, err } = await locum(t, site.data, ['run', '--as', 'ada', '--', ...line]).ended
    t.equal(code, 0, err)
    t.match(upstream.requests, [{ headers: { authorization: REAL } }])
    t.notMatch(err, /lcm_/, 'Java shows what it was given, and no key is in it')
  },
)

for (const { name, missing, line } of PROGRAMS) {
  t.test(`${name} gets through with its environment alone`, { skip: missing ?? false }, async (t) => {
    const { site, upstream } = await startEchoSite(t)
    const ended = await locum(t, site.data, [
      'run',
      '--as',
      'ada',
      '--',
      ...line(`${upstream.origin}/headers`),
    ]).ended
    t.equal(ended.code, 0, ended.err)
    t.match(upstream.requests, [{ headers: { authorization: REAL } }])
    t.notMatch(`${ended.out}${ended.err}`, SECRET)
  })
}

t.test('the exit code is the program’s own, or says why there was none', async (t) => {
  const { site } = await startEchoSite(t)
  const plain = join(t.testdir({ plain: 'no program' }), 'plain')
  const run = (...args: string[]) => locum(t, site.data, ['run', ...args]).ended
  const as = ['--as', 'ada', '--']
  const cases: [string[], number, RegExp][] = [
    [[...as, 'sh', '-c', 'exit 0'], 0, /^$/],
    [[...as, 'sh', '-c', 'exit 7'], 7, /^$/],
    [[...as, 'sh', '-c', 'kill -TERM $$'], 143, /^$/],
    [[...as, 'sh', '-c', 'kill -KILL $$'], 137, /^$/],
    [[...as, 'no-such-program-anywhere'], 127, /^locum: run: no-such-program-anywhere: not found\n$/],
    [[...as, plain], 126, /^locum: run: .*plain: cannot be run \(EACCES\)\n$/],
    [['--as', 'ada'], 2, /missing required argument/],
    [['--', 'true'], 2, /--as/],
    [['--as', 'eve', '--', 'true'], 1, /There is no principal `eve`/],
  ]
  for (const [args, code, says] of cases) {
    t.match(await run(...args), { code, out: '', err: says }, args.join(' '))
  }
})

t.test('the words behind -- are the program’s, whatever they look like', async (t) => {
  const { site } = await startEchoSite(t)
  const words = ['--as', 'eve', '--', '--json', '-h', '', 'a b', '*', '--data', '/x']
  const script = 'process.stdout.write(JSON.stringify(process.argv.slice(1)))'
  const args = ['run', '--as', 'ada', '--', NODE, '-e', script, '--', ...words]
  const { out, err } = await locum(t, site.data, args).ended
  t.same(JSON.parse(out || err), words)
})

t.test('a disabled principal runs nothing', async (t) => {
  const { site } = await startEchoSite(t)
  await locum(t, site.data, ['principal', 'disable', 'ada']).ended
  t.match(await locum(t, site.data, ['run', '--as', 'ada', '--', 'echo', 'ran']).ended, {
    code: 1,
    out: '',
    err: /^locum: not_allowed: `ada` is disabled\.\nlocum principal enable ada/,
  })
})

/** Says its environment and what it finds in it, and waits to be told to end. */
const TELL = `
const { readFileSync, statSync } = require('node:fs')
const mode = (path) => (statSync(path).mode & 0o777).toString(8)
const { NODE_EXTRA_CA_CERTS: ca, SSL_CERT_FILE: roots } = process.env
console.log(JSON.stringify({ pid: process.pid, env: process.env, ca: readFileSync(ca, 'utf8'), roots: readFileSync(roots, 'utf8'), modes: [mode(ca), mode(require('node:path').dirname(ca))] }))
process.on('SIGTERM', () => process.exit(0))
setInterval(() => {}, 1000)`

t.test('the program has a key of its own while it runs, and no other secret of Locum', async (t) => {
  const { site, upstream } = await startEchoSite(t)
  const secrets = {
    LOCUM_MASTER_KEY: readFileSync(join(site.data, 'master.key'), 'utf8').trim(),
    LOCUM_MASTER_KEY_FILE: join(site.data, 'master.key'),
    LOCUM_DATA: site.data,
    locum_other: 'x',
    LOCUM_POOL: 'own',
    UV_THREADPOOL_SIZE: '16',
    MINE: 'kept',
  }
  const run = locum(t, site.data, ['run', '--as', 'ada', '--', NODE, '-e', TELL], {
    ...secrets,
    LOCUM_MASTER_KEY_FILE: '',
  })
  const told = JSON.parse((await run.until(/^\{.*\}\n/))[0])
  const { LOCUM_URL, LOCUM_KEY, MINE, ...env } = told.env
  t.same(
    Object.keys(env).filter((name) => /^(?:locum_|uv_)/i.test(name)),
    [],
  )
  t.equal(MINE, 'kept')
  const all = JSON.stringify(told)
  for (const secret of [secrets.LOCUM_MASTER_KEY, site.data, site.keys.ada as string])
    t.notOk(all.includes(secret))
  t.equal(told.ca, site.ca)
  t.ok(
    told.roots.endsWith(`\n${site.ca}`) && told.roots.length > 10 * site.ca.length,
    'the roots of the machine beside it',
  )
  t.same(told.modes, ['600', '700'])
  t.equal(env.HTTPS_PROXY, `http://ada:${LOCUM_KEY}@${new URL(LOCUM_URL).host}`)
  t.equal(env.NO_PROXY, '127.0.0.1,::1', 'localhost is where a connection goes')

  const ask = async (url: string) => {
    const headers = { 'Locum-Authorization': `Bearer ${LOCUM_KEY}` }
    return (await fetch(`${url}/c/echo/headers`, { headers })).status
  }
  t.equal(await ask(LOCUM_URL), 200)
  t.equal(await ask(site.proxyUrl), 200, 'at every server of the site')
  t.equal(upstream.requests.length, 2)
  const keys = await site.context.store.keys(site.context.as, 'ada')
  const ends = keys.flatMap(({ expiresAt }) => expiresAt ?? [])
  t.equal(ends.length, 1)
  t.ok((ends[0] as number) <= Date.now() + 5 * 60_000, 'it would end by itself')

  run.kill('SIGTERM')
  t.match(await run.ended, { code: 0, err: '' })
  await site.settle()
  t.equal(await ask(site.proxyUrl), 401, 'with the program')
  t.equal((await site.context.store.keys(site.context.as, 'ada')).length, 1, 'ada keeps hers')
  t.notOk(existsSync(dirname(env.SSL_CERT_FILE)), 'and its files are gone')
  const changes = (await site.audit())
    .filter(({ event }) => event === 'change')
    .map(({ operation }) => operation)
  t.same(changes.slice(-2), ['key.lend', 'key.return'])
  t.notMatch(JSON.stringify(await site.audit()), LOCUM_KEY)
})

/** Says each signal that it gets; ends on SIGUSR2. */
const COUNT = `
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGCONT', 'SIGTSTP']) {
  if (signal !== 'SIGTSTP') process.on(signal, () => console.log(signal))
}
process.on('SIGUSR2', () => { console.log('end'); process.exit(5) })
console.log('ready ' + process.pid + ' ' + process.ppid)
setInterval(() => {}, 1000)`

t.test('each signal reaches the program once, and its end is waited for', async (t) => {
  const { site } = await startEchoSite(t)
  const run = locum(t, site.data, ['run', '--as', 'ada', '--', NODE, '-e', COUNT])
  await run.until(/ready/)
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGINT'] as const
  for (const [i, signal] of signals.entries()) {
    run.kill(signal)
    await run.until(new RegExp(`(?:SIG\\w+\\n){${i + 1}}`))
  }
  run.kill('SIGUSR2')
  const { code, out } = await run.ended
  t.equal(code, 5)
  t.same(out.trim().split('\n').slice(1), [...signals, 'end'])
})

const stateOf = (pid: number) => /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1]

t.test('it stops and goes on with the program', { skip: LINUX }, async (t) => {
  const { site } = await startEchoSite(t)
  const file = join(t.testdir(), 'count.cjs')
  writeFileSync(file, COUNT)
  const line = locumLine(site.data, ['run', '--as', 'ada', '--', NODE, file])
  // SIGTSTP stops nobody where no shell is there to let it go on (POSIX §2.4.3): one with job control is.
  const shell = start(t, 'bash', ['-c', `set -m; ${line} & wait -f $!`])
  const [, program, command] = (await shell.until(/ready (\d+) (\d+)/)).map(Number) as [
    number,
    number,
    number,
  ]
  t.teardown(() => endGroup(command))
  process.kill(command, 'SIGTSTP')
  await eventually(() => stateOf(command) === 'T' && stateOf(program) === 'T', 'both stand still')
  process.kill(command, 'SIGCONT')
  await shell.until(/SIGCONT/)
  process.kill(command, 'SIGUSR2')
  t.match(await shell.ended, { code: 5 })
})

/** Ends a job of a shell with all that it started, where the test did not. */
function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown
  }
}

t.test(
  'what is typed at a terminal reaches the program once, not twice',
  { skip: LINUX || (absent('script', ['--version'], 'script') ?? false) },
  async (t) => {
    const { site } = await startEchoSite(t)
    const file = join(t.testdir(), 'count.cjs')
    writeFileSync(file, COUNT)
    const line = locumLine(site.data, ['run', '--as', 'ada', '--', NODE, file])
    const shell = `trap : INT; ${line}; exit $?`
    const terminal = start(t, 'script', ['-qec', shell, '/dev/null'], { SHELL: '/bin/sh' }, 'pipe')
    const [, command] = await terminal.until(/ready \d+ (\d+)/)
    // It stands still until the program has had its own: two that come together would count as one.
    process.kill(Number(command), 'SIGSTOP')
    terminal.write('\x03')
    await terminal.until(/SIGINT/)
    process.kill(Number(command), 'SIGCONT')
    await terminal.until(/SIGCONT/)
    // Passed on behind whatever else might be.
    process.kill(Number(command), 'SIGUSR2')
    const { code, out } = await terminal.ended
    t.equal(code, 5)
    t.same(out.match(/SIGINT/g), ['SIGINT'])
  },
)

t.test('told to end before there is a program, it starts none', async (t) => {
  const { site } = await startEchoSite(t)
  const marker = join(t.testdir(), 'ran')
  // The roots of this machine come from a pipe that nobody fills before the signal is there.
  const pipe = join(t.testdirName, 'roots.pem')
  const made = start(t, 'mkfifo', [pipe])
  await made.ended
  const run = locum(t, site.data, ['run', '--as', 'ada', '--', 'touch', marker], { SSL_CERT_FILE: pipe })
  const feed = start(t, 'sh', ['-c', `exec 3>'${pipe}'; echo open; read go; echo x >&3`], {}, 'pipe')
  await feed.until(/open/)
  run.kill('SIGTERM')
  feed.write('go\n')
  t.match(await run.ended, { code: 143 })
  t.notOk(existsSync(marker))
  t.equal((await site.context.store.keys(site.context.as, 'ada')).length, 1)
})

t.test('a file that a variable names and that is not there is said, and not in the way', async (t) => {
  const { site } = await startEchoSite(t)
  const env = { REQUESTS_CA_BUNDLE: '/nonexistent/ca.pem', NODE_EXTRA_CA_CERTS: '' }
  const run = await locum(
    t,
    site.data,
    ['run', '--as', 'ada', '--', 'sh', '-c', 'test -s "$REQUESTS_CA_BUNDLE"'],
    env,
  ).ended
  t.match(run, {
    code: 0,
    err: /^locum: note: \/nonexistent\/ca\.pem cannot be read \(ENOENT\) and is left out\n$/,
  })
})

t.test('a killed command leaves a key that ends, and nothing else that opens anything', async (t) => {
  const { site } = await startEchoSite(t)
  const run = locum(t, site.data, ['run', '--as', 'ada', '--', NODE, '-e', TELL])
  await run.until(/^\{.*\}\n/)
  run.kill('SIGKILL')
  const { pid, env } = JSON.parse(run.said.out)
  process.kill(pid, 'SIGKILL')
  await run.ended
  const folder = dirname(env.SSL_CERT_FILE)
  t.teardown(() => rmSync(folder, { recursive: true }))
  t.match(
    (await site.context.store.keys(site.context.as, 'ada')).filter(
      ({ expiresAt }) => expiresAt !== undefined,
    ),
    [{ managedBy: 'locum:run' }],
  )
  t.equal(statSync(folder).mode & 0o777, 0o700)
})

t.test('what a killed command left is taken down by the next, and nothing of anybody else', async (t) => {
  const { site } = await startEchoSite(t)
  const folder = t.testdir({ '.wgetrc': 'password = of-a-proxy\n', temp: {} })
  const temp = join(folder, 'temp')
  const env = { TMPDIR: temp, HOME: folder }
  const run = locum(t, site.data, ['run', '--as', 'ada', '--', NODE, '-e', TELL], env)
  await run.until(/^\{.*\}\n/)
  const kept = () => readdirSync(temp).filter((name) => name.startsWith('locum-run-'))
  const [left] = kept()
  t.match(readFileSync(join(temp, left as string, 'wgetrc'), 'utf8'), 'of-a-proxy')
  const line = ['run', '--as', 'ada', '--', NODE, '-e', '']
  t.match(await locum(t, site.data, line, env).ended, { code: 0 })
  t.same(kept(), [left], 'not while it runs')
  run.kill('SIGKILL')
  process.kill(JSON.parse(run.said.out).pid, 'SIGKILL')
  await run.ended
  const others = [`${left?.replace(/-\d+-/, '-1-')}`, `${left?.replace(/-\d+-.*-/, '-999999999-elsewhere-')}`]
  for (const name of others) mkdirSync(join(temp, name))
  const link = `locum-run-999999999-${hostname()}-abcdef`
  symlinkSync(folder, join(temp, link))
  t.match(await locum(t, site.data, line, env).ended, { code: 0 })
  t.same(kept().sort(), [...others, link].sort())
})

t.test('the files are found from any folder, and where there can be none it is said', async (t) => {
  const { site } = await startEchoSite(t)
  const { out } = await locum(t, site.data, ['run', '--as', 'ada', '--', 'printenv', 'CURL_CA_BUNDLE'], {
    TMPDIR: 'tests/..',
  }).ended
  t.match(out, new RegExp(`^${process.cwd()}/locum-run-`))
  t.match(
    await locum(t, site.data, ['run', '--as', 'ada', '--', 'true'], { TMPDIR: '/no/such/place' }).ended,
    {
      code: 1,
      err: /^locum: bad_request: .* \/no\/such\/place \(ENOENT\)\.\nTMPDIR names another place\.\n$/,
    },
  )
})

t.test(
  'a program that is no file of the user’s to run is told apart from one that is not there',
  async (t) => {
    const { site } = await startEchoSite(t)
    const folder = t.testdir({ script: '#!/no/such/interpreter\n' })
    chmodSync(join(folder, 'script'), 0o755)
    t.match(await locum(t, site.data, ['run', '--as', 'ada', '--', join(folder, 'script')]).ended, {
      code: 127,
    })
    t.match(await locum(t, site.data, ['run', '--as', 'ada', '--', folder]).ended, { code: 126 })
  },
)
