import t from 'tap'
import { raw } from '../../auth-methods/raw.ts'
import type { Material } from '../../core/directory.ts'
import { compileRoute } from '../../core/route.ts'
import { findPlaceholders } from '../../core/scan.ts'
import { Secret } from '../../core/secret.ts'
import type { Caller } from '../../core/words.ts'
import { injectionFor } from '../../proxy/injection.ts'
import { Fields } from '../../proxy/wire/message.ts'

const caller: Caller = {
  principal: { id: 'ada', kind: 'user', projects: [], admin: false, via: 'key' },
  sessionId: 'session',
}
const route = compileRoute(
  {
    name: 'echo',
    destinations: [],
    ownedWildcard: false,
    method: 'raw',
    methodConfig: {},
    source: 'shared',
    fallback: [],
    allow: {},
    headers: [],
    corsOrigins: [],
    allowPrivateNetwork: false,
    allowPlaintext: false,
    version: 1,
  },
  new Map([['raw', raw]]),
)
const material: Material = {
  credential: { id: 'cred', version: 1, scope: 'shared' },
  values: new Secret({ values: { pem: 'line "1"\n'.repeat(400), other: 'another secret' }, plain: [] }),
  base: undefined,
  expiresAt: undefined,
  generation: 0,
}

function inject(value: string) {
  const fields = Fields.from([['X-Api-Key', value]])
  return injectionFor(route, findPlaceholders(fields, route.slots), material, caller)
}

t.test(
  'a client that writes something else each time does not have a long secret prepared anew',
  async (t) => {
    const basic = (n: number) => `Basic ${Buffer.from(`<<$Auth.pem>>:${n}`).toString('base64')}`
    const first = inject(basic(0))
    for (let n = 1; n < 200; n++) {
      const next = inject(basic(n))
      t.not(next, first)
      t.equal(next.needles, first.needles)
    }
    t.not(inject('{{$Auth.other}}').needles, first.needles, 'another secret is another matter')
  },
)
