import { join } from 'node:path'
import type { TestSite } from '../kit/site.ts'
import { PASSWORD } from './needs.ts'
import { absent, runProgram } from './running.ts'

/** A Java trust store with the site's CA in it: its path, whether or not there is a Java to make it. */
export async function makeTrustStore({ data, caFile }: TestSite): Promise<string> {
  const store = join(data, 'locum.p12')
  if (absent('keytool', ['-help'], 'keytool') !== undefined) return store
  const { code, errors } = await runProgram('keytool', [
    ...['-importcert', '-noprompt', '-alias', 'locum', '-file', caFile],
    ...['-keystore', store, '-storepass', PASSWORD, '-J-XX:TieredStopAtLevel=1'],
  ])
  if (code !== 0) throw new Error(`keytool ended with ${code}: ${errors}`)
  return store
}
