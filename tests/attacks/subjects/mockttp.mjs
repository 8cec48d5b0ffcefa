// mockttp as its users make an injecting proxy of it: by the host that is called, in any header, and with
// the secret masked in what comes back.
import dns from 'node:dns'
import { readFileSync } from 'node:fs'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'

const { port, plotFile, caFile, packages } = JSON.parse(process.argv[2])
const { sinks, placeholder } = JSON.parse(readFileSync(plotFile, 'utf8'))

// Names under .localhost are this machine (RFC 6761, section 6.3), which glibc leaves to a plugin.
const lookup = dns.lookup
dns.lookup = (host, ...rest) => lookup(host.endsWith('.localhost') ? '127.0.0.1' : host, ...rest)
syncBuiltinESMExports()

const mockttp = createRequire(join(packages, 'package.json'))('mockttp')
const secrets = new Map(
  Object.values(sinks).map(({ host, port, secret }) => [`${host}:${port}`, secret]),
)
const secretFor = (url) => secrets.get(new URL(url).host)
const replaced = (headers, from, to) =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map((one) => one.replaceAll(from, to)) : value?.replaceAll(from, to),
    ]),
  )
const https = await mockttp.generateCACertificate()
const proxy = mockttp.getLocal({ https, http2: false, recordTraffic: false })
await proxy.start(port)
await proxy.forAnyRequest().thenPassThrough({
  additionalTrustedCAs: [{ cert: readFileSync(caFile, 'utf8') }],
  beforeRequest({ url, headers }) {
    const secret = secretFor(url)
    return secret === undefined ? undefined : { headers: replaced(headers, placeholder, secret) }
  },
  beforeResponse({ headers, body }, { url }) {
    const secret = secretFor(url)
    if (secret === undefined) return undefined
    const hidden = '*'.repeat(secret.length)
    const bytes = body.buffer
    return {
      headers: replaced(headers, secret, hidden),
      ...(bytes.includes(secret) && {
        rawBody: Buffer.from(bytes.toString('latin1').replaceAll(secret, hidden), 'latin1'),
      }),
    }
  },
})
process.send({ ca: https.cert })
