import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { getCACertificates } from 'node:tls'
import { LocumError } from '../core/errors.ts'
import type { TrustFiles } from './client-environment.ts'
import { isGone } from './left-behind.ts'

/** Where systems keep the roots that their programs trust, as one file. */
const SYSTEM_ROOTS = [
  '/etc/ssl/certs/ca-certificates.crt', // Debian, Ubuntu, Arch, Gentoo
  '/etc/pki/tls/certs/ca-bundle.crt', // Fedora, RHEL
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', // CentOS
  '/etc/ssl/ca-bundle.pem', // SUSE
  '/etc/ssl/cert.pem', // Alpine, macOS, OpenBSD
  '/usr/local/share/certs/ca-root-nss.crt', // FreeBSD
]

const CERTIFICATE = /-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/g

export interface TrustFolder extends TrustFiles {
  readonly folder: string
  /** It and all that is in it. */
  remove(): void
}

/** `locum-run-PID-HOST-` and six characters of chance. */
const FOLDER = /^locum-run-(\d+)-(.+)-[A-Za-z0-9]{6}$/

/**
 * A private folder with what a program has to trust: `caPem` beside what it would trust anyway. Takes down,
 * too, what commands of this user were killed on. Throws bad_request where none can be made.
 * `truststore` makes a PKCS #12. `warn` is told of a file that a variable names and that cannot be read.
 */
export async function makeTrustFolder(x: {
  readonly caPem: string
  truststore(certificates: readonly { readonly raw: Buffer }[]): Promise<Buffer>
  warn(line: string): void
}): Promise<TrustFolder> {
  const folder = makeFolder()
  const remove = () => rmSync(folder, { recursive: true, force: true })
  // Where the process ends in a way of its own, too.
  process.once('exit', remove)
  const made = new Map<string, string>()
  let files = 0

  /** The same text is one file, however many variables name it. */
  const keep = (text: string): string => {
    const known = made.get(text)
    if (known !== undefined) return known
    const path = write(`trust-${++files}.pem`, text)
    made.set(text, path)
    return path
  }
  const write = (name: string, text: string | Buffer): string => {
    const path = join(folder, name)
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
    return path
  }
  const read = (path: string): string | undefined => {
    try {
      return readFileSync(path, 'utf8')
    } catch (thrown) {
      x.warn(`${path} cannot be read (${(thrown as NodeJS.ErrnoException).code}) and is left out`)
      return undefined
    }
  }
  const systemRoots = once(() => {
    const found = SYSTEM_ROOTS.find((path) => existsSync(path))
    const text = found === undefined ? undefined : read(found)
    return text ?? getCACertificates('bundled').join('\n')
  })
  const named = (path: string | undefined) => (path === undefined ? undefined : read(path))
  const withCa = (text: string) => `${text.trimEnd()}\n${x.caPem}`

  try {
    const roots = (before: string | undefined) => keep(withCa(named(before) ?? systemRoots()))
    const all = [...withCa(systemRoots()).matchAll(CERTIFICATE)]
    const truststore = await x.truststore(
      all.map(([, text]) => ({ raw: Buffer.from(text as string, 'base64') })),
    )
    return {
      folder,
      roots,
      addition: (before) => keep(withCa(named(before) ?? '').trimStart()),
      truststore: write('truststore.p12', truststore),
      write: (name, text, after) =>
        write(name, after !== undefined && existsSync(after) ? `${read(after) ?? ''}\n${text}` : text),
      remove() {
        process.off('exit', remove)
        remove()
      },
    }
  } catch (thrown) {
    remove()
    throw thrown
  }
}

/** Its path is absolute: the program may work in another folder. */
function makeFolder(): string {
  const parent = resolve(tmpdir())
  takeDownLeftBehind(parent)
  try {
    return mkdtempSync(join(parent, `locum-run-${process.pid}-${hostname()}-`))
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new LocumError('bad_request', `There can be no folder for certificates in ${parent} (${code}).`, {
      hint: 'TMPDIR names another place.',
      cause,
    })
  }
}

function takeDownLeftBehind(parent: string): void {
  try {
    for (const name of readdirSync(parent)) {
      const path = join(parent, name)
      if (isLeftBehind(name, path)) rmSync(path, { recursive: true, force: true })
    }
  } catch {
    // What cannot be listed or taken down stays for the next, and keeps nobody from running a program.
  }
}

function isLeftBehind(name: string, path: string): boolean {
  const [, pid, host = ''] = FOLDER.exec(name) ?? []
  if (pid === undefined || !isGone({ host, pid: Number(pid) })) return false
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isDirectory() === true && found.uid === process.getuid?.()
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
