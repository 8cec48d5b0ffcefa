import type { AuthMethod } from '../core/auth-method.ts'
import { LocumError } from '../core/errors.ts'
import type { JsonObject } from '../core/secret.ts'

/** Control characters are refused in both parts (RFC 7617 §2). */
const CONTROL = /\p{Cc}/u

/** Throws bad_request where the two cannot be joined by a colon and taken apart again. */
function texts(fields: JsonObject): { username: string; password: string } {
  const { username, password } = fields
  if (typeof username !== 'string' || typeof password !== 'string') {
    throw new LocumError('bad_request', 'Basic authentication takes `username` and `password`, both texts.')
  }
  if (username.includes(':'))
    throw new LocumError('bad_request', 'A user name cannot hold a colon (RFC 7617 §2).')
  if (CONTROL.test(username) || CONTROL.test(password)) {
    throw new LocumError(
      'bad_request',
      'User name and password cannot hold control characters (RFC 7617 §2).',
    )
  }
  return { username, password }
}

/** HTTP Basic (RFC 7617) with UTF-8: sets Authorization by itself. */
export const basic: AuthMethod = {
  id: 'basic',
  title: 'User name and password',
  fields: {
    username: { title: 'User name', secret: false, required: true },
    password: { title: 'Password', secret: true, required: true },
  },
  variables: ['Username', 'Password', 'BasicAuth'],
  configKeys: [],
  checkFields(fields) {
    texts(fields)
  },
  values({ fields }) {
    const { username, password } = texts(fields)
    return {
      values: {
        Username: username,
        Password: password,
        BasicAuth: Buffer.from(`${username}:${password}`, 'utf8').toString('base64'),
      },
      plain: ['Username'],
      within: { BasicAuth: ['Password'] },
    }
  },
  inject: () => [['Authorization', 'Basic {{$Auth.BasicAuth}}']],
}
