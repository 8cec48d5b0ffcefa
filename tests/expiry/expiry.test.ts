import type { ServerResponse } from 'node:http'
import t from 'tap'
import { CLIENT_SECRET } from '../kit/idp.ts'
import { type Ground, openGround, type Process, round } from './rounds.ts'

/** Kills the first process while its renewal is at the token endpoint, which has not answered. */
async function killRenewing({ idp, processes, later }: Ground): Promise<{ two: Process; time: number }> {
  const [one, two] = processes as [Process, Process]
  const came = new Promise<ServerResponse>((resolve) => {
    idp.instead = (request, response) => {
      if (request.url !== '/token') return false
      idp.instead = () => false
      resolve(response)
      return true
    }
  })
  const time = later()
  // It never answers.
  void one.ask(time, 1).catch(() => {})
  const response = await came
  await one.kill()
  response.destroy()
  return { two, time }
}

t.test('a thousand callers at the moment of expiry, over two processes: one refresh (R23)', async (t) => {
  const ground = await openGround(t, 2)
  for (let i = 0; i < 3; i++) t.ok(await round(ground, 1_000))
})

t.test(
  'whoever renews is killed before the provider has it: another does so when its lease has ended',
  async (t) => {
    const ground = await openGround(t, 2)
    const { two, time } = await killRenewing(ground)
    const outcome = await two.ask(time + 60_001, 10)
    t.match(outcome, { served: 10, errors: [] })
  },
)

t.test(
  'whoever renews is killed when the provider has it: that the token is lost is said, loudly',
  async (t) => {
    const ground = await openGround(t, 2)
    const refresh = ground.idp.tokens.at(-1)
    const { two, time } = await killRenewing(ground)
    // As if the request had been taken: its token is used.
    const used = { grant_type: 'refresh_token', refresh_token: refresh ?? '' }
    t.equal(await ground.idp.post('/token', used, `web:${CLIENT_SECRET}`), 200)
    const outcome = await two.ask(time + 60_001, 10)
    t.match(outcome, { served: 0, tokens: [] })
    t.match(outcome.errors, [
      /^reauthorization_required: idp said invalid_grant .*was cut short, and what it was given was lost\.$/,
    ])
    const asked = ground.idp.asked.length
    t.equal((await two.ask(time + 60_002, 10)).served, 0)
    t.equal(ground.idp.asked.length, asked, 'and nobody asks again')
  },
)
