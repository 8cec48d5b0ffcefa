import { gzipSync } from 'node:zlib'
import { asking, entrancesOf } from '../asking.ts'
import type { Attack } from '../attack.ts'

/** How a program that shows what it was sent may write it. */
const WRITERS: Readonly<Record<string, (secret: string) => string>> = {
  'as it stands': (secret) => secret,
  base64: (secret) => Buffer.from(secret).toString('base64'),
  'base64 behind one byte': (secret) => Buffer.from(`:${secret}`).toString('base64'),
  'base64 behind two bytes': (secret) => Buffer.from(`x:${secret}`).toString('base64'),
  base64url: (secret) => Buffer.from(secret).toString('base64url'),
  hex: (secret) => Buffer.from(secret).toString('hex'),
  'hex in capitals': (secret) => Buffer.from(secret).toString('hex').toUpperCase(),
  'percent codes': (secret) => Buffer.from(secret).toString('hex').replace(/../g, '%$&'),
  'JSON escapes': (secret) =>
    [...secret].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
  'HTML entities': (secret) => [...secret].map((char) => `&#${char.charCodeAt(0)};`).join(''),
  'HTML entities in hex': (secret) =>
    [...secret].map((char) => `&#x${char.charCodeAt(0).toString(16)};`).join(''),
}

/** Answers that hold a text, in each place where one can be. */
const PLACES: Readonly<Record<string, (text: string) => string>> = {
  'a header': (text) => `HTTP/1.1 200 OK\r\nX-Echo: ${text}\r\nContent-Length: 0\r\n\r\n`,
  'the reason': (text) => `HTTP/1.1 200 ${text}\r\nContent-Length: 0\r\n\r\n`,
  'an interim head': (text) =>
    `HTTP/1.1 103 Early Hints\r\nX-Echo: ${text}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`,
  'a body': (text) => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
  'an error': (text) =>
    `HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
  'a chunk a byte': (text) =>
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${[...text].map((byte) => `1\r\n${byte}\r\n`).join('')}0\r\n\r\n`,
  'a trailer': (text) =>
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Echo\r\n\r\n1\r\nx\r\n0\r\nX-Echo: ${text}\r\n\r\n`,
  'a packed body': (text) => {
    const packed = gzipSync(text).toString('latin1')
    return `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n${packed}`
  },
}

export const attack: Attack = {
  title: 'what was put in does not come back, in any usual form, wherever the upstream writes it',
  rule: 'R11',
  published: 'claudecode_webui#1400',
  async run(ground) {
    const wrong: string[] = []
    for (const entrance of entrancesOf(ground)) {
      const to = ground.by(entrance)
      for (const [form, write] of Object.entries(WRITERS)) {
        const text = write(to.secret as string)
        // base64 ends in bytes that hang on what follows.
        const core = text
          .replace(/=*$/, '')
          .slice(form.startsWith('base64') ? 3 : 0, form.startsWith('base64') ? -2 : undefined)
        for (const [place, answerWith] of Object.entries(PLACES)) {
          to.answer = () => answerWith(text)
          const answer = await ground.ask(entrance, to, { headers: asking(ground) })
          if (JSON.stringify(answer).includes(JSON.stringify(core).slice(1, -1)))
            wrong.push(`${entrance}: ${form} in ${place}`)
        }
      }
    }
    return wrong
  },
}
