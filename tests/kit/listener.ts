import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tls from 'node:tls'
import { type Issued, type IssueOptions, issue, makeCa, type TestCa } from './certificates.ts'
import { RawClient } from './raw.ts'
import type { Teardown } from './site.ts'

/** A CA, and in files what a listener of ours takes. */
export interface ListenerFiles {
  readonly folder: string
  readonly ca: TestCa
  /** A listener with TLS under the names of loopback, on any port. */
  readonly listener: { address: string; tls: { cert: string; key: string } }
  /** Writes a file and gives its path. */
  write(name: string, text: string): string
  /** The path of the CA's certificate. */
  readonly caFile: string
}

export async function listenerFiles(t: Teardown, address = '127.0.0.1:0'): Promise<ListenerFiles> {
  const folder = makeFolder(t)
  const ca = await makeCa('Listener CA')
  const { cert, key } = await issue(ca, ['localhost', '127.0.0.1'])
  const write = (name: string, text: string) => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }
  const files = { cert: write('listener.pem', cert), key: write('listener.key', key) }
  return { folder, ca, listener: { address, tls: files }, write, caFile: write('ca.pem', ca.cert) }
}

/** A folder with a short path, as sockets need it. */
export function makeFolder(t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), 'locum-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A certificate for a client, named by its subject unless `options` say otherwise. */
export function clientCertificate(ca: TestCa, id: string, options: IssueOptions = {}): Promise<Issued> {
  return issue(ca, [], { subject: `CN=${id}`, forClient: true, ...options })
}

/** Connects to a listener with TLS. Rejects with what the handshake ended in. */
export async function dialTls(t: Teardown, port: number, options: tls.ConnectionOptions): Promise<RawClient> {
  const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ...options })
  t.teardown(() => socket.destroy())
  const client = new RawClient(socket)
  await once(socket, 'secureConnect')
  return client
}

export async function dialPath(t: Teardown, path: string): Promise<RawClient> {
  const socket = connect({ path })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return new RawClient(socket)
}

/** TLS inside a tunnel that was opened already. */
export async function secure(
  t: Teardown,
  outer: RawClient,
  ca: string,
  servername: string,
): Promise<RawClient> {
  outer.socket.removeAllListeners('data')
  const socket = tls.connect({ socket: outer.socket, ca, servername })
  t.teardown(() => socket.destroy())
  const inner = new RawClient(socket, outer.socket)
  await once(socket, 'secureConnect')
  return inner
}
