import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { ApiClient } from '../../api/client.ts'
import { ROUTES } from '../../api/routes.ts'
import { lendKey } from '../../operations/lent-keys.ts'
import { SECRET, startLab } from '../admin/lab.ts'
import { makeAsk } from '../kit/api.ts'
import { openShell } from './kit.ts'

t.test('says at a server what it says on the data folder', async (t) => {
  const { site, bound } = await startLab(t)
  const { run, env } = openShell(t)
  const key = site.keys.admin as string
  env.LOCUM_KEY = key
  const there = (line: string) => run(`--server ${site.consoleUrl} ${line}`)
  const here = (line: string) => run(`--data ${site.data} ${line}`)
  await there('cert new mine')
  await there('principal add pat --profile sales')
  const id = await bound('stripe', 'shared')
  const lines = [
    ...[
      'principal ls',
      'principal show ada',
      'principal show nobody',
      'connection ls',
      'connection show crm',
    ],
    ...['credential ls', `credential show ${id}`, `credential disable ${id}`, `credential enable ${id}`],
    ...[
      'provider ls',
      'provider show idp',
      'provider trust-policy reports --principal arn:aws:iam::123456789012:user/l',
    ],
    ...[
      'type ls',
      'type show nothing',
      'cert ls',
      'cert export mine --format jwks',
      'ca export',
      'ca export --which next',
    ],
    ...['connection test stripe --as robot', 'explain GET https://api.stripe.example/v1 --as ada'],
    ...['audit verify', 'principal rotate-key agent --json --ttl x'],
  ]
  for (const line of lines) {
    for (const json of ['', ' --json']) t.same(await there(line + json), await here(line + json), line + json)
  }
  t.match(await there('site show'), { code: 0, out: new RegExp(`server +${site.consoleUrl}`) })
  const given = await there('principal rotate-key pat')
  t.match(given, { code: 0, out: /^lcm_\w+\n$/ })
  const asked = await run(`--server ${site.consoleUrl} credential set stripe --for profile:sales`, {
    input: JSON.stringify({ apiKey: 'short' }),
  })
  t.match(
    asked,
    { code: 0, out: /serves stripe for profile:sales/, err: /locum: note: / },
    'notes come along',
  )
  const tail = await there('audit tail -n 3 --json')
  t.equal(tail.out.trimEnd().split('\n').length, 3)
  t.match(tail.out, /"credential.set"/)
})

t.test('a file is read here with what it refers to, and applied there', async (t) => {
  const { site } = await startLab(t)
  const { run, env, data } = openShell(t)
  env.LOCUM_KEY = site.keys.admin as string
  env.OWN_KEY = SECRET
  const folder = join(data, '..')
  writeFileSync(join(folder, 'bob.secret'), `${SECRET}\n`)
  const file = join(folder, 'more.yaml')
  writeFileSync(
    file,
    `name: more
listen: { console: { address: "127.0.0.1:1", tls: { cert: none.pem, key: none.key } } }
credentials:
  - { connection: own, for: "user:robot", fields: { apiKey: { env: OWN_KEY } } }
  - { connection: own, for: "user:agent", fields: { apiKey: { file: ./bob.secret } } }
`,
  )
  const apply = (verb: string, more = '') =>
    run(['--server', site.consoleUrl, verb, '-f', file, ...more.split(' ').filter(Boolean)])
  t.match(await apply('check'), { code: 0, out: /\+ credential own\/user:robot\n.*2 changes to make/s })
  t.match(await apply('apply'), { code: 0, out: /2 changes made/ })
  t.match(await apply('apply', '--json'), { code: 0, out: '{"changes":[]}\n' })
  writeFileSync(
    file,
    'name: more\ncredentials: [{ connection: own, for: "user:agent", fields: { apiKey: { env: NOT_SET } } }]\n',
  )
  t.match(await apply('apply'), { code: 1, err: /more\.yaml:2:\d+: .*NOT_SET is not set/ })
})

t.test('what only the data folder’s owner may is refused with what to do', async (t) => {
  const { site } = await startLab(t)
  const { run, env } = openShell(t)
  env.LOCUM_KEY = site.keys.admin as string
  for (const line of [
    'run --as ada -- true',
    'serve',
    'audit export',
    'audit tail -f',
    'connect idp --as ada',
    'add openai',
  ])
    t.match(
      await run(`--server ${site.consoleUrl} ${line}`),
      { code: 1, err: /locum: not_allowed: .*\n.*data folder/ },
      line,
    )
  const client = new ApiClient({ server: site.consoleUrl, key: env.LOCUM_KEY, fetch })
  await t.rejects(client.run(lendKey, { id: 'ada' }), { code: 'not_allowed' })
  t.notOk(
    ROUTES.some(
      ({ operation }) => operation.name.startsWith('key.') || operation.name.startsWith('principal.first'),
    ),
  )
})

t.test('the key is taken from the environment or standard input, and goes nowhere in clear', async (t) => {
  const { site } = await startLab(t)
  const { run, env } = openShell(t)
  const key = site.keys.admin as string
  const show = `--server ${site.consoleUrl} site show`
  t.match(await run(show, { input: `${key}\n` }), { code: 0 })
  t.match(await run(show, { input: '' }), { code: 1, err: /LOCUM_KEY/ })
  t.match(await run(show, { input: 'hunter2-of-somebody' }), { code: 1, err: /none/ })
  t.notMatch((await run(show, { input: 'hunter2-of-somebody' })).err, 'hunter2')
  env.LOCUM_KEY = key
  t.match(await run('--server http://192.0.2.1:8081 site show'), {
    code: 1,
    err: /not_allowed: The key would go .* in clear/,
  })
  for (const server of ['localhost', 'ftp://localhost', ''])
    t.match(
      await run(['--server', server, 'site', 'show']),
      { code: 1, err: /bad_request: The server is no URL/ },
      server,
    )
  t.match(await run(['--server', 'http://127.0.0.1:1', 'site', 'show']), {
    code: 1,
    err: /upstream_unreachable/,
  })
  env.LOCUM_KEY = site.keys.ada as string
  t.match(await run(show), { code: 1, err: /not_allowed: Only an administrator/ })
})

t.test('what is no Locum, and what leads elsewhere, is told as that', async (t) => {
  const seen: string[] = []
  let answer: (path: string) => [number, Record<string, string>, string] = () => [200, {}, '<html>']
  const server = createServer((request, response) => {
    seen.push(`${request.url} ${request.headers.authorization}`)
    const [status, headers, body] = answer(request.url as string)
    response.writeHead(status, headers).end(body)
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { site } = await startLab(t)
  const { run, env } = openShell(t)
  env.LOCUM_KEY = site.keys.admin as string
  const ask = () => run(`--server ${url} principal ls`)
  t.match(await ask(), { code: 1, err: /upstream_invalid: What answers at .* is no console of a Locum/ })
  answer = () => [302, { location: `${site.consoleUrl}/api/v1/principals` }, '']
  t.match(await ask(), { code: 1, err: /upstream_invalid/ }, 'a redirect is not followed')
  answer = () => [400, {}, '{"code":"constructor","detail":"x"}']
  t.match(await ask(), { code: 1, err: /upstream_invalid/ })
  answer = () => [200, {}, '{"items":[],"next":"@evil.example/api"}']
  t.match(await ask(), { code: 1, err: /upstream_invalid/ }, 'a next page is of the same list')
  t.ok(
    seen.every((line) => line.startsWith('/api/v1/principals ')),
    String(seen),
  )
})

t.test('all of a list comes, however many pages it has', async (t) => {
  const { site } = await startLab(t)
  const { run, env } = openShell(t)
  env.LOCUM_KEY = site.keys.admin as string
  const ask = makeAsk(site)
  for (let i = 0; i < 120; i++) await ask('POST', '/principals', { body: { id: `p${i}` } })
  const lines = (await run(`--server ${site.consoleUrl} principal ls`)).out.trimEnd().split('\n')
  t.equal(lines.length, 126)
})
