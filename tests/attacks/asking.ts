import { ENTRANCES, type Entrance, type RawClient } from '../kit/raw.ts'
import type { Ground } from './attack.ts'

/** The entrances that the proxy has. */
export function entrancesOf({ subject }: Ground): Entrance[] {
  return ENTRANCES.filter((entrance) => subject.offers.has(entrance))
}

/** The header lines of a request that asks for the secret. */
export function asking({ asks }: Ground, ...more: readonly string[]): string[] {
  return asks === '' ? [...more] : [asks, ...more]
}

/** ms that a client waits for what a proxy might never say: for an answer, and for its end once it has one. */
const ANSWER = 3000
const END = 200

/**
 * Ends this side, and waits until the proxy ends its own. One that answers and then holds on to the
 * connection, or that says nothing at all, is left after a while.
 */
export async function settled(client: RawClient): Promise<string> {
  client.socket.end()
  await within(
    ANSWER,
    client.until((received) => /^HTTP\/1\.1 [2-5]\d\d /m.test(received)),
  )
  await within(END, client.whole())
  client.socket.destroy()
  return client.received
}

/** Gives up waiting after so many ms. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([work, new Promise((resolve) => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}
