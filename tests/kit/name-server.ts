import { createSocket, type Socket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'
import type { Lookup } from '../../proxy/upstreams/addresses.ts'
import type { Teardown } from './site.ts'

const A = 1
const AAAA = 28

/** A name server that changes its mind. */
export interface NameServer {
  /** The names that were asked for, for IPv4 addresses. */
  readonly asked: readonly string[]
  /** What the next questions are answered with, one after the other; the last of them for ever. */
  answers(...addresses: readonly (readonly string[])[]): void
  /** A lookup that asks it each time, and keeps nothing: every answer says that it holds for 0 s. */
  readonly lookup: Lookup
}

/** On a free UDP port of this host, until the test ends (RFC 1035 §4). */
export async function startNameServer(t: Teardown): Promise<NameServer> {
  const asked: string[] = []
  let queue: (readonly string[])[] = [[]]
  /** Both families of one look-up see one answer. */
  const current = new Map<string, readonly string[]>()
  const socket: Socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const { name, type, end } = readQuestion(query)
    if (type === A) {
      asked.push(name)
      current.set(name, (queue.length > 1 ? queue.shift() : queue[0]) as readonly string[])
    }
    const addresses = (current.get(name) ?? queue[0] ?? []).filter((one) => isIPv4(one) === (type === A))
    socket.send(answerTo(query, end, type, addresses), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  const resolver = new Resolver({ timeout: 2000, tries: 1 })
  resolver.setServers([`127.0.0.1:${socket.address().port}`])
  const none = (error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENODATA') return []
    throw error
  }
  return {
    asked,
    answers: (...next) => {
      queue = [...next]
    },
    async lookup(name) {
      const four = await resolver.resolve4(name).catch(none)
      const six = await resolver.resolve6(name).catch(none)
      return [
        ...four.map((address) => ({ address, family: 4 })),
        ...six.map((address) => ({ address, family: 6 })),
      ]
    },
  }
}

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 }
}

function answerTo(query: Buffer, end: number, type: number, addresses: readonly string[]): Buffer {
  const head = Buffer.alloc(12)
  query.copy(head, 0, 0, 2)
  // An answer, with authority; no error; one question.
  head.writeUInt16BE(0x8580, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(addresses.length, 6)
  const records = addresses.map((address) => {
    const data = type === AAAA ? bytesOfIpv6(address) : Buffer.from(address.split('.').map(Number))
    const record = Buffer.alloc(12)
    // The name of the question; class IN; for 0 s.
    record.writeUInt16BE(0xc00c, 0)
    record.writeUInt16BE(type, 2)
    record.writeUInt16BE(1, 4)
    record.writeUInt16BE(data.length, 10)
    return Buffer.concat([record, data])
  })
  return Buffer.concat([head, query.subarray(12, end), ...records])
}

function bytesOfIpv6(address: string): Buffer {
  const [front = '', back] = address.split('::')
  const groups = (text: string) =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const [before, after] = [groups(front), groups(back ?? '')]
  const zeros = Array<number>(8 - before.length - after.length).fill(0)
  const bytes = Buffer.alloc(16)
  for (const [i, group] of [...before, ...zeros, ...after].entries()) bytes.writeUInt16BE(group, 2 * i)
  return bytes
}
