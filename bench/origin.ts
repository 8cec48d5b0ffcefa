import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Issued, issue, makeCa } from '../tests/kit/certificates.ts'
import { findProgram, freePort, nextMessage, type Program, startOnCore, untilListening } from './processes.ts'
import { SECRET } from './workloads.ts'

export const SMALL = '/v1/small'
export const LARGE = '/v1/large'
/** Bytes of the large answer. */
export const LARGE_SIZE = 2 ** 30
export const SMALL_BODY = JSON.stringify({
  object: 'balance',
  available: [{ amount: 4217, currency: 'eur' }],
  live: true,
})

/** The origin behind every proxy. */
export interface Origin {
  readonly name: string
  readonly httpPort: number
  readonly httpsPort: number
  readonly ca: string
  readonly issued: Issued
  /** The files of the CA's certificate, and of the leaf's certificate with its key. */
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
  readonly bothFile: string
  stop(): Promise<void>
}

/** nginx where it is there, and else Node: on `localhost`, http and https, for those who show the secret. */
export async function startOrigin(folder: string, core: number): Promise<Origin> {
  const ca = await makeCa('Bench CA')
  const issued = await issue(ca, ['localhost', '127.0.0.1'])
  const files = {
    caFile: join(folder, 'ca.pem'),
    certFile: join(folder, 'leaf.pem'),
    keyFile: join(folder, 'leaf.key'),
    bothFile: join(folder, 'both.pem'),
  }
  writeFileSync(files.caFile, ca.cert)
  writeFileSync(files.certFile, issued.cert)
  writeFileSync(files.keyFile, issued.key)
  writeFileSync(files.bothFile, `${issued.cert}\n${issued.key}`)
  const nginx = findProgram('nginx')
  const [httpPort, httpsPort] = [await freePort(), await freePort()]
  let program: Program
  if (nginx) {
    program = startNginx(
      core,
      'origin',
      nginx,
      folder,
      originServers({ folder, httpPort, httpsPort, ...files }),
    )
    await untilListening(program, httpsPort)
  } else {
    const script = join(import.meta.dirname, 'node-origin.ts')
    const ports = [String(httpPort), String(httpsPort)]
    program = startOnCore(
      core,
      'origin',
      [process.execPath, script, ...ports, files.certFile, files.keyFile],
      { ipc: true },
    )
    await nextMessage(program)
  }
  return {
    name: nginx ? 'nginx' : 'Node',
    httpPort,
    httpsPort,
    ca: ca.cert,
    issued,
    ...files,
    stop: () => program.stop(),
  }
}

/** Starts one nginx process with these `server` blocks. */
export function startNginx(core: number, name: string, nginx: string, folder: string, http: string): Program {
  const own = join(folder, `nginx-${name}`)
  mkdirSync(own, { recursive: true })
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  writeFileSync(
    join(own, 'nginx.conf'),
    `daemon off; master_process off; pid ${own}/pid; error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off; sendfile on; tcp_nodelay on;
  keepalive_timeout 1h; keepalive_requests 1000000000;
  ${temporary.map((kind) => `${kind}_temp_path ${own}/${kind};`).join(' ')}
  ${http}
}
`,
  )
  return startOnCore(core, name, [nginx, '-p', own, '-c', join(own, 'nginx.conf')])
}

function originServers(x: {
  folder: string
  httpPort: number
  httpsPort: number
  certFile: string
  keyFile: string
}): string {
  const large = openSync(join(x.folder, 'large'), 'w')
  ftruncateSync(large, LARGE_SIZE)
  closeSync(large)
  return `server {
    listen 127.0.0.1:${x.httpPort} backlog=4096; listen 127.0.0.1:${x.httpsPort} ssl backlog=4096;
    ssl_certificate ${x.certFile}; ssl_certificate_key ${x.keyFile};
    if ($http_authorization != "Bearer ${SECRET}") { return 401; }
    location ${SMALL} { default_type application/json; return 200 '${SMALL_BODY}'; }
    location ${LARGE} { default_type application/octet-stream; alias ${x.folder}/large; }
  }`
}
