import { LocumError } from './errors.ts'
import { type HeadFields, ownCopy } from './heads.ts'
import { checkCount, mayHoldPlaceholder, parseClientTemplate, type Template } from './placeholder.ts'
import type { SlotRules } from './slots.ts'
import type { StandIns } from './stand-ins.ts'

/** A client's placeholder in a header slot. */
export interface SlotUse {
  /** Lower-case header name. */
  readonly name: string
  /** Where the field stands in its head. */
  readonly index: number
  /** What the client wrote. */
  readonly text: string
  readonly template: Template
  /** The template is the decoded text of a `Basic` value, and is encoded again. */
  readonly basic: boolean
}

/** Blanks where none belong are survived by most readers, and by Node's decoder. */
const BASIC = /^basic[ \t]([A-Za-z0-9+/_ \t-]+=*)$/i
/** Texts kept, and the longest of them that is: what clients write is theirs to vary. */
const CACHE_LIMIT = 2048
const LONGEST_KEPT = 512
const templates = new Map<string, Template>()
const withStandIns = new WeakMap<StandIns, Map<string, Template>>()

function templateOf(text: string, standIns: StandIns | undefined): Template {
  if (text.length > LONGEST_KEPT) return parseClientTemplate(text, standIns)
  const kept = standIns ? keptFor(standIns) : templates
  let template = kept.get(text)
  if (!template) {
    const own = ownCopy(text)
    template = parseClientTemplate(own, standIns)
    if (kept.size >= CACHE_LIMIT) kept.clear()
    kept.set(own, template)
  }
  return template
}

function keptFor(standIns: StandIns): Map<string, Template> {
  let kept = withStandIns.get(standIns)
  if (!kept) {
    kept = new Map()
    withStandIns.set(standIns, kept)
  }
  return kept
}

/** The text inside `Basic base64(…)`, a character a byte, where it may hold a placeholder. */
function basicText(value: string, standIns: StandIns | undefined): string | undefined {
  if ((value.charCodeAt(0) | 0x20) !== 0x62) return undefined
  const match = BASIC.exec(value)
  if (!match) return undefined
  const text = Buffer.from(match[1] as string, 'base64').toString('latin1')
  return mayHoldPlaceholder(text, standIns) ? text : undefined
}

/** Whether a field's value holds, or seems to hold, a placeholder. */
export function fieldMayHoldPlaceholder(value: string, standIns: StandIns | undefined): boolean {
  return mayHoldPlaceholder(value, standIns) || basicText(value, standIns) !== undefined
}

/**
 * Finds every placeholder that a client wrote in a request's header fields. Throws
 * placeholder_not_allowed for one outside a header slot, placeholder_unknown for one that is none,
 * too_large for more of them than anybody needs.
 */
export function findPlaceholders(fields: HeadFields, slots: SlotRules): readonly SlotUse[] {
  const { headers, standIns } = slots
  let uses: SlotUse[] | undefined
  let count = 0
  for (let index = 0; index < fields.names.length; index++) {
    const name = fields.names[index] as string
    const value = fields.values[index] as string
    const plain = mayHoldPlaceholder(value, standIns)
    const inBasic = plain ? undefined : basicText(value, standIns)
    if (!plain && inBasic === undefined) continue
    if (!headers.has(name)) throw placeholderOutside(`the header \`${name}\``, name)
    const template = templateOf(inBasic ?? value, standIns)
    count += template.paths.length
    checkCount(count)
    uses ??= []
    uses.push({ name, index, text: value, template, basic: inBasic !== undefined })
  }
  return uses ?? NONE
}

const NONE: readonly SlotUse[] = []

/** The error for a placeholder where none may stand. `header`: the name of one that could be a slot. */
export function placeholderOutside(where: string, header?: string): LocumError {
  return new LocumError(
    'placeholder_not_allowed',
    `There is a placeholder in ${where}, which is no slot of this connection.`,
    {
      hint: header
        ? `If a secret belongs there, the connection names it: slots: { headers: [${header}] }`
        : 'Put the secret in a header, such as Authorization or X-Api-Key.',
    },
  )
}
