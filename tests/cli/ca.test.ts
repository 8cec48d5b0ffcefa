import { readFileSync } from 'node:fs'
import t from 'tap'
import { openShell } from './kit.ts'

const ONE = /^(?:-----BEGIN CERTIFICATE-----\n[^-]+-----END CERTIFICATE-----\n){1}$/
const TWO = /^(?:-----BEGIN CERTIFICATE-----\n[^-]+-----END CERTIFICATE-----\n){2}$/

t.test('a rotation is made, shown, repeated without a change, and ended', async (t) => {
  const { run, json } = openShell(t)
  t.match(await run('ca export'), { code: 0, out: ONE })
  t.match(await run('ca rotate --after 2d'), {
    code: 0,
    out: /^CA +Locum CA \w{8}, .*\n.*\nnext CA +Locum CA \w{8} \(2\), signs from 20.*\n.*\n$/,
    err: /^Give every client both before that/,
  })
  t.match(await run('ca export'), { code: 0, out: TWO })
  t.match(await run('site show'), { out: /next CA +Locum CA/ })
  t.match(await json('site show'), { ca: [{ role: 'signs' }, { role: 'next' }] })
  t.match(await json('ca rotate'), { changed: false, trusted: { length: 2 } })
  t.match(await json('ca rotate --after 2w'), { changed: true, trusted: { length: 2 } })
  t.match(await run('ca rotate --now'), {
    code: 0,
    out: /^CA +Locum CA \w{8} \(2\),/,
    err: /refuse from now on/,
  })
  t.match(await run('ca export'), { code: 0, out: ONE })
  const changes = (await run('audit export')).out.split('\n').filter((line) => line.includes('ca.rotate'))
  t.equal(changes.length, 3, 'each change is in the audit, and what changed nothing is not')
  t.match(await run('audit verify'), { code: 0 })
})

t.test('the first rotation of a new site makes its CA and the next one', async (t) => {
  const { json } = openShell(t)
  t.match(await json('ca rotate'), { changed: true, trusted: [{ role: 'signs' }, { role: 'next' }] })
})

t.test('a time that is none is refused', async (t) => {
  const { run } = openShell(t)
  t.match(await run('ca rotate --after soon'), { code: 1, err: /duration such as/ })
  t.match(await run('ca rotate --after 1d --now'), { code: 1, err: /not both/ })
  t.match(await run('ca rotate --after 900w'), { code: 1, err: /ends before the next one/ })
})

t.test('a truststore is written with the password from standard input, which is said nowhere', async (t) => {
  const { run } = openShell(t)
  const out = `${t.testdirName}/ca.p12`
  const args = ['ca', 'export', '--format', 'p12', '--out', out]
  t.match(await run(args), { code: 0, out: '', err: `Written to ${out}.\n` })
  t.equal(readFileSync(out)[0], 0x30)
  t.match(await run([...args, '--password-stdin'], { input: 'correct horse\n' }), { code: 0 })
  for (const input of ['', 'short\n', 'two\nlines here', 'nicht-für-java']) {
    const { code, err } = await run([...args, '--password-stdin'], { input })
    t.equal(code, 1, input)
    if (input !== '') t.notMatch(err, input.trim())
  }
  t.match(await run(['ca', 'export', '--password-stdin'], { input: 'correct horse' }), {
    code: 1,
    err: /p12/,
  })
  t.match(await run('ca export --format p12', { isInteractive: true }), {
    code: 1,
    err: /--out locum-ca.p12/,
  })
})

t.test('DER holds one: while there are two, which one has to be said', async (t) => {
  const { run } = openShell(t)
  t.match(await run('ca export --format der --which next'), { code: 1, err: /No CA is waiting/ })
  await run('ca rotate')
  t.match(await run('ca export --format der'), { code: 1, err: /--which current/ })
  for (const which of ['current', 'next']) {
    t.match(await run(`ca export --format der --which ${which}`), { code: 0 }, which)
    t.match(await run(`ca export --which ${which}`), { code: 0, out: ONE }, which)
  }
})
