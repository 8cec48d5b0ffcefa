import t from 'tap'
import { acceptSearchable, codingsOf } from '../../proxy/answer/codings.ts'
import { ZstdFrames } from '../../proxy/answer/zstd-frames.ts'
import { Fields } from '../../proxy/wire/message.ts'

const headOf = (values: readonly string[], status = 200) => ({
  status,
  reason: '',
  contentLength: undefined,
  fields: Fields.from(values.map((value) => ['Content-Encoding', value] as const)),
})

t.test('codings are read in the order in which they were put on', async (t) => {
  for (const [values, codings] of [
    [[], []],
    [[''], []],
    [['identity'], []],
    [[' , identity,, '], []],
    [['gzip'], ['gzip']],
    [['X-GZip'], ['gzip']],
    [['deflate , BR'], ['deflate', 'br']],
    [
      ['zstd', 'identity', 'gzip,br'],
      ['zstd', 'gzip', 'br'],
    ],
  ] as const)
    t.same(codingsOf(headOf(values)), codings, values.join(' | '))
  for (const values of [
    ['compress'],
    ['gzip;q=1'],
    ['gzip br'],
    ['"gzip"'],
    ['dcb'],
    ['gzip', 'exi'],
    ['br,br,br,br'],
    ['gzipx'],
  ])
    t.throws(() => codingsOf(headOf(values)), { code: 'upstream_invalid' }, values.join(' | '))
  t.throws(() => codingsOf(headOf(['gzip'], 206)), { code: 'upstream_invalid' })
  t.same(codingsOf(headOf(['identity'], 206)), [])
})

t.test('Accept-Encoding keeps its wording where all of it can be searched', async (t) => {
  for (const [before, after] of [
    ['gzip', 'gzip'],
    ['gzip,deflate;q=0.5 ,  br', 'gzip,deflate;q=0.5 ,  br'],
    ['GZIP, x-gzip', 'GZIP, x-gzip'],
    ['gzip;q=0', 'gzip;q=0'],
    ['identity;q=0, gzip', 'identity;q=0, gzip'],
    ['', 'identity'],
    ['*;q=0', 'identity'],
    ['gzip, *;q=0', 'gzip'],
    ['compress, br', 'br'],
  ] as const) {
    for (let again = 0; again < 2; again++) {
      const fields = Fields.from([['accept-encoding', before]])
      acceptSearchable(fields)
      t.same(fields.values, [after], before)
    }
  }
  const none = Fields.from([['Accept', '*/*']])
  acceptSearchable(none)
  t.same(none.names, ['accept'])
})

t.test('the frames of zstd are read however they are cut', async (t) => {
  const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
  // RFC 8878 §3.1: frame, header, blocks (raw, RLE, empty last), checksum; a skippable frame.
  for (const [name, parts] of [
    ['one segment, size of one byte', ['28b52ffd 20 03', '190000 616263', '']],
    ['a window, a checksum', ['28b52ffd 04 58', '180000 616263', '220000 78', '010000 deadbeef']],
    [
      'a dictionary of four bytes and a size of eight',
      ['28b52ffd c3 58 01020304 0102030405060708', '010000'],
    ],
    ['a size of four bytes and one segment', ['28b52ffd a0 01020304', '010000']],
    ['skippable', ['5f2a4d18 03000000 aabbcc']],
    ['skippable and empty', ['502a4d18 00000000']],
  ] as const) {
    const bytes = hex(parts.join(''))
    let end = 0
    const ends = parts.map((part) => {
      end += hex(part).length
      return end
    })
    for (let cut = 0; cut <= bytes.length; cut++) {
      const frames = new ZstdFrames()
      let whole = 0
      for (const [from, to] of [
        [0, cut],
        [cut, bytes.length],
      ] as const) {
        for (let at = from; at < to; ) {
          const read = frames.read(bytes.subarray(0, to), at)
          if (read.whole > at) whole = read.whole
          at = read.at
        }
        const last = Math.max(0, ...ends.filter((each) => each <= to))
        if (whole !== last) t.fail(`${name}, cut at ${cut}: ${whole} of ${last}`)
      }
      t.equal(frames.betweenFrames, true, name)
      t.equal(frames.frames, 1)
    }
  }
  const odd = new ZstdFrames()
  odd.read(Buffer.from('no zstd at all'), 0)
  t.equal(odd.betweenBlocks, false)
})
