import type { Question, Template } from '../template.ts'

/** The one key of an API that takes a header. */
export function key(title: string, variable: string): { readonly apiKey: Question } {
  return { apiKey: { title, secret: true, variable } }
}

/** A connection whose one key stands in a header: `Bearer {{$Auth.API_Key}}` in Authorization unless told. */
export function keyed(
  destinations: string[],
  headers: Record<string, string> = { Authorization: 'Bearer {{$Auth.API_Key}}' },
): Pick<Template, 'connection' | 'fields'> {
  return {
    connection: { destinations, auth: { method: 'api-key' }, headers },
    fields: { apiKey: '{apiKey}' },
  }
}

/** A connection with a user name and a password, which may be parts of what was answered. */
export function basic(
  destination: string,
  username: string,
  password: string,
): Pick<Template, 'connection' | 'fields'> {
  return {
    connection: { destinations: [destination], auth: { method: 'basic' } },
    fields: { username, password },
  }
}

/** The customer's own label in a vendor's host name. */
export function label(title: string, example: string): Question {
  return {
    title,
    example,
    pattern: /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i,
    expected: `one label of letters, digits and hyphens, such as ${example}`,
  }
}

/** A host whose usual one is the vendor's own. */
export function host(title: string, usual: string): Question {
  return {
    title,
    default: usual,
    pattern: /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/i,
    expected: `a host name, such as ${usual}`,
  }
}
