/**
 * What each client needs to go through Locum: what the tests set, and the README's table, which a test
 * compares with this. Whatever is named here is needed: a test leaves out one after the other.
 */
export interface Needs {
  /** As people call it. */
  readonly name: string
  /** By which it finds the proxy and says who calls. */
  readonly proxy: Settings
  /** By which it trusts the site's CA, for `https://`. */
  readonly trust: Settings
  /** What its code has to say, or its user to know; Markdown. */
  readonly note?: string
}

/** By name: an argument where that begins with `-`, else a variable of the environment. */
export type Settings = Readonly<Record<string, string>>

/** What stands for a value in settings. */
export const PROXY = 'http://ID:KEY@HOST:PORT'
export const CA = 'CA'
/** A Java trust store with the CA in it, and its password. */
export const STORE = 'STORE'
export const PASSWORD = 'changeit'

const USUAL = { HTTP_PROXY: PROXY, HTTPS_PROXY: PROXY }
const NODE = { ...USUAL, NODE_USE_ENV_PROXY: '1' }
/** undici takes it for https too, where there is no HTTPS_PROXY. */
const UNDICI = { HTTP_PROXY: PROXY }
const NODE_TRUST = { NODE_EXTRA_CA_CERTS: CA }
const OPENSSL_TRUST = { SSL_CERT_FILE: CA }

export const NEEDS = {
  curl: {
    name: 'curl',
    proxy: { http_proxy: PROXY, HTTPS_PROXY: PROXY },
    trust: { CURL_CA_BUNDLE: CA },
    note: '`http_proxy` in lower case',
  },
  wget: {
    name: 'wget',
    proxy: { http_proxy: PROXY, https_proxy: PROXY },
    trust: { '--ca-certificate': CA },
    note: 'both in lower case',
  },
  git: {
    name: 'git',
    proxy: { http_proxy: PROXY, HTTPS_PROXY: PROXY },
    trust: { GIT_SSL_CAINFO: CA },
    note: 'a connection with `basic` puts the password in',
  },
  urllib: { name: 'Python urllib', proxy: USUAL, trust: OPENSSL_TRUST },
  requests: { name: 'requests', proxy: USUAL, trust: { REQUESTS_CA_BUNDLE: CA } },
  httpx: { name: 'httpx', proxy: USUAL, trust: OPENSSL_TRUST },
  aiohttp: { name: 'aiohttp', proxy: USUAL, trust: OPENSSL_TRUST, note: '`ClientSession(trust_env=True)`' },
  fetch: {
    name: "Node's fetch",
    proxy: { ...UNDICI, NODE_USE_ENV_PROXY: '1' },
    trust: NODE_TRUST,
    note: 'Node 24; it tunnels `http://` too',
  },
  http: { name: "Node's http", proxy: NODE, trust: NODE_TRUST, note: 'Node 24' },
  undici: { name: 'undici', proxy: UNDICI, trust: NODE_TRUST, note: '`dispatcher: new EnvHttpProxyAgent()`' },
  axios: { name: 'axios', proxy: USUAL, trust: NODE_TRUST },
  got: { name: 'got', proxy: NODE, trust: NODE_TRUST, note: 'Node 24' },
  octokit: {
    name: 'octokit',
    proxy: { ...UNDICI, NODE_USE_ENV_PROXY: '1' },
    trust: NODE_TRUST,
    note: "`auth: '<<$Auth.API_Key>>'`",
  },
  stripe: {
    name: 'stripe',
    proxy: USUAL,
    trust: NODE_TRUST,
    note: '`httpAgent: new https.Agent({ proxyEnv: process.env })`',
  },
  openai: {
    name: 'openai',
    proxy: { ...UNDICI, NODE_USE_ENV_PROXY: '1' },
    trust: NODE_TRUST,
    note: "`apiKey: '<<$Auth.API_Key>>'`",
  },
  anthropic: {
    name: 'anthropic',
    proxy: { ...UNDICI, NODE_USE_ENV_PROXY: '1' },
    trust: NODE_TRUST,
    note: "`apiKey: '<<$Auth.API_Key>>'`",
  },
  aws: {
    name: 'AWS CLI',
    proxy: USUAL,
    trust: { AWS_CA_BUNDLE: CA },
    note: '`--no-sign-request`; a common header puts the secret in',
  },
  go: { name: 'Go net/http', proxy: USUAL, trust: OPENSSL_TRUST },
  java: {
    name: 'Java HttpClient',
    proxy: {
      '-Dhttp.proxyHost': 'HOST',
      '-Dhttp.proxyPort': 'PORT',
      '-Dhttps.proxyHost': 'HOST',
      '-Dhttps.proxyPort': 'PORT',
      '-Djdk.http.auth.tunneling.disabledSchemes': '',
    },
    trust: { '-Djavax.net.ssl.trustStore': STORE, '-Djavax.net.ssl.trustStorePassword': PASSWORD },
    note: '`.header("Proxy-Authorization", "Basic …")`, and no `Authenticator`',
  },
  chromium: {
    name: 'Chromium',
    proxy: { '--proxy-server': 'http://HOST:PORT' },
    trust: {},
    note: 'asks for ID and KEY; the CA is imported as an authority',
  },
} as const satisfies Record<string, Needs>

/** What a user has at hand. */
export interface Means {
  /** Empty for a site's default caller, who has no key either. */
  readonly id: string
  readonly key: string
  readonly port: number
  readonly caFile: string
  readonly store?: string
}

/** Settings with their values. */
export function filled(settings: Settings, { id, key, port, caFile, store = '' }: Means): Settings {
  const values: Settings = {
    [PROXY]: `http://${id === '' ? '' : `${id}:${key}@`}127.0.0.1:${port}`,
    [CA]: caFile,
    [STORE]: store,
    HOST: '127.0.0.1',
    PORT: String(port),
  }
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, values[value] ?? value]))
}

const shownOf = (settings: Settings): string =>
  Object.entries(settings)
    .map(([name, value]) => (PLACEHOLDERS.has(value) ? `\`${name}\`` : `\`${name}=${value}\``))
    .join(', ')
const PLACEHOLDERS = new Set([PROXY, CA])

/** The table as the README shows it. */
export function needsTable(): string {
  const rows = Object.values<Needs>(NEEDS).map(
    ({ name, proxy, trust, note = '' }) => `| ${name} | ${shownOf(proxy)} | ${shownOf(trust)} | ${note} |`,
  )
  return [
    '| client | finds the proxy by | trusts its CA by | beside that |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}
