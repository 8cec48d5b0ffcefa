import type { AuthMethod } from '../core/auth-method.ts'
import { text, wrong } from './reading.ts'

/** Any JSON object: each of its fields is `$Auth.FIELD`. A credential type says what they are. */
export const raw: AuthMethod = {
  id: 'raw',
  title: 'Fields of your own',
  fields: 'any',
  configKeys: ['type'],
  configSchema: { type: { type: 'string', description: 'The credential type: `locum type ls`.' } },
  checkConfig({ type }) {
    if (type !== undefined && !/^[a-z0-9][a-z0-9-]{0,62}$/.test(text(type, 'type')))
      throw wrong('`type` is the name of a credential type: `locum type ls` lists them')
  },
  values: ({ fields, plain = [] }) => ({ values: fields, plain }),
}
