import { type Needles, StreamMask } from '../../core/redact.ts'
import { join, type Through } from '../tunnel/join.ts'
import { type Tunnel, WireError } from '../wire/message.ts'
import { FrameMask } from './websocket.ts'

/**
 * Joins two connections that stopped speaking HTTP. What comes from the upstream is masked (the
 * length stays, so frames stay whole), or ends both where it must `block`. A half-close goes on; anything
 * else ends both. `protocol`: what the upstream switched to.
 */
export function joinTunnels(
  client: Tunnel,
  upstream: Tunnel,
  { needles, block }: { needles: Needles | undefined; block: boolean },
  protocol: string | undefined,
  ended: (masked: number, blocked: boolean) => void,
): { destroy(): void } {
  const mask = needles && (isWebSocket(protocol) ? new FrameMask(needles) : new StreamMask(needles))
  const down = mask && block ? new Barrier(mask) : mask
  return join(client, upstream, undefined, down, () => {
    const hits = mask?.hits ?? 0
    ended(hits, block && hits > 0)
  })
}

/** Lets nothing through from where a mask has something to mask. */
class Barrier implements Through {
  readonly #mask: StreamMask | FrameMask

  constructor(mask: StreamMask | FrameMask) {
    this.#mask = mask
  }

  push(chunk: Buffer): Buffer | undefined {
    return this.#pass(this.#mask.push(chunk))
  }

  end(): Buffer | undefined {
    return this.#pass(this.#mask.end())
  }

  #pass(bytes: Buffer | undefined): Buffer | undefined {
    if (this.#mask.hits > 0) throw new WireError('cancelled', 'an echo of a secret')
    return bytes
  }
}

function isWebSocket(protocol: string | undefined): boolean {
  return protocol?.trim().toLowerCase() === 'websocket'
}
