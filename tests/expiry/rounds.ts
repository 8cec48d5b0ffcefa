import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Idp } from '../kit/idp.ts'
import { BY_CODE, PER_USER, startLab } from '../kit/oauth-lab.ts'
import type { Teardown } from '../kit/site.ts'

/** Seconds that a token lives. */
const LIFETIME = 60

export interface Outcome {
  readonly tokens: readonly string[]
  readonly errors: readonly string[]
  readonly served: number
}

/** A process that serves callers of the folder. */
export interface Process {
  /** So many callers at once at that time, Unix ms. */
  ask(time: number, count: number): Promise<Outcome>
  kill(): Promise<void>
}

export interface Ground {
  readonly idp: Idp
  readonly processes: readonly Process[]
  /** How often the provider was asked to renew. */
  renewals(): number
  /** When the token that was given last is over. */
  later(): number
}

/** Somebody has consented at a provider that ends a grant whose refresh token is used twice; so many processes serve it. */
export async function openGround(t: Teardown, processes: number): Promise<Ground> {
  const lab = await startLab(t, BY_CODE, PER_USER)
  lab.idp.lifetime = LIFETIME
  await lab.person.signIn('ada')
  await lab.person.connect('idp', lab.idp)
  await lab.call()
  await lab.site.close()
  let time = Date.now()
  return {
    idp: lab.idp,
    processes: await Promise.all(Array.from({ length: processes }, () => startProcess(t, lab.site.data))),
    renewals: () => lab.idp.asked.filter(({ grant_type: type }) => type === 'refresh_token').length,
    later() {
      time += (LIFETIME + 1) * 1000
      return time
    },
  }
}

async function startProcess(t: Teardown, data: string): Promise<Process> {
  const script = fileURLToPath(new URL('caller.ts', import.meta.url))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, data], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  t.teardown(kill)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  await lines.next()
  return {
    async ask(time, count) {
      child.stdin.write(`${time} ${count}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error('the process has ended')
      return JSON.parse(value)
    },
    kill,
  }
}

/** One moment of expiry: all callers at once, over all processes. Whether one renewal served them all. */
export async function round(ground: Ground, callers: number): Promise<boolean> {
  const before = ground.renewals()
  const time = ground.later()
  const each = Math.ceil(callers / ground.processes.length)
  const outcomes = await Promise.all(ground.processes.map((one) => one.ask(time, each)))
  const tokens = new Set(outcomes.flatMap((one) => one.tokens))
  const served = outcomes.every((one) => one.served === each)
  return served && tokens.size === 1 && ground.renewals() === before + 1
}
