import type { FieldSpec } from '../core/auth-method.ts'
import { type TypeField, typedValue } from '../core/credential-type.ts'
import { LocumError } from '../core/errors.ts'
import type { Json, JsonObject } from '../core/secret.ts'
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

/** Asks for a credential's fields, for secrets without an echo. Undefined where the person gave up. */
export async function askForFields(
  spec: FieldSpec,
  streams: NonNullable<Terminal['asking']>,
): Promise<JsonObject | undefined> {
  const { isCancel, password } = await import('@clack/prompts')
  if (spec === 'any') {
    const answer = await password({
      message: 'Fields as one JSON object (not shown)',
      mask: NO_ECHO,
      ...streams,
      validate: (value) => (isObjectText(value ?? '') ? undefined : 'One JSON object: {"token": "…"}'),
    })
    return isCancel(answer) ? undefined : (JSON.parse(answer) as JsonObject)
  }
  return ask(
    Object.entries(spec).map(([name, { title, secret, required }]) => ({
      name,
      title,
      secret,
      wrong: (text) => (required && !text ? 'This is needed.' : undefined),
    })),
    streams,
  )
}

/** Asks for the fields of a credential type, each as its kind. Undefined where the person gave up. */
export async function askForTyped(
  fields: readonly TypeField[],
  streams: NonNullable<Terminal['asking']>,
): Promise<JsonObject | undefined> {
  const answers = await ask(fields.map(questionOf), streams)
  if (!answers) return undefined
  const typed = fields.flatMap((field) => {
    const answer = answers[field.name]
    return answer === undefined ? [] : [[field.name, typedValue(field, answer)] as const]
  })
  return Object.fromEntries(typed)
}

function questionOf({
  name,
  title,
  description,
  secret,
  required,
  choices,
  usual,
  example,
}: TypeField): Asked {
  const among = choices === undefined ? '' : ` (${choices.map(String).join(', ')})`
  return {
    name,
    title: `${title}${required ? '' : ', if any'}${among}`,
    secret,
    usual: secret || usual === undefined ? undefined : shown(usual),
    example: example === undefined ? undefined : shown(example),
    intro: description,
    wrong: (answer) => {
      if (answer === '') return required && usual === undefined ? 'This is needed.' : undefined
      return choices && !choices.map(String).includes(answer)
        ? `One of ${choices.map(String).join(', ')}.`
        : undefined
    },
  }
}

function shown(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** One question to a person. */
export interface Asked {
  readonly name: string
  readonly title: string
  /** Asked for without an echo. */
  readonly secret: boolean
  /** What is meant where nothing is typed. */
  readonly usual?: string
  readonly example?: string
  /** A line to say before it. */
  readonly intro?: string
  /** What is wrong with an answer, to be asked again; undefined where nothing is. */
  wrong(answer: string): string | undefined
}

/** The answers by name, without those that are empty. Undefined where the person gave up. */
export async function ask(
  questions: readonly Asked[],
  streams: NonNullable<Terminal['asking']>,
): Promise<Record<string, string> | undefined> {
  const { isCancel, log, password, text } = await import('@clack/prompts')
  const answers: Record<string, string> = {}
  for (const { name, title, secret, usual, example, intro, wrong } of questions) {
    if (intro !== undefined) log.info(intro, streams)
    const validate = (value: string | undefined) => wrong(value ?? '')
    const answer = secret
      ? await password({ message: `${title} (not shown)`, mask: NO_ECHO, ...streams, validate })
      : await text({
          message: title,
          placeholder: usual ?? example,
          defaultValue: usual,
          ...streams,
          validate,
        })
    if (isCancel(answer)) return undefined
    if (answer !== undefined && answer !== '') answers[name] = answer
  }
  return answers
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
