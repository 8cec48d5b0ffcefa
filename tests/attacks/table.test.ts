import t from 'tap'
import type { Attack } from './attack.ts'
import { layPlot } from './ground.ts'
import { startLocum } from './subjects/locum.ts'
import { attackAll, holds, readAttacks } from './table.ts'

t.test('Locum withstands every attack that it is known by its address for', async (t) => {
  const plot = await layPlot(t.testdir())
  const subject = await startLocum(plot)
  t.teardown(() => subject.stop())
  await attackAll({ subject }, plot, await readAttacks(), ({ attack, state, why }) =>
    t.equal(state, 'held', `${attack}: ${why.join('; ')}`),
  )
})

t.test('an attack that succeeds is seen', async (t) => {
  const plot = await layPlot(t.testdir())
  const subject = await startLocum(plot)
  t.teardown(() => subject.stop())
  const attack = (name: string, run: Attack['run']) => ({ name, title: name, rule: 'R1', run })
  const verdicts = await attackAll({ subject }, plot, [
    attack('a secret at another host', async ({ ask, other, plain }) => {
      await ask('forward', other, { headers: [`X-Stolen: ${plain.secret}`] })
      return []
    }),
    attack('a secret that is handed out', async ({ ask, plain }) => {
      plain.answer = () => `HTTP/1.1 200 OK\r\nContent-Length: ${plain.secret?.length}\r\n\r\n${plain.secret}`
      await ask('forward', plain)
      return []
    }),
    attack('what the attack itself finds', async () => ['this']),
    attack('what cannot be carried out', () => Promise.reject(new Error('no'))),
    attack('one that nothing comes of', async () => []),
    { ...attack('one that cannot be tried', async () => []), needs: ['dns'] },
    attack('a proxy that is gone', async () => {
      await subject.stop()
      return []
    }),
  ])
  t.match(verdicts, [
    { state: 'broken', why: ['the secret of plain arrived at other'], lost: true },
    { state: 'broken', why: ['the secret of plain was handed to the client'], lost: true },
    { state: 'broken', why: ['this'], lost: false },
    { state: 'broken', why: ['it could not be carried out: no'] },
    { state: 'held', why: [] },
    { state: 'not tried' },
    { state: 'broken', why: [/^afterwards: forward/] },
  ])
})

t.test('a proxy that puts no secret in is no subject', async (t) => {
  const plot = await layPlot(t.testdir())
  const subject = await startLocum(plot)
  t.teardown(() => subject.stop())
  await t.rejects(attackAll({ subject: { ...subject, keys: {} } }, plot, []), /does not do its work/)
})

t.test('a secret is found at every offset of its base64', async (t) => {
  const secret = 'sk_test_0123456789'
  for (const before of ['', 'a', 'ab', 'abc']) {
    t.ok(holds(Buffer.from(`${before}${secret}zz`).toString('base64'), secret), `behind ${before.length}`)
  }
  t.notOk(holds(Buffer.from('sk_test_another_value').toString('base64'), secret))
})
