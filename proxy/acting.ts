import { FOR_HEADER, readFor, refuseActing, servedFor } from '../core/act-for.ts'
import type { Directory } from '../core/directory.ts'
import { LocumError } from '../core/errors.ts'
import type { Caller } from '../core/words.ts'
import type { Session } from './room.ts'
import type { ServerExchange } from './wire/message.ts'

/**
 * As whom a caller is served: itself, or the user whom `Locum-For` names. A tunnel that was opened for
 * a user is for no other. Throws (or rejects with) not_allowed, bad_request, store_unavailable. A
 * `Locum-For` of a caller who may act for nobody stays for the reader of the head to refuse, so that
 * everybody else's requests are not searched for it.
 */
export function servedAs(
  directory: Directory,
  caller: Caller,
  { head, session }: Pick<ServerExchange<Session>, 'head' | 'session'>,
): Caller | Promise<Caller> {
  const opener = session.tunnel?.opener
  const held = opener?.actor && opener.principal.id
  if (caller.mayActFor === undefined && held === undefined) return caller
  const { names, values } = head.fields
  const at = names.indexOf(FOR_HEADER)
  if (at < 0 && held === undefined) return caller
  if (caller.mayActFor === undefined) refuseActing()
  if (at >= 0 && names.includes(FOR_HEADER, at + 1)) {
    throw new LocumError('bad_request', 'A request is for one user only.', { hint: 'Send one Locum-For.' })
  }
  const id = at < 0 ? (held as string) : readFor(values[at] as string)
  if (held !== undefined && held !== id) {
    throw new LocumError('not_allowed', 'This tunnel was opened for another user.', {
      hint: 'Send CONNECT without Locum-For, and Locum-For with each request inside.',
    })
  }
  const named = directory.named(id)
  if (named !== undefined) return servedFor(caller, named)
  return directory.fetchNamed(id).then((found) => servedFor(caller, found))
}
