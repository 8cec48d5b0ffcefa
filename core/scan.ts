import { LocumError } from './errors.ts'
import type { HeadFields } from './heads.ts'
import {
  mayHoldPlaceholder,
  parseClientTemplate,
  type Template,
  targetMayHoldPlaceholder,
} from './placeholder.ts'

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

function templateOf(text: string): Template {
  if (text.length > LONGEST_KEPT) return parseClientTemplate(text)
  let template = templates.get(text)
  if (!template) {
    template = parseClientTemplate(text)
    if (templates.size >= CACHE_LIMIT) templates.clear()
    templates.set(text, template)
  }
  return template
}

/** The text inside `Basic base64(…)`, where it may hold a placeholder. */
function basicText(value: string): string | undefined {
  if ((value.charCodeAt(0) | 0x20) !== 0x62) return undefined
  const match = BASIC.exec(value)
  if (!match) return undefined
  const text = Buffer.from(match[1] as string, 'base64').toString('utf8')
  return mayHoldPlaceholder(text) ? text : undefined
}

/**
 * Finds every placeholder that a client wrote in a request's target and header fields. Throws
 * placeholder_not_allowed for one outside a header slot, placeholder_unknown for one that is none.
 */
export function findPlaceholders(
  target: string,
  fields: HeadFields,
  slots: ReadonlySet<string>,
): readonly SlotUse[] {
  if (targetMayHoldPlaceholder(target)) throw placeholderOutside('the target')
  let uses: SlotUse[] | undefined
  for (let index = 0; index < fields.names.length; index++) {
    const name = fields.names[index] as string
    const value = fields.values[index] as string
    const plain = mayHoldPlaceholder(value)
    const inBasic = plain ? undefined : basicText(value)
    if (!plain && inBasic === undefined) continue
    if (!slots.has(name)) throw placeholderOutside(`the header \`${name}\``, name)
    uses ??= []
    uses.push({
      name,
      index,
      text: value,
      template: templateOf(inBasic ?? value),
      basic: inBasic !== undefined,
    })
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
