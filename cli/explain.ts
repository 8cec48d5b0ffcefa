import { Command, InvalidArgumentError } from 'commander'
import type { Explanation } from '../core/explain.ts'
import { explainRequest } from '../operations/explain.ts'
import { facts, json } from './output.ts'
import { type GlobalOptions, withSession } from './session.ts'
import type { Terminal } from './terminal.ts'

interface ExplainOptions extends GlobalOptions {
  readonly as: string
  readonly header: readonly (readonly [string, string])[]
}

/** `locum explain` */
export function explainCommand(terminal: Terminal): Command {
  return new Command('explain')
    .argument('<method>', 'GET, POST…')
    .argument('<url>', 'https://host/path, or /c/NAME/path for the gateway')
    .requiredOption('--as <id>', 'who would send it')
    .option('--header <header>', "a header 'Name: value' (may be repeated)", readHeader, [])
    .addHelpText(
      'after',
      `
Nothing is sent and nothing is decrypted.

  $ locum explain GET https://api.stripe.com/v1/charges --as ada
  $ locum explain POST /c/crm/contacts --as ada --header 'X-Crm-Key: {{$Auth.API_Key}}'`,
    )
    .action(async (method: string, url: string, _: unknown, command: Command) => {
      const { as, header, ...options } = command.optsWithGlobals() as ExplainOptions
      const input = { method, url, as, headers: header }
      const explanation = await withSession(terminal, options, ({ run }) => run(explainRequest, input))
      terminal.write(options.json ? json(explanation) : describe(explanation))
    })
}

function readHeader(
  text: string,
  before: readonly (readonly [string, string])[],
): (readonly [string, string])[] {
  const colon = text.indexOf(':')
  if (colon <= 0) {
    throw new InvalidArgumentError("Write it as 'Name: value'.")
  }
  return [...before, [text.slice(0, colon).trim(), text.slice(colon + 1).trim()]]
}

function describe(one: Explanation): string {
  const { error, connection, credential } = one
  const profile = one.caller.profile === undefined ? '' : `, profile ${one.caller.profile}`
  const others = one.considered
    .filter((each) => each.connection !== connection?.name)
    .map((each) => `${each.connection} (${each.fits ? 'fits too' : 'does not allow it'})`)
  const source = connection && [connection.source, ...connection.fallback].join(', then ')
  const verdict = error
    ? `✗ ${error.status} ${error.code}: ${error.detail}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`
    : '✓ It would be sent.\n'
  return `${facts([
    ['request', `${one.method} ${one.url}`],
    ['caller', `${one.caller.id} (${one.caller.kind}${profile})`],
    [
      'for',
      one.for && `${one.for.id}${one.for.profile === undefined ? '' : ` (profile ${one.for.profile})`}`,
    ],
    ['destination', one.destination ?? (connection && 'decided by the credential')],
    ['CONNECT', one.connect && PASSES[one.connect]],
    ['connection', connection && `${connection.name} (${connection.method}; ${source})`],
    ['others', others.join(', ')],
    ['looked for', credential?.looked.join(', then ')],
    ['credential', credential && credentialText(credential)],
    ['approved for', credential && audienceText(credential)],
    ['echoes', credential?.redact && ECHOES[credential.redact]],
    ...one.slots.map(
      ({ place, placeholders, replaced }) =>
        [
          'placeholder',
          replaced ? `${placeholders.join(', ')} in ${place}: replaced` : `in ${place}: refused`,
        ] as const,
    ),
    ['body slots', one.bodySlots.join(', ')],
    ...one.sets.map((set) => ['sets', setText(set)] as const),
  ])}\n${verdict}`
}

const PASSES = {
  untouched: 'passes untouched: nothing inside is read, replaced or masked',
  unmatched: 'refused, or where the server says `unmatched: tunnel`, passes untouched',
}

function setText({ header, query, body, variables }: Explanation['sets'][number]): string {
  const place = header ?? (query === undefined ? `${body} in the body` : `${query} in the query`)
  return variables.length === 0 ? place : `${place} from ${variables.join(', ')}`
}

/** What becomes of a secret that comes back. */
const ECHOES = { mask: 'masked', block: 'refused', off: 'not searched for' } as const

function credentialText({ scope, id, version, disabled }: NonNullable<Explanation['credential']>): string {
  if (id === undefined) return 'none'
  return `${id}, version ${version}, for ${scope}${disabled ? ' (disabled)' : ''}`
}

function audienceText({ audience, approved }: NonNullable<Explanation['credential']>): string | undefined {
  return audience && `${audience.join(', ')}${approved === false ? ' (not this destination)' : ''}`
}
