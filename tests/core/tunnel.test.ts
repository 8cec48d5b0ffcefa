import t from 'tap'
import { methods } from '../../auth-methods/index.ts'
import { compileRoute, namesHost, reaches } from '../../core/route.ts'
import { chooseTunnel } from '../../core/tunnel.ts'
import type { Connection } from '../../core/words.ts'
import { makeConnection, makePrincipal, refusal, to } from './kit.ts'

/** Asks for a tunnel to `host:port` where these connections are. */
function ask(
  connections: readonly Partial<Connection>[],
  x: { host?: string; port?: number; named?: string; passesUnmatched?: boolean; mayActFor?: string[] } = {},
) {
  const routes = connections.map((one) => compileRoute(makeConnection(one), methods))
  const directory = {
    routesTo: (destination: ReturnType<typeof to>) =>
      routes.filter(({ connection }) => reaches(connection, destination)),
    declaresHost: (host: string) => routes.some(({ connection }) => namesHost(connection, host)),
  }
  const { host = 'crm.example', port = 443, named, passesUnmatched = false, mayActFor } = x
  return chooseTunnel(
    directory,
    { principal: makePrincipal(), mayActFor },
    { host, port },
    { named, passesUnmatched },
  )
}

const UNTOUCHED = { intercept: false as const }
const OTHERS = { allow: { profiles: ['nobody'] } }

t.test(
  'a tunnel to a declared destination is opened, and its ports are those that are declared',
  async (t) => {
    t.same(ask([{}]), { kind: 'open' })
    t.same(ask([{}], { named: 'crm' }), { kind: 'open' })
    for (const x of [{ port: 8443 }, { host: 'evil.example' }, { named: 'other' }])
      t.equal(refusal(() => ask([{}], x)).code, 'connection_not_found')
  },
)

t.test(
  'one to a host that nobody declares passes where that is said, at port 443 and by no name',
  async (t) => {
    const open = { host: 'other.example', passesUnmatched: true }
    t.same(ask([{}], open), { kind: 'unmatched' })
    for (const x of [
      { ...open, passesUnmatched: false },
      { ...open, port: 8443 },
      { ...open, named: 'crm' },
      { host: 'crm.example', port: 8443, passesUnmatched: true },
    ])
      t.equal(refusal(() => ask([{}], x)).code, 'connection_not_found')
    const elsewhere = [{ destinations: [to('https://crm.example:8443')] }]
    t.equal(
      refusal(() => ask(elsewhere, { passesUnmatched: true })).code,
      'connection_not_found',
      'a declared host passes at no other port',
    )
  },
)

t.test('a caller for whom no connection is opens none, unless it may act for others inside', async (t) => {
  t.match(
    refusal(() => ask([OTHERS])),
    { code: 'not_allowed', detail: 'No connection to crm.example:443 lets this caller use it.' },
  )
  t.same(ask([OTHERS], { mayActFor: ['user:*'] }), { kind: 'open' })
  t.equal(refusal(() => ask([{ ...OTHERS, ...UNTOUCHED }], { mayActFor: ['user:*'] })).code, 'not_allowed')
  t.same(
    ask(
      [
        { ...OTHERS, ...UNTOUCHED },
        { ...OTHERS, name: 'read' },
      ],
      { mayActFor: ['user:*'] },
    ),
    { kind: 'open' },
    'what is read inside is judged there',
  )
})

t.test('what passes untouched is TLS, unless plain bytes are declared for that port', async (t) => {
  t.match(ask([UNTOUCHED]), { kind: 'untouched', route: { connection: { name: 'crm' } }, secure: true })
  const plain = { ...UNTOUCHED, destinations: [to('http://crm.example:8080')], allowPlaintext: true }
  t.match(ask([plain], { port: 8080 }), { kind: 'untouched', secure: false })
  const both = { ...plain, destinations: [to('http://crm.example:8080'), to('https://crm.example:8080')] }
  t.match(ask([both], { port: 8080 }), { kind: 'untouched', secure: false })
})

t.test('where connections do not agree on what passes, one has to be named', async (t) => {
  const two = [UNTOUCHED, { name: 'read' }]
  t.match(
    refusal(() => ask(two)),
    {
      code: 'connection_ambiguous',
      detail: /to crm\.example:443 .*: crm, read\.$/,
      hint: /Locum-Connection/,
    },
  )
  t.match(ask(two, { named: 'crm' }), { kind: 'untouched', secure: true })
  t.same(ask(two, { named: 'read' }), { kind: 'open' })
  t.match(
    ask([UNTOUCHED, { ...OTHERS, name: 'read' }]),
    { kind: 'untouched' },
    'one that this caller may not use decides nothing',
  )
})
