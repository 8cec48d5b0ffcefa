import { LocumError } from './errors.ts'

/** RFC 6901, and `*` for any item of an array. */
export interface JsonPointer {
  /** As it is written. */
  readonly text: string
  readonly steps: readonly string[]
}

/** Deeper places are nobody's credential, and each level is walked through. */
const DEEPEST = 32

/** `/auth/token` → its steps. Throws bad_request for a text that is no pointer. */
export function parsePointer(text: string): JsonPointer {
  if (!/^(?:\/(?:[^~/]|~[01])*)*$/.test(text)) {
    throw new LocumError('bad_request', 'That is not a JSON pointer.', {
      hint: 'It begins with a slash, one for each level: /auth/token (a slash in a name is ~1, a tilde ~0)',
    })
  }
  const steps = text
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (steps.length > DEEPEST) {
    throw new LocumError('bad_request', `A JSON pointer has ${DEEPEST} levels at most.`)
  }
  return { text, steps }
}

/** The pointer to a member of the root. */
export function pointerTo(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
}
