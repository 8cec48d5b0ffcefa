import t from 'tap'
import { parseConfiguredTemplate } from '../../core/configured.ts'
import { fill } from '../../core/placeholder.ts'
import type { Json } from '../../core/secret.ts'
import { makeCaller, refusal } from '../core/kit.ts'

const items = (count: number, length: number) => Array.from({ length: count }, () => 'x'.repeat(length))

/** What a formula costs where a caller's claims are of their own making: ms of CPU, and what it says. */
function cost(formula: string, claims: Record<string, Json>) {
  const template = parseConfiguredTemplate(`{{${formula}}}`)
  const started = process.cpuUsage()
  const { code, message } = refusal(() => fill(template, { caller: makeCaller({ claims }) }, () => {}))
  const { user, system } = process.cpuUsage(started)
  return { code, message, cpu: (user + system) / 1000 }
}

/** Each would take minutes, or more memory than there is. */
const BOMBS: Readonly<Record<string, string>> = {
  'a list for each item of a list':
    '$User.Claims.l.map(a, $User.Claims.l.map(b, $User.Claims.l.map(c, a + b + c)))',
  'the same, hidden behind ||':
    '$User.Claims.l.exists(a, $User.Claims.l.map(b, $User.Claims.l) == []) || true',
  'lists of one list': 'cel.bind(a, $User.Claims.l.map(x, $User.Claims.l), cel.bind(b, a.map(x, a), b == b))',
  'a list as a separator': '$User.Claims.l.join($User.Claims.l.join($User.Claims.l.join(",")))',
  'a text in the place of each character': '$User.Claims.t.replace("x", $User.Claims.t)',
  'a text cut into its characters': '$User.Claims.t.split("").map(c, $User.Claims.t).join("")',
  'a long text hashed for each item': '$User.Claims.l.map(a, sha256($User.Claims.t + a))',
  'a text larger than a formula takes': '$User.Claims.huge.size()',
  'a list longer than a formula takes': '$User.Claims.long.size()',
  'a text that doubles': `${'cel.bind(a, $User.Claims.t, '}${'cel.bind(a, a + a, '.repeat(12)}a.size()${')'.repeat(13)}`,
}

const CLAIMS = {
  l: items(400, 20),
  t: 'x'.repeat(40_000),
  huge: 'x'.repeat(70_000),
  long: items(1_001, 1),
}

for (const [name, formula] of Object.entries(BOMBS)) {
  t.test(`a formula ends soon and small: ${name}`, async (t) => {
    const { code, message, cpu } = cost(formula, CLAIMS)
    t.equal(code, 'placeholder_unknown')
    t.match(message, /more steps or room than a formula may/)
    t.ok(cpu < 1_000, `${cpu} ms`)
  })
}

t.test('what is within the bounds is worked out', async (t) => {
  const template = parseConfiguredTemplate('{{$User.Claims.l.map(a, a.upperAscii()).join(",").size()}}')
  t.equal(
    fill(template, { caller: makeCaller({ claims: { l: items(900, 20) } }) }, () => {}),
    String(900 * 21 - 1),
  )
})
