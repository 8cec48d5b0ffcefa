import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { maskText, Needles, StreamMask } from '../../core/redact.ts'
import { formsOf } from '../../core/secret-forms.ts'

const SECRETS: Record<string, string> = {
  alnum: 'sk1live2abcDEF3456ghiJKL7890',
  'eight bytes': 'aB3-xY9q',
  'base64 itself': 'Zm9v+2Jh/ci9iYXo=Zm9v+/9==',
  unicode: 'pässwörd ✓ 🔑 ключ',
  'quotes and slashes': `it's "a/b\\c" & <d> + e=f?`,
  'control characters': 'line one\nline two\ttab\u2028x',
  '300 bytes': randomBytes(225).toString('base64'),
}

const needlesOf = (...secrets: string[]) => Needles.of(secrets) as Needles

/** What comes out of a stream that is cut so. */
function masked(needles: Needles, chunks: readonly Buffer[]): { bytes: Buffer; hits: number } {
  const mask = new StreamMask(needles)
  const parts: Buffer[] = []
  for (const chunk of chunks) parts.push(Buffer.from(mask.push(Buffer.from(chunk)) ?? ''))
  parts.push(mask.end() ?? Buffer.alloc(0))
  return { bytes: Buffer.concat(parts), hits: mask.hits }
}

/** What must come out: every place where some form stands, found the slow way. */
function expected(forms: readonly Buffer[], bytes: Buffer): Buffer {
  const out = Buffer.from(bytes)
  for (const form of forms)
    for (let at = bytes.indexOf(form); at >= 0; at = bytes.indexOf(form, at + 1))
      out.fill('*', at, at + form.length)
  return out
}

/** How an upstream may echo a secret: the bytes, and the part of them that has to go. */
interface Echo {
  readonly name: string
  readonly bytes: Buffer
  readonly from: number
  readonly to: number
}

function echo(name: string, text: string | Buffer): Echo {
  const form = Buffer.from(text)
  return {
    name,
    bytes: Buffer.concat([Buffer.from('{"a":"'), form, Buffer.from('"}\n')]),
    from: 6,
    to: 6 + form.length,
  }
}

/** As people's escape functions have it, from their sources. */
function htmlOf(secret: string): Record<string, string> {
  const text = secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  const double = text.replaceAll('"', '&quot;')
  return {
    'DOM text': text,
    'DOM attributes': double,
    Rails: double.replaceAll("'", '&#39;'),
    PHP: double.replaceAll("'", '&#039;'),
    XML: double.replaceAll("'", '&apos;'),
    Python: double.replaceAll("'", '&#x27;'),
    Jinja: text.replaceAll('"', '&#34;').replaceAll("'", '&#39;'),
    'Go templates': text.replaceAll('"', '&#34;').replaceAll("'", '&#39;').replaceAll('+', '&#43;'),
    'ASP.NET': double.replaceAll("'", '&#x27;').replaceAll('+', '&#x2B;'),
    OWASP: double.replaceAll("'", '&#x27;').replaceAll('/', '&#x2F;'),
    Mustache: double
      .replaceAll("'", '&#39;')
      .replaceAll('/', '&#x2F;')
      .replaceAll('`', '&#x60;')
      .replaceAll('=', '&#x3D;'),
    Handlebars: double.replaceAll("'", '&#x27;').replaceAll('`', '&#x60;').replaceAll('=', '&#x3D;'),
  }
}

/** What base64 goes through on its way into a page or a log. */
const WRITERS: Record<string, (text: string) => string> = {
  itself: String,
  encodeURIComponent,
  'encodeURIComponent, lower case': (text) =>
    encodeURIComponent(text).replace(/%../g, (code) => code.toLowerCase()),
  "Python's quote": (text) => text.replaceAll('+', '%2B').replaceAll('=', '%3D'),
  "Go's PathEscape": (text) => text.replaceAll('/', '%2F'),
  "PHP's JSON": (text) => text.replaceAll('/', '\\/'),
  'System.Text.Json': (text) => text.replaceAll('+', '\\u002B'),
  'Go templates': (text) => text.replaceAll('+', '&#43;'),
  'ASP.NET': (text) => text.replaceAll('+', '&#x2B;'),
  Mustache: (text) => text.replaceAll('/', '&#x2F;').replaceAll('=', '&#x3D;'),
}

/** Written with other tools than the code's own. */
function echoes(secret: string): Echo[] {
  const raw = Buffer.from(secret)
  const percent = [...raw].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
  const json = JSON.stringify(secret).slice(1, -1)
  const ascii = json.replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  const html = json.replace(
    /[<>&\u2028]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  const upper = (text: string) =>
    text.replace(/\\u[0-9a-f]{4}/g, (code) => `\\u${code.slice(2).toUpperCase()}`)
  const lower = (text: string) => text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())
  const list = [
    echo('as it stands', raw),
    echo('hex', raw.toString('hex')),
    echo('HEX', raw.toString('hex').toUpperCase()),
    echo('every byte in percent', percent),
    echo('EVERY BYTE in percent', percent.toUpperCase()),
    echo('encodeURIComponent', encodeURIComponent(secret)),
    echo('encodeURIComponent, lower case', lower(encodeURIComponent(secret))),
    echo('encodeURIComponent, twice', encodeURIComponent(encodeURIComponent(secret))),
    echo('a form in a query', encodeURIComponent(new URLSearchParams({ a: secret }).toString().slice(2))),
    echo('a form', new URLSearchParams({ a: secret }).toString().slice(2)),
    echo(
      'a query',
      new URL(`http://a/?a=${secret.replaceAll(/[\n\t#%]/g, encodeURIComponent)}`).search.slice(3),
    ),
    echo(
      'a path',
      new URL(`http://a/${secret.replaceAll(/[\n\t#%?\\]/g, encodeURIComponent)}`).pathname.slice(1),
    ),
    echo('JSON', json),
    echo('JSON with / escaped', json.replaceAll('/', '\\/')),
    echo('JSON in ASCII', ascii),
    echo('JSON in ASCII, upper case', upper(ascii)),
    echo('JSON safe for HTML', html),
    ...Object.entries(htmlOf(secret)).map(([writer, text]) => echo(`HTML by ${writer}`, text)),
    echo('read as Latin-1', raw.toString('latin1')),
    echo('read as Latin-1, in JSON', JSON.stringify(raw.toString('latin1')).slice(1, -1)),
  ]
  for (let offset = 0; offset < 3; offset++) {
    for (const coding of ['base64', 'base64url'] as const) {
      const text = Buffer.concat([Buffer.from('~}{'.slice(0, offset)), raw, Buffer.from('~}{~')]).toString(
        coding,
      )
      const from = Math.ceil((offset * 8) / 6)
      const to = Math.floor(((offset + raw.length) * 8) / 6)
      for (const [writer, write] of Object.entries(coding === 'base64' ? WRITERS : { itself: String })) {
        const [before, core] = [write(text.slice(0, from)), write(text.slice(from, to))]
        const one = echo(`${coding} at ${offset} by ${writer}`, before + core + write(text.slice(to)))
        const begin = one.from + before.length
        list.push({ ...one, from: begin, to: begin + core.length })
      }
    }
  }
  return list
}

for (const [kind, secret] of Object.entries(SECRETS)) {
  t.test(`masks every form of a secret at every cut, and nothing else: ${kind}`, async (t) => {
    const needles = needlesOf(secret)
    for (const { name, bytes, from, to } of echoes(secret)) {
      const wanted = Buffer.from(bytes).fill('*', from, to)
      const whole = masked(needles, [bytes])
      t.equal(whole.bytes.toString('latin1'), wanted.toString('latin1'), name)
      t.equal(whole.hits, 1, `${name}: one hit`)
      let wrong = 0
      for (let cut = 1; cut < bytes.length; cut++) {
        const two = masked(needles, [bytes.subarray(0, cut), bytes.subarray(cut)])
        if (!two.bytes.equals(wanted) || two.hits !== 1) wrong++
      }
      t.equal(wrong, 0, `${name}: every cut in two`)
      const single = masked(
        needles,
        Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)),
      )
      t.ok(single.bytes.equals(wanted) && single.hits === 1, `${name}: byte by byte`)
      t.equal(
        maskText(needles, bytes.toString('latin1'), () => {}),
        wanted.toString('latin1'),
        `${name}: in a header`,
      )
    }
  })
}

t.test('other writers of JSON and URLs are known too', async (t) => {
  const secret = `it's a "b/c" & <d> + e=f`
  const needles = needlesOf(secret)
  for (const text of [
    'it\\u0027s a \\u0022b/c\\u0022 \\u0026 \\u003Cd\\u003E + e=f',
    'it\\u0027s a \\u0022b/c\\u0022 \\u0026 \\u003Cd\\u003E \\u002B e=f',
    'it\\u0027s a \\"b/c\\" \\u0026 \\u003cd\\u003e + e\\u003df',
    'it%27s%20a%20%22b/c%22%20%26%20%3Cd%3E%20%2B%20e%3Df',
    'it%27s+a+%22b%2Fc%22+%26+%3Cd%3E+%2B+e%3Df',
    "it's%20a%20%22b/c%22%20&%20%3Cd%3E%20+%20e=f",
  ])
    t.equal(
      maskText(needles, text, () => {}),
      '*'.repeat(text.length),
      text,
    )
})

t.test('base64 is found however its plus and slash are written', async (t) => {
  // In base64: Pj4+Pz8/Pj4+Pz8/.
  const secret = '>>>???>>>???'
  const encoded = Buffer.from(secret).toString('base64')
  const needles = needlesOf(secret)
  for (const [plus, slash] of [
    ['+', '/'],
    ['%2B', '%2F'],
    ['%2b', '%2f'],
    ['%2B', '/'],
    ['%2b', '/'],
    ['+', '%2F'],
    ['+', '%2f'],
    ['+', '\\/'],
    ['\\u002B', '/'],
    ['\\u002b', '/'],
    ['&#43;', '/'],
    ['&#x2B;', '/'],
    ['+', '&#x2F;'],
  ] as const) {
    const written = encoded.replaceAll('+', plus).replaceAll('/', slash)
    const { bytes } = masked(needles, [Buffer.from(`x ${written} y`)])
    t.match(bytes.toString(), /^x \*+ y$/, written)
  }
})

t.test('a secret is found with each character escaped, control characters too', async (t) => {
  const secret = 'tab\there\u0001'
  const needles = needlesOf(secret)
  const each = (write: (code: number) => string) =>
    [...secret].map((one) => write(one.charCodeAt(0))).join('')
  const hex = (code: number, length: number) => code.toString(16).padStart(length, '0')
  for (const written of [
    each((code) => `\\u${hex(code, 4)}`),
    each((code) => `\\u${hex(code, 4).toUpperCase()}`),
    each((code) => `\\x${hex(code, 2)}`),
    each((code) => `\\x${hex(code, 2).toUpperCase()}`),
    each((code) => `&#${code};`),
    each((code) => `&#x${hex(code, 1)};`),
    each((code) => `&#x${hex(code, 1).toUpperCase()};`),
  ])
    t.match(masked(needles, [Buffer.from(`x ${written} y`)]).bytes.toString(), /^x \*+ y$/, written)
})

t.test('a text without a secret is let go at the first look', async (t) => {
  const needles = needlesOf('sk_live_7f3a9c51e0b24d86')
  t.equal(needles.mayHold('nothing of the kind stands in here, nor anywhere near'), false)
  t.equal(needles.mayHold('short'), false)
  t.equal(needles.mayHold('x sk_live_7f3a9c51e0b24d86 y'), true)
})

t.test('however a stream is cut, the same bytes come out', async (t) => {
  const secrets = ['abababab', 'babababababa', 'aabbaabbaabb', 'bbbbbbbbb', 'abbaabbaabbaabbaabba']
  const needles = needlesOf(...secrets)
  const forms = secrets.flatMap(formsOf)
  const piece = fc.oneof(
    fc.constantFrom(...secrets),
    fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 12 }),
    fc.constantFrom('c', 'abab-', '\n\n'),
  )
  const text = fc.array(piece, { maxLength: 8 }).map((parts) => parts.join(''))
  fc.assert(
    fc.property(text, fc.array(fc.nat(), { minLength: 3, maxLength: 3 }), (body, cuts) => {
      const bytes = Buffer.from(body)
      const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
      const wanted = expected(forms, bytes)
      const whole = masked(needles, [bytes])
      t.ok(whole.bytes.equals(wanted), body)
      for (const chunks of [
        at.slice(1).map((to, i) => bytes.subarray(at[i], to)),
        Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)),
      ]) {
        const cut = masked(needles, chunks)
        t.ok(cut.bytes.equals(wanted), `${body} ${cuts}`)
        t.equal(cut.hits, whole.hits, `${body} ${cuts}: hits`)
      }
    }),
    { numRuns: 1_000 },
  )
})

t.test('a body of any bytes passes as the slow search would have it', async (t) => {
  const secret = 'Zm9v+2Jh/ci9'
  const needles = needlesOf(secret)
  const forms = formsOf(secret)
  const part = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(...forms))
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), fc.nat(), (parts, cut) => {
      const bytes = Buffer.concat(parts)
      const at = cut % (bytes.length + 1)
      const { bytes: out } = masked(needles, [bytes.subarray(0, at), bytes.subarray(at)])
      t.ok(out.equals(expected(forms, bytes)))
      const text = bytes.toString('latin1')
      if (forms.some((form) => bytes.includes(form))) t.ok(needles.mayHold(text))
      t.equal(
        maskText(needles, text, () => {}),
        expected(forms, bytes).toString('latin1'),
      )
    }),
    { numRuns: 500 },
  )
})

t.test('forms that overlap leave nothing of a secret', async (t) => {
  const needles = needlesOf('abcdefgh1234', '1234abcdefgh', 'token=abcdefgh1234;')
  for (const text of [
    'abcdefgh1234abcdefgh',
    '1234abcdefgh1234',
    'token=abcdefgh1234;',
    'token=abcdefgh1234abcdefgh1234',
  ])
    t.notMatch(masked(needles, [Buffer.from(text)]).bytes.toString(), /[0-9]|abc/, text)
  const unfinished = masked(needles, [Buffer.from('token=abcdefgh1234')])
  t.equal(unfinished.bytes.toString(), `token=${'*'.repeat(12)}`, 'the shorter where the longer never comes')
  t.equal(
    masked(needles, [Buffer.from('token=abcd'), Buffer.from('efgh1234')]).bytes.toString(),
    `token=${'*'.repeat(12)}`,
  )
})

t.test('without a hit the very bytes pass, uncopied', async (t) => {
  const mask = new StreamMask(needlesOf(SECRETS.alnum as string))
  for (const length of [1, 7, 8, 100, 65_536]) {
    const chunk = randomBytes(length)
    // The last byte may not begin a form, or it would wait.
    chunk[length - 1] = 1
    const before = Buffer.from(chunk)
    t.equal(mask.push(chunk), chunk, String(length))
    t.ok(chunk.equals(before))
  }
  t.equal(mask.end(), undefined)
  t.equal(mask.hits, 0)
})

t.test('holds back only a suffix that could begin a secret, and no more of it', async (t) => {
  for (const secret of Object.values(SECRETS)) {
    const forms = formsOf(secret)
    const needles = needlesOf(secret)
    const [form = Buffer.alloc(0)] = forms
    const tails = [
      form.subarray(0, 1),
      form.subarray(0, form.length - 1),
      form.subarray(0, 5),
      Buffer.concat([form.subarray(0, 4), form.subarray(0, 3)]),
      // Whole, it waits for nothing.
      form,
    ]
    for (const tail of tails) {
      const bytes = Buffer.concat([Buffer.from('data: '), tail])
      let open = 0
      for (let length = 1; length <= bytes.length; length++) {
        const suffix = bytes.subarray(bytes.length - length)
        if (forms.some((one) => one.length > length && one.subarray(0, length).equals(suffix))) open = length
      }
      if (tail.length < form.length) t.ok(open > 0)
      t.equal(new StreamMask(needles).push(Buffer.from(bytes))?.length, bytes.length - open)
    }
  }
})

t.test('an event is not delayed', async (t) => {
  const mask = new StreamMask(needlesOf(...Object.values(SECRETS)))
  const events = [
    'data: hello\n\n',
    ': ping\n\n',
    `data: ${SECRETS.alnum}\n\n`,
    'data: {"a":1}\n\n',
    'id: 7\nevent: sk1live2\n\n',
  ]
  for (const event of events) t.equal(mask.push(Buffer.from(event))?.length, event.length, event)
})

t.test('what was held back and is no secret goes on at the end', async (t) => {
  const mask = new StreamMask(needlesOf('sk1live2abc'))
  t.equal(mask.push(Buffer.from('sk1live')), undefined)
  t.equal(mask.push(Buffer.alloc(0)), undefined)
  t.equal(mask.end()?.toString(), 'sk1live')
  t.equal(mask.end(), undefined)
})

t.test('a secret under 8 bytes is not searched for', async (t) => {
  t.equal(Needles.of(['1234567', '', 'äöü']), undefined)
  t.equal(Needles.of([]), undefined)
  t.same(formsOf('1234567'), [])
  const needles = needlesOf('1234567', '12345678')
  t.equal(masked(needles, [Buffer.from('1234567 12345678')]).bytes.toString(), '1234567 ********')
  for (const [kind, secret] of Object.entries(SECRETS))
    t.ok(Math.min(...formsOf(secret).map(({ length }) => length)) >= 8, kind)
})

t.test('as many secrets as a credential has are all found', async (t) => {
  const secrets = Array.from({ length: 100 }, () => randomBytes(24).toString('base64url'))
  const needles = needlesOf(...secrets)
  const { bytes, hits } = masked(needles, [Buffer.from(secrets.join(' '))])
  t.match(bytes.toString(), /^[* ]+$/)
  t.equal(hits, 100)
})

t.test('tells how often something was masked in a header', async (t) => {
  let hits = 0
  const text = maskText(needlesOf('12345678'), 'a=12345678; b=12345678', (more) => {
    hits += more
  })
  t.same([text, hits], ['a=********; b=********', 2])
})
