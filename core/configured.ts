import { compile, endOfFormula, FormulaError } from '../formulas/compile.ts'
import { LocumError } from './errors.ts'
import {
  drawsOnAuth,
  type Expression,
  type Formula,
  lookUp,
  parsePath,
  type Template,
  templateOf,
} from './placeholder.ts'

/** What opens a variable or a formula in an administrator's text. */
const OPENING = /<<(?=\s*\$)|\{\{/g
/** Characters of a formula that errors show. */
const SHOWN = 200
/** The usual one, which holds a path. */
const PLAIN = /([^{}'"]*)\}\}/y
/** Formulas that are kept: the same text is read for a route, for an approval, for an explanation. */
const CACHE_LIMIT = 1024
const formulas = new Map<string, Formula>()

/**
 * An administrator's text into a template. In `{{ … }}` stands a path or a formula; what reads as a path is one. Throws
 * bad_request where it is neither.
 */
export function parseConfiguredTemplate(text: string): Template {
  const literals: string[] = []
  const expressions: Expression[] = []
  let last = 0
  for (;;) {
    OPENING.lastIndex = last
    const found = OPENING.exec(text)
    if (!found) break
    const braces = found[0] === '{{'
    const from = found.index + 2
    const to = braces ? endOf(text, from) : text.indexOf('>>', from)
    if (to === undefined || to < 0) throw unclosed()
    const inside = text.slice(from, to).trim()
    literals.push(text.slice(last, found.index))
    expressions.push(parsePath(inside) ?? (braces ? formulaOf(inside) : notAVariable(inside)))
    last = to + 2
  }
  literals.push(text.slice(last))
  return templateOf(literals, expressions)
}

function endOf(text: string, from: number): number | undefined {
  PLAIN.lastIndex = from
  const plain = PLAIN.exec(text)
  return plain ? from + (plain[1] as string).length : endOfFormula(text, from)
}

function formulaOf(source: string): Formula {
  try {
    return keptFormula(source)
  } catch (thrown) {
    if (!(thrown instanceof FormulaError)) throw thrown
    if (parsePath(`$${source}`)) notAVariable(source)
    throw new LocumError(
      'bad_request',
      `\`{{${source.slice(0, SHOWN)}}}\` is not a variable, and no formula: ${thrown.message}.`,
      {
        hint: 'Variables are {{$Auth.NAME}}, {{$User.NAME}} and {{$Api.NAME}}; formulas are CEL over them (docs/FORMULAS.md).',
      },
    )
  }
}

/** Throws FormulaError. */
function keptFormula(source: string): Formula {
  let formula = formulas.get(source)
  if (!formula) {
    formula = readFormula(source)
    if (formulas.size >= CACHE_LIMIT) formulas.clear()
    formulas.set(source, formula)
  }
  return formula
}

function readFormula(source: string): Formula {
  const { variables, volatile, run } = compile(source)
  const names = variables.map(({ text }) => text).join(', ')
  // Never its own words: they are the administrator's, and whoever calls sees this.
  const text = names === '' ? 'a formula' : `a formula over ${names}`
  return {
    text,
    source,
    root: drawsOnAuth({ paths: variables }) ? 'Auth' : 'User',
    variables,
    volatile,
    run(sources) {
      try {
        return run((variable) => lookUp(variable, sources), sources.now)
      } catch (thrown) {
        if (!(thrown instanceof FormulaError)) throw thrown
        throw new LocumError(
          'placeholder_unknown',
          `The connection has ${text}, which has no value for this caller: ${thrown.message}.`,
          { hint: 'Whoever keeps the connection says in it what to do then: has($User.Email) ? … : …' },
        )
      }
    },
  }
}

function unclosed(): LocumError {
  return new LocumError('bad_request', 'A variable is opened but not closed.', {
    hint: 'Write it as {{$Auth.API_Key}}.',
  })
}

function notAVariable(inside: string): never {
  const withDollar = parsePath(`$${inside}`)
  throw new LocumError('bad_request', `\`{{${inside}}}\` is not a variable.`, {
    hint: withDollar
      ? `Write it with a dollar sign: {{$${inside}}}`
      : 'Variables are {{$Auth.NAME}}, {{$User.NAME}} and {{$Api.NAME}}.',
  })
}
