import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { raw } from '../../auth-methods/raw.ts'
import type { Material } from '../../core/directory.ts'
import { compileRoute } from '../../core/route.ts'
import { findPlaceholders } from '../../core/scan.ts'
import { Secret } from '../../core/secret.ts'
import type { Caller } from '../../core/words.ts'
import { injectionFor } from '../../proxy/request/injection.ts'
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
  values: new Secret({
    values: { pem: 'line "1"\n'.repeat(400), other: 'another secret', token: 'x'.repeat(5000) },
    plain: [],
  }),
  base: undefined,
  redact: 'mask',
  barred: undefined,
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

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
/** MB of memory that the work leaves behind. */
function growth(work: () => void): number {
  const used = () => {
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
  const before = used()
  work()
  return (used() - before) / 1e6
}

t.test('what is kept of a head does not keep the whole head', async (t) => {
  const grown = growth(() => {
    for (let n = 0; n < 1000; n++) {
      const field = `Bearer <<$User.Id>> ${n}`
      const whole = Buffer.alloc(64 * 1024, `${field}\r\n`).toString('latin1')
      const fields = Fields.from([['X-Api-Key', whole.slice(0, field.length)]])
      findPlaceholders(fields, route.slots)
    }
  })
  t.ok(grown < 8, `${grown} MB`)
})

t.test('a head with as many placeholders as it may hold is not kept', async (t) => {
  const grown = growth(() => {
    for (let n = 0; n < 32; n++) {
      const { slotValues } = inject(`${n}${'{{$Auth.token}}'.repeat(250)}`)
      // As the wire does, which makes one piece of it.
      t.equal(slotValues[0]?.charCodeAt(1_250_000), 120)
    }
  })
  t.ok(grown < 8, `${grown} MB`)
  const many = ['a', 'b'].map((n) => ['X-Api-Key', n + '{{$Auth.token}}'.repeat(129)] as const)
  t.throws(() => findPlaceholders(Fields.from(many), route.slots), { code: 'too_large' })
})
