import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, freePort, startProgram, untilListening, versionOf } from '../../../bench/processes.ts'
import { makeCa } from '../../kit/certificates.ts'
import type { Plot } from '../ground.ts'
import type { Started } from './started.ts'

const MINTER = '/usr/lib/squid/security_file_certgen'

/**
 * Debian's squid-openssl, which intercepts and sets a header for each host that it knows; it has no
 * placeholders and searches no answer. Undefined where it is not installed.
 */
export async function startSquid(plot: Plot): Promise<Started | undefined> {
  const file = findProgram('squid')
  if (!file || !existsSync(MINTER)) return undefined
  const own = join(plot.folder, 'squid')
  mkdirSync(own, { recursive: true })
  const leaves = join(own, 'leaves')
  if (!existsSync(leaves)) execFileSync(MINTER, ['-c', '-s', leaves, '-M', '4MB'], { stdio: 'ignore' })
  // Squid serves as another user where it is started as root.
  for (const folder of [plot.folder, own]) chmodSync(folder, 0o755)
  chmodSync(leaves, 0o777)
  for (const entry of readdirSync(leaves)) chmodSync(join(leaves, entry), 0o777)
  const signer = await makeCa('Squid of the attacks')
  const signing = join(own, 'signing.pem')
  writeFileSync(signing, `${signer.key}\n${signer.cert}`, { mode: 0o644 })
  const hosts = join(own, 'hosts')
  const sinks = Object.values(plot.sinks)
  writeFileSync(hosts, sinks.map(({ host }) => `127.0.0.1 ${host}\n`).join(''))
  const port = await freePort()
  const config = join(own, 'squid.conf')
  writeFileSync(
    config,
    `http_port 127.0.0.1:${port} ssl-bump tls-cert=${signing} generate-host-certificates=on dynamic_cert_mem_cache_size=4MB
sslcrtd_program ${MINTER} -s ${leaves} -M 4MB
sslcrtd_children 1
ssl_bump bump all
tls_outgoing_options cafile=${plot.caFile}
hosts_file ${hosts}
http_access allow all
${sinks
  .filter(({ secret }) => secret !== undefined)
  .map(
    ({ name, host, port, secret }) => `acl host-${name} dstdomain ${host}
acl port-${name} port ${port}
request_header_add Authorization "Bearer ${secret}" host-${name} port-${name}
`,
  )
  .join('')}cache deny all
cache_mem 0
access_log none
cache_log /dev/null
cache_store_log none
netdb_filename none
pid_filename none
coredump_dir ${own}
shutdown_lifetime 1 second
`,
  )
  const program = startProgram('Squid', [file, '-N', '-f', config])
  await untilListening(program, port)
  return {
    name: 'Squid',
    version: versionOf(file, '-v'),
    port,
    ca: signer.cert,
    keys: {},
    offers: new Set(['forward', 'connect']),
    stop: program.stop,
  }
}
