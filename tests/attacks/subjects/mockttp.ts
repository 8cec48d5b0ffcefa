import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, nextMessage, startProgram } from '../../../bench/processes.ts'
import type { Plot } from '../ground.ts'
import type { Started } from './started.ts'

const PACKAGES = join(import.meta.dirname, '../../../bench/peers')

/** mockttp with callbacks that put the secrets in. Undefined where it is not installed. */
export async function startMockttp(plot: Plot): Promise<Started | undefined> {
  const manifest = join(PACKAGES, 'node_modules/mockttp/package.json')
  if (!existsSync(manifest)) return undefined
  const port = await freePort()
  const told = { port, plotFile: plot.file, caFile: plot.caFile, packages: PACKAGES }
  const script = join(import.meta.dirname, 'mockttp.mjs')
  const program = startProgram('mockttp', [process.execPath, script, JSON.stringify(told)], { ipc: true })
  const { ca } = await nextMessage<{ ca: string }>(program)
  return {
    name: 'mockttp',
    version: JSON.parse(readFileSync(manifest, 'utf8')).version,
    port,
    ca,
    keys: {},
    offers: new Set(['forward', 'connect', 'placeholders']),
    stop: program.stop,
  }
}
