import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Peer } from './peers.ts'
import { findProgram, freePort, startOnCore, untilListening, versionOf } from './processes.ts'
import { BEARER, fixedRoutes } from './routes.ts'

/** Intercepts with certificates of its own and sets a fixed header; the gateway is a reverse proxy beside it. */
export const mitmproxy: Peer = {
  name: 'mitmproxy',
  install: 'apt install mitmproxy',
  async start({ folder, core, origin }) {
    const file = findProgram('mitmdump')
    if (!file) return undefined
    const begin = async (port: number, ...more: readonly string[]) => {
      const own = join(folder, `mitmproxy-${port}`)
      mkdirSync(own)
      const set = [
        `confdir=${own}`,
        `ssl_verify_upstream_trusted_ca=${origin.caFile}`,
        'flow_detail=0',
        'stream_large_bodies=1m',
      ]
      const program = startOnCore(core, 'mitmproxy', [
        file,
        '-q',
        ...['--listen-host', '127.0.0.1', '--listen-port', String(port)],
        ...set.flatMap((option) => ['--set', option]),
        ...['--modify-headers', `/~q/Authorization/${BEARER}`],
        ...more,
      ])
      await untilListening(program, port)
      return program
    }
    const [port, reversePort] = [await freePort(), await freePort()]
    const program = await begin(port)
    const reverse = await begin(reversePort, '--mode', `reverse:https://localhost:${origin.httpsPort}`)
    const routes = fixedRoutes(origin, [port, reversePort, port], program.pid, true)
    return {
      name: 'mitmproxy',
      version: versionOf(file, '--version'),
      programs: [program, reverse],
      routes: {
        ...routes,
        gateway: routes.gateway && { ...routes.gateway, pid: reverse.pid },
        // It asks the origin for its certificate first.
        cold: undefined,
      },
    }
  },
}

/** Debian's squid-openssl: intercepts with `ssl-bump` and sets a fixed header. */
export const squid: Peer = {
  name: 'Squid',
  install: 'apt install squid-openssl',
  async start({ folder, core, origin }) {
    const file = findProgram('squid')
    const minter = '/usr/lib/squid/security_file_certgen'
    if (!file || !existsSync(minter)) return undefined
    const [forward, gateway, connect] = [await freePort(), await freePort(), await freePort()] as const
    const leaves = join(folder, 'squid-leaves')
    execFileSync(minter, ['-c', '-s', leaves, '-M', '4MB'], { stdio: 'ignore' })
    // Squid serves as another user where it is started as root.
    chmodSync(folder, 0o755)
    chmodSync(leaves, 0o777)
    for (const entry of readdirSync(leaves)) chmodSync(join(leaves, entry), 0o777)
    const config = join(folder, 'squid.conf')
    writeFileSync(
      config,
      `http_port 127.0.0.1:${forward}
http_port 127.0.0.1:${gateway} accel defaultsite=localhost:${origin.httpsPort} no-vhost
http_port 127.0.0.1:${connect} ssl-bump tls-cert=${origin.signingFile} generate-host-certificates=on dynamic_cert_mem_cache_size=4MB
sslcrtd_program ${minter} -s ${leaves} -M 4MB
sslcrtd_children 1
ssl_bump bump all
tls_outgoing_options cafile=${origin.caFile}
acl gateway localport ${gateway}
cache_peer 127.0.0.1 parent ${origin.httpsPort} 0 no-query no-digest originserver tls tls-cafile=${origin.caFile} ssldomain=localhost login=PASSTHRU name=origin
cache_peer_access origin allow gateway
never_direct allow gateway
always_direct allow !gateway
http_access allow all
request_header_access Authorization deny all
request_header_replace Authorization ${BEARER}
via off
forwarded_for delete
cache deny all
cache_mem 0
access_log none
cache_log /dev/null
cache_store_log none
netdb_filename none
pid_filename none
max_filedescriptors 16384
client_idle_pconn_timeout 1 hour
server_idle_pconn_timeout 1 hour
coredump_dir ${folder}
shutdown_lifetime 1 second
`,
    )
    const program = startOnCore(core, 'Squid', [file, '-N', '-f', config])
    await untilListening(program, forward)
    return {
      name: 'Squid',
      version: versionOf(file, '-v'),
      programs: [program],
      routes: fixedRoutes(origin, [forward, gateway, connect], program.pid, true),
    }
  },
}
