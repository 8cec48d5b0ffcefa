import type { ASTNode } from '@marcbachmann/cel-js'
import { Size, sizeOf, TooMuch } from './values.ts'

/** Steps that a formula takes at most. A step is one node of it, worked out once; a long value costs more. */
const MOST_STEPS = 10_000
/** Items that a list has at most which something is done for each of. */
const MOST_ITEMS = 1_000
/** Nodes whose results are new values; all others hand on what is there. */
const MAKES: readonly string[] = ['call', 'rcall', 'list', 'map', '+']

/** What works a node out: the library's evaluator, as macros of our own get it. */
export interface Evaluator {
  run(node: ASTNode, context: unknown): unknown
  debugTypeDeep(value: unknown): unknown
}

/** Counts what a formula does, and bounds it: CEL ends always, but not always soon. */
export class Meter {
  /** Texts that were made of what draws on the credential. */
  readonly made: string[] = []
  #steps = 0
  #over = false
  readonly #secret: ReadonlySet<unknown>

  /** `secret`: the nodes that draw on the credential. */
  constructor(secret: ReadonlySet<unknown>) {
    this.#secret = secret
  }

  /** Works a node out, with all that is in it. Throws TooMuch, and what the evaluator throws. */
  run(evaluator: Evaluator, node: ASTNode, context: unknown): unknown {
    const metered: Evaluator = Object.create(evaluator, {
      run: { value: (one: ASTNode, where: unknown) => this.#step(metered, one, where) },
      // It reads a private field, which only the evaluator itself has.
      debugTypeDeep: { value: (value: unknown) => evaluator.debugTypeDeep(value) },
    })
    const value = metered.run(node, context)
    // `a || true` hides what went wrong in `a`.
    if (this.#over) throw new TooMuch()
    return value
  }

  #step(metered: Evaluator, node: ASTNode, context: unknown): unknown {
    this.#spend(1)
    const value = (node as unknown as Evaluated).evaluate(metered, node, context)
    if (typeof value === 'string') this.#spend(value.length >> 10)
    else if (Array.isArray(value) && value.length > MOST_ITEMS) this.#stop()
    if (MAKES.includes(node.op)) this.#judge(node, value)
    return value
  }

  #judge(node: ASTNode, value: unknown): void {
    try {
      sizeOf(value, new Size())
    } catch (thrown) {
      this.#over = true
      throw thrown
    }
    if (typeof value === 'string' && this.#secret.has(node)) this.made.push(value)
  }

  #spend(steps: number): void {
    this.#steps += steps
    if (this.#steps > MOST_STEPS) this.#stop()
  }

  #stop(): never {
    this.#over = true
    throw new TooMuch()
  }
}

interface Evaluated {
  evaluate(evaluator: Evaluator, node: ASTNode, context: unknown): unknown
}
