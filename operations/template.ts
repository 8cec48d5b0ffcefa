import { LocumError } from '../core/errors.ts'
import type { ConnectionEntry } from './file-schema.ts'
import { hintFor, noSuch } from './schema.ts'
import { ai } from './templates/ai.ts'
import { business } from './templates/business.ts'
import { development } from './templates/development.ts'
import { messages } from './templates/messages.ts'

/** Something that only the person who adds the API knows. */
export interface Question {
  readonly title: string
  /** Is never an argument, and asked for without an echo. */
  readonly secret?: true
  /**
   * Of a secret: the environment variable in which the vendor's own clients or examples have it; where
   * they have none, what most people call it.
   */
  readonly variable?: string
  readonly example?: string
  /** What is meant where nothing is answered. */
  readonly default?: string
  /** What an answer must match, and what that is in words. */
  readonly pattern?: RegExp
  readonly expected?: string
}

/**
 * A well-known API. In every text of `keyAt`, `connection`, `fields` and `probe`, `{NAME}` stands for
 * the answer to that question.
 */
export interface Template {
  readonly name: string
  /** As the vendor writes it. */
  readonly title: string
  /** Where its key is made, and where the vendor says how it is sent. */
  readonly keyAt: string
  readonly docs: string
  readonly ask: Readonly<Record<string, Question>>
  /** As in the file; name and source are whoever's who adds it. */
  readonly connection: Omit<ConnectionEntry, 'name' | 'source' | 'fallback'>
  /** The credential's fields. */
  readonly fields: Readonly<Record<string, string>>
  /** A GET that changes nothing, and what it wants beside the key. */
  readonly probe: { readonly path: string; readonly headers?: Readonly<Record<string, string>> }
  /**
   * The environment variable in which the vendor's own client looks for another base URL, and the path it
   * expects there. That client looks for the key in the secret's `variable`.
   */
  readonly baseUrl?: { readonly variable: string; readonly path: string }
}

/** A template with every question answered. */
export interface Filled {
  readonly keyAt: string
  readonly connection: Template['connection']
  readonly fields: Readonly<Record<string, string>>
  readonly probe: Template['probe']
}

/** Every template, by name. */
export const templates: ReadonlyMap<string, Template> = new Map(
  [...ai, ...development, ...messages, ...business]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((template) => [template.name, template]),
)

/** Throws bad_request where there is none of that name. */
export function findTemplate(name: string): Template {
  const template = templates.get(name)
  if (template) return template
  throw noSuch(
    'template',
    name,
    [...templates.keys()],
    '`locum add` lists them; anything else is a few lines in a file: `locum add stripe --show`.',
  )
}

/** What is wrong with an answer; undefined where nothing is. Never says the answer. */
export function wrongAnswer(question: Question, answer: string): string | undefined {
  if (answer === '') return 'is needed'
  if (/\p{Cc}/u.test(answer)) return 'cannot hold a line break or a control character'
  if (question.pattern && !question.pattern.test(answer)) return `is ${question.expected}`
  return undefined
}

/** The answers, cut of blanks around them, with what is meant where there is none. Throws bad_request naming the question. */
export function checkAnswers(
  template: Template,
  given: Readonly<Record<string, string>>,
  { secrets }: { readonly secrets: boolean },
): Record<string, string> {
  const names = Object.keys(template.ask)
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue
    throw new LocumError('bad_request', `\`${template.name}\` does not ask for \`${name}\`.`, {
      hint: hintFor(name, names, `It asks for ${names.join(', ')}.`),
    })
  }
  const answers: Record<string, string> = {}
  for (const [name, question] of Object.entries(template.ask)) {
    if (question.secret && !secrets) continue
    const answer = given[name]?.trim() || question.default || ''
    const wrong = wrongAnswer(question, answer)
    if (wrong !== undefined) {
      throw new LocumError('bad_request', `${question.title} (\`${name}\`) ${wrong}.`, {
        hint: question.secret
          ? `A key is made at ${fillTemplate(template, answers).keyAt}`
          : `--set ${name}=${question.example ?? question.default ?? '…'}`,
      })
    }
    answers[name] = answer
  }
  return answers
}

/** Puts the answers in, in one pass; a question without one stays as it stands. */
export function fillTemplate(template: Template, answers: Readonly<Record<string, string>>): Filled {
  const { keyAt, connection, fields, probe } = template
  return fill({ keyAt, connection, fields, probe }, answers)
}

function fill<T>(value: T, answers: Readonly<Record<string, string>>): T {
  if (typeof value === 'string') return fillText(value, answers) as T
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map((item) => fill(item, answers)) as T
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, answers)])) as T
}

/** Leaves `{{ … }}` alone, which is filled in on each request. */
function fillText(text: string, answers: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{.*?\}\}|\{(\w+)\}/g, (whole, name: string | undefined) =>
    name !== undefined && Object.hasOwn(answers, name) ? (answers[name] as string) : whole,
  )
}
