import { createHmac } from 'node:crypto'
import t from 'tap'
import { Notices } from '../../broker/notices.ts'
import type { LocumError } from '../../core/errors.ts'
import type { Notice } from '../../core/notice.ts'
import { Secret } from '../../core/secret.ts'

const NOTICE: Notice = {
  event: 'reauthorization_required',
  provider: 'idp',
  connection: 'crm',
  credential: 'cred_1',
  owner: 'user:ada',
  detail: 'It was withdrawn.',
  authorizeUrl: undefined,
}

/** Sends one notice; each try is answered by the next of `answers`. */
async function send(answers: (() => Promise<Response>)[], pause: () => Promise<unknown> = async () => {}) {
  const posted: { url: string; init: RequestInit }[] = []
  const waits: number[] = []
  const faults: LocumError[] = []
  const notices = new Notices({
    webhook: { url: 'https://hook.example/here', secret: new Secret('of the hook'), rules: {} },
    callOut: () => (url, init) => {
      posted.push({ url: String(url), init: init as RequestInit })
      return (answers[posted.length - 1] as () => Promise<Response>)()
    },
    clock: { now: () => 1_700_000_000_900 },
    onfault: (error) => faults.push(error as LocumError),
    pause: (ms) => {
      waits.push(ms)
      return pause()
    },
  })
  await notices.send(NOTICE)
  return { posted, waits, faults }
}

const says = (status: number) => async () => new Response(null, { status })

t.test('a notice is posted as JSON, signed with its time, to the webhook and nowhere else', async (t) => {
  const { posted, waits, faults } = await send([says(204)])
  t.equal(posted.length, 1)
  t.same(waits, [])
  t.same(faults, [])
  const [{ url, init } = { url: '', init: {} as RequestInit }] = posted
  t.equal(url, 'https://hook.example/here')
  t.equal(init.method, 'POST')
  t.equal(init.redirect, 'manual')
  t.same(JSON.parse(String(init.body)), {
    event: 'reauthorization_required',
    provider: 'idp',
    connection: 'crm',
    credential: 'cred_1',
    owner: 'user:ada',
    detail: 'It was withdrawn.',
    at: '2023-11-14T22:13:20.900Z',
  })
  const digest = createHmac('sha256', 'of the hook').update(`1700000000.${init.body}`).digest('hex')
  t.same(init.headers, {
    'content-type': 'application/json',
    'locum-signature': `t=1700000000,v1=${digest}`,
  })
})

t.test('one that is not taken is sent again a little later, and then a good deal later', async (t) => {
  const { posted, waits, faults } = await send([
    says(500),
    () => Promise.reject(new Error('away')),
    says(200),
  ])
  t.equal(posted.length, 3)
  t.equal(posted[2]?.init.body, posted[0]?.init.body)
  t.same(waits, [2_000, 10_000])
  t.same(faults, [])
})

t.test('one that nobody takes is told to the operator, with the last reason', async (t) => {
  const away = new Error('away')
  const { posted, faults } = await send([says(500), () => Promise.reject(away), says(302)])
  t.equal(posted.length, 3)
  t.match(faults, [
    {
      code: 'internal',
      detail: 'A notice (reauthorization_required, idp) was not taken by the webhook.',
      cause: { code: 'upstream_invalid', detail: 'The webhook answered with 302.' },
    },
  ])
  const last = await send([says(500), says(500), () => Promise.reject(away)])
  t.equal(last.faults[0]?.cause, away)
})

t.test('where nobody waits any more, it is not sent again', async (t) => {
  const over = new Error('over')
  const { posted, faults } = await send([says(500)], () => Promise.reject(over))
  t.equal(posted.length, 1)
  t.equal(faults[0]?.cause, over)
})
