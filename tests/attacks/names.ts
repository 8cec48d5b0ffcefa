import type { RawClient } from '../kit/raw.ts'
import { within } from './asking.ts'
import type { Ground } from './attack.ts'
import type { Sink } from './sink.ts'

/** What a client's request was answered with; 0 where nothing but an end came, or nothing at all. */
export async function statusOf(client: RawClient): Promise<number> {
  await within(
    3000,
    client.until((received) => /^HTTP\/1\.1 [2-5]\d\d /m.test(received)),
  )
  client.socket.destroy()
  return Number(/^HTTP\/1\.1 ([2-5]\d\d) /m.exec(client.received)?.[1] ?? 0)
}

/** What a client says in each place of a request that can name a host. */
export type Names = Readonly<Record<string, Sink>>

/** One request for each pair of places: two name another sink each way, every other place names the first. */
export function pairs(places: readonly string[], right: Sink, wrong: readonly Sink[]): Names[] {
  const all: Names[] = []
  for (const other of wrong)
    for (let mask = 1; mask < 2 ** places.length - 1; mask++)
      all.push(Object.fromEntries(places.map((place, at) => [place, mask & (1 << at) ? other : right])))
  return all
}

export function told(names: Names): string {
  return Object.entries(names)
    .map(([place, { name }]) => `${place} ${name}`)
    .join(', ')
}

/** What is wrong with an answer to a request whose names differ. */
export function wrongWith(ground: Ground, names: Names, status: number): string[] {
  const reached = ground.sinks.filter(({ bytes }) => bytes !== '')
  const wrong = [
    ...(status >= 200 && status < 400 ? [`${told(names)}: answered with ${status}`] : []),
    ...reached.map(({ name }) => `${told(names)}: bytes arrived at ${name}`),
  ]
  for (const sink of reached) sink.forget()
  return wrong
}
