import Anthropic from '@anthropic-ai/sdk'
import { takeEach } from './steps.mjs'

const { BASE, GATEWAY_KEY } = process.env

const anthropic = new Anthropic({
  apiKey: '<<$Auth.API_Key>>',
  baseURL: BASE,
  maxRetries: 0,
  ...(GATEWAY_KEY && { defaultHeaders: { 'Locum-Authorization': `Bearer ${GATEWAY_KEY}` } }),
})
const ask = {
  model: 'look-alike',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'What did I show?' }],
}

await takeEach({
  async message() {
    const { content } = await anthropic.messages.create(ask)
    return content[0].text
  },
  async stream() {
    let text = ''
    let asked = false
    for await (const event of await anthropic.messages.create({ ...ask, stream: true })) {
      // The rest is sent once this was asked.
      if (!asked) await anthropic.models.list()
      asked = true
      if (event.type === 'content_block_delta') text += event.delta.text
    }
    return text
  },
})
