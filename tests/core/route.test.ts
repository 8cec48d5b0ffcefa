import fc from 'fast-check'
import t from 'tap'
import { methods } from '../../auth-methods/index.ts'
import type { AuthMethod } from '../../core/auth-method.ts'
import { allowsCaller, baseOf, chooseRoute, type Route, reaches } from '../../core/route.ts'
import { USUAL_SLOTS } from '../../core/slots.ts'
import type { Allow, Connection } from '../../core/words.ts'
import { makeCaller, makeConnection, makePrincipal, makeRoute, refusal, to, verdict } from './kit.ts'

const ADA = makePrincipal({ profile: 'sales', projects: ['north', 'east'] })

function choose(
  routes: readonly Route[],
  x: { method?: string; path?: string; named?: string } = {},
): string {
  const asked = { method: x.method ?? 'GET', path: x.path ?? '/' }
  try {
    return chooseRoute(routes, ADA, asked, 'https://crm.example', x.named).connection.name
  } catch {
    return verdict(() => chooseRoute(routes, ADA, asked, 'https://crm.example', x.named))
  }
}

const named = (name: string, allow: Allow = {}) => makeRoute({ name, allow })

t.test('the longest literal prefix of a path decides', async (t) => {
  const routes = [
    named('any', { paths: ['/*'] }),
    named('api', { paths: ['/api/*'] }),
    named('user', { paths: ['/api/users/*'] }),
  ]
  for (const order of [routes, [...routes].reverse()]) {
    t.equal(choose(order, { path: '/' }), 'any')
    t.equal(choose(order, { path: '/api' }), 'any')
    t.equal(choose(order, { path: '/api/x' }), 'api')
    t.equal(choose(order, { path: '/api/users/1' }), 'user')
  }
  const several = [named('a', { paths: ['/x/*', '/api/v1/*'] }), named('b', { paths: ['/api/*'] })]
  t.equal(choose(several, { path: '/api/v1/y' }), 'a')
  t.equal(choose(several, { path: '/api/v2' }), 'b')
})

t.test('a glob is anchored at both ends, and a star is any characters', async (t) => {
  const cases: [string, string[], string[]][] = [
    ['/a', ['/a'], ['/a/', '/ab', '/', 'x/a', '/A']],
    ['/a/*', ['/a/', '/a/b/c'], ['/a', '/b/a/']],
    ['/*/x', ['/a/x', '//x', '/a/b/x'], ['/x', '/a/x/y']],
    ['/a*b*c', ['/abc', '/a-b-c', '/abcbc'], ['/acb', '/ab', '/abcd']],
    ['/aba*aba', ['/abaaba', '/aba/aba'], ['/aba', '/ababa']],
    ['*', ['', '/x'], []],
    ['/v1.0/[x]+', ['/v1.0/[x]+'], ['/v1x0/[x]+', '/v1.0/x']],
    ['/a**b', ['/ab', '/axb'], ['/a']],
  ]
  for (const [glob, yes, no] of cases) {
    for (const path of yes) t.equal(choose([named('c', { paths: [glob] })], { path }), 'c', `${glob} ${path}`)
    for (const path of no)
      t.equal(choose([named('c', { paths: [glob] })], { path }), 'not_allowed', `${glob} ${path}`)
  }
})

t.test('a glob means what a regular expression would, without its cost', async (t) => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 })
  const glob = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*'), maxLength: 6 })
  fc.assert(
    fc.property(glob, text, (pattern, path) => {
      const expected = new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(path)
      t.equal(choose([named('c', { paths: [pattern] })], { path }), expected ? 'c' : 'not_allowed')
    }),
    { numRuns: 400 },
  )
  const started = process.cpuUsage()
  choose([named('c', { paths: ['/*/x/*/x/*/x/*y'] })], { path: '/x'.repeat(8_000) })
  t.ok(process.cpuUsage(started).user < 200_000)
})

t.test('methods, profiles and projects are all asked', async (t) => {
  t.equal(choose([named('c', { methods: ['GET'] })]), 'c')
  t.equal(choose([named('c', { methods: ['GET'] })], { method: 'POST' }), 'not_allowed')
  t.equal(choose([named('c', { methods: [] })]), 'not_allowed')
  t.equal(choose([named('c', { profiles: ['sales'] })]), 'c')
  t.equal(choose([named('c', { profiles: ['support'] })]), 'not_allowed')
  t.equal(choose([named('c', { projects: ['south', 'east'] })]), 'c')
  t.equal(choose([named('c', { projects: ['south'] })]), 'not_allowed')
  t.equal(choose([named('c', { profiles: ['sales'], projects: ['south'] })]), 'not_allowed')
  t.notOk(allowsCaller(named('c', { profiles: ['sales'] }), makePrincipal()), 'no profile is not any profile')
  t.notOk(allowsCaller(named('c', { projects: ['north'] }), makePrincipal()))
})

t.test('what this caller may not use does not compete', async (t) => {
  const routes = [named('open'), named('closed', { profiles: ['support'], paths: ['/api/*'] })]
  t.equal(choose(routes, { path: '/api/x' }), 'open')
  t.equal(choose([named('open'), named('posts', { methods: ['POST'] })]), 'open')
})

t.test('where nothing decides, the client must name one, and is told only of those that fit', async (t) => {
  const routes = [named('one'), named('two'), named('other', { profiles: ['support'] })]
  const error = refusal(() =>
    chooseRoute(routes, ADA, { method: 'GET', path: '/' }, 'https://crm.example', undefined),
  )
  t.equal(error.code, 'connection_ambiguous')
  t.match(error.detail, 'one, two')
  t.notMatch(error.detail, 'other')
  t.equal(choose(routes, { named: 'two' }), 'two')
  t.equal(choose(routes, { named: 'other' }), 'not_allowed')
  t.equal(choose(routes, { named: 'none' }), 'connection_not_found')
  t.equal(
    choose([...routes, named('api', { paths: ['/api/*'] })], { path: '/api/x' }),
    'api',
    'a longer prefix decides',
  )
  t.equal(
    choose([named('low', { paths: ['/*'] }), ...routes, named('top', { paths: ['/*'] })]),
    'connection_ambiguous',
  )
})

t.test('no route is no connection', async (t) => {
  t.equal(choose([]), 'connection_not_found')
  t.equal(choose([], { named: 'crm' }), 'connection_not_found')
})

t.test('refuses a connection that makes no sense', async (t) => {
  const bad = (more: Partial<Connection>) => verdict(() => makeRoute(more))
  t.equal(bad({}), 'fine')
  t.equal(bad({ method: 'magic' }), 'bad_request')
  t.equal(bad({ method: '__proto__' }), 'bad_request')
  t.equal(bad({ headers: [['X-Key', '{{Auth.API_Key}}']] }), 'bad_request')
  t.equal(bad({ headers: [['X-Key', '{{$Auth.API_Key']] }), 'bad_request')
  t.equal(bad({ base: 'https://{{subdomain}}.crm.example' }), 'bad_request')
  for (const name of ['Host', 'content_length', 'Locum-For', 'X Key']) {
    t.equal(bad({ headers: [[name, 'x']] }), 'bad_request', name)
    t.equal(bad({ slots: { headers: [name] } }), 'bad_request', name)
  }
})

t.test("a common header stands before the method's own", async (t) => {
  const basic = makeRoute({ method: 'basic' })
  t.same(
    basic.sets.map(({ name }) => name),
    ['authorization'],
  )
  t.ok(basic.needsCredential)
  const both = makeRoute({
    method: 'basic',
    headers: [
      ['AUTHORIZATION', 'Bearer x'],
      ['X-A', '1'],
    ],
  })
  t.same(
    both.sets.map(({ spelled }) => spelled),
    ['AUTHORIZATION', 'X-A'],
  )
  t.same(both.sets[0]?.template.literals, ['Bearer x'])
})

t.test('a credential is needed where anything that is always set draws on it', async (t) => {
  t.notOk(makeRoute().needsCredential)
  t.notOk(makeRoute({ headers: [['X-Who', '{{$User.Id}}']] }).needsCredential)
  t.ok(makeRoute({ headers: [['X-Key', '{{$Auth.API_Key}}']] }).needsCredential)
  t.ok(makeRoute({ base: 'https://{{$Auth.subdomain}}.crm.example' }).needsCredential)
  t.notOk(makeRoute({ base: 'https://{{$User.Profile}}.crm.example' }).needsCredential)
})

t.test('slots are the usual ones until a connection names its own', async (t) => {
  t.same([...makeRoute().slots.headers], USUAL_SLOTS)
  t.same([...makeRoute({ slots: { headers: ['X-Crm-Key'] } }).slots.headers], ['x-crm-key'])
  t.equal(makeRoute({ slots: { headers: [] } }).slots.headers.size, 0)
})

t.test("without a base the gateway takes the connection's only exact destination", async (t) => {
  const sources = { caller: makeCaller() }
  t.equal(baseOf(makeRoute(), sources).candidate.text, 'https://crm.example')
  for (const destinations of [
    [to('https://a.example'), to('https://b.example')],
    [to('https://*.crm.example')],
    [],
  ])
    t.equal(
      verdict(() => baseOf(makeRoute({ destinations }), sources)),
      'bad_request',
    )
})

t.test('of a base that draws on the credential, what it drew is not shown', async (t) => {
  const destinations = [to('https://*.crm.example')]
  const route = makeRoute({ destinations, base: 'https://{{$Auth.sub}}.crm.example/{{$User.Id}}/' })
  const base = baseOf(route, {
    auth: { values: { sub: 'acme' }, plain: [] },
    caller: makeCaller({ id: 'ada' }),
  })
  t.equal(base.prefix, '/ada')
  t.same(base.shown, { origin: 'https://*.crm.example', prefix: '/ada' })
  const open = makeRoute({ destinations, base: 'https://a.crm.example/{{$User.Id}}/' })
  t.equal(baseOf(open, { caller: makeCaller({ id: 'ada' }) }).shown, undefined)
})

t.test('a base leads inside the connection, wherever its variables say', async (t) => {
  const route = makeRoute({
    destinations: [to('https://*.crm.example')],
    base: 'https://{{$Auth.subdomain}}.crm.example/api/',
  })
  const base = (subdomain: string) =>
    baseOf(route, { auth: { values: { subdomain }, plain: [] }, caller: makeCaller() })
  t.same(base('acme').candidate.text + base('acme').prefix, 'https://acme.crm.example/api')
  const code = (subdomain: string) => verdict(() => base(subdomain))
  for (const marked of ['marked.example/', 'marked.example/x', 'a.marked', 'marked.example:443/']) {
    const error = refusal(() => base(marked))
    t.equal(error.code, 'connection_not_found', marked)
    t.notMatch(`${error.message} ${error.hint}`, 'marked', marked)
  }
  for (const subdomain of [
    'user@evil.example',
    'evil.example?',
    'evil.example#',
    'evil.example\\',
    'a b',
    'é',
    '',
    '*',
  ])
    t.equal(code(subdomain), 'bad_request', subdomain)
  t.equal(
    verdict(() => baseOf(route, { caller: makeCaller() })),
    'placeholder_unknown',
  )
})

t.test('reaches what one of its destinations covers', async (t) => {
  const connection = makeConnection({ destinations: [to('https://a.example'), to('https://*.b.example')] })
  t.ok(reaches(connection, to('https://a.example')))
  t.ok(reaches(connection, to('https://x.b.example')))
  t.notOk(reaches(connection, to('https://c.example')))
})

t.test("a method's own headers are judged like a connection's", async (t) => {
  const odd: AuthMethod = {
    id: 'odd',
    title: 'Odd',
    fields: {},
    configKeys: [],
    values: () => ({ values: {}, plain: [] }),
    inject: () => [['Host', 'x']],
  }
  t.equal(
    verdict(() => makeRoute({ method: 'odd' }, new Map([...methods, ['odd', odd]]))),
    'bad_request',
  )
})
