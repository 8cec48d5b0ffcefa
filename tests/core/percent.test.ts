import t from 'tap'
import { decodeName, decodePercent, decodePlaces, encodePercent, encodeSegment } from '../../core/percent.ts'

t.test('what is decoded still knows where it stood', async (t) => {
  t.same(decodePlaces('a%'), { text: 'a%', starts: undefined })
  t.same(decodePlaces('%41b'), { text: 'Ab', starts: [0, 3, 4] })
  t.same(decodePlaces('%%41'), { text: '%A', starts: [0, 1, 4] }, 'a sign before a code is no code')
  t.same(decodePlaces('%4%41%'), { text: '%4A%', starts: [0, 1, 2, 5, 6] })
})

t.test('a blank is a plus in names alone', async (t) => {
  t.equal(decodePercent('a+b%20%zz%C3%BC'), 'a+b %zz\xc3\xbc')
  t.equal(decodeName('a+b%2B'), 'a b+')
})

t.test('all but what may stand anywhere is encoded, as UTF-8', async (t) => {
  t.equal(encodePercent('AZaz09._~-:@/ü\n'), 'AZaz09._~-%3A%40%2F%C3%BC%0A')
  t.equal(encodeSegment('12:a@b/c'), '12:a@b%2Fc')
})
