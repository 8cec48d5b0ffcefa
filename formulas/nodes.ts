import type { ASTNode } from '@marcbachmann/cel-js'

/** One thing that a formula draws on. `text` is as an administrator would write it. */
export interface Variable {
  readonly text: string
  readonly root: 'Auth' | 'User' | 'Api'
  readonly steps: readonly (string | number)[]
}

/** A variable in a formula: where it stands, and whether only its presence is asked for. */
export interface Place {
  readonly from: number
  readonly to: number
  readonly variable: Variable
  readonly presence: boolean
}

const ROOTS: Readonly<Record<string, Variable['root']>> = { __Auth: 'Auth', __User: 'User', __Api: 'Api' }
/** Functions whose arguments are worked out once for each item, with a name for it. */
const MACROS: readonly string[] = ['map', 'filter', 'all', 'exists', 'exists_one', 'bind']

/** Each node right below this one. */
export function inside(node: ASTNode): ASTNode[] {
  return nodesIn(node.args)
}

function nodesIn(value: unknown): ASTNode[] {
  if (Array.isArray(value)) return value.flatMap(nodesIn)
  return value !== null && typeof value === 'object' && 'op' in value ? [value as ASTNode] : []
}

/** Every node, from the top. */
export function* everyNode(node: ASTNode): Generator<ASTNode> {
  yield node
  for (const one of inside(node)) yield* everyNode(one)
}

/** The function that a node calls. */
export function calledBy(node: ASTNode): string | undefined {
  return node.op === 'call' || node.op === 'rcall' ? node.args[0] : undefined
}

/** Every variable, each as far as its steps are known beforehand. `bare`: a root that stands alone. */
export function placesIn(node: ASTNode): { places: Place[]; bare: string | undefined } {
  const places: Place[] = []
  let bare: string | undefined
  const visit = (one: ASTNode): void => {
    if (one.op === 'call' && one.args[0] === 'has') {
      const variable = one.args[1][0] && variableAt(one.args[1][0])
      if (variable) {
        places.push({ from: one.start, to: one.end, variable, presence: true })
        return
      }
    }
    const variable = variableAt(one)
    if (variable) places.push({ from: one.start, to: one.end, variable, presence: false })
    else if (one.op === 'id' && Object.hasOwn(ROOTS, one.args)) bare = `$${ROOTS[one.args]}`
    else for (const inner of inside(one)) visit(inner)
  }
  visit(node)
  return { places, bare }
}

/** `__User.Claims["a"][0]`: a root and steps that are written out. */
function variableAt(node: ASTNode): Variable | undefined {
  const steps: (string | number)[] = []
  let text = ''
  let at = node
  for (;;) {
    if (at.op === '.') {
      steps.unshift(at.args[1])
      text = `.${at.args[1]}${text}`
      at = at.args[0]
    } else if (at.op === '[]') {
      const step = stepOf(at.args[1])
      if (step === undefined) return undefined
      steps.unshift(step)
      text = `[${JSON.stringify(step)}]${text}`
      at = at.args[0]
    } else break
  }
  if (at.op !== 'id' || !Object.hasOwn(ROOTS, at.args) || typeof steps[0] !== 'string') return undefined
  const root = ROOTS[at.args] as Variable['root']
  return { text: `$${root}${text}`, root, steps }
}

function stepOf({ op, args }: ASTNode): string | number | undefined {
  if (op !== 'value') return undefined
  if (typeof args === 'string') return args
  return typeof args === 'bigint' && args >= 0n && args < 1_000_000n ? Number(args) : undefined
}

/** The nodes that may hold something of the variables whose names are such. */
export function nodesWith(node: ASTNode, isSuch: (name: string) => boolean): Set<ASTNode> {
  const found = new Set<ASTNode>()
  const visit = (one: ASTNode): boolean => {
    const below = inside(one).map(visit)
    const holds = below.includes(true) || (one.op === 'id' && isSuch(one.args))
    if (!holds) return false
    found.add(one)
    // An item of what is secret has a name of its own in there.
    if (MACROS.includes(calledBy(one) ?? '')) for (const inner of everyNode(one)) found.add(inner)
    return true
  }
  visit(node)
  return found
}
