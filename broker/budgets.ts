import { actorOf } from '../core/act-for.ts'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import { type Budget, type Budgets, PERIODS } from '../core/limits.ts'
import type { Store } from '../core/store.ts'
import { type Caller, type Connection, type Principal, SYSTEM } from '../core/words.ts'

/** A share is a part of what is left, so that replicas do not starve each other at its end. */
const PART = 16
const LARGEST_SHARE = 256
/** ms after which the store is asked again where nothing was left: another process may have given back. */
const ASK_AGAIN = 1_000
/** Shares kept; those of periods that have ended go first. */
const KEPT = 4_096

interface Share {
  readonly from: number
  readonly most: number
  left: number
  /** Nothing was left when the store was asked last, Unix ms. */
  emptyAt: number
  drawing: Promise<void> | undefined
}

type Draw = { readonly connection: string; readonly principal: string; readonly budget: Budget }

/**
 * Counts the uses of connections that have a budget. What may be used is drawn from the store in shares, so
 * that uses do not wait for it one by one, and all processes together never exceed it. A process that is
 * killed takes its shares with it.
 */
export class ConnectionBudgets {
  readonly #store: Pick<Store, 'drawUses'>
  readonly #clock: Clock
  readonly #shares = new Map<string, { draw: Draw; share: Share }>()

  constructor(x: { store: Pick<Store, 'drawUses'>; clock: Clock }) {
    this.#store = x.store
    this.#clock = x.clock
  }

  /** One use by a caller, and by who calls for them. Throws or rejects with rate_limited and store_unavailable. */
  use({ name, budget }: Connection, caller: Caller): undefined | Promise<void> {
    if (budget === undefined) return undefined
    const actor = actorOf(caller)
    const principals = actor ? [actor, caller.principal] : [caller.principal]
    return this.#take(drawsOf(name, budget, principals), [])
  }

  /** One after the other; what was taken goes back to where it was taken from when a later one has nothing left. */
  #take(draws: readonly Draw[], taken: Share[]): undefined | Promise<void> {
    const draw = draws[taken.length]
    if (draw === undefined) return undefined
    const share = this.#shareOf(draw)
    if (share.left === 0) {
      const giveBack = (error: unknown): never => {
        for (const one of taken) one.left++
        throw error
      }
      if (this.#clock.now() - share.emptyAt < ASK_AGAIN) giveBack(this.#spent(draw, share))
      share.drawing ??= this.#draw(draw, share).finally(() => {
        share.drawing = undefined
      })
      return share.drawing.then(() => this.#take(draws, taken), giveBack)
    }
    share.left--
    return this.#take(draws, [...taken, share])
  }

  async #draw({ connection, principal }: Draw, share: Share): Promise<void> {
    const { from, most } = share
    const given = await this.#store.drawUses(SYSTEM, { connection, principal, from, most }, (left) =>
      Math.min(LARGEST_SHARE, Math.ceil(left / PART)),
    )
    share.left += given
    if (given === 0) share.emptyAt = this.#clock.now()
  }

  #shareOf(draw: Draw): Share {
    const { connection, principal, budget } = draw
    const key = `${connection}\n${principal}\n${budget.per}`
    const from = periodOf(budget, this.#clock.now())
    const known = this.#shares.get(key)
    if (known && known.share.from === from && known.share.most === budget.uses) return known.share
    if (this.#shares.size >= KEPT) this.#sweep()
    const share = { from, most: budget.uses, left: 0, emptyAt: Number.NEGATIVE_INFINITY, drawing: undefined }
    this.#shares.set(key, { draw, share })
    return share
  }

  #sweep(): void {
    const now = this.#clock.now()
    for (const [key, { draw, share }] of this.#shares)
      if (share.from !== periodOf(draw.budget, now)) this.#shares.delete(key)
  }

  #spent({ connection, principal, budget: { uses, per } }: Draw, { from }: Share): LocumError {
    const whose = principal === '' ? '' : ` by \`${principal}\``
    const wait = from + PERIODS[per] - this.#clock.now()
    return new LocumError('rate_limited', `\`${connection}\` may be used ${uses} times a ${per}${whose}.`, {
      hint: `The next ${per} begins at ${new Date(from + PERIODS[per]).toISOString()}; \`budget\` says how many.`,
      retryAfter: Math.max(1, Math.ceil(wait / 1000)),
    })
  }

  /** Gives back what was drawn and not used. */
  async close(): Promise<void> {
    for (const { draw, share } of this.#shares.values()) {
      const { connection, principal } = draw
      const { from, most, left } = share
      share.left = 0
      if (left > 0) await this.#store.drawUses(SYSTEM, { connection, principal, from, most }, () => -left)
    }
    this.#shares.clear()
  }
}

/** The principals' own first: whoever has spent theirs takes nothing from the others. */
function drawsOf(
  connection: string,
  { perCaller, total }: Budgets,
  principals: readonly Principal[],
): Draw[] {
  return [
    ...(perCaller ? principals.map(({ id }) => ({ connection, principal: id, budget: perCaller })) : []),
    ...(total ? [{ connection, principal: '', budget: total }] : []),
  ]
}

/** The beginning of the period, Unix ms. */
function periodOf({ per }: Budget, now: number): number {
  return now - (now % PERIODS[per])
}
