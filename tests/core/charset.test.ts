import t from 'tap'
import {
  checkCharset,
  checkCharsetField,
  checkCharsetParameter,
  leavesAscii,
  writingOf,
} from '../../core/charset.ts'
import { verdict } from './kit.ts'

const fields = (...values: string[]) =>
  ({ names: values.map(() => 'content-type'), values }) as unknown as Parameters<typeof writingOf>[0]

t.test('a request may name an encoding that reads ASCII as it stands, and no other', async (t) => {
  for (const type of [
    'text/plain',
    'text/plain; charset=utf-8',
    'text/plain; charset=UTF8',
    'text/plain;charset="us-ascii" ; x=y',
    'text/plain; charset=iso-8859-15',
    'text/plain; charset=windows-1252',
    'text/plain; charset=koi8-r',
  ])
    t.equal(leavesAscii(type), true, type)
  for (const type of [
    'text/plain; charset=utf-16',
    'text/plain; charset=utf-8; charset=utf-16',
    'text/plain; charset=utf-8x',
    'text/plain; charset="utf-8',
    'text/plain; charset=iso-8859-',
    'text/plain; charset*=utf-8',
    'text/plain; charset=xkoi8-r',
  ])
    t.equal(leavesAscii(type), false, type)
  t.equal(
    verdict(() => checkCharset(fields('text/plain', 'a/b; charset=utf-8'))),
    'fine',
  )
  t.equal(
    verdict(() => checkCharset(fields('text/plain', 'a/b; charset=utf-7'))),
    'bad_request',
  )
  const other = { names: ['x-type'], values: ['a/b; charset=utf-7'] } as unknown as Parameters<
    typeof checkCharset
  >[0]
  t.equal(
    verdict(() => checkCharset(other)),
    'fine',
    'no other field says how it is read',
  )
})

t.test('a `_charset_` field names one of them, or nothing', async (t) => {
  for (const content of ['', ' ', 'utf-8', ' UTF-8\r\n', 'us-ascii'])
    t.equal(
      verdict(() => checkCharsetField(content)),
      'fine',
      content,
    )
  for (const content of ['utf-16', 'xutf-8', 'utf-8x', 'utf-8 utf-16'])
    t.equal(
      verdict(() => checkCharsetField(content)),
      'bad_request',
      content,
    )
  t.equal(
    verdict(() => checkCharsetParameter('utf%2D8')),
    'fine',
  )
  t.equal(
    verdict(() => checkCharsetParameter('utf%2D16')),
    'bad_request',
  )
})

t.test(
  'how an answer is written is read from its Content-Type, and the worst of several counts',
  async (t) => {
    const cases = {
      plain: [
        'text/html',
        'text/html; charset=utf-8',
        'text/html; charset=',
        'text/html; charset="Shift_JIS"',
        'text/html; charset=cp850',
        'text/html; charset=IBM874',
        'text/html; charset=x-mac-cyrillic',
        'text/html; charset=euc-jp',
        'text/html; charset=windows-1252',
        'text/html; charset=latin1',
        "text/html; charset='utf-8'",
        'text/html; charset="ut\\f-8"',
      ],
      wide: [
        'text/html; charset=utf-16',
        'text/html; charset=UTF-16LE',
        'text/html; charset=ISO-10646-UCS-2',
        'text/html; charset=unicode',
        'text/html; charset=utf-8; charset=utf-16',
      ],
      hidden: [
        'text/html; charset=utf-7',
        'text/html; charset=ibm037',
        'text/html; charset=cp500',
        'text/html; charset=ebcdic-us',
        "text/html; charset*=utf-8''x",
        'text/html; charset=utf-16; charset=utf-7',
        'text/html; charset=xutf-9',
      ],
    } as const
    for (const [writing, types] of Object.entries(cases))
      for (const type of types) t.equal(writingOf(fields(type)), writing, type)
    t.equal(writingOf(fields()), 'plain')
    t.equal(writingOf(fields('text/html', 'text/html; charset=utf-16')), 'wide')
    t.equal(writingOf(fields('text/html; charset=utf-16', 'text/html; charset=utf-8')), 'wide')
    t.equal(writingOf(fields('text/html; charset=utf-16', 'text/html; charset=utf-7')), 'hidden')
    const other = { names: ['x'], values: ['charset=utf-7'] } as unknown as Parameters<typeof writingOf>[0]
    t.equal(writingOf(other), 'plain')
  },
)
