import { createReadStream } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import { take } from './steps.mjs'

await take(async ({ url, headers, file }) => {
  const { request } = url.startsWith('https:') ? https : http
  const response = await new Promise((resolve, reject) => {
    const asking = request(url, { method: file ? 'POST' : 'GET', headers }, resolve).on('error', reject)
    if (file) createReadStream(file).pipe(asking)
    else asking.end()
  })
  return { status: response.statusCode, echo: response.headers['x-echo'], body: await text(response) }
})
