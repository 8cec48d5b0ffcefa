// http-mitm-proxy: a proxy that intercepts and sets a fixed header.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { Proxy as MitmProxy } from 'http-mitm-proxy'

const { ports, caFile, authorization, folder } = JSON.parse(process.argv[2])
const proxy = new MitmProxy()
proxy.onError((_, error) => process.stderr.write(`${error?.message}\n`))
proxy.onRequest((context, go) => {
  context.proxyToServerRequestOptions.headers.authorization = authorization
  go()
})
proxy.listen({
  host: '127.0.0.1',
  port: ports[0],
  sslCaDir: folder,
  keepAlive: true,
  httpAgent: new http.Agent({ keepAlive: true }),
  httpsAgent: new https.Agent({ keepAlive: true, ca: readFileSync(caFile) }),
})
