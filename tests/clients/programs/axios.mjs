import { createReadStream } from 'node:fs'
import axios from 'axios'
import { take } from './steps.mjs'

const client = axios.create({ responseType: 'text', validateStatus: () => true })

await take(async ({ url, headers, file }) => {
  const response = file
    ? await client.postForm(url, { file: createReadStream(file) }, { headers })
    : await client.get(url, { headers })
  return { status: response.status, echo: response.headers['x-echo'], body: response.data }
})
