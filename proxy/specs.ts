import type { Material } from '../core/directory.ts'
import type { Route } from '../core/route.ts'
import type { Candidate } from '../core/target.ts'
import type { UpstreamSpec } from './upstreams/spec.ts'

/** Specs remembered for one route; the cache starts anew beyond it. */
const CACHE_LIMIT = 1024
const kept = new WeakMap<Route, Known>()
let serials = 0

interface Known {
  readonly serial: number
  readonly specs: Map<string, UpstreamSpec>
  /** What was asked for last, so that the next like it needs no key. */
  candidate: Candidate | undefined
  credential: string | undefined
  spec: UpstreamSpec | undefined
}

/** Separates the parts of a key; in none of them. */
const BAR = '\n'

/** Which connections may carry a request: by destination, the connection's TLS settings and the credential (R10). */
export function specFor(route: Route, candidate: Candidate, material: Material | undefined): UpstreamSpec {
  let known = kept.get(route)
  if (!known) {
    // Not the connection's version: one that was removed and made again begins anew with it.
    known = {
      serial: ++serials,
      specs: new Map(),
      candidate: undefined,
      credential: undefined,
      spec: undefined,
    }
    kept.set(route, known)
  }
  const credential = material?.credential.id
  if (known.spec && known.candidate === candidate && known.credential === credential) return known.spec
  const { serial, specs } = known
  const { name, ca, allowPrivateNetwork } = route.connection
  const key = `${candidate.text}${BAR}${name}${BAR}${serial}${BAR}${credential ?? ''}`
  let spec = specs.get(key)
  if (!spec) {
    spec = { key, group: name, destination: candidate.destination, ca, allowPrivateNetwork }
    if (specs.size >= CACHE_LIMIT) specs.clear()
    specs.set(key, spec)
  }
  known.candidate = candidate
  known.credential = credential
  known.spec = spec
  return spec
}

/** Whether a pool's key is of this connection or this credential. */
export function keyIsOf(key: string, x: { connection?: string; credential?: string }): boolean {
  const [, connection, , credential] = key.split(BAR)
  return (
    (x.connection !== undefined && connection === x.connection) ||
    (x.credential !== undefined && credential === x.credential)
  )
}
