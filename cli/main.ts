import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'
import { VERSION } from '../version.ts'
import { processTerminal } from './terminal.ts'

// What was compiled is kept beside the program, where whoever can change it can change the program too:
// it halves the time of a start. Where that cannot be written, nothing is kept.
enableCompileCache(fileURLToPath(new URL('../.cache', import.meta.url)))
const { runCommand } = await import('./program.ts')

process.exitCode = await runCommand(process.argv.slice(2), processTerminal(), VERSION)
