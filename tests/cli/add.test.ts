import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { start } from '../../main.ts'
import { fillTemplate, templates } from '../../operations/template.ts'
import { startInternet } from '../kit/internet.ts'
import { eventually } from '../kit/raw.ts'
import { openShell, type Shell } from './kit.ts'
import { DOCUMENTED, KEY } from './templates.ts'

/** The command line that adds one, and what is piped into it. */
function adding(name: string): { line: string[]; input: string } {
  const { answers = {}, secrets } = DOCUMENTED[name] ?? { host: '', path: '', headers: {} }
  const set = Object.entries(answers).flatMap(([question, answer]) => ['--set', `${question}=${answer}`])
  return { line: ['add', name, ...set], input: secrets ? JSON.stringify(secrets) : `${KEY}\n` }
}

/** Runs a text in a shell; its standard output. */
async function sh(script: string, env: Record<string, string>): Promise<string> {
  const child = spawn('sh', ['-ec', script], { env: { PATH: process.env.PATH, ...env } })
  let out = ''
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    out += chunk
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`it ended with ${code}: ${out}`)
  return out
}

t.test(
  'the line that is printed for each API reaches it with exactly what its vendor documents',
  async (t) => {
    t.same(Object.keys(DOCUMENTED), [...templates.keys()], 'every template is written down here')
    const arrived = await startInternet(
      t,
      Object.values(DOCUMENTED).map(({ host }) => host),
    )
    const shell = openShell(t)
    const { key } = await shell.json('principal add ada')
    const printed: { curl: string; baseUrl: string; header: string }[] = []
    for (const name of templates.keys()) {
      const { line, input } = adding(name)
      printed.push(await shell.json(line, { input }))
    }
    const site = await start({
      data: shell.data,
      listen: { proxy: '127.0.0.1:0', console: '127.0.0.1:0' },
      env: {},
    })
    t.teardown(() => site.close(0))
    const here = (text: string) => text.replaceAll('http://127.0.0.1:8080', site.proxyUrl)
    const forward = printed.map(({ curl }) => `${here(curl)} --silent --show-error`)
    const gateway = [...templates.values()].map((template, i) => {
      const { probe } = fillTemplate(template, DOCUMENTED[template.name]?.answers ?? {})
      const headers = Object.entries(probe.headers ?? {}).map(
        ([name, value]) => ` --header '${name}: ${value}'`,
      )
      return `curl --silent --show-error --header "${printed[i]?.header}" ${here(printed[i]?.baseUrl as string)}${probe.path.slice(1)}${headers.join('')}`
    })
    const out = await sh([...forward, ...gateway].join('\n'), { LOCUM_KEY: key })
    t.equal(out, 'arrived'.repeat(2 * templates.size))
    t.equal(arrived.length, 2 * templates.size)
    for (const [i, name] of [...templates.keys(), ...templates.keys()].entries()) {
      const { host, path, headers } = DOCUMENTED[name] as (typeof DOCUMENTED)[string]
      const got = arrived[i]
      t.match(got, { servername: host, method: 'GET', url: path, headers: { host } }, name)
      t.match(got?.headers, headers, name)
      const carrying = Object.entries(got?.headers ?? {}).filter(
        ([, value]) => String(value).includes(KEY) || /^Basic /.test(String(value)),
      )
      const documented = Object.entries(headers).filter(([, value]) => /a-key-of|^Basic /.test(value))
      t.same(
        carrying.map(([field]) => field).sort(),
        documented.map(([field]) => field).sort(),
        `${name} has its key nowhere else`,
      )
      t.notMatch(got?.headers, { 'proxy-authorization': /./ })
      t.notMatch(got?.headers, { 'locum-authorization': /./ })
    }
  },
)

t.test('what a template makes is what it shows as a file, and what its own client reads', async (t) => {
  const { run, json, env } = openShell(t)
  for (const [name, { ask }] of templates) {
    const { line, input } = adding(name)
    const { credential, connection, sdk } = await json(line, { input })
    t.match(credential, { state: 'ready', audience: connection.destinations })
    const [key, base, path] = DOCUMENTED[name]?.client ?? []
    t.equal(sdk, base && `${key}=any ${base}=http://127.0.0.1:8080/c/${name}${path}`, `${name}'s own client`)
    const shown = await run([...line, '--show'])
    t.equal(shown.code, 0, shown.err)
    t.notMatch(shown.out, KEY)
    const file = `${t.testdirName}/${name}.yaml`
    writeFileSync(file, shown.out)
    for (const [question, { variable }] of Object.entries(ask)) {
      if (variable !== undefined) env[variable] = DOCUMENTED[name]?.secrets?.[question] ?? KEY
    }
    t.match(
      await run(['check', '-f', file]),
      {
        code: 0,
        out: `~ connection ${name}: managedBy\n~ credential ${name}/shared: managedBy\n2 changes to make.\n`,
        err: '',
      },
      name,
    )
  }
})

t.test('every template says where its key is made, and asks only what it can use', async (t) => {
  t.ok(templates.size >= 30, `${templates.size} templates`)
  for (const { name, ask, connection, fields, keyAt, docs, probe } of templates.values()) {
    for (const url of [keyAt.replace(/\{\w+\}/g, 'x'), docs])
      t.ok(URL.canParse(url) && /^https:/.test(url), name)
    t.ok(
      connection.destinations.every((destination) => !destination.includes('*')),
      `${name}: exact hosts`,
    )
    t.match(probe.path, /^\/\S*$/, name)
    const inConnection = JSON.stringify([connection, keyAt, probe])
    const inFields = JSON.stringify(fields)
    t.ok(
      Object.values(ask).some(({ secret }) => secret),
      `${name} asks for a secret`,
    )
    for (const [question, { secret, variable, pattern, default: usual, example }] of Object.entries(ask)) {
      const says = `${name}: ${question}`
      const used = [inConnection, inFields].map((text) => text.includes(`{${question}}`))
      t.ok(used.includes(true), `${says} is used`)
      if (secret) {
        t.notOk(used[0], `${says} stands in the credential only`)
        t.match(variable, /^[A-Z][A-Z0-9_]+$/, says)
      } else {
        t.match(usual ?? example, pattern ?? /./, says)
        // What is put into a host or a header is known to be nothing but a label.
        if (used[0]) t.ok(pattern?.source.startsWith('^') && pattern.source.endsWith('$'), says)
      }
    }
  }
})

/** What somebody at a terminal types, an answer for each question in turn; what they see. */
async function atTerminal(shell: Shell, line: string[], answers: readonly string[]) {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => input })
  const output = Object.assign(new PassThrough(), { columns: 120, rows: 40 })
  let seen = ''
  let next = 0
  let asked = 0
  output.on('data', (chunk) => {
    seen += chunk
    const questions = seen.split(/[◆]/).length - 1
    if (questions <= asked || next >= answers.length) return
    asked = questions
    const text = answers[next++] as string
    setImmediate(() => input.write(`${text}\r`))
  })
  const outcome = await shell.run(line, { asking: { input, output } })
  return { ...outcome, seen }
}

t.test('at a terminal the key is asked for without an echo, behind what is no secret', async (t) => {
  const shell = openShell(t)
  const { code, out, err, seen } = await atTerminal(shell, ['add', 'jira'], ['acme', 'ada@example.com', KEY])
  t.equal(code, 0, err)
  t.match(out, /^Jira Cloud is the connection jira: https:\/\/acme\.atlassian\.net\n/)
  t.match(
    seen,
    /Site.*E-mail.*A key is made at https:\/\/id\.atlassian\.com.*API token without scopes \(not shown\)/s,
  )
  t.notMatch(seen + out + err, KEY)
  t.notMatch(seen, '▪', 'not even its length')
})

t.test('a person who gives up changes nothing', async (t) => {
  const shell = openShell(t)
  const { code, err } = await atTerminal(shell, ['add', 'stripe'], ['\u0003'])
  t.equal(code, 1)
  t.match(err, /Nothing was entered, nothing was changed/)
  t.same(await shell.json('connection ls'), [])
})

t.test('a secret is never an argument, and no answer is told back', async (t) => {
  const { run, json } = openShell(t)
  const secret = 'sk_live_typed_into_a_shell'
  const refused: [string[], string, RegExp][] = [
    [['add', 'stripe', '--set', `apiKey=${secret}`], '', /`apiKey` is a secret, and never an argument/],
    [['add', 'stripe'], '', /Secret or restricted key \(`apiKey`\) is needed/],
    [['add', 'stripe'], `${secret}\n${secret}`, /cannot hold a line break/],
    [
      ['add', 'stripe'],
      JSON.stringify({ apiKye: secret }),
      /does not ask for `apiKye`.*Did you mean `apiKey`/s,
    ],
    [['add', 'stripe'], JSON.stringify({ apiKey: [secret] }), /`apiKey` is not a text/],
    [['add', 'stripe'], `{"__proto__":"${secret}","apiKey":"${secret}"}`, /does not ask for `__proto__`/],
    [['add', 'datadog'], secret, /more than one secret/],
    [['add', 'twilio', '--set', 'account=AC1'], secret, /is AC with 32 hexadecimal digits/],
    [['add', 'jira', '--set', 'site=evil.example/', '--set', 'email=a'], secret, /is one label/],
    [['add', 'jira', '--set', 'site=*', '--set', 'email=a'], secret, /is one label/],
    [['add', 'gitlab', '--set', 'host=gitlab.com:444@evil.example'], secret, /is a host name/],
    [['add', 'jira', '--set', 'site=acme', '--set', 'email=a:b'], secret, /cannot hold a colon/],
    [['add', 'sripe'], secret, /There is no template `sripe`.*Did you mean `stripe`/s],
    [['add', 'stripe', '--for', 'user:bob'], secret, /no principal `bob`/],
    [['add', 'stripe', '--for', 'bob'], secret, /expected shared, profile:NAME or user:ID/],
    [['add', 'stripe', '--name', 'a b'], secret, /`name`: expected a name/],
  ]
  for (const [line, input, says] of refused) {
    const { code, out, err } = await run(line, { input })
    t.equal(code, 1, line.join(' '))
    t.match(err, says)
    t.notMatch(out + err, secret)
  }
  t.match(await run(['add', 'stripe', '--set', 'apiKey']), { code: 2, err: /NAME=VALUE/ })
  t.same(await json('connection ls'), [], 'and nothing was made')
})

t.test('a second time is an error; --replace enters the key again', async (t) => {
  const { run, json } = openShell(t)
  const first = await json('add openai', { input: KEY })
  t.match(await run('add openai', { input: KEY }), {
    code: 1,
    err: /`openai` has a credential for shared already.*--replace/s,
  })
  const again = await json('add openai --replace', { input: `${KEY}-2` })
  t.equal(again.credential.id, first.credential.id)
  t.equal(again.credential.version, 2)
  t.same(again.connection, first.connection, 'the connection stays as it is')
})

t.test('a key of another scope widens the source, in whatever order', async (t) => {
  const { run, json } = openShell(t)
  await run('principal add ada --profile sales')
  const source = async () => (await json('connection show openai')) as object
  await run('add openai --for profile:sales', { input: KEY })
  t.match(await source(), { source: 'per-profile', fallback: [] })
  await run('add openai', { input: KEY })
  t.match(await source(), { source: 'per-profile', fallback: ['shared'] })
  const { curl } = await json('add openai --for user:ada', { input: KEY })
  t.match(await source(), { source: 'per-user', fallback: ['profile', 'shared'], version: 3 })
  t.match(curl, /--proxy-user "ada:\$LOCUM_KEY"/)
  t.equal((await json('credential ls')).length, 3)
})

t.test('a connection of a file, or of another shape, is not touched', async (t) => {
  const { run, json, env } = openShell(t)
  const file = `${t.testdirName}/locum.yaml`
  env.STRIPE_API_KEY = KEY
  writeFileSync(file, `name: team\n${(await run('add stripe --show')).out}`)
  await run(['apply', '-f', file])
  t.match(await run('add stripe --replace', { input: KEY }), {
    code: 1,
    err: /not_allowed: The connection `stripe` belongs to the file named `team`/,
  })
  t.match(await run('add stripe --name payments', { input: KEY }), {
    code: 0,
    out: /stripe reaches it too.*--header 'Locum-Connection: payments'/s,
  })
  t.match(await run('add stripe --name openai', { input: KEY }), { code: 0 })
  t.match(await run('add openai', { input: KEY }), {
    code: 1,
    err: /There is a connection `openai` already, and it is not what the template `openai` makes \(destinations\)/,
  })
  writeFileSync(file, (await run('add github --show --name hub')).out)
  env.GITHUB_TOKEN = KEY
  await run(['apply', '-f', file])
  t.match(await run('add github', { input: KEY }), {
    code: 1,
    err: /GitHub is reached by the connection `hub` already/,
  })
  t.notOk((await json('connection ls')).some(({ name }: { name: string }) => name === 'github'))
})

t.test('a file may take over what was added by hand', async (t) => {
  const { run, json, env } = openShell(t)
  const file = `${t.testdirName}/locum.yaml`
  await run('add stripe', { input: KEY })
  env.STRIPE_API_KEY = KEY
  writeFileSync(file, (await run('add stripe --show')).out)
  await run(['apply', '-f', file])
  t.match(await json('connection show stripe'), { managedBy: 'default' })
  t.match(await run('add stripe --replace', { input: KEY }), { code: 1, err: /belongs to the file/ })
})

t.test('without a name the templates are listed, for people and for programs', async (t) => {
  const { run, json } = openShell(t)
  t.match((await run('add')).out, /^stripe\tStripe\thttps:\/\/dashboard\.stripe\.com\/apikeys$/m)
  t.match((await run('add', { isInteractive: true })).out, /^TEMPLATE +API +A KEY IS MADE AT$/m)
  const all = await json('add --list')
  t.equal(all.length, templates.size)
  t.match(
    all.find(({ name }: { name: string }) => name === 'mailgun'),
    {
      title: 'Mailgun',
      method: 'basic',
      asks: [
        { name: 'host', secret: false, default: 'api.mailgun.net' },
        { name: 'apiKey', secret: true },
      ],
    },
  )
})

t.test('the administrator whom the first start made is who calls in the line', async (t) => {
  const shell = openShell(t)
  const { out } = await shell.run('serve --proxy 127.0.0.1:0 --console 127.0.0.1:0', {
    untilStopped: () => Promise.resolve(),
  })
  t.match(out, /admin-key/)
  const { curl } = await shell.json('add openai', { input: KEY })
  const [, user] = /--proxy-user "(.*?)" http/.exec(curl) as RegExpExecArray
  t.match(await sh(`printf %s "${user}"`, {}), /^admin:lcm_\w+$/)
  const [added] = (await shell.run('audit export')).out.split('\n').filter((line) => line.includes('"add"'))
  t.match(JSON.parse(added as string), { operation: 'add', subject: 'openai/shared', outcome: 'done' })
})

t.test('what is printed for a shell stays one word, whatever the folder is called', async (t) => {
  const { run } = openShell(t)
  const data = `${t.testdirName}/it's; $(id) "here"`
  writeFileSync(
    `${t.testdirName}/some.yaml`,
    'connections: [{ name: a, destinations: ["https://a.example"], auth: { method: none } }]\n',
  )
  const serve = ['--data', data, 'serve', '--proxy', '127.0.0.1:0', '--console', '127.0.0.1:0']
  const started = await run([...serve, '--config', `${t.testdirName}/some.yaml`], {
    untilStopped: () => Promise.resolve(),
  })
  const added = await run(['--data', data, 'add', 'openai'], { input: KEY })
  for (const { out } of [started, added]) {
    const [, user] = /--proxy-user (".*") http/.exec(out) as RegExpExecArray
    t.match(await sh(`printf '<%s>' ${user}`, {}), /^<admin:lcm_\w+>$/)
  }
})

t.test('the line leads to the server of this folder, wherever it listens', async (t) => {
  const shell = openShell(t)
  let stop = () => {}
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
  })
  let started = ''
  const serving = shell.run('serve --json --proxy 127.0.0.1:0 --console 127.0.0.1:0', {
    untilStopped: () => stopped,
    write: (text) => {
      started += text
    },
  })
  await eventually(() => started.endsWith('\n'), 'it serves')
  const { proxy } = JSON.parse(started)
  const { curl, baseUrl, sdk } = await shell.json('add openai', { input: KEY })
  t.match(curl, `curl --proxy ${proxy} `)
  t.equal(baseUrl, `${proxy}/c/openai/`)
  t.match(sdk, `OPENAI_BASE_URL=${proxy}/c/openai/v1`)
  stop()
  await serving
})

t.test('what is shown as a file is one that can be applied, or refused', async (t) => {
  const { run } = openShell(t)
  for (const [line, says] of [
    ['add openai --show --for nobody', /`for`: .*shared, profile:NAME or user:ID/],
    ['add openai --show --for user:', /`for`/],
    ['add openai --show --name ../x', /`name`: .*begins with a letter/],
  ] as const) {
    t.match(await run(line), { code: 1, out: '', err: says }, line)
  }
})
