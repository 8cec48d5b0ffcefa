import { duplexPair } from 'node:stream'
import t from 'tap'
import { join } from '../../proxy/tunnel/join.ts'
import { eventually } from '../kit/raw.ts'

const nothing = Buffer.alloc(0)

function lab(halfClosed: number) {
  const [client, near] = duplexPair({ allowHalfOpen: true })
  const [far, upstream] = duplexPair({ allowHalfOpen: true })
  const state = { over: false }
  const joined = join(
    { socket: near, rest: nothing },
    { socket: far, rest: nothing },
    undefined,
    undefined,
    () => {
      state.over = true
    },
    halfClosed,
  )
  for (const socket of [client, upstream]) socket.on('error', () => {}).resume()
  return { client, upstream, state, joined, near, far }
}

t.test('who ended their side, and hears nothing any more, is let go on both sides', async (t) => {
  for (const ends of ['client', 'upstream'] as const) {
    const x = lab(20)
    // The timer of a silence keeps no process alive.
    const alive = setInterval(() => {}, 1_000)
    x[ends].end()
    await eventually(() => x.state.over, `the ${ends}`)
    clearInterval(alive)
    t.ok(x.near.destroyed && x.far.destroyed)
  }
})

t.test('as long as something moves, a half-close goes on', async (t) => {
  const x = lab(100)
  let got = 0
  x.client.on('data', () => got++)
  x.client.end()
  const until = performance.now() + 300
  while (performance.now() < until) {
    x.upstream.write('x')
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.notOk(x.state.over)
  t.ok(got > 10)
  x.joined.destroy()
  await eventually(() => x.state.over, 'the end')
})
