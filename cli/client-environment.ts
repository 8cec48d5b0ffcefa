/** What a program is given to reach the world through Locum. */
export interface ClientGifts {
  /** `http://ID:KEY@HOST:PORT`, its parts percent-encoded. */
  readonly proxyUrl: string
  /** The same without who calls. */
  readonly bareUrl: string
  readonly id: string
  readonly key: string
  /** Hosts that are reached directly, as NO_PROXY has them. */
  readonly direct: readonly string[]
  /** The user's own folder, where there is one. */
  readonly home: string | undefined
  readonly trust: TrustFiles
}

/** Files with certificates. Each gives the path of one that holds what `before` named, and the site's CA too. */
export interface TrustFiles {
  /** All that is trusted: `before`, or else the roots of this machine, and the site's CA. */
  roots(before: string | undefined): string
  /** What is trusted beside the roots: `before`, where there is one, and the site's CA. */
  addition(before: string | undefined): string
  /** The roots of this machine and the site's CA, as a PKCS #12 whose password is `changeit`. */
  readonly truststore: string
  /** A file of that name with that text, behind what the file `after` says, where there is one. */
  write(name: string, text: string, after?: string): string
}

/** A variable, or one in several spellings. */
interface ClientVariable {
  readonly names: readonly [string, ...string[]]
  readonly readBy: string
  /** For people, as in the documentation. */
  readonly holds: string
  /** `before`: what the first of the names that is set held. Undefined where it stays as it is. */
  value(gifts: ClientGifts, before: string | undefined): string | undefined
}

const proxy = (names: ClientVariable['names'], readBy: string): ClientVariable => ({
  names,
  readBy,
  holds: 'the proxy, with a key of its own',
  value: ({ proxyUrl }) => proxyUrl,
})

const roots = (names: ClientVariable['names'], readBy: string): ClientVariable => ({
  names,
  readBy,
  holds: "the machine's roots (or what it named before) and the site's CA",
  value: ({ trust }, before) => trust.roots(before),
})

const addition = (names: ClientVariable['names'], readBy: string): ClientVariable => ({
  names,
  readBy,
  holds: "the site's CA (and what it named before)",
  value: ({ trust }, before) => trust.addition(before),
})

/** Everything that a program is given, and who reads it. docs/ENVIRONMENT.md is this table. */
export const CLIENT_VARIABLES: readonly ClientVariable[] = [
  proxy(['http_proxy', 'HTTP_PROXY'], 'nearly everything; curl the first spelling only'),
  proxy(['https_proxy', 'HTTPS_PROXY'], 'nearly everything'),
  proxy(['all_proxy', 'ALL_PROXY'], 'curl, httpx, reqwest, for whatever scheme has none of its own'),
  {
    names: ['no_proxy', 'NO_PROXY'],
    readBy: 'the same',
    holds: 'this machine, and what it held before, but for hosts that a connection names',
    value: ({ direct }) => direct.join(','),
  },
  {
    names: ['NODE_USE_ENV_PROXY'],
    readBy: "Node 22.21 and 24: fetch, http, https (without it they read no proxy's variable)",
    holds: '1',
    value: () => '1',
  },
  addition(['NODE_EXTRA_CA_CERTS'], 'Node, Bun, Electron'),
  roots(
    ['SSL_CERT_FILE'],
    'OpenSSL, and with it Python (urllib, httpx, aiohttp), Ruby, PHP and .NET; Go; rustls; uv',
  ),
  roots(['CURL_CA_BUNDLE'], 'curl, R'),
  roots(['REQUESTS_CA_BUNDLE'], "Python's requests, the Azure CLI, conda"),
  roots(['PIP_CERT'], 'pip'),
  proxy(['PIP_PROXY'], 'pip, before its own file'),
  roots(['HTTPLIB2_CA_CERTS'], "Python's httplib2"),
  roots(['WEBSOCKET_CLIENT_CA_BUNDLE'], "Python's websocket-client"),
  roots(['GRPC_DEFAULT_SSL_ROOTS_FILE_PATH'], 'gRPC in C++, Python, Ruby, PHP'),
  roots(['AWS_CA_BUNDLE'], 'the AWS CLI and SDKs'),
  roots(['CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE'], 'gcloud'),
  roots(['GIT_SSL_CAINFO'], 'git'),
  roots(['CARGO_HTTP_CAINFO'], 'cargo'),
  proxy(['CARGO_HTTP_PROXY'], 'cargo, before its own file'),
  roots(['npm_config_cafile', 'NPM_CONFIG_CAFILE'], 'npm, pnpm'),
  proxy(['npm_config_proxy', 'NPM_CONFIG_PROXY'], 'npm, pnpm, before their own files'),
  proxy(['npm_config_https_proxy', 'NPM_CONFIG_HTTPS_PROXY'], 'npm, pnpm, before their own files'),
  proxy(['YARN_HTTP_PROXY', 'YARN_HTTPS_PROXY'], 'Yarn'),
  addition(['DENO_CERT'], 'Deno'),
  roots(['BUNDLE_SSL_CA_CERT'], "Ruby's Bundler"),
  roots(['COMPOSER_CAFILE'], "PHP's Composer"),
  roots(['PERL_LWP_SSL_CA_FILE'], "Perl's LWP"),
  roots(['NIX_SSL_CERT_FILE'], 'Nix, and what it built'),
  {
    names: ['WGETRC'],
    readBy: 'wget, which has no variable for it',
    holds: "a file with what it named before (or ~/.wgetrc) and the site's CA",
    value: ({ trust, home }, before) =>
      trust.write(
        'wgetrc',
        `ca_certificate = ${trust.roots(undefined)}\n`,
        before ?? (home && `${home}/.wgetrc`),
      ),
  },
  {
    names: ['JAVA_TOOL_OPTIONS'],
    readBy: 'every Java, which says so on standard error',
    holds: 'what it held before, the address of the proxy, and a truststore',
    value: (gifts, before) => joined(before, javaOptions(gifts).map(quoted).join(' ')),
  },
  {
    names: ['JDK_JAVA_OPTIONS'],
    readBy:
      'Java from 9 on; the file holds http.proxyUser and http.proxyPassword, for programs that read them',
    holds: 'what it held before, and a file with who calls',
    value: ({ id, key, trust }, before) => {
      const lines = ['http', 'https'].flatMap((scheme) => [
        `-D${scheme}.proxyUser=${id}`,
        `-D${scheme}.proxyPassword=${key}`,
      ])
      // A file, because Java shows what is in the variable.
      return joined(before, quoted(`@${trust.write('java-options', `${lines.join('\n')}\n`)}`))
    },
  },
  {
    names: ['LOCUM_URL'],
    readBy: 'your own programs: the gateway is at $LOCUM_URL/c/NAME/',
    holds: 'where Locum listens',
    value: ({ bareUrl }) => bareUrl,
  },
  {
    names: ['LOCUM_KEY'],
    readBy: 'your own programs: `Locum-Authorization: Bearer $LOCUM_KEY`',
    holds: 'the key alone',
    value: ({ key }) => key,
  },
]

function joined(before: string | undefined, ours: string): string {
  return before === undefined || before.trim() === '' ? ours : `${before} ${ours}`
}

/** For a variable that Java splits at blanks; it knows both quotes, and no way to escape one. */
function quoted(option: string): string {
  if (!/[\s"']/.test(option)) return option
  return option.includes('"') ? `'${option}'` : `"${option}"`
}

function javaOptions({ bareUrl, direct, trust }: ClientGifts): string[] {
  const { hostname, port } = new URL(bareUrl)
  const host = hostname.replace(/^\[|\]$/g, '')
  const hosts = direct.map((host) =>
    host.startsWith('.') ? `*${host}` : host.includes(':') ? `[${host}]` : host,
  )
  return [
    ...['http', 'https'].flatMap((scheme) => [
      `-D${scheme}.proxyHost=${host}`,
      `-D${scheme}.proxyPort=${port}`,
    ]),
    `-Dhttp.nonProxyHosts=${hosts.join('|')}`,
    // Java refuses to show a name and a password to a proxy for https otherwise.
    '-Djdk.http.auth.tunneling.disabledSchemes=',
    `-Djavax.net.ssl.trustStore=${trust.truststore}`,
    '-Djavax.net.ssl.trustStoreType=PKCS12',
    '-Djavax.net.ssl.trustStorePassword=changeit',
  ]
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Locum's own, the master key among it, and what the command's script sets for itself. */
const OWN = /^LOCUM_/i

/** `before` with everything that a client needs, and with nothing of Locum's but that. */
export function clientEnvironment(before: Environment, gifts: ClientGifts): Record<string, string> {
  const env: Record<string, string> = {}
  // The script in bin/ says so where the size of the thread pool is not the user's own.
  const drop = before.LOCUM_POOL === 'own' ? 'UV_THREADPOOL_SIZE' : undefined
  for (const [name, value] of Object.entries(before)) {
    if (value !== undefined && !OWN.test(name) && name !== drop) env[name] = value
  }
  for (const { names, value } of CLIENT_VARIABLES) {
    const held = names.map((name) => env[name]).find((text) => text !== undefined && text !== '')
    const text = value(gifts, held)
    if (text !== undefined) for (const name of names) env[name] = text
  }
  return env
}
