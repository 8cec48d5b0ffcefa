import { writeFile } from 'node:fs/promises'
import { Command, Option } from 'commander'
import { LocumError } from '../core/errors.ts'
import type { SigningCertificate } from '../core/signing-keys.ts'
import { exportCert, listCerts, makeCert, rotateCert } from '../operations/certs.ts'
import { facts, json, table, timeText } from './output.ts'
import { type GlobalOptions, withSession } from './session.ts'
import type { Terminal } from './terminal.ts'

interface ExportOptions extends GlobalOptions {
  readonly publicKey?: boolean
  readonly format: 'pem' | 'der' | 'jwks'
  readonly next?: boolean
  readonly out?: string
}

interface RotateOptions extends GlobalOptions {
  readonly after?: string
  readonly now?: boolean
}

/** `locum cert …` */
export function certCommand(terminal: Terminal): Command {
  const cert = new Command('cert')

  cert
    .command('new')
    .description('Make a signing certificate')
    .argument('<name>')
    .option(
      '--kind <kind>',
      'its key: rsa-2048 (unless told), rsa-3072, rsa-4096, ec-p256, ec-p384, ec-p521, ed25519',
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const { kind, ...options } = command.optsWithGlobals() as GlobalOptions & { kind?: string }
      await withSession(terminal, options, async ({ clock, run }) => {
        const made = await run(makeCert, kind === undefined ? { name } : { name, kind })
        if (options.json) return terminal.write(json(made))
        terminal.write(facts(made.flatMap((one) => certFacts(terminal, one, clock.now()))))
        terminal.note(`Give it to the other side: locum cert export ${name}`)
      })
    })

  cert
    .command('ls')
    .description('List signing certificates')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      await withSession(terminal, options, async ({ clock, run }) => {
        const all = await run(listCerts, {})
        if (options.json) return terminal.write(json(all))
        const now = clock.now()
        const rows = all.map((one) => [
          one.name,
          one.kind,
          one.role === 'next' ? `signs from ${timeText(terminal, one.signsFrom, now)}` : 'signs',
          one.kid,
          timeText(terminal, one.validUntil, now),
        ])
        terminal.write(table(terminal, ['name', 'kind', 'state', 'kid', 'ends'], rows))
      })
    })

  cert
    .command('rotate')
    .description('Make the next key, which the other side can be given before it signs')
    .argument('<name>')
    .option('--after <duration>', 'how long the other side has to take it: 7d (unless told), 12h')
    .option('--now', 'let it sign at once: who does not have it yet refuses')
    .action(async (name: string, _: unknown, command: Command) => {
      const { after, now, ...options } = command.optsWithGlobals() as RotateOptions
      await withSession(terminal, options, async ({ clock, run }) => {
        const input = { name, ...(after === undefined ? {} : { after }), ...(now ? { now } : {}) }
        const done = await run(rotateCert, input)
        if (options.json) return terminal.write(json(done))
        terminal.write(facts(done.certificates.flatMap((one) => certFacts(terminal, one, clock.now()))))
        const waits = done.certificates.length > 1
        terminal.note(
          `Give it to the other side${waits ? ' before that' : ' at once'}: locum cert export ${name}${waits ? ' --next' : ''}`,
        )
      })
    })

  cert
    .command('export')
    .description('Write the certificate, or its bare public key; never the key that signs')
    .argument('<name>')
    .option('--public-key', 'the bare public key (SPKI)')
    .option('--next', 'of the one that waits to take over')
    .addOption(
      new Option('--format <format>', 'PEM, DER, or a JWK Set with all public keys of the name')
        .choices(['pem', 'der', 'jwks'])
        .default('pem'),
    )
    .option('--out <file>', 'where to (without it: standard output)')
    .action(async (name: string, _: unknown, command: Command) => {
      const { publicKey, format, next, out, ...options } = command.optsWithGlobals() as ExportOptions
      await withSession(terminal, options, async ({ run }) => {
        const found = await run(exportCert, { name })
        const chosen = found.find(({ role }) => role === (next ? 'next' : 'signs'))
        if (!chosen)
          throw new LocumError('bad_request', `No next key of \`${name}\` waits to take over.`, {
            hint: `locum cert rotate ${name} makes one.`,
          })
        const { keySet, publicKeyPem } = await import('../site.ts')
        const pem = publicKey ? publicKeyPem(chosen.pem) : chosen.pem
        const content = format === 'jwks' ? keySet(found) : format === 'pem' ? pem : derOf(pem)
        if (out === undefined && format === 'der' && terminal.isInteractive)
          throw new LocumError('bad_request', 'DER is binary: name a file.', { hint: `--out ${name}.der` })
        if (out === undefined) return terminal.write(content)
        await write(out, content)
        if (options.json) terminal.write(json({ format, out }))
        else terminal.note(`Written to ${out}.`)
      })
    })
  return cert
}

function certFacts(
  terminal: Terminal,
  { name, role, kind, kid, fingerprint, validUntil, signsFrom }: SigningCertificate,
  now: number,
): (readonly [string, string])[] {
  const when = role === 'next' ? `, signs from ${timeText(terminal, signsFrom, now)}` : ''
  const title = role === 'next' ? 'next' : 'signs'
  return [
    [title, `${name} (${kind})${when}, ends ${timeText(terminal, validUntil, now)}`],
    [`${title}: kid`, kid],
    [`${title}: SHA-256`, fingerprint],
  ]
}

/** What stands between the lines of a PEM. */
function derOf(pem: string): Buffer {
  return Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
}

async function write(file: string, content: string | Buffer): Promise<void> {
  try {
    await writeFile(file, content)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new LocumError('bad_request', `Cannot write ${file} (${code}).`, { cause })
  }
}
