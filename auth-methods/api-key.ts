import type { AuthMethod } from '../core/auth-method.ts'
import { LocumError } from '../core/errors.ts'

/** One key, put where common headers or the client's placeholders say. */
export const apiKey: AuthMethod = {
  id: 'api-key',
  title: 'API key',
  fields: { apiKey: { title: 'API key', secret: true, required: true } },
  variables: ['API_Key'],
  configKeys: [],
  checkFields({ apiKey: key }) {
    if (typeof key !== 'string') throw new LocumError('bad_request', 'An API key is one text: `apiKey`.')
  },
  values: ({ fields }) => ({ values: { API_Key: fields.apiKey ?? null }, plain: [] }),
}
