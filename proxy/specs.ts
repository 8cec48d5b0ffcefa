import type { Material } from '../core/directory.ts'
import type { Route } from '../core/route.ts'
import type { Candidate } from '../core/target.ts'
import type { UpstreamSpec } from './upstreams/spec.ts'

/** Specs remembered for one route; the cache starts anew beyond it. */
const CACHE_LIMIT = 1024
const kept = new WeakMap<Route, { readonly serial: number; readonly specs: Map<string, UpstreamSpec> }>()
let serials = 0

/** Separates the parts of a key; in none of them. */
const BAR = '\n'

/** Which connections may carry a request: by destination, the connection's TLS settings and the credential (R10). */
export function specFor(route: Route, candidate: Candidate, material: Material | undefined): UpstreamSpec {
  let known = kept.get(route)
  if (!known) {
    // Not the connection's version: one that was removed and made again begins anew with it.
    known = { serial: ++serials, specs: new Map() }
    kept.set(route, known)
  }
  const { serial, specs } = known
  const { name, ca, allowPrivateNetwork } = route.connection
  const key = `${candidate.text}${BAR}${name}${BAR}${serial}${BAR}${material?.credential.id ?? ''}`
  let spec = specs.get(key)
  if (!spec) {
    spec = { key, destination: candidate.destination, ca, allowPrivateNetwork }
    if (specs.size >= CACHE_LIMIT) specs.clear()
    specs.set(key, spec)
  }
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
