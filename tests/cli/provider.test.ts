import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openShell } from './kit.ts'

const FILE = `principals: [{ id: ada, kind: user }]
providers:
  - { name: idp, method: oauth2, grant: authorization_code, issuer: https://idp.example, clientId: the-client, clientSecret: { env: CLIENT_SECRET }, scopes: [read] }
  - { name: reports, method: oauth2, grant: client_credentials, tokenEndpoint: https://idp.example/token, clientId: { env: CLIENT_ID }, clientSecret: { env: CLIENT_SECRET } }
connections:
  - { name: api, destinations: [https://api.example], auth: { method: oauth2, provider: idp }, source: per-user }
`

t.test('providers are applied, listed and shown without their secrets, and removed', async (t) => {
  const shell = openShell(t)
  const file = join(t.testdir(), 'locum.yaml')
  Object.assign(shell.env, { CLIENT_ID: 'the-client-of-reports', CLIENT_SECRET: 'the-secret-of-the-client' })
  writeFileSync(file, FILE)
  t.match(await shell.json(`apply -f ${file}`), {
    changes: [
      { kind: 'principal' },
      { kind: 'provider', id: 'idp' },
      { kind: 'provider', id: 'reports' },
      { id: 'api' },
    ],
  })
  t.same(await shell.json(`apply -f ${file}`), { changes: [] }, 'a second run changes nothing')
  const all = [
    await shell.run('provider ls'),
    await shell.run('provider show idp'),
    await shell.run('provider show reports --json'),
  ]
  for (const { code, out } of all) {
    t.equal(code, 0)
    t.notMatch(out, /the-client|the-secret/)
  }
  t.match(all[0]?.out, /idp\s+oauth2\s+authorization_code\s+https:\/\/idp\.example\/\s+api/)
  t.match(JSON.parse(all[2]?.out ?? ''), {
    fields: ['clientId', 'clientSecret'],
    calls: ['https://idp.example'],
  })
  shell.env.CLIENT_SECRET = 'another-secret-of-the-client'
  t.match(await shell.json(`apply -f ${file}`), {
    changes: [{ id: 'idp', keys: ['secrets'] }, { id: 'reports' }],
  })
  t.match(await shell.run('provider show ipd'), { code: 1, err: /Did you mean `idp`/ })

  writeFileSync(file, FILE.replace(/ {2}- \{ name: idp.*\n/, ''))
  t.match(await shell.run(`apply -f ${file} --prune`), { code: 1, err: /api still uses the provider idp/ })
  writeFileSync(file, FILE.replace(/ {2}- \{ name: reports.*\n/, ''))
  t.match(await shell.json(`apply -f ${file} --prune`), {
    changes: [{ action: 'delete', kind: 'provider', id: 'reports' }],
  })
})

t.test('what is wrong with a provider is said where it stands', async (t) => {
  const shell = openShell(t)
  const file = join(t.testdir(), 'locum.yaml')
  const said = async (providers: string, connections = '[]') => {
    writeFileSync(file, `providers:\n  - ${providers}\nconnections: ${connections}\n`)
    return (await shell.run(`check -f ${file}`)).err
  }
  const client = 'clientId: c, clientSecret: s'
  t.match(
    await said('{ name: a, method: basic }'),
    /providers\[0\]\.method: no method of providers; there are oauth2, jwt/,
  )
  t.match(
    await said('{ name: a, method: oauth2, grant: x, clientId: c }'),
    /`grant` is one of authorization_code/,
  )
  t.match(await said('{ name: a, method: oauth2, grant: password }'), /`clientId` is missing/)
  const keys = await said('{ name: a, method: aws-keys, credentials: { accessKeyId: AKIAIOSFODNN7EXAMPLE } }')
  t.match(keys, /providers\[0\]\.credentials: `secretAccessKey` is missing/)
  t.match(await said('{ name: a, method: aws-keys }'), /`accessKeyId` is missing/)
  t.match(
    await said(
      '{ name: a, method: oauth2, grant: client_credentials, issuer: https://i.example, clientId: c }',
    ),
    /needs a client that authenticates/,
  )
  t.match(
    await said(`{ name: a, method: oauth2, grant: password, ${client} }`),
    /needs an `issuer`, or `tokenEndpoint`/,
  )
  t.match(
    await said(`{ name: a, method: oauth2, grant: password, issuer: http://i.example, ${client} }`),
    /no https address/,
  )
  t.match(
    await said(`{ name: a, method: oauth2, grant: implicit, issuer: https://i.example, ${client} }`),
    /implicit has a public client/,
  )
  t.match(
    await said(
      `{ name: a, method: oauth2, grant: password, issuer: https://i.example, ${client}, tokenParams: { client_id: x } }`,
    ),
    /`tokenParams.client_id` is Locum's own/,
  )
  t.match(
    await said(
      `{ name: a, method: oauth2, grant: password, issuer: https://i.example, ${client}, scopes: [a b] }`,
    ),
    /`scopes` is a list of scopes/,
  )
  t.match(
    await said(`{ name: a, method: oauth2, grnt: password, issuer: https://i.example, ${client} }`),
    /grnt: unknown key; did you mean `grant`/,
  )
  t.match(
    await said(
      `{ name: a, method: oauth2, grant: password, issuer: https://i.example, clientId: c, clientSecret: { env: NONE } }`,
    ),
    /NONE is not set/,
  )
  t.match(
    await said(`{ name: a, method: oauth2, grant: password, issuer: https://i.example, ${client} }`),
    /the secret `clientSecret` stands in the file in clear/,
  )
  const jwt = '{ name: a, method: jwt, subject: s }'
  const to = (auth: string) => `[{ name: c, destinations: [https://c.example], auth: ${auth} }]`
  t.match(await said(jwt, to('{ method: jwt }')), /`jwt` needs `provider` beside it/)
  t.match(await said(jwt, to('{ method: jwt, provider: b }')), /there is no provider b/)
  t.match(await said(jwt, to('{ method: oauth2, provider: a }')), /a is a provider of `jwt`, not of `oauth2`/)
})

t.test('a consent from a terminal is for somebody, at a provider that asks for one', async (t) => {
  const shell = openShell(t)
  const file = join(t.testdir(), 'locum.yaml')
  Object.assign(shell.env, { CLIENT_ID: 'the-client-of-reports', CLIENT_SECRET: 'the-secret-of-the-client' })
  writeFileSync(file, FILE)
  await shell.run(`apply -f ${file}`)
  t.match(await shell.run('connect idp'), { code: 1, err: /Say for whom/ })
  t.match(await shell.run('connect idp --as nobody'), { code: 1, err: /nobody/ })
  t.match(await shell.run('connect idp --for everybody'), { code: 1, err: /shared, profile:NAME or user:ID/ })
  t.match(await shell.run('connect none --as ada'), { code: 1, err: /There is no provider `none`/ })
  t.match(await shell.run('connect reports --as ada'), { code: 1, err: /Nobody consents at `reports`/ })
  t.match(await shell.run('connect idp --as ada'), { code: 1, err: /No server runs on this folder/ })
  writeFileSync(file, `site: { url: https://locum.example }\n${FILE}`)
  await shell.run(`apply -f ${file}`)
  t.match(await shell.run('connect idp --for shared'), {
    code: 1,
    err: /nothing to consent to.*never looks for a shared/,
  })
  const { code, out, err } = await shell.run('connect idp --as ada')
  t.equal(code, 0)
  t.match(out, /^https:\/\/locum\.example\/connect\/idp\?ticket=[\w-]{43}\n$/)
  t.match(err, /https:\/\/locum\.example\/oauth\/callback/)
})

t.test('`connection test` tries one for a principal, and says what to do', async (t) => {
  const { run, json, data, env } = openShell(t)
  const file = `${data}.yaml`
  env.KEY = 'sk_live_7f3a9c51e0b24d86'
  const text = (credentials: string) => `principals: [{ id: ada, kind: user }]
connections:
  - { name: api, destinations: [https://api.example.com], auth: { method: api-key } }
${credentials}`
  writeFileSync(file, text(''))
  await run(`apply -f ${file}`)
  const missing = await run('connection test api --as ada')
  t.equal(missing.code, 1)
  t.match(missing.out, /^✗ credential_missing: .*\n {2}locum credential set api/)
  t.match(missing.err, /`api` does not do for ada what it should/)
  writeFileSync(
    file,
    text('credentials: [{ connection: api, for: shared, fields: { apiKey: { env: KEY } } }]'),
  )
  await run(`apply -f ${file}`)
  t.match(await json('connection test api --as ada'), {
    scope: 'shared',
    findings: [{ says: /shared credential opens/, holds: true }],
  })
  const trail = await run('audit export')
  t.match(trail.out, /"operation":"connection\.test","subject":"api for ada"/)
  t.match((await run('connection test api --as nobody')).err, /There is no principal `nobody`/)
  t.match((await run('connection test nothing --as ada')).err, /There is no connection `nothing`/)
})
