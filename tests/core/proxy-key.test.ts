import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { holdsProxyKey, isProxyKey, proxyKeyHash, proxyKeyText } from '../../core/proxy-key.ts'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

function number(base62: string): bigint {
  return [...base62].reduce((sum, digit) => sum * 62n + BigInt(ALPHABET.indexOf(digit)), 0n)
}

t.test('a key is lcm_, 43 characters for 32 bytes, 6 for their CRC-32', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (random) => {
      const key = proxyKeyText(random)
      t.match(key, /^lcm_[0-9A-Za-z]{49}$/)
      t.equal(number(key.slice(4, 47)), BigInt(`0x${Buffer.from(random).toString('hex')}`))
      t.equal(number(key.slice(47)), BigInt(crc32(key.slice(4, 47))))
      t.ok(isProxyKey(key))
    }),
    { numRuns: 100 },
  )
  t.equal(proxyKeyText(new Uint8Array(32)).slice(0, 47), `lcm_${'0'.repeat(43)}`)
  t.ok(isProxyKey(proxyKeyText(new Uint8Array(32).fill(255))))
  for (const length of [0, 31, 33]) t.throws(() => proxyKeyText(new Uint8Array(length)))
})

t.test('what a secret scanner looks for finds it in a text', async (t) => {
  const key = proxyKeyText(randomBytes(32))
  const [found] = /\blcm_[0-9A-Za-z]{49}\b/.exec(`export KEY="${key}" # note`) ?? []
  t.equal(found, key)
  t.ok(holdsProxyKey(`export KEY="${key}" # note`))
  t.notOk(holdsProxyKey(`export KEY="${key.slice(0, -1)}" # note`))
})

t.test('a key with any character changed is none', async (t) => {
  const key = proxyKeyText(randomBytes(32))
  for (let i = 0; i < key.length; i++) {
    const other = key[i] === 'x' ? 'y' : 'x'
    t.notOk(isProxyKey(key.slice(0, i) + other + key.slice(i + 1)), String(i))
  }
  for (const text of [
    '',
    'lcm_',
    key.slice(0, -1),
    `${key}x`,
    ` ${key}`,
    `${key}\n`,
    key.toUpperCase(),
    key.replace('lcm_', 'lcm-'),
  ])
    t.notOk(isProxyKey(text), JSON.stringify(text))
})

t.test('a key is looked up by its SHA-256', async (t) => {
  const key = proxyKeyText(randomBytes(32))
  t.equal(proxyKeyHash(key), createHash('sha256').update(key).digest('hex'))
})
