import type { AuthMethod } from '../core/auth-method.ts'

/** Nothing is put in; the connection only says what may be reached. */
export const none: AuthMethod = {
  id: 'none',
  title: 'No authentication',
  fields: {},
  variables: [],
  configKeys: [],
  values: () => ({ values: {}, plain: [] }),
}
