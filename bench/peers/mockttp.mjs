// mockttp: a proxy that intercepts, and a reverse proxy, both setting a fixed header.
import { readFileSync } from 'node:fs'
import * as mockttp from 'mockttp'

const { ports, httpsPort, caFile, authorization } = JSON.parse(process.argv[2])
const options = {
  transformRequest: { updateHeaders: { authorization } },
  additionalTrustedCAs: [{ cert: readFileSync(caFile, 'utf8') }],
}
const https = await mockttp.generateCACertificate()
const proxy = mockttp.getLocal({ https, http2: false, recordTraffic: false })
await proxy.start(ports[0])
await proxy.forAnyRequest().thenPassThrough(options)
const gateway = mockttp.getLocal({ http2: false, recordTraffic: false })
await gateway.start(ports[1])
await gateway.forAnyRequest().thenForwardTo(`https://localhost:${httpsPort}`, options)
