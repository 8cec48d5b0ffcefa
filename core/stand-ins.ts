import { LocumError } from './errors.ts'
import { parsePath, type VariablePath } from './placeholder.ts'

/**
 * Texts that stand for a variable without looking like it: for clients that check the shape of a key
 * before they send it. Replaced in slots, an error elsewhere, like any placeholder.
 */
export interface StandIns {
  /** Matches where any of them stands. */
  readonly any: RegExp
  /** The same, for all of them one after the other. */
  readonly each: RegExp
  readonly paths: ReadonlyMap<string, VariablePath>
}

/** Characters; a shorter one could stand in a text by chance. */
const SHORTEST = 12
const LONGEST = 256
/** What keys are made of. None of it opens a placeholder, ends a value, or is a blank to anybody. */
const TEXT = /^[A-Za-z0-9._~+/=:@-]*$/

/** Throws bad_request for a text that cannot be a stand-in. */
export function checkStandIn(text: string): void {
  if (text.length < SHORTEST || text.length > LONGEST) {
    throw new LocumError('bad_request', `A stand-in has ${SHORTEST} to ${LONGEST} characters.`, {
      hint: 'Make it as long as the key for which it stands.',
    })
  }
  if (!TEXT.test(text)) {
    throw new LocumError('bad_request', 'A stand-in is made of letters, digits and . _ ~ + / = : @ -')
  }
}

/**
 * `{ sk_test_standin123: $Auth.API_Key }`, ready to be searched for. Undefined where there are none.
 * Throws bad_request for one that cannot be a stand-in, stands for no variable or holds another.
 */
export function compileStandIns(placeholders: { readonly [text: string]: string }): StandIns | undefined {
  const texts = Object.keys(placeholders)
  if (texts.length === 0) return undefined
  const paths = new Map<string, VariablePath>()
  for (const text of texts) {
    checkStandIn(text)
    const other = texts.find((one) => one !== text && text.includes(one))
    if (other !== undefined) {
      throw new LocumError('bad_request', `The stand-in \`${text}\` holds another, \`${other}\`.`)
    }
    paths.set(text, standsFor(placeholders[text] as string))
  }
  const pattern = texts.map((text) => text.replace(/[.+/]/g, '\\$&')).join('|')
  return { any: new RegExp(pattern), each: new RegExp(pattern, 'g'), paths }
}

function standsFor(text: string): VariablePath {
  const path = parsePath(text)
  if (path) return path
  throw new LocumError('bad_request', 'A stand-in stands for a variable.', {
    hint: 'Write the variable alone: $Auth.API_Key',
  })
}
