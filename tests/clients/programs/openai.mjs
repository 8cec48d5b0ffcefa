import { createReadStream } from 'node:fs'
import OpenAI from 'openai'
import { takeEach } from './steps.mjs'

const { BASE, GATEWAY_KEY, FILE } = process.env

const openai = new OpenAI({
  apiKey: '<<$Auth.API_Key>>',
  baseURL: `${BASE}/v1`,
  maxRetries: 0,
  ...(GATEWAY_KEY && { defaultHeaders: { 'Locum-Authorization': `Bearer ${GATEWAY_KEY}` } }),
})
const ask = { model: 'look-alike', messages: [{ role: 'user', content: 'What did I show?' }] }

await takeEach({
  async completion() {
    const { choices } = await openai.chat.completions.create(ask)
    return choices[0].message.content
  },
  async stream() {
    let text = ''
    for await (const { choices } of await openai.chat.completions.create({ ...ask, stream: true })) {
      // The rest is sent once this was asked.
      if (text === '') await openai.models.list()
      text += choices[0].delta.content
    }
    return text
  },
  async upload() {
    const { id, bytes } = await openai.files.create({ file: createReadStream(FILE), purpose: 'user_data' })
    return [id, bytes > 300_000]
  },
})
