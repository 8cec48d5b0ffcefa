import t from 'tap'
import { drawnFrom } from '../../auth-methods/drawn.ts'
import { jwt } from '../../auth-methods/jwt.ts'
import { oauth2 } from '../../auth-methods/oauth2.ts'
import type { JsonObject } from '../../core/secret.ts'
import { type Caller, NOBODY } from '../../core/words.ts'

const caller = (claims: JsonObject, id = 'ada'): Caller => ({
  ...NOBODY,
  principal: { ...NOBODY.principal, id, claims },
})
const DRAWING = { subject: '{{$User.Id}}', claims: { of: '{{$User.Claims.team}}', at: '{{int(now())}}' } }

for (const [method, config] of [
  [jwt, { ...DRAWING, exchange: { tokenEndpoint: 'https://id.example/token' } }],
  [
    oauth2,
    {
      ...DRAWING,
      grant: 'jwt_bearer',
      tokenEndpoint: 'https://id.example/token',
      clientAuth: 'none',
      clientId: 'c',
    },
  ],
] as const)
  t.test(`${method.id}: what a caller’s next token says beside what is drawn on costs no call`, async (t) => {
    const of = (one: Caller) => method.provider?.ofCaller?.(config, one)
    const first = of(caller({ team: 'a', iat: 1, jti: 'one' }))
    t.same(of(caller({ team: 'a', iat: 2, jti: 'two' })), first)
    t.notSame(of(caller({ team: 'b', iat: 1, jti: 'one' })), first)
    t.notSame(of(caller({ team: 'a', iat: 1, jti: 'one' }, 'ben')), first)
    t.equal(method.provider?.ofCaller?.({ ...config, subject: 'fixed', claims: {} }, caller({})), undefined)
  })

t.test('only what is of the caller is drawn, and what is missing is null', async (t) => {
  const variables = [{ text: '$User.Claims.x', root: 'User', steps: ['Claims', 'x'] }] as const
  t.same(drawnFrom(variables, caller({})), { '$User.Claims.x': null })
  t.equal(drawnFrom([{ text: '$Auth.clientId', root: 'Auth', steps: ['clientId'] }], caller({})), undefined)
})
