import busboy from 'busboy'
import fc from 'fast-check'
import t from 'tap'
import { boundaryOf } from '../../core/multipart.ts'
import { FRESH, made, madeText } from './bodies.ts'
import { refusal, verdict } from './kit.ts'

const P = '<<$Auth.API_Key>>'
const FORM = 'application/x-www-form-urlencoded'
const slots = { form: ['token', 'a b', 'ü'] }

const put = (body: string, key?: string) => madeText({ slots }, FORM, body, { key })

t.test('the value of a named field is replaced in a form, and no other byte', async (t) => {
  for (const [before, after] of [
    [`token=${P}`, 'token=a%2Fb%26%20c'],
    [`x=${P}&token=1${P}2&y=%zz`, `x=${P}&token=1a%2Fb%26%20c2&y=%zz`],
    ['tok%65n=%3c%3c%24Auth.API_Key%3E%3E&&=&token', 'tok%65n=a%2Fb%26%20c&&=&token'],
    [`a+b={{+$Auth.API_Key%20}}&a%20b=${P}`, 'a+b=a%2Fb%26%20c&a%20b=a%2Fb%26%20c'],
    [`%C3%BC=${P}&ü=${P}`, '%C3%BC=a%2Fb%26%20c&ü=a%2Fb%26%20c'],
    [`token==${P}`, 'token==a%2Fb%26%20c'],
  ] as const)
    t.equal(put(before, 'a/b& c'), after, before)
  for (const body of [
    'token=1',
    `Token=${P}`,
    `token%00=${P}`,
    `token[]=${P}`,
    `${P}=token`,
    'token={{x}}',
    `x=1;token=${P}`,
  ])
    t.equal(put(body), undefined, body)
  for (const body of ['token=<<$Auth.', 'token=%7B%7B$auth.x}}', `x=1&token=${P}<<$User`])
    t.equal(
      verdict(() => put(body)),
      'placeholder_unknown',
      body,
    )
})

t.test('a standard reader finds the value in its field and everything else as it was', async (t) => {
  const text = fc.string({ unit: 'grapheme' }).filter((one) => one.isWellFormed() && !/[$%]/.test(one))
  const pair = fc.tuple(fc.constantFrom('token', 'a b', 'ü', 'x', 'token2', ''), text, fc.boolean(), text)
  fc.assert(
    fc.property(fc.array(pair, { maxLength: 5 }), text, (pairs, key) => {
      const given = pairs.map(([name, before, hole, after]) => [
        name,
        hole ? `${before}${P}${after}` : before,
      ])
      const body = new URLSearchParams(given).toString()
      const expected = given.map(([name, value]) => [
        name,
        slots.form.includes(name as string) ? value?.replace(P, () => key) : value,
      ])
      t.same([...new URLSearchParams(put(body, key) ?? body)], expected)
    }),
    { numRuns: 300 },
  )
})

interface Field {
  readonly name: string
  readonly value: string
  readonly file?: string
}

function multipart(boundary: string, fields: readonly Field[], end = '\r\n'): string {
  const parts = fields.map(({ name, value, file }) => {
    const more = file === undefined ? '' : `; filename="${file}"\r\nContent-Type: text/plain`
    return `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
  })
  return `${parts.join('')}--${boundary}--${end}`
}

/** Read by busboy, as servers do. */
function readBack(type: string, bytes: Buffer): Promise<Field[]> {
  return new Promise((resolve, reject) => {
    const found: Field[] = []
    const reader = busboy({ headers: { 'content-type': type }, defParamCharset: 'utf8' })
    reader.on('field', (name, value) => found.push({ name, value }))
    reader.on('file', (name, stream, { filename }) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('close', () => found.push({ name, value: Buffer.concat(chunks).toString(), file: filename }))
    })
    reader.on('error', reject)
    reader.on('close', () => resolve(found))
    reader.end(bytes)
  })
}

const typeOf = (boundary: string) => `multipart/form-data; boundary=${boundary}`

t.test('a field of multipart is replaced, a file or another field is not, and busboy agrees', async (t) => {
  const fields = [
    { name: 'x', value: P },
    { name: 'token', value: `line\r\n${P}` },
    { name: 'token', value: P, file: 'a.txt' },
    { name: 'a b', value: `${P}\n--` },
    { name: 'ü', value: 'nothing' },
  ]
  for (const key of [
    'K',
    'line\r\nline',
    `--${FRESH.slice(0, 5)}`,
    '--AaB03x',
    '\r\n--AaB03x--\r\n',
    'ü\0"\\',
  ]) {
    const { bytes, type, names } =
      made({ slots }, typeOf('AaB03x'), multipart('AaB03x', fields), { key }) ?? {}
    t.same(names, ['form:token', 'form:a b'])
    t.same(await readBack(type as string, bytes as Buffer), [
      fields[0],
      { name: 'token', value: `line\r\n${key}` },
      { name: 'a b', value: `${key}\n--` },
      fields[4],
      // Its end comes later.
      fields[2],
    ])
    t.equal(
      bytes?.toString(),
      multipart(FRESH, fields)
        .replace(`line\r\n${P}`, () => `line\r\n${key}`)
        .replace(`${P}\n--`, () => `${key}\n--`),
    )
  }
})

t.test('with nothing to replace, not even the boundary changes', async (t) => {
  for (const fields of [
    [],
    [{ name: 'x', value: P }],
    [{ name: 'token', value: '{{x}}' }],
    [{ name: 'token', value: P, file: 'f' }],
  ])
    t.equal(made({ slots }, typeOf('b'), multipart('b', fields)), undefined)
})

t.test('a part that readers could name in two ways is no slot', async (t) => {
  for (const disposition of [
    'form-data; name="token"; filename="x"',
    'form-data; name="token"; filename=x',
    'form-data; name="token"; filename*=utf-8\'\'x',
    'form-data; name="token"; name="x"',
    'form-data; name="x"; name="token"',
    'form-data; name="to\\ken"',
    'form-data; name="x\\"; name="token"',
    "form-data; name*=utf-8''token",
    'form-data; x="; name=token"',
    'form-data; name=token x',
    'form-data; name="token',
    "form-data; name='token'",
    'attachment; name="token"',
    'form-data, name="token"',
    'form-data',
  ]) {
    const body = `--b\r\nContent-Disposition: ${disposition}\r\n\r\n${P}\r\n--b--`
    t.equal(made({ slots }, typeOf('b'), body), undefined, disposition)
  }
  const encoded = `--b\r\nContent-Disposition: form-data; name=token\r\nContent-Transfer-Encoding: base64\r\n\r\n${P}\r\n--b--`
  t.equal(made({ slots }, typeOf('b'), encoded), undefined)
  for (const disposition of [
    'form-data; name="token"',
    'Form-Data;name=token',
    'form-data ;\tname="token"  ',
  ]) {
    const body = `--b\r\ncontent-disposition:${disposition}\r\nContent-Type: text/plain\r\n\r\n${P}\r\n--b--`
    t.ok(made({ slots }, typeOf('b'), body), disposition)
  }
})

t.test('what is not multipart, or could be taken apart in another way, is refused', async (t) => {
  const head = 'Content-Disposition: form-data; name="token"\r\n'
  for (const body of [
    '',
    'x',
    'preamble\r\n--b\r\n',
    '\r\n--b--',
    '--b',
    '--b\r\n',
    '--b--x',
    '--b-- \r\n',
    '--b--\r\n\r\n--b\r\n',
    `--b\r\n${head}\r\n${P}\r\n--b`,
    `--b\r\n${head}\r\n${P}\r\n--b\r\n`,
    `--b\r\n${head}\r\n${P}--b--`,
    `--b\r\n${head}\r\n${P}\n--b--`,
    `--b\r\n${head}\r\n${P} --b \r\n--b--`,
    `--b\r\n${head}\r\n${P}\r\n--bx\r\n--b--`,
    `--b \r\n${head}\r\n${P}\r\n--b--`,
    `--b\n${head}\r\n${P}\r\n--b--`,
    `--b\r\n${head}${P}\r\n--b--`,
    `--b\r\n${head.replace('\r', '')}\r\n${P}\r\n--b--`,
    `--b\r\n${head} folded: x\r\n\r\n${P}\r\n--b--`,
    `--b\r\n${head}${head}\r\n${P}\r\n--b--`,
    `--b\r\n${head}A B: x\r\n\r\n${P}\r\n--b--`,
    `--b\r\n${head}A: x\0\r\n\r\n${P}\r\n--b--`,
    `--b\r\n${head}${'A: x\r\n'.repeat(20)}\r\n${P}\r\n--b--`,
    `--b\r\n${head}\r\n--b--`,
  ]) {
    // An empty body is none.
    if (body !== '')
      t.equal(
        verdict(() => made({ slots }, typeOf('b'), body)),
        'bad_request',
        JSON.stringify(body),
      )
  }
  for (const type of [
    'multipart/form-data',
    'multipart/form-data;',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary=""',
    'multipart/form-data; boundary=b; boundary=c',
    'multipart/form-data; boundary=b; BOUNDARY=b',
    'multipart/form-data; boundary="b\\c"',
    'multipart/form-data; boundary="b c"',
    'multipart/form-data; boundary=b x',
    `multipart/form-data; boundary=${'b'.repeat(71)}`,
  ])
    t.equal(
      verdict(() => boundaryOf(type)),
      'bad_request',
      type,
    )
  t.match(boundaryOf('multipart/form-data; a==; boundary="="'.replace('a==; ', '')), {
    boundary: '=',
    place: 31,
  })
  t.match(boundaryOf('multipart/form-data; charset=x; boundary=xx'), { boundary: 'xx', place: 41 })
})

t.test('whatever the fields and the value hold, busboy finds the same ones', async (t) => {
  const value = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('--', '\r\n', '\r\n--', '-', '--b', '\r', '\n--b--', `\r\n--${FRESH.slice(0, -1)}`),
  )
  const field = fc.record({
    name: fc.constantFrom('token', 'a b', 'x', 'ü'),
    before: value,
    hole: fc.boolean(),
    after: value,
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(field, { minLength: 1, maxLength: 5 }),
      value,
      fc.constantFrom('b', 'AaB03x', '----X'),
      async (fields, key, boundary) => {
        const safe = (text: string) =>
          text.isWellFormed() && !/[$%]/.test(text) && !text.includes(`--${boundary}`)
        fc.pre(
          key.isWellFormed() &&
            fields.every(({ before, after }) => safe(before) && safe(after) && safe(before + after)),
        )
        const given = fields.map(({ name, before, hole, after }) => ({
          name,
          value: hole ? before + P + after : before,
        }))
        const body = multipart(boundary, given)
        fc.pre(body.split(`--${boundary}`).length === fields.length + 2)
        const result = made({ slots }, typeOf(boundary), body, { key })
        const expected = given.map((one) =>
          slots.form.includes(one.name) ? { ...one, value: one.value.replace(P, () => key) } : one,
        )
        const read = await readBack(result?.type ?? typeOf(boundary), result?.bytes ?? Buffer.from(body))
        t.same(read, expected)
      },
    ),
    { numRuns: 300 },
  )
})

t.test('what is wrong with multipart is said', async (t) => {
  const at = 'Content-Disposition: form-data; name="token"'
  for (const [body, why] of [
    ['--b\r\n--b--', 'a boundary stands within a part'],
    ['--b\r\nx--b--', 'a boundary stands within a part'],
    [`--b\r\n${at}\r\n\r\n${P}\r\n--bx`, 'a boundary does not stand alone'],
    [`--b\r\n${at}\r\n\r\n${P}\r\n`, 'its last boundary is missing'],
    [`--b\r\n${at}\r\n\r\n${P}\r\n--b--x`, 'something stands behind its last boundary'],
    [`--b\r\n${at}\r\n--b--`, 'a part has no end to its headers'],
    [`--b\r\n${at}\r\n${at}\r\n\r\n${P}\r\n--b--`, 'a part has two dispositions'],
    [`--b\r\nno header\r\n\r\n${P}\r\n--b--`, 'a header of a part cannot be read'],
  ] as const)
    t.match(refusal(() => made({ slots }, typeOf('b'), body)).message, why, body)
})
