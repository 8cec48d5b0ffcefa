/**
 * What the core needs to know of a message's head; the wire's own models have these shapes. Names
 * are lower case, values are latin1 text.
 */
export interface HeadFields {
  readonly names: readonly string[]
  readonly values: readonly string[]
  get(name: string): string | undefined
}

export interface RequestHead {
  readonly method: string
  readonly target: string
  readonly host: string | undefined
  readonly fields: HeadFields
}

export interface ResponseHead {
  readonly status: number
  readonly fields: HeadFields
}

/** A latin1 text by itself: a piece of a head keeps the whole head in memory for as long as it is kept. */
export function ownCopy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
