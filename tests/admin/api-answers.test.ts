import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { answerSchema } from '../../api/openapi.ts'
import { ROUTES, type Route } from '../../api/routes.ts'
import { proxyKeyText } from '../../core/proxy-key.ts'
import type { AskOptions } from '../kit/api.ts'
import { startLab } from './lab.ts'

const { site, ask, bound } = await startLab(t)
const ajv = new Ajv2020({ strict: false })
const seen = new Set<Route>()

/** Asks, and holds the answer against what the document says of the route. */
async function held(method: string, pattern: string, path: string, options: AskOptions = {}) {
  const route = ROUTES.find((one) => one.method === method && one.path === pattern) as Route
  const told = await ask(method, path, options)
  t.ok(told.status < 300, `${method} ${path}: ${told.status} ${told.text}`)
  seen.add(route)
  const schema = answerSchema(route)
  if (!schema) t.match(told, { status: 204, text: '' })
  else {
    const check = ajv.compile(schema)
    t.ok(check(told.json), `${method} ${path}: ${JSON.stringify(check.errors)} ${told.text}`)
  }
  return told
}

t.test('every answer is what the document says of its route', async (t) => {
  const stripe = await bound('stripe', 'shared')
  const get = (pattern: string, name = '') => held('GET', pattern, pattern.replace(/\{\w+\}/, name))
  for (const path of ['/me', '/site', '/principals', '/connections', '/credentials']) await get(path)
  for (const path of ['/providers', '/certs', '/ca', '/audit', '/audit/verify']) await get(path)
  for (const name of ['admin', 'ada', 'agent']) await get('/principals/{id}', name)
  for (const name of ['stripe', 'crm', 'mail', 'open']) await get('/connections/{name}', name)
  for (const name of ['idp', 'reports']) await get('/providers/{name}', name)
  await get('/credentials/{id}', stripe)
  const trust = '/providers/{name}/trust-policy'
  await held('GET', trust, '/providers/reports/trust-policy?principal=arn:aws:iam::123456789012:user/locum')

  const limits = { connections: 5, rate: 2 }
  const eve = { id: 'eve', profile: 'sales', email: 'eve@example.com', ttl: '90d', limits }
  const made = await held('POST', '/principals', '/principals', { body: eve })
  t.equal(made.headers.location, '/api/v1/principals/eve')
  for (const verb of ['rotate-key', 'disable', 'enable', 'revoke'])
    await held('POST', `/principals/{id}/${verb}`, `/principals/eve/${verb}`)
  const added = async (id: string) =>
    (await held('POST', '/principals', '/principals', { body: { id } })).json.key as string
  const keys: Record<string, string> = { kim: await added('kim'), lea: await added('lea') }
  const mine = { connection: 'own', for: 'user:kim', fields: { apiKey: 'the-own-key-of-somebody' } }
  const own = await held('POST', '/credentials', '/credentials', { key: keys.kim, body: mine })
  const one = `/credentials/${own.json.id}`
  await held('GET', '/credentials', '/credentials', { key: keys.kim })
  await held('POST', '/connections/{name}/test', '/connections/own/test', { key: keys.kim })
  await held('POST', '/projects', '/projects', { body: { name: 'west' } })
  for (const id of ['kim', 'lea'])
    await held('PUT', '/projects/{project}/members/{id}', `/projects/west/members/${id}`, {
      body: { editor: id === 'kim' },
    })
  const of = (verb: string, who: string, body: object) =>
    held('POST', `/credentials/{id}/${verb}`, `${one}/${verb}`, { key: keys[who] as string, body })
  await of('rename', 'kim', { name: 'the best' })
  await of('share', 'kim', { project: 'west' })
  const there = { connection: 'own', for: 'user:lea' }
  await of('use', 'lea', there)
  await held('GET', '/credentials/{id}', one, { key: keys.lea })
  await of('unuse', 'lea', there)
  await of('give', 'kim', { to: 'lea' })
  await held('GET', '/credentials/{id}', one, { key: keys.kim })
  await held('GET', '/offers', '/offers', { key: keys.lea })
  await held('POST', '/offers/{id}/decline', `/offers/${own.json.id}/decline`, { key: keys.lea })
  await of('give', 'kim', { to: 'lea' })
  await held('POST', '/offers/{id}/accept', `/offers/${own.json.id}/accept`, { key: keys.lea })
  await of('unshare', 'lea', { project: 'west' })
  await held('DELETE', '/credentials/{id}', one, { key: keys.lea })
  await get('/projects')
  await get('/projects/{name}', 'west')
  await held('DELETE', '/projects/{project}/members/{id}', '/projects/west/members/lea', { key: keys.kim })
  await held('DELETE', '/projects/{name}', '/projects/west')

  await held('POST', '/principals/invite', '/principals/invite', { body: { id: 'ivy' } })
  await held('POST', '/principals/{id}/link-key', '/principals/ivy/link-key')
  const fields = { apiKey: 'short' }
  const entered = await held('POST', '/credentials', '/credentials', {
    body: { connection: 'own', for: 'user:robot', fields, name: 'mine' },
  })
  t.match(entered.json.notes, [/8/], 'what is too short to be searched for is said')
  const { id } = entered.json
  for (const verb of ['disable', 'enable'])
    await held('POST', `/credentials/{id}/${verb}`, `/credentials/${id}/${verb}`)
  await held('DELETE', '/credentials/{id}', `/credentials/${id}`)

  const schema = {
    type: 'object',
    properties: { token: { type: 'string', writeOnly: true }, host: { type: 'string' } },
  }
  await held('PUT', '/types/{name}', '/types/crm', { body: { schema } })
  await get('/types')
  await get('/types/{name}', 'crm')
  await held('DELETE', '/types/{name}', '/types/crm')
  await held('POST', '/certs', '/certs', { body: { name: 'next', kind: 'ec-p256' } })
  await get('/certs/{name}', 'next')
  await held('POST', '/certs/{name}/rotate', '/certs/next/rotate')
  await held('POST', '/ca/export', '/ca/export', { body: { format: 'p12', password: 'changeit' } })
  await held('POST', '/ca/rotate', '/ca/rotate')
  await get('/ca')

  const answers = { apiKey: 'sk-proj-a-key-that-is-long-enough-1234' }
  const adding = { for: 'shared', answers }
  await held('POST', '/templates/{template}/check', '/templates/openai/check', {
    body: { for: 'shared', answers: {} },
  })
  await held('POST', '/templates/{template}', '/templates/openai', { body: adding })
  for (const url of ['https://api.stripe.example/v1', 'https://nowhere.example/', '/c/crm/x?key=1']) {
    const headers = [['X-Key', '{{$Auth.API_Key}}']]
    await held('POST', '/explain', '/explain', { body: { method: 'GET', url, as: 'ada', headers } })
  }
  const key = proxyKeyText(site.context.random(32))
  const text = 'name: more\nprincipals: [{ id: zoe, key: { env: KEY } }]\n'
  const file = { file: 'more.yaml', text, env: { KEY: key } }
  await held('POST', '/check', '/check', { body: file })
  await held('POST', '/apply', '/apply', { body: file })
  await get('/principals/{id}', 'zoe')
  await held('GET', '/audit', '/audit?limit=100')
  t.same(
    ROUTES.filter((route) => !seen.has(route)).map(({ method, path }) => `${method} ${path}`),
    [],
    'routes whose answer nobody looked at',
  )
})

t.test('the document is OpenAPI 3.1 of all routes, and any program may read it', async (t) => {
  const { status, json } = await ask('GET', '/openapi.json', { as: '' })
  t.equal(status, 200)
  t.match(json, {
    openapi: /^3\.1\./,
    info: { title: 'Locum', version: String },
    servers: [{ url: '/api/v1' }],
  })
  const ids = new Set<string>()
  for (const route of ROUTES) {
    const said = json.paths[route.path]?.[route.method.toLowerCase()]
    t.match(said, { operationId: route.operation.name, summary: String, responses: Object }, route.path)
    ids.add(said.operationId)
    const named = said.parameters.filter((one: { in: string }) => one.in === 'path')
    t.same(
      named.map(({ name }: { name: string }) => `{${name}}`),
      route.path.match(/\{\w+\}/g) ?? [],
    )
    for (const { schema, required, in: where } of said.parameters) {
      t.ok(schema, route.path)
      if (where === 'path') t.equal(required, true)
      ajv.compile(schema)
    }
    const body = said.requestBody?.content['application/json'].schema
    if (body) ajv.compile(body)
    t.ok(JSON.stringify(said).length > 0 && !JSON.stringify(said).includes('"expected"'), route.path)
  }
  t.equal(ids.size, ROUTES.length, 'no two operations have one id')
  const { Problem } = json.components.schemas
  const refusal = await ask('GET', '/principals/nobody')
  t.ok(ajv.compile(Problem)(refusal.json), refusal.text)
  t.match(refusal.headers['content-type'], 'application/problem+json')
})
