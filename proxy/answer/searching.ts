import { writingOf } from '../../core/charset.ts'
import { LocumError } from '../../core/errors.ts'
import type { Needles } from '../../core/redact.ts'
import type { BodySink, ResponseHead } from '../wire/message.ts'
import { CodedReply } from './coded-reply.ts'
import { codingsOf } from './codings.ts'
import { isEventStream, isMedia, isPartial, type Unsearched } from './head.ts'
import { BlockedReply, MaskedReply, type ReplyTarget } from './reply.ts'

/** A body that is searched on its way to the client. */
export interface SearchedReply extends BodySink {
  /** Nobody waits for it any more. */
  stop(): void
}

/** Why the body is not searched (`media`), or not all of what it is a part of. */
export function unsearchedBy(head: ResponseHead): Unsearched | undefined {
  if (isMedia(head.fields)) return 'media'
  return isPartial(head) ? 'partial' : undefined
}

/**
 * A sink that searches the body behind this head, and sends both on. Throws upstream_invalid, before
 * anything is sent, for a body that is coded or written so that it cannot be searched.
 */
export function searchedReply(
  usual: Needles,
  head: ResponseHead,
  block: boolean,
  to: ReplyTarget,
): SearchedReply {
  const writing = writingOf(head.fields)
  if (writing === 'hidden') {
    throw new LocumError(
      'upstream_invalid',
      'The upstream wrote its answer in a character set that cannot be searched for secrets.',
      { hint: 'Ask for it in UTF-8.' },
    )
  }
  const needles = writing === 'wide' ? usual.wide : usual
  const codings = codingsOf(head)
  if (codings.length > 0) {
    const stream = isEventStream(head.fields)
    return new CodedReply({ needles, codings, head, block, stream }, to)
  }
  if (block) return new BlockedReply(needles, head, to)
  to.begin(head)
  return new MaskedReply(needles, to)
}
