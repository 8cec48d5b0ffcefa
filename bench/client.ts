import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Job } from './load.ts'

/** One connection with one request in flight. It counts the bytes of answers and looks at little else. */
export class Client {
  readonly #socket: Socket
  readonly #counts: Counts
  #head: Buffer | undefined
  #rest = 0
  #answered: (() => void) | undefined

  constructor(socket: Socket, counts: Counts) {
    this.#socket = socket
    this.#counts = counts
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('error', (error) => counts.fail(error))
    socket.on('close', () => counts.fail(new Error('The proxy closed a connection.')))
  }

  get busy(): boolean {
    return this.#answered !== undefined
  }

  send(request: string, answered: () => void): void {
    this.#answered = answered
    this.#socket.write(request, 'latin1')
  }

  end(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }

  #read(bytes: Buffer): void {
    this.#counts.bytes += bytes.length
    if (this.#rest > 0) this.#rest -= bytes.length
    else {
      const head = this.#head ? Buffer.concat([this.#head, bytes]) : bytes
      const end = head.indexOf('\r\n\r\n')
      this.#head = end < 0 ? head : undefined
      if (end < 0) return
      const length = lengthOf(head.toString('latin1', 0, end))
      if (typeof length !== 'number') return this.#counts.fail(length)
      this.#rest = end + 4 + length - head.length
    }
    if (this.#rest === 0) this.#done()
    else if (this.#rest < 0) this.#counts.fail(new Error('An answer was longer than it said.'))
  }

  #done(): void {
    const answered = this.#answered
    this.#answered = undefined
    this.#counts.requests++
    answered?.()
  }
}

/** What all connections of a job add up. */
export interface Counts {
  requests: number
  bytes: number
  latencies: number[]
  fail(error: Error): void
}

/** The length that a head states; else what is wrong with it: whoever gets no 200 did not put the secret in. */
function lengthOf(head: string): number | Error {
  if (!head.startsWith('HTTP/1.1 200')) return new Error(`An answer was not 200: ${head.slice(0, 200)}`)
  const at = head.search(/content-length:/i)
  if (at < 0) return new Error(`An answer does not state its length: ${head.slice(0, 200)}`)
  return Number.parseInt(head.slice(at + 15), 10)
}

let serial = 0

/**
 * A connection on which requests can be sent. The load measures the proxy, it does not judge its certificate.
 * The key exchange is one that all of them have (nginx has P-256 alone): the newest OpenSSL would take a dearer one.
 */
export function open(job: Job): Promise<Socket> {
  const number = String(++serial)
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ port: job.port, host: '127.0.0.1', noDelay: true })
    const secure = () => {
      if (!job.tls) return resolve(socket)
      const servername = job.serverName.replace('*', number)
      const inner = connectTls({ socket, servername, rejectUnauthorized: false, ecdhCurve: 'X25519:P-256' })
      inner.once('secureConnect', () => resolve(inner))
      inner.once('error', reject)
    }
    socket.once('error', reject)
    socket.once('connect', () => {
      if (job.connect === undefined) return secure()
      socket.write(job.connect.replaceAll('*.', `${number}.`))
      let answer = ''
      socket.on('data', function read(bytes: Buffer) {
        answer += bytes.toString('latin1')
        if (!answer.endsWith('\r\n\r\n')) return
        socket.off('data', read)
        if (/^HTTP\/1\.[01] 200/.test(answer)) secure()
        else reject(new Error(`CONNECT was refused: ${answer.slice(0, 200)}`))
      })
    })
  })
}
