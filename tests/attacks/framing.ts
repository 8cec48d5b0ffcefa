import type { Entrance } from '../kit/raw.ts'
import { asking, entrancesOf, settled } from './asking.ts'
import type { Ground } from './attack.ts'
import { READERS, readBy } from './readers.ts'

/** What hides behind the first request: one of its own, for whoever ends that one elsewhere. */
export function hidden({ plain }: Ground): string {
  return `GET /hidden HTTP/1.1\r\nHost: ${plain.authority}\r\nX-Hidden: yes\r\n\r\n`
}

export interface Gadget {
  readonly method?: string
  readonly path?: string
  /** Header lines, without the last CRLF. */
  readonly lines: string
  readonly body: string
}

/**
 * Sends each gadget on a connection of its own and says what some reader finds upstream beside the one
 * request that was sent, or in its place.
 */
export async function tryFraming(ground: Ground, gadgets: readonly Gadget[]): Promise<string[]> {
  const wrong = new Set<string>()
  for (const entrance of entrancesOf(ground)) {
    for (let at = 0; at < gadgets.length; at += TOGETHER)
      await Promise.all(gadgets.slice(at, at + TOGETHER).map((gadget) => send(entrance, gadget)))
    const to = ground.by(entrance)
    for (const { bytes } of to.arrivals) {
      for (const [reader, habits] of Object.entries(READERS)) {
        const odd = readBy(habits, bytes).find(({ line }) => !line.includes(' /outer'))
        if (!odd) continue
        const sent = /X-Gadget: (\d+)/.exec(bytes)?.[1]
        const gadget =
          sent === undefined ? '' : `${JSON.stringify(gadgets[Number(sent)]?.lines.slice(0, 80))}, `
        wrong.add(`${entrance}: ${gadget}read ${reader}: ${JSON.stringify(odd.line.slice(0, 60))}`)
        break
      }
    }
    to.reset()
  }
  return [...wrong]

  async function send(entrance: Entrance, gadget: Gadget): Promise<void> {
    const { method = 'POST', path = '/outer', lines, body } = gadget
    const number = gadgets.indexOf(gadget)
    const client = await ground.send(entrance, ground.by(entrance), {
      method,
      path,
      headers: asking(ground, `X-Gadget: ${number}`, ...(lines === '' ? [] : [lines])),
      raw: body,
    })
    await settled(client)
  }
}

/** Gadgets under way at once, each on its own connection. */
const TOGETHER = 16
