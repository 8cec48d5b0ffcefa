import { Command, InvalidArgumentError } from 'commander'
import { LocumError } from '../core/errors.ts'
import type { Scope } from '../core/words.ts'
import { type Added, addTemplate, checkTemplate } from '../operations/add.ts'
import { checkInput } from '../operations/schema.ts'
import {
  checkAnswers,
  fillTemplate,
  findTemplate,
  type Template,
  templates,
  wrongAnswer,
} from '../operations/template.ts'
import { templateFile } from '../operations/template-file.ts'
import { json, table } from './output.ts'
import { type PasteLines, pasteLines } from './paste.ts'
import { type Asked, ask } from './questions.ts'
import { type GlobalOptions, type LocalSession, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'

interface AddOptions extends GlobalOptions {
  readonly for: string
  readonly name?: string
  readonly set: Readonly<Record<string, string>>
  readonly replace?: boolean
  readonly list?: boolean
  readonly show?: boolean
}

type Answers = Readonly<Record<string, string>>

/** `locum add` */
export function addCommand(terminal: Terminal): Command {
  return new Command('add')
    .argument('[template]', 'which API; without it, list them')
    .option('--for <scope>', 'whom the key serves: shared, profile:NAME or user:ID', 'shared')
    .option('--name <name>', 'what the connection is called (default: as the template)')
    .option('--set <name=value>', 'answer a question that is no secret (may be repeated)', answer, {})
    .option('--replace', 'enter the key again where there is one')
    .option('--list', 'list the templates')
    .option('--show', 'print what it would make as a file for `locum apply`, and do nothing')
    .addHelpText(
      'after',
      `
On a terminal the key is asked for without an echo. Otherwise it is read from standard
input: alone, or in one JSON object with whatever else is asked; it is never an argument.

  $ locum add openai
  $ pass show stripe/key | locum add stripe --for user:ada
  $ locum add jira --set site=acme --set email=ada@example.com < token.txt
  $ locum add github --show > github.yaml`,
    )
    .action(async (name: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as AddOptions
      if (name === undefined || options.list) return list(terminal, options)
      const template = findTemplate(name)
      refuseSecrets(template, options.set)
      if (options.show) return show(terminal, template, options)
      await withSite(terminal, options, (session) => add(terminal, session, template, options))
    })
}

function answer(text: string, before: Answers): Answers {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('It is NAME=VALUE.')
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

/** Arguments are seen by every process, and kept by the shell. */
function refuseSecrets(template: Template, set: Answers): void {
  for (const name of Object.keys(set)) {
    if (!template.ask[name]?.secret) continue
    throw new LocumError('bad_request', `\`${name}\` is a secret, and never an argument.`, {
      hint: `Pipe it in: locum add ${template.name} < FILE. What was typed is in the shell's history now; make another key.`,
    })
  }
}

function list(terminal: Terminal, options: AddOptions): void {
  const all = [...templates.values()]
  if (options.json) {
    return terminal.write(
      json(
        all.map(({ name, title, connection, ask, keyAt, docs }) => ({
          name,
          title,
          destinations: connection.destinations,
          method: connection.auth.method,
          asks: Object.entries(ask).map(([question, { title, secret, default: usual }]) => ({
            name: question,
            title,
            secret: secret ?? false,
            default: usual,
          })),
          keyAt,
          docs,
        })),
      ),
    )
  }
  const rows = all.map(({ name, title, keyAt }) => [name, title, keyAt])
  terminal.write(table(terminal, ['template', 'api', 'a key is made at'], rows))
}

function show(terminal: Terminal, template: Template, options: AddOptions): void {
  const { name, for: scope } = options
  checkInput(addTemplate.input, {
    template: template.name,
    for: scope,
    answers: options.set,
    ...(name === undefined ? {} : { name }),
  })
  const usual = Object.entries(template.ask).map(
    ([name, { default: usual, example }]) => [name, usual ?? example ?? ''] as const,
  )
  const answers = checkAnswers(template, { ...Object.fromEntries(usual), ...options.set }, { secrets: false })
  const text = templateFile(template, { answers, name, scope: scope as Scope })
  terminal.write(options.json ? json({ file: text }) : text)
}

async function add(
  terminal: Terminal,
  session: LocalSession,
  template: Template,
  options: AddOptions,
): Promise<void> {
  const input = {
    template: template.name,
    for: options.for,
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.replace === undefined ? {} : { replace: options.replace }),
  }
  const { asking } = terminal
  const given = asking ? options.set : { ...(await answersFromInput(terminal, template)), ...options.set }
  const plain = asking ? await askRest(template, given, asking, false) : withoutSecrets(template, given)
  // First, so that nobody types a secret in vain.
  await session.run(checkTemplate, { ...input, answers: plain })
  const answers = asking ? await askRest(template, plain, asking, true) : given
  const added = await session.run(addTemplate, { ...input, answers })
  const lines = await pasteLines(session, template, added, answers)
  if (options.json) return terminal.write(json({ ...added, ...lines }))
  terminal.write(told(template, added, options.for, lines))
}

/** One JSON object of answers, or else the one secret by itself. Throws bad_request, saying nothing of what was there. */
async function answersFromInput(terminal: Terminal, template: Template): Promise<Answers> {
  const text = (await terminal.readInput()).trim()
  const object = asObject(text)
  if (object) {
    for (const [name, value] of Object.entries(object)) {
      if (typeof value !== 'string') throw new LocumError('bad_request', `\`${name}\` is not a text.`)
    }
    return object as Answers
  }
  const secrets = Object.entries(template.ask).filter(([, { secret }]) => secret)
  const [only, more] = secrets
  if (text === '' || !only) return {}
  if (!more) return { [only[0]]: text }
  const shape = secrets.map(([name]) => `"${name}":"…"`).join(',')
  throw new LocumError('bad_request', `${template.title} has more than one secret.`, {
    hint: `Give them as one JSON object: {${shape}}`,
  })
}

function asObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    // Then it is the secret itself.
    return undefined
  }
}

function withoutSecrets(template: Template, answers: Answers): Answers {
  return Object.fromEntries(Object.entries(answers).filter(([name]) => !template.ask[name]?.secret))
}

/** Asks what is not answered yet: what is no secret, or what is one. Throws where the person gave up. */
async function askRest(
  template: Template,
  given: Answers,
  streams: NonNullable<Terminal['asking']>,
  secrets: boolean,
): Promise<Answers> {
  const questions: Asked[] = Object.entries(template.ask)
    .filter(([name, { secret }]) => (secret ?? false) === secrets && given[name] === undefined)
    .map(([name, question]) => ({
      name,
      title: question.title,
      secret: secrets,
      usual: question.default,
      example: question.example,
      wrong: (text) => {
        const wrong = wrongAnswer(question, text.trim() || question.default || '')
        return wrong === undefined ? undefined : `It ${wrong}.`
      },
    }))
  if (secrets)
    questions[0] = {
      ...(questions[0] as Asked),
      intro: `A key is made at ${fillTemplate(template, given).keyAt}`,
    }
  const answers = await ask(questions, streams)
  if (!answers) throw new LocumError('bad_request', 'Nothing was entered, nothing was changed.')
  return { ...given, ...answers }
}

function told(
  template: Template,
  { connection, credential, beside }: Added,
  scope: string,
  { caller, curl, baseUrl, header, sdk }: PasteLines,
): string {
  const lines = [
    `${template.title} is the connection ${connection.name}: ${connection.destinations.join(', ')}`,
    `${credential.id} serves it for ${scope} (version ${credential.version}).`,
  ]
  if (beside.length > 0) {
    lines.push(`${beside.join(', ')} reaches it too: callers name the one they mean in Locum-Connection.`)
  }
  const whose = curl.includes('$LOCUM_KEY') ? `, and with the proxy key of ${caller} in LOCUM_KEY` : ''
  lines.push('', `While \`locum serve\` runs${whose}:`, '', `  ${curl}`, '')
  lines.push('Where a base URL is taken instead of a proxy:', '', `  ${baseUrl}   ${header}`)
  if (sdk !== undefined) lines.push(`  ${sdk}   (any key will do: Locum puts its own)`)
  return `${lines.join('\n')}\n\n`
}
