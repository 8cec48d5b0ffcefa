import { openAsBlob } from 'node:fs'
import got from 'got'
import { take } from './steps.mjs'

const client = got.extend({ throwHttpErrors: false, retry: { limit: 0 } })

await take(async ({ url, headers, file }) => {
  const form = new FormData()
  if (file) form.set('file', await openAsBlob(file), 'upload.bin')
  const response = await client(url, { headers, ...(file && { method: 'POST', body: form }) })
  return { status: response.statusCode, echo: response.headers['x-echo'], body: response.body }
})
