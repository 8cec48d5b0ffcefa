import { writeFile } from 'node:fs/promises'
import { Command, Option } from 'commander'
import { LocumError } from '../core/errors.ts'
import { EXPORT_FORMATS, type ExportFormat } from '../site.ts'
import { json } from './output.ts'
import { type GlobalOptions, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'

interface ExportOptions extends GlobalOptions {
  readonly format: ExportFormat
  readonly out?: string
}

/** `locum ca …` */
export function caCommand(terminal: Terminal): Command {
  const ca = new Command('ca')
  ca.command('export')
    .description("Write the CA's certificate, never its key")
    .addOption(new Option('--format <format>', 'PEM or DER').choices([...EXPORT_FORMATS]).default('pem'))
    .option('--out <file>', 'where to (without it: standard output)')
    .addHelpText(
      'after',
      `
Clients that use HTTPS_PROXY have to trust it:

  $ locum ca export --out locum-ca.pem
  $ curl --proxy http://127.0.0.1:8080 --cacert locum-ca.pem https://…
  $ NODE_EXTRA_CA_CERTS=locum-ca.pem node app.js`,
    )
    .action(async (_: unknown, command: Command) => {
      const { format, out, ...options } = command.optsWithGlobals() as ExportOptions
      await withSite(terminal, options, async ({ site }) => {
        const content = await site.exportCa(format)
        if (out === undefined) {
          if (format === 'der' && terminal.isInteractive) {
            throw new LocumError('bad_request', 'DER is binary: name a file.', { hint: '--out locum-ca.der' })
          }
          return terminal.write(content)
        }
        await write(out, content)
        if (options.json) terminal.write(json({ format, out }))
        else terminal.note(`Written to ${out}.`)
      })
    })
  return ca
}

async function write(file: string, content: Buffer): Promise<void> {
  try {
    await writeFile(file, content)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new LocumError('bad_request', `Cannot write ${file} (${code}).`, { cause })
  }
}
