import type { AuthMethod } from '../core/auth-method.ts'

/** Any JSON object: each of its fields is `$Auth.FIELD`. */
export const raw: AuthMethod = {
  id: 'raw',
  title: 'Fields of your own',
  fields: 'any',
  configKeys: [],
  values: ({ fields }) => ({ values: fields, plain: [] }),
}
