import { createRequire } from 'node:module'
import type { ASTNode, Environment, ParseResult } from '@marcbachmann/cel-js'
import { addFunctions, BadCall, REFUSED, VOLATILE } from './functions.ts'
import { type Evaluator, Meter } from './meter.ts'
import { calledBy, everyNode, nodesWith, type Place, placesIn, type Variable } from './nodes.ts'
import { asWritten, readable } from './text.ts'
import { type Json, NoJson, Size, TooMuch, toCel, toJson } from './values.ts'

export type { Variable } from './nodes.ts'
export { endOfFormula } from './text.ts'

/** Characters of a formula. */
const LONGEST = 4_096
const LIMITS = {
  maxAstNodes: 500,
  maxDepth: 50,
  maxListElements: 100,
  maxMapEntries: 100,
  maxCallArguments: 16,
}

/** Thrown for a formula that is none, or that has no value. Its message holds the formula's words, and no value. */
export class FormulaError extends Error {}

/** Reads the value of a variable; undefined where there is none. */
export type Read = (variable: Variable) => Json | undefined

/** What came of a formula. */
export interface Result {
  readonly value: Json
  /** Texts on the way to it that were made of what draws on `$Auth`. */
  readonly made: readonly string[]
}

/** A formula that is ready. */
export interface Compiled {
  /** Everything that it draws on. */
  readonly variables: readonly Variable[]
  /** Whether it may be another one the next time, for the same values. */
  readonly volatile: boolean
  /**
   * `now`: Unix ms. Throws FormulaError where it has no value: something goes wrong in it, a variable that it comes
   * to has none, or it takes more steps or room than a formula may.
   */
  run(read: Read, now?: number): Result
}

interface Compilers {
  /** Knows the roots, and nothing else: what a formula names is there. */
  readonly written: Environment
  /** Takes each variable by a name that stands for it. */
  readonly numbered: Environment
}

let compilers: Compilers | undefined
/** Of the formula that is being worked out: that is one at a time, with no waiting in between. */
let meter: Meter | undefined
let clock = 0

/**
 * A formula in CEL (Common Expression Language, github.com/google/cel-spec) over `$Auth`, `$User` and `$Api`. Throws
 * FormulaError where it is none.
 */
export function compile(source: string): Compiled {
  if (source.length > LONGEST) throw new FormulaError(`it is longer than ${LONGEST} characters`)
  const text = readable(source)
  if (text === undefined)
    throw new FormulaError('a string is not closed, or a name begins with two underscores')
  compilers ??= makeCompilers()
  const { ast } = checked(compilers.written, text)
  const nodes = [...everyNode(ast)]
  const refused = nodes.map((node) => REFUSED[calledBy(node) ?? '']).find((why) => why !== undefined)
  if (refused !== undefined) throw new FormulaError(refused)
  const { places, bare } = placesIn(ast)
  if (bare !== undefined) throw new FormulaError(`\`${bare}\` alone is no variable; say which: ${bare}.NAME`)
  const variables = [...new Map(places.map(({ variable }) => [variable.text, variable])).values()]
  const evaluate = checked(compilers.numbered, `${RUN}(${numbered(text, places, variables)}\n)`)
  return {
    variables,
    volatile: nodes.some((node) => VOLATILE.includes(calledBy(node) ?? '')),
    run: (read, now = Date.now()) => run(evaluate, contextOf(variables, read), now),
  }
}

/** Works the formula in it out under a meter. */
const RUN = '__run'

/** CEL is loaded where there is the first formula: most commands never see one. */
function makeCompilers(): Compilers {
  const require = createRequire(import.meta.url)
  const library = require('@marcbachmann/cel-js') as typeof import('@marcbachmann/cel-js')
  const make = (unlistedVariablesAreDyn: boolean) => {
    const options = { limits: LIMITS, homogeneousAggregateLiterals: false, unlistedVariablesAreDyn }
    return addFunctions(new library.Environment(options), () => clock)
  }
  const written = make(false)
  for (const root of ['Auth', 'User', 'Api']) written.registerVariable(`__${root}`, 'map')
  return { written, numbered: make(true).registerFunction(`${RUN}(ast): dyn`, metered) }
}

/** A macro, which the library gives its checker and its evaluator. */
function metered({ args: [node] }: { args: [ASTNode] }) {
  const secret = nodesWith(node, isSecretName)
  return {
    typeCheck: (checker: Checker, _: unknown, context: unknown) => checker.check(node, context),
    evaluate(evaluator: Evaluator, _: unknown, context: unknown) {
      meter = new Meter(secret)
      return meter.run(evaluator, node, context)
    },
  }
}

interface Checker {
  check(node: ASTNode, context: unknown): unknown
}

/** Throws FormulaError for what CEL does not take. */
function checked(environment: Environment, text: string): ParseResult {
  let parsed: ParseResult
  try {
    parsed = environment.parse(text)
  } catch (thrown) {
    throw new FormulaError(says(thrown))
  }
  const { valid, error } = parsed.check()
  if (!valid) throw new FormulaError(says(error))
  return parsed
}

function says(thrown: unknown): string {
  const { summary, message } = thrown as { summary?: string; message: string }
  return asWritten(summary ?? message).replace(/\.?$/, '')
}

/** The formula with a name in the place of each variable. */
function numbered(text: string, places: readonly Place[], variables: readonly Variable[]): string {
  let made = ''
  let last = 0
  for (const { from, to, variable, presence } of places) {
    const index = variables.findIndex((one) => one.text === variable.text)
    made += text.slice(last, from) + (presence ? presenceName(index) : nameOf(index, variable))
    last = to
  }
  return made + text.slice(last)
}

function nameOf(index: number, { root }: Variable): string {
  return `__${root === 'Auth' ? 'secret' : 'plain'}${index}`
}

function isSecretName(name: string): boolean {
  return name.startsWith('__secret')
}

function presenceName(index: number): string {
  return `__has${index}`
}

/** Values are read where the formula comes to them: what it passes by need not be there. */
function contextOf(variables: readonly Variable[], read: Read): Record<string, unknown> {
  const context: Record<string, unknown> = {}
  const size = new Size()
  variables.forEach((variable, i) => {
    let value: unknown
    Object.defineProperty(context, nameOf(i, variable), {
      get() {
        const json = read(variable)
        if (json === undefined || json === null) throw new BadCall(`\`${variable.text}\` has no value`)
        value ??= toCel(json, size)
        return value
      },
    })
    Object.defineProperty(context, presenceName(i), {
      get: () => (read(variable) ?? null) !== null,
    })
  })
  return context
}

function run(evaluate: ParseResult, context: Record<string, unknown>, now: number): Result {
  clock = now
  try {
    return { value: toJson(evaluate(context)), made: meter?.made ?? [] }
  } catch (thrown) {
    throw new FormulaError(whyNot(thrown))
  } finally {
    meter = undefined
  }
}

/** Without what the library says: there are values in it. */
function whyNot(thrown: unknown): string {
  if (thrown instanceof TooMuch) return 'it takes more steps or room than a formula may'
  if (thrown instanceof NoJson) return `what comes of it is ${thrown.kind}`
  if (thrown instanceof BadCall) return thrown.message
  const { code, name } = thrown as { code?: unknown; name: unknown }
  if (name === 'EvaluationError' || name === 'TypeError') return `CEL says ${String(code ?? name)}`
  throw thrown
}
