import { createHash } from 'node:crypto'
import { LocumError } from '../core/errors.ts'

/**
 * The tag of a thing as it is shown: its version, and a digest of what is shown, since a state may change
 * without a version.
 */
export function tagOf(shown: unknown): string {
  const { version } = shown as { version?: number }
  const digest = createHash('sha256').update(JSON.stringify(shown)).digest('base64url').slice(0, 16)
  return version === undefined ? `"${digest}"` : `"${version}-${digest}"`
}

/** Throws outdated, with the tag that it has now, where what is shown is not what somebody has read (RFC 9110 §13.1.1). */
export async function demandTag(wanted: string, show: () => Promise<unknown>): Promise<void> {
  let now: string | undefined
  try {
    now = tagOf(await show())
  } catch (thrown) {
    if (!(thrown instanceof LocumError) || thrown.code !== 'not_found') throw thrown
  }
  const tags = wanted.split(',').map((tag) => tag.trim())
  if (now !== undefined && (wanted.trim() === '*' || tags.includes(now))) return
  throw new LocumError(
    'outdated',
    now === undefined ? 'It is not there any more.' : `It has changed meanwhile: its tag is ${now} now.`,
    { hint: 'Read it again, and send what then fits with its `ETag`.' },
  )
}
