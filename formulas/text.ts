/** How the text of a formula is cut up, as far as that matters before CEL reads it (cel-spec, langdef.md, "Lexis"). */

const NAME = /[A-Za-z_]\w*/y
const ROOT = /\$(Auth|User|Api)\b/y
/** Roots and names of Locum's own, as CEL reads them: `$` is no letter there. */
const OWN = '__'

/** A piece of a formula: a string literal, a comment, a name, a root with its `$`, or one other character. */
interface Piece {
  readonly kind: 'string' | 'comment' | 'name' | 'root' | 'other'
  readonly text: string
}

/** Undefined where a string is opened and not closed. */
function pieceAt(text: string, at: number): Piece | undefined {
  const piece = (kind: Piece['kind'], to: number): Piece => ({ kind, text: text.slice(at, to) })
  const char = text[at] as string
  if (char === '"' || char === "'") return stringAt(text, at, at)
  if (char === '/' && text[at + 1] === '/') {
    const end = text.indexOf('\n', at)
    return piece('comment', end < 0 ? text.length : end)
  }
  ROOT.lastIndex = at
  if (ROOT.test(text)) return piece('root', ROOT.lastIndex)
  NAME.lastIndex = at
  if (!NAME.test(text)) return piece('other', at + 1)
  const end = NAME.lastIndex
  const quoted = text[end] === '"' || text[end] === "'"
  if (quoted && /^[rRbB]$/.test(text.slice(at, end))) return stringAt(text, at, end)
  return piece('name', end)
}

/** What stands behind a backslash ends no string, in a raw one too: so the library has it. */
function stringAt(text: string, at: number, quote: number): Piece | undefined {
  const one = text[quote] as string
  const mark = text.startsWith(one.repeat(3), quote) ? one.repeat(3) : one
  for (let i = quote + mark.length; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text.startsWith(mark, i)) return { kind: 'string', text: text.slice(at, i + mark.length) }
  }
  return undefined
}

/**
 * Where the formula that begins at `from` ends: the place of the `}}` behind it, which stands in no string and
 * closes no map. Undefined where there is none.
 */
export function endOfFormula(text: string, from: number): number | undefined {
  let open = 0
  for (let i = from; i < text.length; ) {
    const piece = pieceAt(text, i)
    if (!piece) return undefined
    if (piece.text === '{') open++
    else if (piece.text === '}') {
      if (open === 0) return text[i + 1] === '}' ? i : undefined
      open--
    }
    i += piece.text.length
  }
  return undefined
}

/** With the roots as CEL can read them. Undefined where a string is not closed, or a name is one of Locum's own. */
export function readable(source: string): string | undefined {
  let text = ''
  for (let i = 0; i < source.length; ) {
    const piece = pieceAt(source, i)
    if (!piece || (piece.kind === 'name' && piece.text.startsWith(OWN))) return undefined
    text += piece.kind === 'root' ? OWN + piece.text.slice(1) : piece.text
    i += piece.text.length
  }
  return text
}

/** What CEL says of such a text, with the roots as they were written. */
export function asWritten(message: string): string {
  return message.replaceAll(/__(?=(?:Auth|User|Api)\b)/g, '$')
}
