import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml'
import { LocumError } from '../core/errors.ts'
import { pathText } from './schema.ts'

/** Characters. A file of this size names tens of thousands of objects. */
const LONGEST = 4 * 1024 * 1024

/** How often anchors may be used over, nested uses multiplied: a small file cannot become a huge one. */
const MOST_ALIASES = 100

const TOO_DEEP = 'the file is nested too deeply'

/** Problems told of at once; the rest waits until these are solved. */
const MOST_PROBLEMS = 10

/** Keys and indices from the root. */
export type Path = readonly string[]

/** Something in a file that cannot be taken. Lines and columns count from 1. */
export interface Problem {
  readonly line: number
  readonly column: number
  readonly path: Path
  readonly says: string
}

/** A parsed file that still knows where everything stands. */
export interface Document {
  readonly value: unknown
  /** What stands under the path, or its key; the nearest enclosing thing where there is none. */
  locate(path: Path, part?: 'key' | 'value'): { line: number; column: number }
}

/** bad_request, a line a problem: `FILE:LINE:COLUMN: KEY: what is wrong`. */
export function fileError(file: string, problems: readonly Problem[]): LocumError {
  const lines = [...problems]
    .sort((a, b) => a.line - b.line || a.column - b.column)
    .slice(0, MOST_PROBLEMS)
    .map(({ line, column, path, says }) => {
      const key = path.length === 0 ? '' : `${pathText(path)}: `
      return `${file}:${line}:${column}: ${key}${says}`
    })
  const more = problems.length - lines.length
  if (more > 0) lines.push(`${file}: and ${more} more`)
  return new LocumError('bad_request', lines.join('\n'))
}

/** YAML 1.2 or JSON. Throws bad_request naming line and column. */
export function parseFile(text: string, file: string): Document {
  const fail = (line: number, column: number, says: string) =>
    fileError(file, [{ line, column, path: [], says }])
  if (text.length > LONGEST) throw fail(1, 1, 'the file is larger than 4 MiB')
  const lines = new LineCounter()
  // Its warnings would quote the file on standard error (R31).
  const options = { lineCounter: lines, prettyErrors: false, version: '1.2', logLevel: 'error' } as const
  const document = parseDocument(text, options)
  const [broken] = [...document.errors, ...document.warnings]
  if (broken) {
    const { line, col } = lines.linePos(broken.pos[0])
    // The parser is recursive: what is nested without end ends its stack.
    const says = broken.code === 'RESOURCE_EXHAUSTION' ? TOO_DEEP : broken.message.split('\n')[0]
    throw fail(Math.max(line, 1), Math.max(col, 1), says as string)
  }
  const root = document.contents
  let value: unknown
  try {
    visit(document, {
      Pair: (_, { key }) => {
        const named = resolve(key)
        if (!isNode(key) || !named || isScalar(named)) return
        const { line, col } = lines.linePos(key.range?.[0] ?? 0)
        throw fail(Math.max(line, 1), Math.max(col, 1), 'a list or a mapping stands where a key belongs')
      },
    })
    value = document.toJS({ maxAliasCount: MOST_ALIASES })
  } catch (cause) {
    if (cause instanceof RangeError) throw fail(1, 1, TOO_DEEP)
    if (!(cause instanceof ReferenceError)) throw cause
    throw fail(1, 1, 'anchors are used over too often, or one that is not there')
  }

  function resolve(node: unknown): Node | undefined {
    const target = isAlias(node) ? node.resolve(document) : node
    return isNode(target) ? target : undefined
  }

  return {
    value,
    locate(path, part = 'value') {
      let at: Node | undefined = isNode(root) ? root : undefined
      let start = at?.range?.[0] ?? 0
      for (const [i, step] of path.entries()) {
        const within = resolve(at)
        let next: Node | undefined
        let from: number | undefined
        if (isMap(within)) {
          const pair = within.items.find(({ key }) => isScalar(key) && String(key.value) === step)
          next = isNode(pair?.value) ? pair.value : undefined
          const key = isNode(pair?.key) ? pair.key.range?.[0] : undefined
          const last = i === path.length - 1
          from = last && part === 'key' ? key : (next?.range?.[0] ?? key)
        } else if (isSeq(within)) {
          const item = within.items[Number(step)]
          next = isNode(item) ? item : undefined
          from = next?.range?.[0]
        }
        if (from === undefined) break
        start = from
        at = next
      }
      const { line, col } = lines.linePos(start)
      return { line: Math.max(line, 1), column: Math.max(col, 1) }
    },
  }
}
