import { gzipSync } from 'node:zlib'
import t from 'tap'
import { ASKS, connectionTo, SECRET } from '../kit/echo-site.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startBytes } from '../kit/upstream.ts'

/** What the upstream says to everything. */
let says = Buffer.alloc(0)
const upstream = await startBytes(t, (socket) => {
  socket.on('data', (chunk: Buffer) => {
    if (chunk.includes('\r\n\r\n')) socket.write(says)
  })
})
const site = await startSite(t, {
  principals: [{ id: 'ada' }],
  connections: [connectionTo(upstream)],
  credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
})
const goal = { ...upstream, name: 'echo' }

function answering(type: string, body: Buffer, more = ''): void {
  says = Buffer.concat([
    Buffer.from(`HTTP/1.1 200 OK\r\n${type}${more}Content-Length: ${body.length}\r\n\r\n`),
    body,
  ])
}

function utf16(text: string, order: 'le' | 'be'): Buffer {
  const bytes = Buffer.from(text, 'utf16le')
  return order === 'le' ? bytes : bytes.swap16()
}

const BASE64 = Buffer.from(`ada:${SECRET}`).toString('base64')
const HEX = Buffer.from(SECRET).toString('hex')

for (const entrance of ENTRANCES) {
  const ask = () => askBy(t, site, entrance, goal, { headers: [ASKS] })

  t.test(`${entrance}: an upstream that is asked for UTF-16 gives no secret away`, async (t) => {
    for (const order of ['le', 'be'] as const) {
      for (const name of [
        'utf-16',
        `"UTF-16${order}"`,
        'x-UTF_16',
        'csUnicode',
        'iso-10646-ucs-2',
        'unicodeFFFE',
      ]) {
        for (const coded of [false, true]) {
          const plain = utf16(`<é ${SECRET} ${BASE64} ${HEX}>`, order)
          answering(
            `Content-Type: text/plain; x=1; charset=${name}\r\n`,
            coded ? gzipSync(plain) : plain,
            coded ? 'Content-Encoding: gzip\r\n' : '',
          )
          const got = Buffer.from((await ask()).body, 'latin1')
          t.equal(got.length, plain.length, name)
          const ascii = got.toString('latin1').replaceAll(/[\0\xe9]/g, '')
          t.match(ascii, /^< \*+ .{0,8}\*+.{0,4} \*+>$/, `${name} ${order}`)
        }
      }
    }
  })

  t.test(`${entrance}: UTF-16 that says nothing of itself hides no secret as it stands`, async (t) => {
    for (const order of ['le', 'be'] as const) {
      answering('Content-Type: application/octet-stream\r\n', utf16(`<${SECRET}>`, order))
      const got = Buffer.from((await ask()).body, 'latin1')
      t.equal(got.toString('latin1').replaceAll('\0', ''), `<${'*'.repeat(2 * SECRET.length - 1)}>`)
    }
  })

  t.test(`${entrance}: an answer in a character set that cannot be searched is refused`, async (t) => {
    for (const type of [
      'charset=IBM037',
      'charset=utf-32',
      'charset=ucs-4le',
      'charset=cp500',
      'charset=ibm-1047',
      'charset=037',
      'charset=ebcdic-us',
      'charset=utf-7',
      'charset=unicode-1-1-utf-7',
      'charset=unicode_escape',
      'charset=hz-gb-2312',
      'CHARSET = "x-ibm1140"',
      `charset='cp037'`,
      'charset="cp\\037"',
      'charset=utf-8; charset=cp037',
      `charset*=us-ascii'en'cp037`,
      'charset*0=cp; charset*1=037',
      'charset=utf-8\r\nContent-Type: text/plain; charset=cp037',
    ]) {
      answering(`Content-Type: text/plain; ${type}\r\n`, Buffer.from('not to be seen'))
      const response = await ask()
      t.equal(response.status, 502, type)
      t.match(JSON.parse(response.body), { code: 'upstream_invalid', hint: 'Ask for it in UTF-8.' })
    }
  })

  t.test(`${entrance}: an answer in any that leaves ASCII as it stands comes, masked`, async (t) => {
    for (const name of [
      'utf-8',
      '"UTF-8"',
      'utf8mb4',
      'us-ascii',
      'ISO-8859-1',
      'iso_8859-1:1987',
      'latin1',
      'windows-1251',
      'cp437',
      'ibm850',
      'shift_jis',
      'EUC-JP',
      'iso-2022-jp',
      'gb18030',
      'big5-hkscs',
      'koi8-u',
      'macintosh',
      'binary',
      '',
    ]) {
      answering(`Content-Type: text/plain; charset=${name}; x=1\r\n`, Buffer.from(`<${SECRET}>`))
      const { status, body } = await ask()
      t.equal(status, 200, name)
      t.equal(body, `<${'*'.repeat(SECRET.length)}>`)
    }
    answering('Content-Type: text/x-charset-list\r\n', Buffer.from('fine'))
    t.equal((await ask()).body, 'fine')
  })
}
