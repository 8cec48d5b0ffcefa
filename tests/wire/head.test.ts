import fc from 'fast-check'
import t from 'tap'
import { HeadBytes } from '../../proxy/wire/h1/head-bytes.ts'
import {
  type ReadResponse,
  Repetition,
  type RequestRest,
  readRequestHead,
  readResponseHead,
} from '../../proxy/wire/h1/head-reader.ts'
import {
  LastLines,
  NONE,
  writeRequestHead,
  writeResponseHead,
  writeTrailers,
} from '../../proxy/wire/h1/head-writer.ts'
import { nameOf } from '../../proxy/wire/h1/names.ts'
import { LIMITS, limitsWith } from '../../proxy/wire/limits.ts'
import { Fields, type WireError } from '../../proxy/wire/message.ts'
import { faultOf, plainHead } from './kit.ts'

function request(text: string) {
  return readRequestHead(text, 0, LIMITS, new Repetition())
}

function response(text: string) {
  return readResponseHead(text, LIMITS, new Repetition())
}

const pairs = (fields: Fields) => fields.spelled.map((name, i) => `${name}=${fields.values[i]}`)

t.test('takes what belongs to the connection and the framing out of a request’s fields', async (t) => {
  const { head, persistent } = request(
    'POST http://a:8080/x?y=<<$Auth.Z>>&{} HTTP/1.1\r\nhOsT: a:8080\r\nX-One:  1 \t\r\nConnection: Keep-Alive, X-Drop ,,Upgrade\r\n' +
      'x-drop: 2\r\nX-Drop: 3\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\nUpgrade: websocket\r\n' +
      'Content-Length: 005\r\nExpect: 100-Continue\r\nX-Empty:\r\n__proto__: x\r\nconstructor: y\r\nX-One: \xe9\r\n\r\n',
  )
  t.match(head, {
    method: 'POST',
    target: 'http://a:8080/x?y=<<$Auth.Z>>&{}',
    minor: 1,
    host: 'a:8080',
    contentLength: 5,
    chunked: false,
    upgrade: 'websocket',
    expectContinue: true,
  })
  t.same(pairs(head.fields), ['X-One=1', 'X-Empty=', '__proto__=x', 'constructor=y', 'X-One=\xe9'])
  t.same(head.fields.names, ['x-one', 'x-empty', '__proto__', 'constructor', 'x-one'])
  t.equal(persistent, true)
})

t.test('keeps Proxy-Authorization for us, even where Connection names it', async (t) => {
  const { head } = request(
    'GET / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic x\r\nAuthorization: y\r\nConnection: proxy-authorization, authorization\r\n\r\n',
  )
  t.same(pairs(head.fields), ['Proxy-Authorization=Basic x'])
})

t.test(
  'reads a head that repeats the last one as its own, and one that differs in a byte anew',
  async (t) => {
    const last = new Repetition<RequestRest>()
    const read = (line: string, value: string) =>
      readRequestHead(`${line}\r\nHost: a\r\nX: ${value}\r\n\r\n`, 0, LIMITS, last).head
    const first = read('GET /1 HTTP/1.1', 'v')
    first.fields.set('X', 'changed').append('Y', 'added')
    const second = read('POST /2 HTTP/1.1', 'v')
    t.same([second.method, second.target, second.minor, pairs(second.fields)], ['POST', '/2', 1, ['X=v']])
    t.same(pairs(read('GET /1 HTTP/1.1', 'w').fields), ['X=w'])
    t.equal(read('GET /1 HTTP/1.0', 'w').minor, 0)
    t.equal(
      faultOf(() => read('GET /1 HTTP/1.1', '\x01')),
      'malformed',
    )
    t.equal(
      faultOf(() => read('GET /1 HTTP/1.1', '\x01')),
      'malformed',
      'nor is a fault forgotten',
    )
    const bodied = new Repetition<RequestRest>()
    const head = (method: string) => () =>
      readRequestHead(`${method} a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n`, 0, LIMITS, bodied)
    t.equal(faultOf(head('POST')), undefined)
    t.equal(faultOf(head('CONNECT')), 'malformed')
    const answers = new Repetition<ReadResponse>()
    const response = () => readResponseHead('HTTP/1.1 200 OK\r\nX: v\r\n\r\n', LIMITS, answers).head.fields
    response().delete('x')
    t.same(pairs(response()), ['X=v'])
  },
)

t.test('remembers how names are spelled, but no long ones', async (t) => {
  t.equal(nameOf('X-Some-Thing'), nameOf('X-Some-Thing'))
  t.match(nameOf('X-Some-Thing'), { spelled: 'X-Some-Thing', lower: 'x-some-thing' })
  const long = `X-${'a'.repeat(63)}`
  t.not(nameOf(long), nameOf(long))
})

t.test('ignores an offer to go on in another HTTP', async (t) => {
  const upgrade = (protocols: string) =>
    request(
      `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocols}\r\n\r\n`,
    ).head.upgrade
  for (const protocols of ['h2c', 'H2C, websocket', 'websocket, HTTP/2.0', 'TLS/1.0', 'h2'])
    t.equal(upgrade(protocols), undefined, protocols)
  t.equal(upgrade('websocket'), 'websocket')
})

t.test('bounds the options of Connection', async (t) => {
  const head = (count: number) => () =>
    request(
      `GET / HTTP/1.1\r\nHost: a\r\nConnection: ${Array.from({ length: count }, (_, i) => `x${i}`)}\r\n\r\n`,
    )
  t.equal(faultOf(head(64)), undefined)
  t.equal(faultOf(head(65)), 'malformed')
})

t.test('knows when a client’s connection can be used again', async (t) => {
  const persistent = (minor: number, connection: string) =>
    request(`GET / HTTP/1.${minor}\r\nHost: a\r\n${connection}\r\n`).persistent
  t.equal(persistent(1, ''), true)
  t.equal(persistent(0, ''), false)
  t.equal(persistent(1, 'Connection: CLOSE\r\n'), false)
  t.equal(persistent(1, 'Connection: x, close\r\n'), false)
  t.equal(persistent(1, 'Connection: x\r\nConnection: close\r\n'), false)
  t.equal(persistent(0, 'Connection: Keep-Alive\r\n'), true)
  t.equal(persistent(0, 'Connection: keep-alive, close\r\n'), false)
  t.equal(persistent(1, 'Connection: close;x\r\n'), false, 'what is no option ends it')
})

t.test('ignores Upgrade without Connection, and on HTTP/1.0', async (t) => {
  const upgrade = (text: string) => request(text).head.upgrade
  t.equal(upgrade('GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n'), undefined)
  t.equal(upgrade('GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'), undefined)
  t.equal(upgrade('GET / HTTP/1.1\r\nHost: a\r\nConnection: x,UPGRADE\r\nUpgrade: a/1, b\r\n\r\n'), 'a/1, b')
})

const H = 'Host: a\r\n'
const REFUSED: Record<string, [text: string, fault?: string]> = {
  'no Host on HTTP/1.1': ['GET / HTTP/1.1\r\n\r\n'],
  'no target': [`GET  HTTP/1.1\r\n${H}\r\n`],
  'a tab behind the target': [`GET /\tHTTP/1.1\r\n${H}\r\n`],
  'a control character behind the target': [`GET /\x7fHTTP/1.1\r\n${H}\r\n`],
  'a second Host': [`GET / HTTP/1.1\r\n${H}${H}\r\n`],
  'a second Host on HTTP/1.0': [`GET / HTTP/1.0\r\n${H}HOST: b\r\n\r\n`],
  'userinfo in Host': ['GET / HTTP/1.1\r\nHost: u@a\r\n\r\n'],
  'a blank in Host': ['GET / HTTP/1.1\r\nHost: a b\r\n\r\n'],
  'a path in Host': ['GET / HTTP/1.1\r\nHost: a/b\r\n\r\n'],
  'Content-Length with Transfer-Encoding': [
    `POST / HTTP/1.1\r\n${H}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
  ],
  'Transfer-Encoding with Content-Length': [
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n`,
  ],
  'Transfer-Encoding on HTTP/1.0': [`POST / HTTP/1.0\r\n${H}Transfer-Encoding: chunked\r\n\r\n`],
  'identical Content-Lengths': [`POST / HTTP/1.1\r\n${H}Content-Length: 1\r\ncontent-length: 1\r\n\r\n`],
  'a list of Content-Lengths': [`POST / HTTP/1.1\r\n${H}Content-Length: 1, 1\r\n\r\n`],
  'two Authorizations': [`GET / HTTP/1.1\r\n${H}Authorization: a\r\nAUTHORIZATION: a\r\n\r\n`],
  'two Proxy-Authorizations': [
    `GET / HTTP/1.1\r\n${H}Proxy-Authorization: a\r\nproxy-authorization: a\r\n\r\n`,
  ],
  'two Transfer-Encodings': [
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
  ],
  'a length beyond 2^53': [`POST / HTTP/1.1\r\n${H}Content-Length: 9007199254740992\r\n\r\n`],
  'an expectation that is not 100-continue': [`POST / HTTP/1.1\r\n${H}Expect: 200-ok\r\n\r\n`],
  TRACE: [`TRACE / HTTP/1.1\r\n${H}\r\n`],
  'TRACE in lower case': [`trace / HTTP/1.1\r\n${H}\r\n`],
  'CONNECT with a length': ['CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 1\r\n\r\n'],
  'CONNECT with chunks': ['CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nTransfer-Encoding: chunked\r\n\r\n'],
  'a folded line': [`GET / HTTP/1.1\r\n${H}X: a\r\n b\r\n\r\n`],
  'a folded first line': ['GET / HTTP/1.1\r\n Host: a\r\n\r\n'],
  'a blank before the colon': ['GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
  'a name that is not a token': [`GET / HTTP/1.1\r\n${H}X(: a\r\n\r\n`],
  'a name with a high byte': [
    `POST / HTTP/1.1\r\n${H}Content-Length: 1\r\n\x80Transfer-Encoding: chunked\r\n\r\n`,
  ],
  'an empty name': [`GET / HTTP/1.1\r\n${H}: a\r\n\r\n`],
  'a line without a colon': [`GET / HTTP/1.1\r\n${H}X\r\n\r\n`],
  'a fragment in the target': [`GET /#x HTTP/1.1\r\n${H}\r\n`],
  'a backslash in the target': [`GET /\\x HTTP/1.1\r\n${H}\r\n`],
  'a blank in the target': [`GET /a b HTTP/1.1\r\n${H}\r\n`],
  'a high byte in the target': [`GET /\xe9 HTTP/1.1\r\n${H}\r\n`],
  'two blanks in the first line': [`GET  / HTTP/1.1\r\n${H}\r\n`],
  'a blank behind the version': [`GET / HTTP/1.1 \r\n${H}\r\n`],
  'a first line without a version': [`GET /\r\n${H}\r\n`],
  'a lower-case version': [`GET / http/1.1\r\n${H}\r\n`],
  'a version with another digit': [`GET / HTTP/1.10\r\n${H}\r\n`],
  'HTTP/2’s preface': ['PRI * HTTP/2.0\r\n\r\n', 'version'],
  'HTTP/0.9 spelled out': [`GET / HTTP/0.9\r\n${H}\r\n`, 'version'],
  'a method that is not a token': [`G@T / HTTP/1.1\r\n${H}\r\n`],
  'a method of 33 bytes': [`${'M'.repeat(33)} / HTTP/1.1\r\n${H}\r\n`],
  'a target over its limit': [`GET /${'x'.repeat(16 * 1024)} HTTP/1.1\r\n${H}\r\n`, 'target_too_long'],
  '201 lines': [`GET / HTTP/1.1\r\n${H}${'X: 1\r\n'.repeat(199)}\r\n`, 'head_too_large'],
  'an empty line first': [`\r\nGET / HTTP/1.1\r\n${H}\r\n`],
  'an upgrade that is not a protocol': [`GET / HTTP/1.1\r\n${H}Connection: upgrade\r\nUpgrade: a b\r\n\r\n`],
}
for (const coding of [
  '',
  'identity',
  'gzip, chunked',
  'chunked, chunked',
  'chunked,',
  ',chunked',
  '"chunked"',
  'chunked;q=1',
  'xchunked',
  'chunkedx',
  '\x0bchunked',
  'chun\tked',
  '\tchunked',
  'chunked\t',
])
  REFUSED[`the coding ${JSON.stringify(coding)}`] = [
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: ${coding}\r\n\r\n`,
  ]
for (const length of [
  '',
  '-1',
  '+1',
  '1 1',
  '1.0',
  '0x1',
  '1e1',
  '1_0',
  '\xb2',
  '1;',
  '99999999999999999999',
])
  REFUSED[`the length ${JSON.stringify(length)}`] = [
    `POST / HTTP/1.1\r\n${H}Content-Length: ${length}\r\n\r\n`,
  ]
for (let byte = 0; byte < 0x21; byte++) {
  if (byte === 9 || byte === 32) continue
  const char = String.fromCharCode(byte)
  REFUSED[`byte ${byte} in a value`] = [`GET / HTTP/1.1\r\n${H}X: a${char}b\r\n\r\n`]
  REFUSED[`byte ${byte} in a name`] = [`GET / HTTP/1.1\r\n${H}X${char}: a\r\n\r\n`]
  REFUSED[`byte ${byte} in a target`] = [`GET /${char} HTTP/1.1\r\n${H}\r\n`]
}
for (const line of [
  'Content_Length: 1',
  'content_length: 1',
  'TRANSFER_ENCODING: chunked',
  'Transfer_Encoding: x',
])
  REFUSED[line] = [`GET / HTTP/1.1\r\n${H}${line}\r\n\r\n`]
REFUSED['byte 127 in a value'] = [`GET / HTTP/1.1\r\n${H}X: \x7f\r\n\r\n`]

t.test('refuses a request’s head that can be read in two ways', async (t) => {
  for (const [what, [text, fault = 'malformed']] of Object.entries(REFUSED))
    t.equal(
      faultOf(() => request(text)),
      fault,
      what,
    )
})

t.test('takes a head at its limits', async (t) => {
  const { head } = request(
    `${'M'.repeat(32)} /${'x'.repeat(16 * 1024 - 1)} HTTP/1.1\r\n${H}${'X: 1\r\n'.repeat(198)}\r\n`,
  )
  t.equal(head.fields.size, 198)
  t.equal(
    request(`POST / HTTP/1.1\r\n${H}Content-Length: 9007199254740991\r\n\r\n`).head.contentLength,
    2 ** 53 - 1,
  )
})

t.test('reads a response’s head', async (t) => {
  const read = response(
    'HTTP/1.1 301 Moved \xe9\r\nContent-Length: 3\r\nConnection: X-A\r\nX-A: 1\r\nKeep-Alive: max=3, timeout=7\r\nHost: b\r\nX-B: 2\r\n\r\n',
  )
  t.match(read, {
    head: { status: 301, reason: 'Moved \xe9', contentLength: 3, upgrade: undefined },
    chunked: false,
    persistent: true,
    keepAliveMs: 7000,
  })
  t.same(pairs(read.head.fields), ['Host=b', 'X-B=2'])
  t.match(response('HTTP/1.1 200\r\n\r\n').head, { status: 200, reason: '' })
  t.match(response('HTTP/1.1 200 \r\n\r\n').head, { status: 200, reason: '' })
  t.match(response('HTTP/1.0 200 OK\r\n\r\n'), { persistent: false })
})

t.test('refuses a response’s head that cannot be framed', async (t) => {
  for (const text of [
    'HTTP/1.1 20 OK\r\n\r\n',
    'HTTP/1.1 2000 OK\r\n\r\n',
    'HTTP/1.1  200 OK\r\n\r\n',
    'HTTP/1.1 099 OK\r\n\r\n',
    'HTTP/1.1\t200 OK\r\n\r\n',
    'HTTP/1.1 200 O\x00K\r\n\r\n',
    'HTTP/1.1 200 OK\nX: 1\r\n\r\n',
    '\r\nHTTP/1.1 200 OK\r\n\r\n',
    'ICE/1.1 200 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n',
    'HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n',
    'HTTP/1.1 200 OK\r\nX : a\r\n\r\n',
  ])
    t.equal(
      faultOf(() => response(text)),
      'malformed',
      JSON.stringify(text),
    )
})

t.test('finds the end of a head however it is cut', async (t) => {
  const head = `GET / HTTP/1.1\r\n${H}X: 1\r\n\r\n`
  const bytes = Buffer.from(`${head}rest\r\n\r\n`)
  for (let first = 0; first <= head.length; first++)
    for (let second = first; second <= head.length; second++) {
      const gathered = new HeadBytes()
      const cuts = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]
      let text: string | undefined
      let behind = 0
      for (const cut of cuts) {
        if (cut.length === 0) continue
        if (text === undefined) {
          text = gathered.take(cut, 100)
          if (text !== undefined) behind = gathered.rest?.length ?? 0
        } else behind += cut.length
      }
      if (text !== head || behind !== 8 || gathered.partial) {
        t.fail(`cut at ${first} and ${second}`)
        return
      }
    }
  t.pass('every pair of cuts')
})

t.test('refuses what cannot become a head before it ends', async (t) => {
  for (const text of [
    'GET / HTTP/1.1\nHost: a\n\n',
    'GET / HTTP/1.1\rHost',
    'GET / HTTP/1.1\r\nHost: a\n\r\n',
    '\x16\x03\x01\x02\x00\x01',
    'GET /\x7f',
    'GET / HTTP/1.1\r\nX: \x00',
  ])
    for (const cut of [1, text.length - 1, text.length]) {
      const gathered = new HeadBytes()
      const bytes = Buffer.from(text, 'latin1')
      t.equal(
        faultOf(() => {
          gathered.take(bytes.subarray(0, cut), 100)
          gathered.take(bytes.subarray(cut), 100)
        }),
        'malformed',
        JSON.stringify(text),
      )
    }
})

t.test('refuses a head beyond its bytes, however it is cut', async (t) => {
  const bytes = Buffer.from(`GET / HTTP/1.1\r\nX: ${'x'.repeat(60)}\r\n\r\n`)
  for (let cut = 1; cut < bytes.length; cut++) {
    const take = (max: number) => () => {
      const gathered = new HeadBytes()
      return gathered.take(bytes.subarray(0, cut), max) ?? gathered.take(bytes.subarray(cut), max)
    }
    if (faultOf(take(bytes.length - 1)) !== 'head_too_large' || take(bytes.length)() === undefined) {
      t.fail(`cut at ${cut}`)
      return
    }
  }
  t.pass('every cut')
})

t.test('writes a request’s head from its model', async (t) => {
  t.equal(
    writeRequestHead(
      plainHead({ minor: 0, host: 'a:1', fields: Fields.from([['X-a', '\xe9']]), upgrade: 'websocket' }),
    ),
    'GET / HTTP/1.1\r\nHost: a:1\r\nX-a: \xe9\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  )
  t.match(writeRequestHead(plainHead({ method: 'PATCH' })), /Content-Length: 0\r\n/)
  t.match(
    writeRequestHead(plainHead({ contentLength: 7, expectContinue: true })),
    /\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n$/,
  )
  t.match(writeRequestHead(plainHead({ chunked: true })), /\r\nTransfer-Encoding: chunked\r\n\r\n$/)
})

t.test('writes no head that could be read as another, and shows nothing of it', async (t) => {
  const splits = [
    'secret\r\nX: y',
    'secret\ny',
    'secret\ry',
    'secret\0',
    'secret\u010d',
    'secret\u010a',
    'secret\x7f',
  ]
  for (const value of splits) {
    for (const [what, write] of Object.entries({
      value: () => writeRequestHead(plainHead({ fields: Fields.from([['X', value]]) })),
      name: () => writeRequestHead(plainHead({ fields: Fields.from([[value, 'x']]) })),
      target: () => writeRequestHead(plainHead({ target: value })),
      host: () => writeRequestHead(plainHead({ host: value })),
      method: () => writeRequestHead(plainHead({ method: value })),
      upgrade: () => writeRequestHead(plainHead({ upgrade: value })),
      reason: () =>
        writeResponseHead(
          { status: 200, reason: value, fields: new Fields(), contentLength: 0 },
          NONE,
          0,
          undefined,
        ),
      trailer: () => writeTrailers(Fields.from([['X', value]])),
    })) {
      t.equal(faultOf(write), 'malformed', `${what} ${JSON.stringify(value)}`)
      try {
        write()
      } catch (fault) {
        t.notMatch(`${fault} ${(fault as WireError).detail}`, /secret/)
      }
    }
  }
  for (const head of [
    plainHead({ host: undefined }),
    plainHead({ target: '' }),
    plainHead({ target: '/#x' }),
    plainHead({ contentLength: -1 }),
    plainHead({ contentLength: 1.5 }),
    plainHead({ contentLength: Number.NaN }),
    plainHead({ contentLength: 1, chunked: true }),
  ])
    t.equal(
      faultOf(() => writeRequestHead(head)),
      'malformed',
    )
})

t.test('writes no field that belongs to the framing or the connection', async (t) => {
  for (const name of [
    'Host',
    'content-length',
    'Transfer-encoding',
    'CONNECTION',
    'Upgrade',
    'TE',
    'Keep-Alive',
    'Expect',
    'Proxy-Connection',
  ]) {
    t.equal(
      faultOf(() => writeRequestHead(plainHead({ fields: Fields.from([[name, '1']]) }))),
      'malformed',
      name,
    )
  }
  const fields = Fields.from([['Content-Length', '1']])
  t.equal(
    faultOf(() =>
      writeResponseHead({ status: 200, reason: '', fields, contentLength: 0 }, NONE, 0, undefined),
    ),
    'malformed',
  )
})

t.test('reads back every head that it writes', async (t) => {
  const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}$/)
  const value = fc.stringMatching(
    /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]{0,20}[\x21-\x7e\x80-\xff])?)?$/,
  )
  const head = fc.record({
    method: token,
    target: fc.stringMatching(/^[\x21\x22\x24-\x5b\x5d-\x7e]{1,30}$/),
    host: fc.stringMatching(/^[A-Za-z0-9\-._~%!$&'()*+,;=:[\]]{0,20}$/),
    fields: fc
      .array(
        fc.tuple(
          token.map((name) => `x-${name}`),
          value,
        ),
      )
      .map(Fields.from),
    contentLength: fc.option(fc.maxSafeNat(), { nil: undefined }),
  })
  fc.assert(
    fc.property(head, (some) => {
      fc.pre(!/^(TRACE|CONNECT|PRI|POST|PUT|PATCH|PLAY|PAUSE|FLUSH|SETUP|RECORD)$/i.test(some.method))
      const written = plainHead(some)
      const { head } = request(writeRequestHead(written))
      t.strictSame({ ...head, fields: pairs(head.fields) }, { ...written, fields: pairs(written.fields) })
    }),
    { numRuns: 300 },
  )
})

t.test('keeps to limits that were changed', async (t) => {
  const limits = limitsWith({ headLines: 2, targetBytes: 3, methodBytes: 3 })
  t.equal(
    faultOf(() => readRequestHead('GET /ab HTTP/1.1\r\nHost: a\r\n\r\n', 0, limits, new Repetition())),
    undefined,
  )
  t.equal(
    faultOf(() => readRequestHead('GET /abc HTTP/1.1\r\nHost: a\r\n\r\n', 0, limits, new Repetition())),
    'target_too_long',
  )
  t.equal(
    faultOf(() => readRequestHead('POST / HTTP/1.1\r\nHost: a\r\n\r\n', 0, limits, new Repetition())),
    'malformed',
  )
  t.equal(
    faultOf(() => readRequestHead('GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n', 0, limits, new Repetition())),
    'head_too_large',
  )
})

t.test('writes fields that repeat as they are, and never those of the head before', (t) => {
  const lines = new LastLines(true)
  const write = (fields: Fields) => writeRequestHead(plainHead({ fields }), lines)
  const fields = Fields.from([
    ['X-A', '1'],
    ['X-B', '2'],
  ])
  const text = write(fields)
  t.match(text, /\r\nX-A: 1\r\nX-B: 2\r\n\r\n$/)
  for (let again = 0; again < 3; again++) t.equal(write(fields.copy()), text)
  const changes: [string, (fields: Fields) => void, RegExp][] = [
    ['a value', (f) => f.set('X-B', '3'), /\r\nX-A: 1\r\nX-B: 3\r\n\r\n$/],
    ['a spelling', (f) => f.rename(0, 'x-a'), /\r\nx-a: 1\r\nX-B: 2\r\n\r\n$/],
    ['a field more', (f) => f.append('X-C', '3'), /\r\nX-B: 2\r\nX-C: 3\r\n\r\n$/],
    ['a field less', (f) => f.delete('x-b'), /\r\nX-A: 1\r\n\r\n$/],
    ['the first less', (f) => f.removeAt(0), /Host: a\r\nX-B: 2\r\n\r\n$/],
  ]
  for (const [what, change, expected] of changes) {
    const changed = fields.copy()
    change(changed)
    t.match(write(changed), expected, what)
    t.equal(write(fields), text, `and then the former, after ${what}`)
  }
  fields.values[0] = 'changed in place'
  t.match(write(fields), /X-A: changed in place\r\n/)
  const bad = fields.copy()
  bad.values[0] = 'changed in\nplace'
  t.ok(faultOf(() => write(bad)))
  t.ok(
    faultOf(() => write(bad)),
    'and again',
  )
  t.match(write(fields), /X-A: changed in place\r\n/)
  t.end()
})
