import type { Lookup } from './addresses.ts'

/**
 * Look-ups of one group at once. The system's resolver works on sixteen in all, and one to which no name server
 * answers cannot be ended: whoever may reach names of a zone of their own holds up their own group alone.
 */
const AT_ONCE = 4

type Answers = Awaited<ReturnType<Lookup>>

interface Group {
  running: number
  /** What begins the next ones, in order. */
  readonly waiting: Set<() => void>
}

/** Looks names up: each once however many ask, and a few of each group at a time. */
export class Lookups {
  readonly #lookup: Lookup
  readonly #running = new Map<string, Promise<Answers>>()
  readonly #groups = new Map<string, Group>()

  constructor(lookup: Lookup) {
    this.#lookup = lookup
  }

  /** `answers` rejects as the resolver does. A cancelled one that has not begun never does, nor settles. */
  ask(of: string, name: string): { answers: Promise<Answers>; cancel(): void } {
    const running = this.#running.get(name)
    if (running) return { answers: running, cancel() {} }
    const { promise, resolve, reject } = Promise.withResolvers<Answers>()
    const group = this.#groupOf(of)
    const begin = () => {
      const answers = this.#answers(name)
      group.running++
      answers.then(resolve, reject).finally(() => {
        group.running--
        this.#next(of, group)
      })
    }
    if (group.running < AT_ONCE) begin()
    else group.waiting.add(begin)
    return { answers: promise, cancel: () => group.waiting.delete(begin) }
  }

  #answers(name: string): Promise<Answers> {
    let running = this.#running.get(name)
    if (!running) {
      running = this.#lookup(name).finally(() => this.#running.delete(name))
      this.#running.set(name, running)
    }
    return running
  }

  #next(of: string, group: Group): void {
    const [begin] = group.waiting
    if (begin) {
      group.waiting.delete(begin)
      begin()
    } else if (group.running === 0) this.#groups.delete(of)
  }

  #groupOf(of: string): Group {
    let group = this.#groups.get(of)
    if (!group) {
      group = { running: 0, waiting: new Set() }
      this.#groups.set(of, group)
    }
    return group
  }
}
