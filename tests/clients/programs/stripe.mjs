import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import Stripe from 'stripe'
import { takeEach } from './steps.mjs'

const { BASE, GATEWAY_KEY } = process.env
const base = new URL(BASE)
const protocol = base.protocol.slice(0, -1)

// It has no base URL with a path, but takes a fetch of one's own.
const byGateway = (url, init) => {
  const { pathname, search } = new URL(url)
  const headers = { ...Object.fromEntries(init.headers), 'Locum-Authorization': `Bearer ${GATEWAY_KEY}` }
  return fetch(`${BASE}${pathname}${search}`, { ...init, headers })
}
const Agent = protocol === 'https' ? HttpsAgent : HttpAgent

const stripe = new Stripe('<<$Auth.API_Key>>', {
  protocol,
  host: base.hostname,
  port: base.port,
  maxNetworkRetries: 0,
  telemetry: false,
  ...(GATEWAY_KEY
    ? { httpClient: Stripe.createFetchHttpClient(byGateway) }
    : { httpAgent: new Agent({ proxyEnv: process.env, keepAlive: true }) }),
})

await takeEach({
  async retrieve() {
    const { id, description } = await stripe.customers.retrieve('cus_1')
    return [id, description]
  },
  async create() {
    const { id, name, description } = await stripe.customers.create({ name: 'Ada & Co' })
    return [id, name, description]
  },
  async pages() {
    const ids = []
    for await (const { id } of stripe.customers.list({ limit: 1 })) ids.push(id)
    return ids
  },
})
process.exit()
