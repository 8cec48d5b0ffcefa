import { readFileSync } from 'node:fs'
import { runCommand } from './program.ts'
import { processTerminal } from './terminal.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

process.exitCode = await runCommand(process.argv.slice(2), processTerminal(), version)
