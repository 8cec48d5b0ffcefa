import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { proxyKeyText } from '../../core/proxy-key.ts'
import { ENTRANCES, type Entrance } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { filled, type Settings } from './needs.ts'
import { runProgram } from './running.ts'
import { type Said, SDKS } from './sdks.ts'
import { startVendor } from './vendors.ts'

const KEY = 'sk_live_7f3a9c51e0b24d86'
const WRONG = proxyKeyText(randomBytes(32))
t.jobs = 2

const vendors = await Promise.all(SDKS.map(({ vendor }) => startVendor(t, vendor)))
const site = await startSite(t, {
  principals: [{ id: 'ada', kind: 'user' }],
  connections: SDKS.map(({ id }, i) => ({
    name: id,
    destinations: [vendors[i]?.origin],
    ca: vendors[i]?.ca,
    allowPrivateNetwork: true,
    auth: { method: 'api-key' },
  })),
  credentials: SDKS.map(({ id }) => ({ connection: id, for: 'shared', fields: { apiKey: KEY } })),
})
const file = join(site.data, 'upload.bin')
writeFileSync(file, randomBytes(300_000))

const running: Promise<unknown>[] = []
for (const [i, sdk] of SDKS.entries()) {
  const { id, needs, missing, shows, gives } = sdk
  const vendor = vendors[i] as (typeof vendors)[number]
  const options = { skip: missing ?? false, buffered: true }

  const run = async (
    entrance: Entrance,
    x: { authority?: string; key?: string; leftOut?: string } = {},
  ): Promise<Readonly<Record<string, Said>>> => {
    const { authority = vendor.authority, key = site.keys.ada as string, leftOut = '' } = x
    const named = entrance === 'gateway' ? {} : { ...needs.proxy, ...(entrance === 'connect' && needs.trust) }
    const { [leftOut]: _, ...settings } = named as Settings
    const env = {
      ...filled(settings, { id: 'ada', key, port: site.port, caFile: site.caFile }),
      ORIGIN: vendor.origin,
      FILE: file,
      ...(entrance === 'gateway'
        ? { BASE: `http://127.0.0.1:${site.port}/c/${id}`, GATEWAY_KEY: key }
        : { BASE: `${entrance === 'forward' ? 'http' : 'https'}://${authority}` }),
    }
    const [command, ...args] = sdk.command as [string, ...string[]]
    const { code, out, errors } = await runProgram(command, args, { env })
    if (code !== 0) throw new Error(`${id} ended with ${code}: ${errors}${out}`)
    const lines = out.split('\n').filter((line) => line !== '')
    return Object.fromEntries(
      lines.map((line) => {
        const { name, ...said } = JSON.parse(line) as { name: string } & Said
        return [name, said]
      }),
    )
  }

  running.push(
    t.test(`${needs.name} does what it can through every entrance, and sees no key`, options, async (t) => {
      const masked = shows('*'.repeat(KEY.length))
      for (const entrance of ENTRANCES) {
        const before = vendor.requests.length
        const said = await run(entrance)
        for (const [step, value] of Object.entries(gives(masked))) {
          const fault = entrance === 'forward' ? sdk.notByHttp?.[step] : undefined
          if (fault) t.match(said[step]?.error, fault, `${entrance}: ${step}`)
          else t.strictSame(said[step], { value }, `${entrance}: ${step}`)
        }
        t.notOk(JSON.stringify(said).includes(KEY), `${entrance}: it saw no key`)
        const seen = vendor.requests.slice(before)
        t.ok(seen.length >= Object.keys(said).length)
        for (const { url, headers } of seen) {
          t.equal(headers.authorization, shows(KEY), `${entrance}: ${url} came with the real key`)
          t.notMatch(Object.keys(headers).join(), /proxy-|locum/, `${url}: nothing that speaks to Locum`)
        }
      }

      // A wrong key, and what nobody declared.
      const done = vendor.requests.length
      const expected = {
        forward: sdk.onRefused,
        connect: sdk.onRefusedTunnel,
        gateway: /caller_unauthenticated/,
      }
      for (const entrance of ENTRANCES) {
        for (const { error } of Object.values(await run(entrance, { key: WRONG })))
          t.match(error, expected[entrance], `${entrance}: a wrong key`)
        if (entrance === 'gateway') continue
        // Whoever hides the code shows the status.
        const undeclared = expected[entrance].source
          .replace('caller_unauthenticated', 'connection_not_found')
          .replace('407', '403')
        for (const { error } of Object.values(
          await run(entrance, { authority: `b.localhost:${vendor.port}` }),
        ))
          t.match(error, new RegExp(undeclared), `${entrance}: nobody declared it`)
      }
      for (const leftOut of Object.keys({ ...needs.proxy, ...needs.trust })) {
        const entrance = leftOut === 'HTTP_PROXY' ? 'forward' : 'connect'
        for (const { error } of Object.values(await run(entrance, { leftOut })))
          t.type(error, 'string', `it needs ${leftOut}`)
      }
      t.equal(vendor.requests.length, done, 'nothing left')
    }),
  )
}

await Promise.all(running)

t.test('the audit names the caller of every use', async (t) => {
  const uses = (await site.audit()).filter(({ event }) => event === 'use')
  for (const [i, { id }] of SDKS.entries()) {
    const those = uses.filter(({ connection }) => connection === id)
    t.equal(those.length, vendors[i]?.requests.length, id)
    t.ok(those.every(({ caller, scope }) => caller === 'ada' && scope === 'shared'))
  }
  t.strictSame(await site.verify(), [])
})
