import t from 'tap'
import { FieldLines, isTrailer, readTrailers } from '../../proxy/wire/h1/field-lines.ts'
import { Repetition, readResponseHead } from '../../proxy/wire/h1/head-reader.ts'
import { nameOfToken } from '../../proxy/wire/h1/names.ts'
import { LIMITS } from '../../proxy/wire/limits.ts'
import { Fields } from '../../proxy/wire/message.ts'
import { faultOf } from './kit.ts'

const pairs = ({ spelled, values }: Fields) => spelled.map((name, i) => [name, values[i]])
const lines = (...all: string[]) => new FieldLines().read(`${all.join('\r\n')}\r\n\r\n`, 0, true, 300)

t.test('fields keep their order and spelling, and are found in lower case', async (t) => {
  const fields = Fields.from([
    ['Accept', 'a'],
    ['X-One', '1'],
    ['accept', 'b'],
  ])
  t.equal(fields.size, 3)
  t.equal(fields.get('accept'), 'a')
  t.equal(fields.get('none'), undefined)
  t.same(fields.all('accept'), ['a', 'b'])
  t.equal(fields.has('x-one'), true)
  t.equal(fields.has('X-One'), false)
  const copy = fields.copy()
  fields.set('ACCEPT', 'c')
  t.same(pairs(fields), [
    ['ACCEPT', 'c'],
    ['X-One', '1'],
  ])
  fields.set('New', 'n')
  fields.rename(1, 'X-Two')
  t.same(pairs(fields), [
    ['ACCEPT', 'c'],
    ['X-Two', '1'],
    ['New', 'n'],
  ])
  t.equal(fields.get('x-two'), '1')
  t.equal(fields.delete('x-two'), true)
  t.equal(fields.delete('x-two'), false)
  t.equal(copy.delete('accept'), true)
  t.same(pairs(copy), [['X-One', '1']])
})

t.test('a Connection without options is the version’s own way, and of several each counts', async (t) => {
  for (const [connection, minor, persistent] of [
    [undefined, 1, true],
    [undefined, 0, false],
    ['Keep-Alive', 0, true],
    ['CLOSE', 1, false],
    ['x, close', 1, false],
    ['x, keep-alive', 0, true],
    ['x', 0, false],
    ['x', 1, true],
    ['x,, \t', 1, true],
    ['x, not a token', 1, false],
    ['keep-alive, close', 1, false],
  ] as const)
    t.equal(
      lines(...(connection === undefined ? ['A: b'] : [`Connection: ${connection}`])).persistent(minor),
      persistent,
      `${connection} on 1.${minor}`,
    )
})

t.test('what Connection names goes, but for what is for us', async (t) => {
  const read = lines(
    'Connection: one, two, proxy-authorization',
    'One: 1',
    'Two: 2',
    'one: 3',
    'Proxy-Authorization: p',
  )
  t.equal(
    read.persistent(1, (name, value) => name === 'two' && value === '2'),
    true,
  )
  t.same(pairs(read.fields), [
    ['Two', '2'],
    ['Proxy-Authorization', 'p'],
  ])
})

t.test('an Upgrade is heard where Connection names it, and it is one or more protocols', async (t) => {
  const upgrade = (text: string, connection = 'upgrade') =>
    lines(`Connection: ${connection}`, `Upgrade: ${text}`).protocols()
  for (const connection of ['upgrade', 'Upgrade', 'a, upgrade', 'upgrade ,b', 'a,\tupgrade\t, b'])
    t.equal(upgrade('websocket', connection), 'websocket', connection)
  for (const connection of ['upgrades', 'x-upgrade', 'up grade', 'close'])
    t.equal(upgrade('websocket', connection), undefined, connection)
  for (const text of ['websocket', 'a/1, b/2', 'h3', 'xh2', 'https', 'xtls', `${'a'.repeat(256)}`])
    t.equal(upgrade(text), text, text)
  for (const text of ['h2c', 'H2', 'a, http/2', 'TLS/1.0, a', 'tls']) t.equal(upgrade(text), undefined, text)
  for (const text of ['a b', 'a/', '/a', 'a/b/c', 'a,,b', '', 'a'.repeat(257)])
    t.equal(
      faultOf(() => upgrade(text)),
      'malformed',
      text,
    )
  t.equal(
    lines('Upgrade: one', 'Upgrade: two', 'Connection: a', 'Connection: upgrade').protocols(),
    'one, two',
  )
})

t.test('a length is digits, up to 2^53 − 1, and no more of them than that takes', async (t) => {
  const length = (text: string) => lines(`Content-Length: ${text}`).contentLength()
  t.equal(lines('A: b').contentLength(), undefined)
  t.equal(length('0'), 0)
  t.equal(length('007'), 7)
  t.equal(length('9007199254740991'), Number.MAX_SAFE_INTEGER)
  for (const text of ['', '9007199254740992', '00000000000000001', '+1', '1x', 'x1', '1 1', '0x1'])
    t.equal(
      faultOf(() => length(text)),
      'malformed',
      text,
    )
})

t.test('blanks around a value go, and those within stay', async (t) => {
  const { fields } = lines('A:b', 'A: \t b \tc\t ', 'A:', 'A:   ')
  t.same(fields.all('a'), ['b', 'b \tc', '', ''])
})

t.test('trailers are fields that frame, route and permit nothing, in any spelling', async (t) => {
  for (const name of ['x-checksum', 'grpc-status', 'server-timing']) t.equal(isTrailer(name), true, name)
  for (const name of ['content-length', 'content_length', 'host', 'set-cookie', 'if-range', 'authorization'])
    t.equal(isTrailer(name), false, name)
  t.equal(readTrailers('\r\n', 9), undefined)
  t.equal(readTrailers('Host: a\r\nSet_Cookie: b\r\n\r\n', 9), undefined)
  const read = readTrailers('X-A: 1\r\nSet_Cookie: b\r\nX-B: 2\r\n\r\n', 3)
  t.same(read && pairs(read), [
    ['X-A', '1'],
    ['X-B', '2'],
  ])
  t.equal(
    faultOf(() => readTrailers('A: 1\r\nB: 2\r\n\r\n', 1)),
    'head_too_large',
  )
})

t.test('how long a server keeps its connection is read from Keep-Alive, where it says so', async (t) => {
  const keeps = (text: string) =>
    readResponseHead(`HTTP/1.1 200 OK\r\nKeep-Alive: ${text}\r\n\r\n`, LIMITS, new Repetition()).keepAliveMs
  for (const [text, ms] of [
    ['timeout=5', 5_000],
    ['max=100, timeout=30', 30_000],
    ['max=1;Timeout=7', 7_000],
    ['timeout=999999', 999_999_000],
    ['xtimeout=5', undefined],
    ['timeout=x', undefined],
    ['', undefined],
  ] as const)
    t.equal(keeps(text), ms, text)
})

t.test(
  'a status line is a blank, three digits from 100 on, and a blank where a reason follows',
  async (t) => {
    const read = (line: string) => readResponseHead(`${line}\r\n\r\n`, LIMITS, new Repetition()).head
    for (const [line, status, reason] of [
      ['HTTP/1.1 100 Continue', 100, 'Continue'],
      ['HTTP/1.0 999', 999, ''],
      ['HTTP/1.1 200 ', 200, ''],
      ['HTTP/1.1 209 X', 209, 'X'],
      ['HTTP/1.1 290 a\tb', 290, 'a\tb'],
    ] as const)
      t.match(read(line), { status, reason }, line)
    for (const line of [
      'HTTP/1.1 099 a',
      'HTTP/1.1 :00 a',
      'HTTP/1.1 2/0 a',
      'HTTP/1.1 2:0 a',
      'HTTP/1.1 20/ a',
      'HTTP/1.1 20: a',
      'HTTP/1.1 2000',
      'HTTP/1.1 200-a',
      'HTTP/1.1\t200 a',
      'HTTP/1.1 20',
      'HTTP/1.1 200 a\x7f',
      'HTTP/11 200 a',
    ])
      t.equal(
        faultOf(() => read(line)),
        'malformed',
        JSON.stringify(line),
      )
    t.equal(
      faultOf(() => read('HTTP/2.0 200 a')),
      'version',
    )
    t.equal(
      faultOf(() => read('HTTP/1.10 200 a')),
      'malformed',
    )
  },
)

t.test('a name is a token, in whatever spelling', async (t) => {
  t.match(nameOfToken('CONTENT-length'), { lower: 'content-length', spelled: 'CONTENT-length' })
  t.equal(nameOfToken('content-length')?.kind, nameOfToken('Content-Length')?.kind)
  t.not(nameOfToken('content-lengths')?.kind, nameOfToken('Content-Length')?.kind)
  for (const text of ['', 'a b', 'a:', ':a', 'é']) t.equal(nameOfToken(text), undefined, text)
})
