import t from 'tap'
import { askedFor, readFor } from '../../core/act-for.ts'
import { verdict } from './kit.ts'

t.test('Locum-For names one user, wholly', async (t) => {
  t.equal(readFor('user:ada@example.com'), 'ada@example.com')
  t.equal(readFor(`user:${'a'.repeat(128)}`), 'a'.repeat(128))
  for (const text of [
    '',
    'ada',
    'user:',
    'user:ada ',
    ' user:ada',
    'xuser:ada',
    'user:ada, user:ben',
    'user:a/b',
    'User:ada',
    `user:${'a'.repeat(129)}`,
  ]) {
    t.equal(
      verdict(() => readFor(text)),
      'bad_request',
      text,
    )
    t.equal(askedFor({ get: () => text } as never), undefined, 'and the audit says nothing')
  }
  t.equal(askedFor({ get: () => 'user:ada' } as never), 'ada')
  t.equal(askedFor({ get: () => undefined } as never), undefined)
})
