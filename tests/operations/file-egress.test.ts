import t from 'tap'
import { LOCAL } from '../../core/words.ts'
import { makeCa } from '../kit/certificates.ts'
import { openDesk, refusal, summary } from './kit.ts'

const PASSWORD = 'corp-Passw0rd'

const egress = (rest: string) => `egress: { proxy: http://corp:3128, ${rest} }\n`
const lab = (line: string, auth = '{ method: none }') => `connections:
  - name: lab
    destinations: [https://lab.example]
    auth: ${auth}
    intercept: false
    ${line}
`

/** What is written, where the first problem is, its key, and what is said of it. */
const CASES: readonly (readonly [title: string, text: string, at: string, key: string, says: RegExp])[] = [
  ['no proxy', 'egress: {}\n', '1:9', 'egress.proxy', /missing; expected a proxy: http:\/\/HOST:PORT/],
  ['an unknown key', egress('noproxy: []'), '1:36', 'egress.noproxy', /did you mean `noProxy`/],
  ['another scheme', 'egress: { proxy: socks5://corp:1080 }\n', '1:18', 'egress.proxy', /not a proxy/],
  ['no scheme', 'egress: { proxy: corp:3128 }\n', '1:18', 'egress.proxy', /not a proxy/],
  ['no port', 'egress: { proxy: http://corp }\n', '1:18', 'egress.proxy', /with its port/],
  ['a path', 'egress: { proxy: http://corp:3128/x }\n', '1:18', 'egress.proxy', /not a proxy/],
  [
    'a password in the URL',
    `egress: { proxy: "http://u:${PASSWORD}@corp:3128" }\n`,
    '1:18',
    'egress.proxy',
    /`password: \{ env: NAME \}`/,
  ],
  [
    'a password in clear',
    egress(`username: u, password: ${PASSWORD}`),
    '1:59',
    'egress.password',
    /expected \{ env \}, or \{ file \}/,
  ],
  ['a user name alone', egress('username: u'), '1:46', 'egress.username', /needs a `password`/],
  ['a password alone', egress('password: { env: CORP }'), '1:46', 'egress.password', /needs a `username`/],
  [
    'a colon in the user name',
    egress('username: "u:v", password: { env: CORP }'),
    '1:9',
    'egress',
    /no colon/,
  ],
  [
    'a password over two lines',
    egress('username: u, password: { env: LINES }'),
    '1:9',
    'egress',
    /holds a line break/,
  ],
  [
    'a password that is not set',
    egress('username: u, password: { env: GONE }'),
    '1:59',
    'egress.password',
    /GONE is not set/,
  ],
  [
    'a CA that is missing',
    'egress: { proxy: https://corp:1, ca: gone.pem }\n',
    '1:38',
    'egress.ca',
    /no such file/,
  ],
  ['a CA without TLS', egress('ca: ca.pem'), '1:40', 'egress.ca', /shows no certificate/],
  [
    'a port in noProxy',
    egress('noProxy: ["a:80"]'),
    '1:46',
    'egress.noProxy[0]',
    /a port does not belong here/,
  ],
  ['a wildcard in noProxy', egress('noProxy: [a, "*.b"]'), '1:49', 'egress.noProxy[1]', /\.suffix/],
  ['a CIDR that is none', egress('noProxy: [10.0.0.0/33]'), '1:46', 'egress.noProxy[0]', /CIDR/],
  [
    'another durability',
    'audit: { durability: tape }\n',
    '1:22',
    'audit.durability',
    /expected system or disk/,
  ],
  ['unmatched as a switch', 'unmatched: true\n', '1:12', 'unmatched', /expected deny or tunnel/],
  [
    'a credential that nothing could be put in',
    lab('', '{ method: api-key }'),
    '4:21',
    'connections[0].auth.method',
    /only `none` goes with `intercept: false`/,
  ],
  [
    'headers',
    lab('headers: { X-A: a }'),
    '6:5',
    'connections[0].headers',
    /does not go with `intercept: false`/,
  ],
  ['slots', lab('slots: { headers: [] }'), '6:5', 'connections[0].slots', /does not go with/],
  ['paths', lab('allow: { paths: [/x] }'), '6:14', 'connections[0].allow.paths', /does not go with/],
  ['methods', lab('allow: { methods: [GET] }'), '6:14', 'connections[0].allow.methods', /does not go with/],
]

t.test('tells line, column and key of what is wrong, and no password', async (t) => {
  const desk = await openDesk(t)
  desk.env.CORP = PASSWORD
  desk.env.LINES = `${PASSWORD}\n${PASSWORD}`
  await desk.write('ca.pem', (await makeCa()).cert)
  for (const [title, text, at, key, says] of CASES) {
    const { code, detail, hint, stack } = await refusal(desk.check(text))
    t.equal(code, 'bad_request', title)
    const [first] = detail.split('\n') as [string]
    t.match(first, new RegExp(`locum\\.yaml:${at}: ${key.replace(/[[\]]/g, '\\$&')}: `), title)
    t.match(first, says, title)
    t.notMatch(`${detail} ${hint} ${stack}`, PASSWORD, title)
  }
})

t.test('reads the parent proxy for whoever serves, and stores nothing of it', async (t) => {
  const desk = await openDesk(t)
  await desk.write('corp.pw', `${PASSWORD}\n`)
  await desk.write('ca.pem', (await makeCa()).cert)
  const text = `unmatched: tunnel
egress:
  proxy: https://Corp.Example:3129
  username: locum
  password: { file: corp.pw }
  ca: ca.pem
  noProxy: [.internal, 10.0.0.0/8, "[fd00::1]", "*"]
`
  const applied = await desk.apply(text)
  t.same(summary(applied), [])
  const { egress, unmatched } = applied.content
  t.equal(unmatched, 'tunnel')
  t.match(egress, { scheme: 'https', host: 'corp.example', port: 3129 })
  t.equal(egress?.direct.length, 4)
  t.equal(egress?.authorization?.reveal(), `Basic ${Buffer.from(`locum:${PASSWORD}`).toString('base64')}`)
  t.notMatch(JSON.stringify(applied.content), PASSWORD)
  t.match((await desk.apply('name: a\n')).content, { egress: undefined, unmatched: 'deny' })
})

t.test('intercept is kept where it is false, and can be taken back', async (t) => {
  const desk = await openDesk(t)
  const intercept = async () => (await desk.context.store.connection(LOCAL, 'lab'))?.intercept
  const opened = lab('').replace('intercept: false', 'intercept: true')
  await desk.apply(opened)
  t.equal(await intercept(), undefined)
  t.same(summary(await desk.apply(lab(''))), ['update connection lab: intercept'])
  t.equal(await intercept(), false)
  t.same(summary(await desk.apply(lab(''))), [])
  t.same(summary(await desk.apply(opened)), ['update connection lab: intercept'])
  t.equal(await intercept(), undefined)
})
