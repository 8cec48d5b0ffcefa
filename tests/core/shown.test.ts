import { randomBytes } from 'node:crypto'
import t from 'tap'
import { withoutSecrets } from '../../core/shown.ts'

t.test('what looks like a key is not shown, and what people write is', async (t) => {
  for (const secret of [
    'sk_live_51H8xKq2eZvKYlo2C',
    'ghp_16C7e42F292c6912E7710c838347Ae178B4a',
    'AKIAIOSFODNN7EXAMPLE',
    'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    'wJalrXUtnFEMIAK/MDENGAbPxRfiCYEXAMPLE1+Y',
    'sk_live_abcdefghijklmnopqrstuvwx',
    'glpat-abcdefghijklmnop',
    '48291734650192837465',
    '9b1deb4d-3b7d-4bad-9bdd-202071302603',
    'eyJhbGciOiJIUzI1NiJ9',
    'lcm_9f86d081884c7d659a2feaa0c55ad015',
    '9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d',
    '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\nByqGSM49\n-----END PRIVATE KEY-----',
  ])
    t.equal(withoutSecrets(`cannot read ${secret}: no`), 'cannot read …: no')
  const cut = '-----BEGIN RSA PRIVATE KEY-----\nMIIEow'
  t.equal(withoutSecrets(`cannot read ${cut}: no`), 'cannot read …', 'a block without an end hides the rest')
  for (let i = 0; i < 1000; i++) {
    const secret = `${i % 10}${randomBytes(24).toString('base64url')}`
    t.notMatch(withoutSecrets(`the variable ${secret} is not set`), secret)
  }
  for (const text of [
    '/Users/Ada/Work-26/locum.yaml:12:40: connections[0].name: expected a text',
    '/etc/locum/connections-2026-production/locum.yaml:12:40: connections[0].allowPrivateNetwork: expected true or false',
    'the environment variable STRIPE_KEY_PRODUCTION_2 is not set',
    'https://api-7.eu-central-1.example.com:8443 is no destination; did you mean `credentials`?',
    'unknown option --allow-plaintext-listener',
    'caller_unauthenticated: No valid key of a caller came with this request.',
  ])
    t.equal(withoutSecrets(text), text)
})
