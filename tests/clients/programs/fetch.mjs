import { openAsBlob } from 'node:fs'
import { take } from './steps.mjs'

await take(async ({ url, headers, file }) => {
  const form = new FormData()
  if (file) form.set('file', await openAsBlob(file), 'upload.bin')
  const response = await fetch(url, file ? { method: 'POST', headers, body: form } : { headers })
  return { status: response.status, echo: response.headers.get('x-echo'), body: await response.text() }
})
