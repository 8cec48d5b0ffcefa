import { writeFile } from 'node:fs/promises'
import { Command, Option } from 'commander'
import type { ExportFormat, ExportWhich, TrustedCa } from '../core/ca.ts'
import { LocumError } from '../core/errors.ts'
import { facts, json, timeText } from './output.ts'
import { type GlobalOptions, withSession, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'

interface ExportOptions extends GlobalOptions {
  readonly format: ExportFormat
  readonly which: ExportWhich
  readonly out?: string
  readonly passwordStdin?: boolean
}

interface RotateOptions extends GlobalOptions {
  readonly after?: string
  readonly now?: boolean
}

const FORMATS: readonly ExportFormat[] = ['pem', 'der', 'p12']
const WHICH: readonly ExportWhich[] = ['all', 'current', 'next']

/** `locum ca …` */
export function caCommand(terminal: Terminal): Command {
  const ca = new Command('ca')
  ca.command('export')
    .description("Write the CA's certificate, never its key")
    .addOption(new Option('--format <format>', 'PEM, DER or PKCS #12').choices([...FORMATS]).default('pem'))
    .addOption(
      new Option('--which <which>', 'while one CA takes over from another')
        .choices([...WHICH])
        .default('all'),
    )
    .option('--out <file>', 'where to (without it: standard output)')
    .option('--password-stdin', 'read the password of a PKCS #12 from standard input (otherwise: changeit)')
    .addHelpText(
      'after',
      `
Clients that use HTTPS_PROXY have to trust it:

  $ locum ca export --out locum-ca.pem
  $ curl --proxy http://127.0.0.1:8080 --cacert locum-ca.pem https://…
  $ NODE_EXTRA_CA_CERTS=locum-ca.pem node app.js

A PKCS #12 is a truststore for Java; it holds no key, so its password guards nothing:

  $ locum ca export --format p12 --out locum-ca.p12
  $ java -Djavax.net.ssl.trustStore=locum-ca.p12 -Djavax.net.ssl.trustStorePassword=changeit …`,
    )
    .action(async (_: unknown, command: Command) => {
      const { format, which, out, passwordStdin, ...options } = command.optsWithGlobals() as ExportOptions
      const password = passwordStdin ? await readPassword(terminal, format) : undefined
      const content = await exportedCa(terminal, options, { format, which, password })
      if (out === undefined) {
        if (format !== 'pem' && terminal.isInteractive) {
          const name = format === 'der' ? 'DER' : 'PKCS #12'
          throw new LocumError('bad_request', `${name} is binary: name a file.`, {
            hint: `--out locum-ca.${format}`,
          })
        }
        return terminal.write(content)
      }
      await write(out, content)
      if (options.json) terminal.write(json({ format, out }))
      else terminal.note(`Written to ${out}.`)
    })

  ca.command('rotate')
    .description('Make the next CA, which clients trust beside this one until it takes over')
    .option('--after <duration>', 'how long clients have to fetch it before it signs: 7d (unless told), 12h')
    .option('--now', 'let it sign at once: clients that do not trust it yet refuse')
    .addHelpText(
      'after',
      `
From now on \`ca export\` and /ca.pem give both. What clients are shown goes on being signed by
the old one until the next one takes over; then the old one's key is gone, and so is its
certificate from the exports. Running servers follow by themselves.

  $ locum ca rotate                  a next one, which takes over in 7 days
  $ locum ca export --out locum-ca.pem      … and to every client with it, in the meantime
  $ locum ca rotate                  says where it stands
  $ locum ca rotate --now            every client has it: it takes over at once`,
    )
    .action(async (_: unknown, command: Command) => {
      const { after, now, ...options } = command.optsWithGlobals() as RotateOptions
      await withSession(terminal, options, async ({ clock, run }) => {
        const { exportCa, rotateCa, showCa } = await import('../operations/ca.ts')
        // A site that has none yet gets its first one here, and no second one.
        if ((await run(showCa, {})).length === 0) await run(exportCa, {})
        const input = { ...(after === undefined ? {} : { after }), ...(now ? { now } : {}) }
        const { changed, trusted } = await run(rotateCa, input)
        if (options.json) return terminal.write(json({ changed, trusted }))
        const at = clock.now()
        terminal.write(facts(trusted.flatMap((one) => caFacts(terminal, one, at))))
        if (trusted.length > 1) {
          terminal.note('Give every client both before that: locum ca export, or /ca.pem.')
        } else if (changed) {
          terminal.note(
            'Clients that trust only the old one refuse from now on: locum ca export, or /ca.pem.',
          )
        }
      })
    })
  return ca
}

/** The certificates as a file. On the data folder nothing is loaded for it that checks inputs. */
async function exportedCa(
  terminal: Terminal,
  options: GlobalOptions,
  { format, which, password }: Pick<ExportOptions, 'format' | 'which'> & { password: string | undefined },
): Promise<Buffer> {
  if (options.server === undefined)
    return withSite(terminal, options, ({ site }) => site.means.ca.export(format, { which, password }))
  const { exportCa } = await import('../operations/ca.ts')
  const asked = { format, which, ...(password === undefined ? {} : { password }) }
  const { content } = await withSession(terminal, options, ({ run }) => run(exportCa, asked))
  return Buffer.from(content, 'base64')
}

/** What people should know of a CA, as names with values. */
export function caFacts(
  terminal: Terminal,
  { role, subject, fingerprint, validUntil, signsFrom }: TrustedCa,
  now: number,
): (readonly [string, string])[] {
  const when = role === 'next' ? `, signs from ${timeText(terminal, signsFrom, now)}` : ''
  const name = role === 'next' ? 'next CA' : 'CA'
  return [
    [name, `${subject}${when}, ends ${timeText(terminal, validUntil, now)}`],
    [`${name} SHA-256`, fingerprint],
  ]
}

/** One line. Throws bad_request. */
async function readPassword(terminal: Terminal, format: ExportFormat): Promise<string> {
  if (format !== 'p12')
    throw new LocumError('bad_request', `A password belongs to --format p12, not ${format}.`)
  const password = (await terminal.readInput()).replace(/\r?\n$/, '')
  // Java's tools take no shorter one, and some take no others.
  if (/^[\x20-\x7e]{6,128}$/.test(password)) return password
  throw new LocumError('bad_request', 'The password is not 6 to 128 characters of ASCII on one line.')
}

async function write(file: string, content: Buffer): Promise<void> {
  try {
    await writeFile(file, content)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new LocumError('bad_request', `Cannot write ${file} (${code}).`, { cause })
  }
}
