/**
 * What each vendor documents, written down a second time and from the vendors' own pages and clients:
 * what a person is asked beside the secrets, what a request with the key `KEY` looks like, and where the
 * vendor's client looks for a base URL.
 */
export interface Documented {
  readonly answers?: Readonly<Record<string, string>>
  /** `KEY` unless the API has more than one. */
  readonly secrets?: Readonly<Record<string, string>>
  readonly host: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** The variables of the key and of the base URL, and the path of the latter. */
  readonly client?: readonly [key: string, baseUrl: string, path: string]
}

export const KEY = 'a-key-of-nobody-0123456789'
const bearer = { authorization: `Bearer ${KEY}` }
const basic = (username: string) => ({
  authorization: `Basic ${Buffer.from(`${username}:${KEY}`).toString('base64')}`,
})
const HEX = '0123456789abcdef'.repeat(2)

export const DOCUMENTED: Readonly<Record<string, Documented>> = {
  airtable: {
    host: 'api.airtable.com',
    path: '/v0/meta/whoami',
    headers: bearer,
    client: ['AIRTABLE_API_KEY', 'AIRTABLE_ENDPOINT_URL', ''],
  },
  algolia: {
    answers: { application: 'B1G2GM9NG0' },
    host: 'b1g2gm9ng0.algolia.net',
    path: '/1/indexes',
    headers: { 'x-algolia-application-id': 'B1G2GM9NG0', 'x-algolia-api-key': KEY },
  },
  anthropic: {
    host: 'api.anthropic.com',
    path: '/v1/models',
    headers: { 'x-api-key': KEY, 'anthropic-version': '2023-06-01' },
    client: ['ANTHROPIC_API_KEY', 'ANTHROPIC_BASE_URL', ''],
  },
  asana: { host: 'app.asana.com', path: '/api/1.0/users/me', headers: bearer },
  circleci: {
    host: 'circleci.com',
    path: '/api/v2/me',
    headers: bearer,
    client: ['CIRCLE_TOKEN', 'CIRCLE_HOST', ''],
  },
  clickup: { host: 'api.clickup.com', path: '/api/v2/user', headers: { authorization: KEY } },
  cloudflare: {
    host: 'api.cloudflare.com',
    path: '/client/v4/user/tokens/verify',
    headers: bearer,
    client: ['CLOUDFLARE_API_TOKEN', 'CLOUDFLARE_BASE_URL', '/client/v4'],
  },
  cohere: {
    host: 'api.cohere.com',
    path: '/v1/models',
    headers: bearer,
    client: ['CO_API_KEY', 'CO_API_URL', ''],
  },
  datadog: {
    answers: { site: 'us3.datadoghq.com' },
    secrets: { apiKey: KEY, applicationKey: `${KEY}-of-the-application` },
    host: 'api.us3.datadoghq.com',
    path: '/api/v2/validate_keys',
    headers: { 'dd-api-key': KEY, 'dd-application-key': `${KEY}-of-the-application` },
  },
  deepl: {
    host: 'api-free.deepl.com',
    path: '/v2/usage',
    headers: { authorization: `DeepL-Auth-Key ${KEY}` },
    client: ['DEEPL_AUTH_KEY', 'DEEPL_SERVER_URL', '/'],
  },
  digitalocean: {
    host: 'api.digitalocean.com',
    path: '/v2/account',
    headers: bearer,
    client: ['DIGITALOCEAN_ACCESS_TOKEN', 'DIGITALOCEAN_API_URL', '/'],
  },
  discord: { host: 'discord.com', path: '/api/v10/users/@me', headers: { authorization: `Bot ${KEY}` } },
  elevenlabs: { host: 'api.elevenlabs.io', path: '/v1/user', headers: { 'xi-api-key': KEY } },
  fastly: {
    host: 'api.fastly.com',
    path: '/tokens/self',
    headers: { 'fastly-key': KEY },
    client: ['FASTLY_API_TOKEN', 'FASTLY_API_ENDPOINT', ''],
  },
  figma: { host: 'api.figma.com', path: '/v1/me', headers: { 'x-figma-token': KEY } },
  gemini: {
    host: 'generativelanguage.googleapis.com',
    path: '/v1beta/models',
    headers: { 'x-goog-api-key': KEY },
    client: ['GEMINI_API_KEY', 'GOOGLE_GEMINI_BASE_URL', ''],
  },
  github: { host: 'api.github.com', path: '/user', headers: bearer },
  gitlab: {
    answers: { host: 'gitlab.example.com' },
    host: 'gitlab.example.com',
    path: '/api/v4/user',
    headers: { 'private-token': KEY },
  },
  groq: {
    host: 'api.groq.com',
    path: '/openai/v1/models',
    headers: bearer,
    client: ['GROQ_API_KEY', 'GROQ_BASE_URL', ''],
  },
  heroku: {
    host: 'api.heroku.com',
    path: '/account',
    headers: { ...bearer, accept: 'application/vnd.heroku+json; version=3' },
  },
  hubspot: { host: 'api.hubapi.com', path: '/account-info/v3/details', headers: bearer },
  huggingface: {
    host: 'huggingface.co',
    path: '/api/whoami-v2',
    headers: bearer,
    client: ['HF_TOKEN', 'HF_ENDPOINT', ''],
  },
  intercom: {
    answers: { host: 'api.eu.intercom.io' },
    host: 'api.eu.intercom.io',
    path: '/admins',
    headers: bearer,
  },
  jira: {
    answers: { site: 'acme', email: 'ada@example.com' },
    host: 'acme.atlassian.net',
    path: '/rest/api/3/myself',
    headers: basic('ada@example.com'),
  },
  linode: {
    host: 'api.linode.com',
    path: '/v4/profile',
    headers: bearer,
    client: ['LINODE_TOKEN', 'LINODE_URL', ''],
  },
  mailgun: {
    host: 'api.mailgun.net',
    path: '/v4/domains',
    headers: basic('api'),
    client: ['MG_API_KEY', 'MG_URL', ''],
  },
  mistral: { host: 'api.mistral.ai', path: '/v1/models', headers: bearer },
  netlify: {
    host: 'api.netlify.com',
    path: '/api/v1/user',
    headers: bearer,
    client: ['NETLIFY_AUTH_TOKEN', 'NETLIFY_API_URL', '/api/v1'],
  },
  notion: {
    host: 'api.notion.com',
    path: '/v1/users/me',
    headers: { ...bearer, 'notion-version': '2026-03-11' },
  },
  openai: {
    host: 'api.openai.com',
    path: '/v1/models',
    headers: bearer,
    client: ['OPENAI_API_KEY', 'OPENAI_BASE_URL', '/v1'],
  },
  openrouter: {
    host: 'openrouter.ai',
    path: '/api/v1/key',
    headers: bearer,
    client: ['OPENROUTER_API_KEY', 'OPENROUTER_BASE_URL', '/api/v1'],
  },
  pagerduty: {
    answers: { host: 'api.eu.pagerduty.com' },
    host: 'api.eu.pagerduty.com',
    path: '/abilities',
    headers: { authorization: `Token token=${KEY}` },
  },
  postmark: {
    host: 'api.postmarkapp.com',
    path: '/server',
    headers: { 'x-postmark-server-token': KEY, accept: 'application/json' },
  },
  sendgrid: { host: 'api.sendgrid.com', path: '/v3/scopes', headers: bearer },
  sentry: {
    host: 'sentry.io',
    path: '/api/0/',
    headers: bearer,
    client: ['SENTRY_AUTH_TOKEN', 'SENTRY_URL', '/'],
  },
  shopify: {
    answers: { shop: 'acme' },
    host: 'acme.myshopify.com',
    path: '/admin/oauth/access_scopes.json',
    headers: { 'x-shopify-access-token': KEY },
  },
  slack: { host: 'slack.com', path: '/api/auth.test', headers: bearer },
  stripe: { host: 'api.stripe.com', path: '/v1/balance', headers: bearer },
  twilio: {
    answers: { account: `AC${HEX}`, sid: `SK${HEX}` },
    host: 'api.twilio.com',
    path: `/2010-04-01/Accounts/AC${HEX}/IncomingPhoneNumbers.json`,
    headers: basic(`SK${HEX}`),
  },
  vercel: { host: 'api.vercel.com', path: '/v2/user', headers: bearer },
  zendesk: {
    answers: { subdomain: 'acme', email: 'ada@example.com' },
    host: 'acme.zendesk.com',
    path: '/api/v2/users/me.json',
    headers: basic('ada@example.com/token'),
  },
}
