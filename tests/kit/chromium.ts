import { spawnSync } from 'node:child_process'
import { type Browser, chromium } from 'playwright-core'
import type { Teardown } from './site.ts'

const PROGRAM = spawnSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).stdout.trim()
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Why there is no browser here; false where there is one. */
export const NO_CHROMIUM = PROGRAM === '' ? 'chromium is not installed' : false

/** `trusts`: the base64 SHA-256 of a key whose certificate it takes, as if the CA had been imported. */
export async function openChromium(t: Teardown, trusts: string): Promise<Browser> {
  const args = [...ARGUMENTS, `--ignore-certificate-errors-spki-list=${trusts}`]
  const browser = await chromium.launch({ executablePath: PROGRAM, args })
  t.teardown(() => browser.close())
  return browser
}
