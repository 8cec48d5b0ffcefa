import type { AuthMethod, AuthMethods } from '../core/auth-method.ts'
import { apiKey } from './api-key.ts'
import { awsKeys } from './aws-keys.ts'
import { awsRole } from './aws-role.ts'
import { basic } from './basic.ts'
import { jwt } from './jwt.ts'
import { none } from './none.ts'
import { oauth2 } from './oauth2.ts'
import { raw } from './raw.ts'
import { separateUrl } from './separate-url.ts'

/** Every method there is. */
export const methods: AuthMethods = new Map(
  ([none, basic, apiKey, raw, separateUrl, oauth2, jwt, awsKeys, awsRole] satisfies AuthMethod[]).map(
    (method) => [method.id, method],
  ),
)
