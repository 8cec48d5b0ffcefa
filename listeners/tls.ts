import { constants } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { createSecureContext, type Server, type TlsOptions } from 'node:tls'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { TlsFiles } from '../core/listen.ts'
import { type TlsTexts, tlsEnd, tlsFaults } from '../core/listener-tls.ts'

/** ms that a client may take for its handshake. */
const HANDSHAKE = 10_000
/** Handshakes under way at most; the one that takes longest makes room. */
const MOST_HANDSHAKES = 1024
/** How often a renewed certificate is looked for, ms. */
const RELOAD = 10_000

/** How a listener treats certificates of clients: as one way to say who calls, or as what lets in at all. */
export type ClientCertificates = 'named' | 'required'

/** TLS of a listener of Locum's own. */
export interface ListenerTls {
  /** For `createServer`: 1.2 or later, HTTP/1.1, the certificate, and what is asked of clients. */
  readonly options: TlsOptions
  /** Bounds the server's handshakes, and shows a renewed certificate within `reload` ms, until it closes. */
  attend(server: Server): { dropHandshakes(): void }
}

/**
 * Reads a listener's certificate and key. Rejects with bad_request where one cannot be read or used, or
 * they do not belong together. `onfault`: told of a renewed certificate that is of no use (the old one is
 * shown on), and of one that has ended. The CA of clients is read once.
 */
export async function openTls(
  files: TlsFiles,
  x: { clients: ClientCertificates; clock: Clock; onfault: (error: unknown) => void; reload?: number },
): Promise<ListenerTls> {
  let texts = await readTexts(files)
  warnEnded(files, texts, x)
  const options = (): TlsOptions => ({
    cert: texts.cert,
    key: texts.key,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: HANDSHAKE,
    ...(texts.clientCa === undefined
      ? {}
      : {
          ca: texts.clientCa,
          requestCert: true,
          rejectUnauthorized: x.clients === 'required',
          // A resumed session would keep what an earlier handshake has found.
          secureOptions: constants.SSL_OP_NO_TICKET,
        }),
  })
  const check = () => {
    try {
      createSecureContext(options())
    } catch (cause) {
      throw unusable(`${files.cert} and ${files.key} cannot be used for TLS`, cause)
    }
  }
  check()
  const reload = async (server: Server) => {
    const before = texts
    try {
      const { cert, key } = await readTexts(files)
      if (cert === before.cert && key === before.key) return
      texts = { ...before, cert, key }
      check()
      warnEnded(files, texts, x)
      server.setSecureContext(options())
    } catch (error) {
      texts = before
      throw error
    }
  }
  return {
    options: options(),
    attend(server) {
      let told = ''
      const timer = setInterval(() => {
        reload(server).then(
          () => {
            told = ''
          },
          (error: unknown) => {
            // Once for each fault, not each time that it is met.
            const text = String(error)
            if (text !== told) x.onfault(error)
            told = text
          },
        )
      }, x.reload ?? RELOAD)
      timer.unref()
      server.once('close', () => clearInterval(timer))
      return { dropHandshakes: boundHandshakes(server) }
    },
  }
}

async function readTexts(files: TlsFiles): Promise<TlsTexts> {
  const read = async (path: string) => {
    try {
      return await readFile(path, 'utf8')
    } catch (cause) {
      const { code = '' } = cause as NodeJS.ErrnoException
      throw unusable(`${path} cannot be read (${code})`, cause)
    }
  }
  const [cert, key] = await Promise.all([read(files.cert), read(files.key)])
  const texts = { cert, key, ...(files.clientCa !== undefined && { clientCa: await read(files.clientCa) }) }
  const [fault] = tlsFaults(texts)
  if (fault) throw unusable(`${files[fault.file]} ${fault.says}`)
  return texts
}

function unusable(what: string, cause?: unknown): LocumError {
  return new LocumError('bad_request', `A listener's TLS cannot be set up: ${what}.`, {
    hint: 'Look at `tls: { cert, key, clientCa }` under `listen`.',
    cause,
  })
}

function warnEnded(
  files: TlsFiles,
  { cert }: TlsTexts,
  { clock, onfault }: { clock: Clock; onfault: (error: unknown) => void },
): void {
  if (tlsEnd(cert) > clock.now()) return
  onfault(
    new LocumError('bad_request', `The certificate in ${files.cert} has ended: clients will refuse it.`),
  )
}

/** Ends the oldest of too many handshakes, so that slow ones cannot keep others out. Returns what ends them all. */
function boundHandshakes(server: Server): () => void {
  const underWay = new Map<string, Socket>()
  server.on('connection', (socket: Socket) => {
    const name = peerOf(socket)
    underWay.set(name, socket)
    socket.once('close', () => {
      if (underWay.get(name) === socket) underWay.delete(name)
    })
    if (underWay.size <= MOST_HANDSHAKES) return
    const [oldest] = underWay.values()
    oldest?.destroy()
  })
  server.on('secureConnection', (socket) => underWay.delete(peerOf(socket)))
  return () => {
    for (const socket of underWay.values()) socket.destroy()
  }
}

/** Tells a connection of one listener from the others: the TLS socket is another object than the one below it. */
function peerOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`
}
