import { asLocumError } from '../core/errors.ts'
import type { Answer } from './asked.ts'

/** Something that must hold before work is taken: rejects with why it does not. */
export type Check = () => void | Promise<void>

const CHALLENGE = /^\?challenge=([0-9a-f]{64})$/
/** ms that a check may take before it counts as failed. */
const CHECK_TIMEOUT = 2_000

/** It is alive; and, to a challenge, which process it is. */
export function health(prove: ((challenge: string) => string) | undefined, { search }: URL): Answer {
  const challenge = CHALLENGE.exec(search)?.[1]
  const proof = challenge === undefined ? undefined : prove?.(challenge)
  const headers: Record<string, string> = proof === undefined ? {} : { 'Locum-Proof': proof }
  return { status: 200, type: 'text/plain; charset=utf-8', body: 'ok\n', headers }
}

/** 200 where every check holds; 503 and which does not. */
export async function readiness(checks: Readonly<Record<string, Check>>): Promise<Answer> {
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await outcome(check)] as const),
  )
  const ready = results.every(([, result]) => result === 'ok')
  const body = { status: ready ? 'ready' : 'not ready', checks: Object.fromEntries(results) }
  return { status: ready ? 200 : 503, type: 'application/json', body: `${JSON.stringify(body)}\n` }
}

/** `ok`, `timeout`, or the code of what the check threw. */
async function outcome(check: Check): Promise<string> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, CHECK_TIMEOUT, 'timeout')
  })
  const checked = (async () => check())().then(
    () => 'ok',
    (error: unknown) => asLocumError(error).code,
  )
  const result = await Promise.race([checked, late])
  clearTimeout(timer)
  return result
}
