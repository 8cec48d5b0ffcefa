import {
  type Expression,
  fill,
  type Hole,
  type Put,
  type SecretCollector,
  type Template,
  templateOf,
  type VariablePath,
  type VariableSources,
} from './placeholder.ts'

/** Makes a text from the values of variables. Throws placeholder_unknown where one has none. */
export type Write = (sources: VariableSources, collect: SecretCollector) => string

/** A text that is to be written, what stands in it, and every variable that this draws on. */
export interface Writing {
  readonly write: Write
  readonly expressions: readonly Expression[]
  readonly paths: readonly VariablePath[]
}

/** A piece of a text, and what stands in its place. */
export interface Splice extends Writing {
  readonly from: number
  readonly to: number
}

/** A template whose values are all written in one way. */
export function writingOf(template: Template, put?: Put): Writing {
  return {
    write: (sources, collect) => fill(template, sources, collect, put),
    expressions: template.expressions,
    paths: template.paths,
  }
}

/** A placeholder's value in its place; `offset`: where the text begins in which it was found. */
export function spliceOf({ from, to, path }: Hole, offset: number, put: Put): Splice {
  return { ...writingOf(templateOf(['', ''], [path]), put), from: offset + from, to: offset + to }
}

/** Several, one after the other. */
export function writingAll(parts: readonly (string | Writing)[]): Writing {
  return {
    write: (sources, collect) =>
      parts.map((part) => (typeof part === 'string' ? part : part.write(sources, collect))).join(''),
    expressions: parts.flatMap((part) => (typeof part === 'string' ? [] : part.expressions)),
    paths: parts.flatMap((part) => (typeof part === 'string' ? [] : part.paths)),
  }
}

/** A text with pieces of it replaced; in order, and none within another. All else stays as it is. */
export function spliced(text: string, splices: readonly Splice[]): Writing {
  const parts: (string | Writing)[] = []
  let last = 0
  for (const splice of splices) {
    parts.push(text.slice(last, splice.from), splice)
    last = splice.to
  }
  parts.push(text.slice(last))
  return writingAll(parts)
}
