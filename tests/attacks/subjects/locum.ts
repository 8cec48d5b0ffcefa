import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, startProgram, untilListening } from '../../../bench/processes.ts'
import { type Plot, secretsOf } from '../ground.ts'
import type { Started } from './started.ts'

const ROOT = join(import.meta.dirname, '../../..')
const COMMAND = join(ROOT, 'bin/locum')

/** Locum from this checkout, as anybody starts it. */
export async function startLocum(plot: Plot): Promise<Started> {
  const data = join(plot.folder, 'data')
  const run = (...args: readonly string[]) =>
    execFileSync(COMMAND, ['--data', data, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const key = run('principal', 'add', 'ada').trim()
  const [port, consolePort] = [await freePort(), await freePort()]
  const file = join(plot.folder, 'locum.json')
  const listen = ['--proxy', `127.0.0.1:${port}`, '--console', `127.0.0.1:${consolePort}`]
  const program = startProgram(
    'locum',
    [COMMAND, '--data', data, 'serve', '--grace', '0', '--config', file, ...listen],
    { env: secretsOf(plot) },
  )
  await untilListening(program, port)
  return {
    name: 'Locum',
    version: JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version,
    port,
    ca: run('ca', 'export'),
    keys: { ada: key },
    offers: new Set(['forward', 'connect', 'gateway', 'placeholders', 'locum']),
    stop: program.stop,
  }
}
