import type { AuthMethod } from '../core/auth-method.ts'
import { LocumError } from '../core/errors.ts'
import type { JsonObject } from '../core/secret.ts'
import type { Terminal } from './terminal.ts'

/** Not even how many characters were typed. */
const NO_ECHO = ''

/** One JSON object from standard input. Throws bad_request, saying nothing of what was there. */
export async function readFieldsFromInput(terminal: Terminal): Promise<JsonObject> {
  const text = await terminal.readInput()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's message quotes the text, which is a secret.
    throw notAnObject()
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw notAnObject()
  return value as JsonObject
}

function notAnObject(): LocumError {
  return new LocumError('bad_request', 'Standard input is not one JSON object.', {
    hint: 'For example: {"apiKey": "…"}',
  })
}

/** Asks for a method's fields, for secrets without an echo. Undefined where the person gave up. */
export async function askForFields(
  method: AuthMethod,
  streams: NonNullable<Terminal['asking']>,
): Promise<JsonObject | undefined> {
  const { isCancel, password, text } = await import('@clack/prompts')
  const demanded = (required: boolean) => (value: string | undefined) =>
    required && !value ? 'This is needed.' : undefined
  if (method.fields === 'any') {
    const answer = await password({
      message: 'Fields as one JSON object (not shown)',
      mask: NO_ECHO,
      ...streams,
      validate: (value) => (isObjectText(value ?? '') ? undefined : 'One JSON object: {"token": "…"}'),
    })
    return isCancel(answer) ? undefined : (JSON.parse(answer) as JsonObject)
  }
  const fields: Record<string, string> = {}
  for (const [name, { title, secret, required }] of Object.entries(method.fields)) {
    const question = {
      message: secret ? `${title} (not shown)` : title,
      mask: NO_ECHO,
      ...streams,
      validate: demanded(required),
    }
    const answer = secret ? await password(question) : await text(question)
    if (isCancel(answer)) return undefined
    if (answer !== undefined && answer !== '') fields[name] = answer
  }
  return fields
}

function isObjectText(text: string): boolean {
  try {
    const value = JSON.parse(text)
    return value !== null && typeof value === 'object' && !Array.isArray(value)
  } catch {
    // Whatever the reason is, the answer is the same: ask again.
    return false
  }
}
