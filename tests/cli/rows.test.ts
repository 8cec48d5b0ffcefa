import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import t from 'tap'
import { openShell, type Shell, startProgram } from './kit.ts'

const FILE = `name: team
site: { url: https://locum.example.com }
principals:
  - { id: bob, profile: sales }
connections:
  - { name: stripe, destinations: [https://api.stripe.com], auth: { method: api-key }, source: per-user, fallback: [shared] }
  - { name: lab, destinations: [https://lab.example], auth: { method: raw } }
credentials:
  - { connection: stripe, for: shared, fields: { apiKey: { env: STRIPE_KEY } } }
  - { connection: lab, for: shared, fields: { token: { env: STRIPE_KEY } } }
`
const WHOLE = { code: 0, out: 'The audit is whole.\n', err: '' }

/** A shell whose file is applied. */
async function openSite(t: Parameters<typeof openShell>[0]): Promise<Shell & { file: string }> {
  const shell = openShell(t)
  const file = `${t.testdirName}/locum.yaml`
  writeFileSync(file, FILE)
  shell.env.STRIPE_KEY = 'a-very-long-secret'
  t.match(await shell.run(`apply -f ${file}`), { code: 0 })
  return { ...shell, file }
}

function edit<T>(data: string, work: (database: Sqlite.Database) => T): T {
  const database = new Sqlite(join(data, 'locum.db'))
  try {
    return work(database)
  } finally {
    database.close()
  }
}

t.test('whatever is done through Locum, the audit is whole', async (t) => {
  const { run, json, file } = await openSite(t)
  const fields = { input: '{"apiKey":"another-long-secret"}' }
  await run('principal add ada')
  const { id } = await json('credential set stripe --for user:ada', fields)
  const lines = [
    `apply -f ${file}`,
    `check -f ${file}`,
    `credential disable ${id}`,
    `credential enable ${id}`,
    'principal rotate-key ada',
    'principal disable ada',
    'principal enable ada',
    'principal revoke ada',
    `credential rm ${id}`,
  ]
  for (const line of lines) {
    t.match(await run(line), { code: 0 }, line)
    t.match(await run('audit verify'), WHOLE, line)
  }
  t.match(await run('principal add ada'), { code: 1 }, 'and what is refused')
  writeFileSync(file, FILE.split('\n').slice(0, 4).join('\n'))
  t.match(await run(`apply -f ${file} --prune`), { code: 0, out: /lab/ })
  t.match(await run('audit verify'), WHOLE, 'pruned')
  t.match(
    (await run('audit tail -n 3')).out,
    /^(?:\S+\tchange\t.*\n){3}$/,
    'and its last records are for people',
  )
})

t.test(
  'a credential put back after it was disabled is named, with the record that says otherwise',
  async (t) => {
    const { run, json, data } = await openSite(t)
    const [{ id }] = await json('credential ls')
    const before = edit(data, (database) =>
      database.prepare('SELECT disabled, stamp FROM credentials WHERE id = ?').get(id),
    ) as { disabled: number; stamp: string }
    await run(`credential disable ${id}`)
    edit(data, (database) =>
      database
        .prepare('UPDATE credentials SET disabled = ?, stamp = ? WHERE id = ?')
        .run(before.disabled, before.stamp, id),
    )
    t.match(await json('credential ls'), [{ id, state: 'ready' }, {}], 'its seal holds')
    const found = await run('audit verify')
    t.match(found, {
      code: 1,
      out: /^\S+\.jsonl:2: The row "cred_\w+" in credentials is not as it was left then: it was put back/,
      err: /^locum: internal: The audit has a fault/,
    })
    t.ok(found.out.includes(id))
    await run(`credential disable ${id}`)
    t.match(await run('audit verify'), WHOLE, 'done again, it holds again')
  },
)

t.test('a server at work, and one that is killed, raise no alarm', async (t) => {
  const { run, data, env } = await openSite(t)
  for (let round = 0; round < 2; round++) {
    const server = startProgram(
      t,
      ['--data', data, 'serve', '--proxy', '127.0.0.1:0', '--console', '127.0.0.1:0'],
      env,
    )
    await server.until(/127\.0\.0\.1:\d+/)
    t.match(await run(`principal add user-${round}`), { code: 0 })
    t.match(await run('audit verify'), WHOLE)
    server.child.kill('SIGKILL')
    await server.ended()
    t.match(await run('audit verify'), WHOLE)
  }
})
