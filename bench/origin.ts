import { randomBytes } from 'node:crypto'
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { issue, makeCa } from '../tests/kit/certificates.ts'
import { findProgram, freePort, nextMessage, type Program, startOnCore, untilListening } from './processes.ts'

/** The secret that every proxy puts into every request; the origin answers 401 without it. */
export const SECRET = 'sk_bench_4f8Kq2Zt7Wm1Xc9Lr5Vb'
/** What requests are signed with where they are. */
export const AWS_KEY = {
  accessKeyId: 'AKIABENCHBENCHBENCH0',
  secretAccessKey: 'of-no-worth-to-anybody-at-all-0000000000',
}
export const SMALL = '/v1/small'
export const LARGE = '/v1/large'
/** The large answer is this often a block of random text: what is searched for secrets finds no easy bytes. */
export const LARGE_BLOCKS = 256
export const SMALL_BODY = JSON.stringify({
  object: 'balance',
  available: [{ amount: 4217, currency: 'eur' }],
  live: true,
})

/** The origin behind every proxy. */
export interface Origin {
  readonly name: string
  readonly pid: number
  readonly httpPort: number
  readonly httpsPort: number
  /** The CA's certificate, and with its key. */
  readonly caFile: string
  readonly signingFile: string
  /** The leaf's certificate, its key, and both. */
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
    signingFile: join(folder, 'signing.pem'),
    certFile: join(folder, 'leaf.pem'),
    keyFile: join(folder, 'leaf.key'),
    bothFile: join(folder, 'both.pem'),
  }
  writeFileSync(files.caFile, ca.cert)
  writeFileSync(files.signingFile, `${ca.cert}\n${ca.key}`)
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
    pid: program.pid,
    httpPort,
    httpsPort,
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
worker_rlimit_nofile 30000;
events { worker_connections 12000; }
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

/** 256 KiB. */
export function randomText(): Buffer {
  return Buffer.from(randomBytes(192 * 1024).toString('base64'))
}

function originServers(x: {
  folder: string
  httpPort: number
  httpsPort: number
  certFile: string
  keyFile: string
}): string {
  const block = randomText()
  for (let i = 0; i < LARGE_BLOCKS; i++) appendFileSync(join(x.folder, 'large'), block)
  return `server {
    listen 127.0.0.1:${x.httpPort} backlog=4096; listen 127.0.0.1:${x.httpsPort} ssl backlog=4096;
    ssl_certificate ${x.certFile}; ssl_certificate_key ${x.keyFile};
    if ($http_authorization !~ "^(Bearer ${SECRET}|AWS4-HMAC-SHA256 Credential=${AWS_KEY.accessKeyId}/.*)$") { return 401; }
    location ${SMALL} { default_type application/json; return 200 '${SMALL_BODY}'; }
    location ${LARGE} { default_type application/octet-stream; alias ${x.folder}/large; }
  }`
}
