import { openAsBlob } from 'node:fs'
import { EnvHttpProxyAgent, FormData, interceptors, request } from 'undici'
import { take } from './steps.mjs'

const dispatcher = new EnvHttpProxyAgent().compose(interceptors.redirect({ maxRedirections: 3 }))

await take(async ({ url, headers, file }) => {
  const form = new FormData()
  if (file) form.set('file', await openAsBlob(file), 'upload.bin')
  const options = file ? { method: 'POST', body: form } : {}
  const response = await request(url, { dispatcher, headers, ...options })
  return { status: response.statusCode, echo: response.headers['x-echo'], body: await response.body.text() }
})
