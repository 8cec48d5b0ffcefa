import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'

const ROOT = join(import.meta.dirname, '../..')
const SERVER = join(ROOT, 'node_modules/yaml-language-server/bin/yaml-language-server')
const EXAMPLE = readFileSync(join(ROOT, 'examples/billing.yaml'), 'utf8')

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: unknown
  readonly result?: unknown
}

interface Diagnostic {
  readonly message: string
  readonly range: { readonly start: { readonly line: number; readonly character: number } }
}

interface Editor {
  /** Opens a text as a file beside the examples; resolves with what is wrong with it. */
  open(name: string, text: string): Promise<readonly Diagnostic[]>
  /** What is offered behind the text that ends at `|`. */
  complete(name: string, text: string): Promise<Record<string, string>>
  /** What is shown at the first place of a word. */
  hover(name: string, text: string, word: string): Promise<string>
}

/** Messages of the Language Server Protocol 3.17, base protocol: a Content-Length and JSON. */
function messages(child: ChildProcess, take: (message: Message) => void): (message: object) => void {
  let held = Buffer.alloc(0)
  child.stdout?.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk])
    for (let end = held.indexOf('\r\n\r\n'); end >= 0; end = held.indexOf('\r\n\r\n')) {
      const length = Number(/Content-Length: (\d+)/i.exec(held.toString('latin1', 0, end))?.[1])
      if (held.length < end + 4 + length) return
      const text = held.toString('utf8', end + 4, end + 4 + length)
      held = held.subarray(end + 4 + length)
      take(JSON.parse(text))
    }
  })
  return (message) => {
    const text = JSON.stringify({ jsonrpc: '2.0', ...message })
    child.stdin?.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`)
  }
}

/** The YAML plugin of VS Code and most other editors, as one of them would start it; it needs no network. */
async function startEditor(t: Test): Promise<Editor> {
  // The test runner puts a loader into every child's environment, which a real editor does not.
  const clean = ['-c', 'unset NODE_OPTIONS; exec "$0" "$@"', process.execPath, SERVER, '--stdio']
  const child = spawn('sh', clean, { stdio: ['pipe', 'pipe', 'ignore'] })
  const ended = once(child, 'close')
  const gone = ended.then(([code]) => Promise.reject(new Error(`the server ended with ${code}`)))
  gone.catch(() => 'told to whoever waits for an answer')
  const answers = new Map<number, (result: unknown) => void>()
  const diagnosed = new Map<string, (found: readonly Diagnostic[]) => void>()
  let last = 0
  const send = messages(child, ({ id, method, params, result }) => {
    if (method === 'workspace/configuration') {
      const { items } = params as { items: { section: string }[] }
      send({ id, result: items.map(() => ({ schemaStore: { enable: false } })) })
    } else if (method !== undefined && id !== undefined) send({ id, result: null })
    else if (id !== undefined) answers.get(id)?.(result)
    else if (method === 'textDocument/publishDiagnostics') {
      const { uri, diagnostics } = params as { uri: string; diagnostics: Diagnostic[] }
      diagnosed.get(uri)?.(diagnostics)
    }
  })
  const ask = <T>(method: string, params: object) =>
    Promise.race([
      gone,
      new Promise<T>((resolve) => {
        answers.set(++last, resolve as (result: unknown) => void)
        send({ id: last, method, params })
      }),
    ])
  await ask('initialize', {
    processId: process.pid,
    rootUri: pathToFileURL(ROOT).href,
    capabilities: { workspace: { configuration: true } },
  })
  send({ method: 'initialized', params: {} })
  t.teardown(async () => {
    await ask('shutdown', {})
    send({ method: 'exit' })
    await ended
  })
  const uriOf = (name: string) => pathToFileURL(join(ROOT, 'examples', name)).href
  const open: Editor['open'] = (name, text) =>
    Promise.race([
      gone,
      new Promise<readonly Diagnostic[]>((resolve) => {
        const uri = uriOf(name)
        diagnosed.set(uri, resolve)
        send({
          method: 'textDocument/didOpen',
          params: { textDocument: { uri, languageId: 'yaml', version: 1, text } },
        })
      }),
    ])
  const at = (name: string, before: string) => {
    const lines = before.split('\n')
    return {
      textDocument: { uri: uriOf(name) },
      position: { line: lines.length - 1, character: (lines.at(-1) as string).length },
    }
  }
  return {
    open,
    async complete(name, text) {
      const [before, behind = ''] = text.split('|') as [string, string?]
      await open(name, before + behind)
      const { items } = await ask<{ items: { label: string; documentation?: unknown }[] }>(
        'textDocument/completion',
        at(name, before),
      )
      return Object.fromEntries(
        items.map(({ label, documentation }) => [label, JSON.stringify(documentation ?? '')]),
      )
    },
    async hover(name, text, word) {
      await open(name, text)
      const found = await ask<{ contents: { value: string } }>(
        'textDocument/hover',
        at(name, text.slice(0, text.indexOf(word) + 1)),
      )
      return found.contents.value
    },
  }
}

t.test('an editor with the YAML plugin knows the file', { timeout: 60_000 }, async (t) => {
  const editor = await startEditor(t)

  t.same(await editor.open('good.yaml', EXAMPLE), [], 'the example is as it should be')

  const typo = EXAMPLE.replace('destinations:', 'destinatons:').replace('source: shared', 'source: sharde')
  const line = (word: string) => typo.split('\n').findIndex((text) => text.includes(word))
  const found = await editor.open('typo.yaml', typo)
  const says = (at: number, message: RegExp) =>
    t.match(
      found.filter(({ range }) => range.start.line === at).map((each) => each.message),
      [message],
      `line ${at + 1}`,
    )
  says(line('destinatons:'), /destinatons is not allowed/)
  says(line('sharde'), /"shared", "per-profile", "per-user"/)
  t.match(
    found.map(({ message }) => message),
    [/Missing property "destinations"/],
  )

  const [wrong] = await editor.open('id.yaml', EXAMPLE.replace('id: billing', 'id: "a b"'))
  t.equal(wrong?.message, 'Expected an id of letters, digits and . _ @ - (at most 128)', 'in our own words')

  const head = '# yaml-language-server: $schema=../docs/locum.schema.json\n'
  const keys = await editor.complete(
    'keys.yaml',
    `${head}connections:\n  - name: stripe\n    destinations: [https://api.stripe.com]\n    |\n`,
  )
  t.match(Object.keys(keys).sort(), [
    'allow',
    'allowPlaintext',
    'allowPrivateNetwork',
    'auth',
    'base',
    'body',
    'budget',
    'ca',
  ])
  t.match(keys.auth, /How requests are authenticated/)
  t.notOk('name' in keys, 'what is there is not offered again')

  const chosen = await editor.complete(
    'methods.yaml',
    `${head}connections:\n  - name: stripe\n    destinations: [https://api.stripe.com]\n    auth:\n      method: |\n`,
  )
  t.match(Object.keys(chosen).sort(), [
    'api-key',
    'aws-keys',
    'aws-role',
    'basic',
    'jwt',
    'none',
    'oauth2',
    'raw',
    'separate-url',
  ])

  t.match(
    await editor.hover('hover.yaml', EXAMPLE, 'destinations:'),
    /What may be reached: scheme, host and port, without a path/,
  )
})
