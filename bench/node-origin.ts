import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { AWS_KEY, LARGE, LARGE_BLOCKS, randomText, SECRET, SMALL_BODY } from './origin.ts'

/** The origin where there is no nginx: `node-origin.ts HTTP-PORT HTTPS-PORT CERT KEY`. */
const [httpPort, httpsPort, cert, key] = process.argv.slice(2) as [string, string, string, string]
const block = randomText()

const answer: RequestListener = (request, response) => {
  const { authorization = '' } = request.headers
  if (authorization !== `Bearer ${SECRET}` && !authorization.includes(AWS_KEY.accessKeyId)) {
    response.writeHead(401, { 'content-length': 0 }).end()
  } else if (request.url?.endsWith(LARGE)) {
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': LARGE_BLOCKS * block.length,
    })
    let rest = LARGE_BLOCKS
    const push = (): void => {
      while (rest > 0) {
        rest--
        if (!response.write(block)) {
          response.once('drain', push)
          return
        }
      }
      response.end()
    }
    push()
  } else {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': SMALL_BODY.length })
    response.end(SMALL_BODY)
  }
}

const plain = createServer({ keepAliveTimeout: 3_600_000 }, answer).listen(Number(httpPort), '127.0.0.1')
createSecureServer(
  { keepAliveTimeout: 3_600_000, cert: readFileSync(cert), key: readFileSync(key) },
  answer,
).listen(Number(httpsPort), '127.0.0.1', () => {
  if (plain.listening) process.send?.('ready')
  else plain.once('listening', () => process.send?.('ready'))
})
