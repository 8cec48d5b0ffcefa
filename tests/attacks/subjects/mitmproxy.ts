import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, freePort, startProgram, untilListening, versionOf } from '../../../bench/processes.ts'
import type { Plot } from '../ground.ts'
import type { Started } from './started.ts'

/** mitmproxy with an add-on that puts the secrets in. Undefined where it is not installed. */
export async function startMitmproxy(plot: Plot): Promise<Started | undefined> {
  const file = findProgram('mitmdump')
  if (!file) return undefined
  const own = join(plot.folder, 'mitmproxy')
  mkdirSync(own, { recursive: true })
  const port = await freePort()
  const set = [`confdir=${own}`, `ssl_verify_upstream_trusted_ca=${plot.caFile}`, 'connection_strategy=lazy']
  const program = startProgram(
    'mitmproxy',
    [
      ...[file, '-q', '--listen-host', '127.0.0.1', '--listen-port', String(port)],
      ...set.flatMap((option) => ['--set', option]),
      ...['-s', join(import.meta.dirname, 'mitmproxy.py')],
    ],
    { env: { PLOT: plot.file } },
  )
  await untilListening(program, port)
  return {
    name: 'mitmproxy',
    version: versionOf(file, '--version'),
    port,
    ca: readFileSync(join(own, 'mitmproxy-ca-cert.pem'), 'utf8'),
    keys: {},
    offers: new Set(['forward', 'connect', 'placeholders']),
    stop: program.stop,
  }
}
