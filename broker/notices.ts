import { createHmac } from 'node:crypto'
import type { CallOut } from '../core/call-out.ts'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { Notice, Webhook } from '../core/notice.ts'

/** ms that a webhook has for its answer. */
const PATIENCE = 10_000
/** ms between tries; after the last it is given up. */
const TRIES = [0, 2_000, 10_000] as const

/**
 * Sends notices to a webhook, behind whatever they are about: JSON, with `Locum-Signature: t=SECONDS,v1=HEX`, the
 * HMAC-SHA-256 of `SECONDS.BODY` under the webhook's secret. Whoever takes it answers 2xx.
 */
export class Notices {
  readonly #webhook: Webhook
  readonly #callOut: CallOut
  readonly #clock: Clock
  readonly #onfault: (error: unknown) => void
  readonly #pause: (ms: number) => Promise<unknown>

  constructor(x: {
    webhook: Webhook
    callOut: CallOut
    clock: Clock
    onfault: (error: unknown) => void
    /** Waits so many ms; rejects where nobody waits any more. */
    pause: (ms: number) => Promise<unknown>
  }) {
    this.#webhook = x.webhook
    this.#callOut = x.callOut
    this.#clock = x.clock
    this.#onfault = x.onfault
    this.#pause = x.pause
  }

  /** Never throws; what could not be sent is told to the operator. */
  async send(notice: Notice): Promise<void> {
    const at = new Date(this.#clock.now()).toISOString()
    const body = JSON.stringify({ ...notice, at })
    let failure: unknown
    for (const wait of TRIES) {
      try {
        if (wait > 0) await this.#pause(wait)
        const answer = await this.#post(body)
        if (answer.ok) return
        failure = new LocumError('upstream_invalid', `The webhook answered with ${answer.status}.`)
      } catch (thrown) {
        failure = thrown
      }
    }
    this.#onfault(
      new LocumError(
        'internal',
        `A notice (${notice.event}, ${notice.provider}) was not taken by the webhook.`,
        {
          cause: failure,
        },
      ),
    )
  }

  #post(body: string): Promise<Response> {
    const { url, secret, rules } = this.#webhook
    const seconds = Math.floor(this.#clock.now() / 1000)
    const digest = createHmac('sha256', secret.reveal()).update(`${seconds}.${body}`).digest('hex')
    return this.#callOut(rules)(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'locum-signature': `t=${seconds},v1=${digest}` },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(PATIENCE),
    })
  }
}
