import { stripTypeScriptTypes } from 'node:module'
import { type Node, parse } from 'acorn'

/** One change of a source: the bytes from `from` to `to` become `text`. */
export interface Mutant {
  readonly from: number
  readonly to: number
  readonly text: string
  /** What kind of change it is. */
  readonly kind: string
}

type Tree = Node & Record<string, unknown>

const COMPARED: Readonly<Record<string, string>> = {
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
}
const COUNTED: Readonly<Record<string, string>> = {
  '+': '-',
  '-': '+',
  '*': '/',
  '/': '*',
  '%': '*',
  '<<': '>>',
  '>>': '<<',
  '>>>': '<<',
  '&': '|',
  '|': '&',
}
const JOINED: Readonly<Record<string, string>> = { '&&': '||', '||': '&&', '??': '&&' }
/** Methods that do nearly the opposite. */
const TURNED: Readonly<Record<string, string>> = {
  some: 'every',
  every: 'some',
  startsWith: 'endsWith',
  endsWith: 'startsWith',
  min: 'max',
  max: 'min',
  push: 'unshift',
  shift: 'pop',
  toLowerCase: 'toUpperCase',
}
/** Larger numbers are bounds of sizes and times, which nobody promises to the byte. */
const LARGEST = 9
/** Names of encodings for which Node takes an empty one too. */
const SAME_EMPTY = new Set(['utf8', 'utf-8'])
/** Calls that only tell people something: what they say is no promise. */
const TALK = /^(?:LocumError|WireError|Error|TypeError|RangeError|malformed|problem|note|warn|log|hint)/i

/** Every mutant of a TypeScript source. Types are no code, so they have none. */
export function mutantsOf(source: string): Mutant[] {
  // Types become blanks: what is left stands where it stood.
  const code = stripTypeScriptTypes(source, { mode: 'strip' })
  const mutants: Mutant[] = []
  const add = (kind: string, node: { start: number; end: number }, text: string): void => {
    mutants.push({ kind, from: node.start, to: node.end, text })
  }
  const operator = (left: Tree, right: Tree, from: string, to: string): void => {
    const at = code.indexOf(from, left.end)
    if (at >= 0 && at < right.start) add(`${from} to ${to}`, { start: at, end: at + from.length }, to)
  }
  const visit = (node: Tree, talk: boolean): void => {
    let quiet = talk
    switch (node.type) {
      case 'ImportDeclaration':
      case 'ExportAllDeclaration':
        return
      case 'BinaryExpression':
      case 'LogicalExpression': {
        const {
          operator: sign,
          left,
          right,
        } = node as unknown as { operator: string; left: Tree; right: Tree }
        const texts =
          sign === '+' && [left, right].some(({ type }) => type === 'TemplateLiteral' || type === 'Literal')
        const other = COMPARED[sign] ?? JOINED[sign] ?? (texts ? undefined : COUNTED[sign])
        if (other !== undefined) operator(left, right, sign, other)
        break
      }
      case 'IfStatement':
      case 'ConditionalExpression': {
        const { test } = node as unknown as { test: Tree }
        add('condition to true', test, 'true')
        add('condition to false', test, 'false')
        break
      }
      case 'WhileStatement': {
        add('condition to false', (node as unknown as { test: Tree }).test, 'false')
        break
      }
      case 'UnaryExpression': {
        const { operator: sign, argument } = node as unknown as { operator: string; argument: Tree }
        if (sign === '!') add('! left out', { start: node.start, end: argument.start }, '')
        break
      }
      case 'UpdateExpression': {
        const { operator: sign } = node as unknown as { operator: string }
        const at = code.slice(node.start, node.end).indexOf(sign) + node.start
        add(`${sign} turned`, { start: at, end: at + 2 }, sign === '++' ? '--' : '++')
        break
      }
      case 'Literal': {
        const { value } = node as unknown as { value: unknown }
        if (typeof value === 'boolean') add('boolean turned', node, String(!value))
        else if (typeof value === 'number' && value <= LARGEST) add('number + 1', node, String(value + 1))
        else if (value instanceof RegExp) pattern(node, value)
        else if (typeof value === 'string' && value !== '' && !quiet && !SAME_EMPTY.has(value))
          add('text emptied', node, "''")
        break
      }
      case 'ThrowStatement':
        add('throw left out', node, ';')
        quiet = true
        break
      case 'ReturnStatement':
        if ((node as unknown as { argument: Tree | null }).argument === null)
          add('return left out', node, ';')
        break
      case 'ExpressionStatement': {
        const { expression } = node as unknown as { expression: Tree }
        if (
          (expression.type === 'CallExpression' && !code.slice(node.start, node.end).includes('.unref()')) ||
          expression.type === 'AssignmentExpression'
        )
          add('statement left out', node, ';')
        break
      }
      case 'MemberExpression': {
        const { property, computed } = node as unknown as {
          property: Tree & { name?: string }
          computed: boolean
        }
        const other = computed ? undefined : TURNED[property.name ?? '']
        if (other !== undefined && Object.hasOwn(TURNED, property.name ?? ''))
          add(`${property.name} to ${other}`, property, other)
        break
      }
      case 'CallExpression':
      case 'NewExpression': {
        const { callee } = node as unknown as {
          callee: Tree & { name?: string; property?: { name?: string } }
        }
        if (TALK.test(callee.name ?? callee.property?.name ?? '')) quiet = true
        break
      }
    }
    for (const [key, child] of Object.entries(node)) {
      // A key and a tag are names.
      if ((key === 'key' || key === 'quasi') && !node.computed) continue
      for (const one of Array.isArray(child) ? child : [child]) {
        if (one !== null && typeof one === 'object' && typeof (one as Tree).type === 'string')
          visit(one as Tree, quiet)
      }
    }
  }
  function pattern(node: Tree, value: RegExp): void {
    const text = code.slice(node.start, node.end)
    if (text.startsWith('/^')) add('^ left out', { start: node.start + 1, end: node.start + 2 }, '')
    const end = text.lastIndexOf('/')
    if (value.source.endsWith('$') && !value.source.endsWith('\\$'))
      add('$ left out', { start: node.start + end - 1, end: node.start + end }, '')
  }
  visit(parse(code, { ecmaVersion: 'latest', sourceType: 'module' }) as unknown as Tree, false)
  return mutants.filter(({ from, to, text }) => source.slice(from, to) !== text)
}

export function apply(source: string, { from, to, text }: Mutant): string {
  return source.slice(0, from) + text + source.slice(to)
}
