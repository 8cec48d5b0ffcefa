// A forward proxy and a reverse proxy on http-proxy, each with a pool of connections: what its users write.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import httpProxy from 'http-proxy'

const { ports, httpsPort, caFile, authorization } = JSON.parse(process.argv[2])
const headers = { authorization }
const plain = httpProxy.createProxyServer({ headers, agent: new http.Agent({ keepAlive: true }) })
const secure = httpProxy.createProxyServer({
  headers,
  agent: new https.Agent({ keepAlive: true, ca: readFileSync(caFile) }),
  target: `https://localhost:${httpsPort}`,
  changeOrigin: true,
})
const keepAliveTimeout = 3_600_000
for (const proxy of [plain, secure]) {
  proxy.on('error', (error, _, response) => response.writeHead?.(502).end(error.message))
}
http
  .createServer({ keepAliveTimeout }, (request, response) =>
    plain.web(request, response, { target: new URL(request.url).origin }),
  )
  .listen(ports[0], '127.0.0.1')
http
  .createServer({ keepAliveTimeout }, (request, response) => secure.web(request, response))
  .listen(ports[1], '127.0.0.1')
