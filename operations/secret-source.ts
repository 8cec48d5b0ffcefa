import { dirname, resolve } from 'node:path'
import type { Json, JsonObject } from '../core/secret.ts'
import type { Context } from './operation.ts'

/** Reads what a file refers to. Returns the text, or what is wrong. */
export type ReadText = (path: string) => Promise<{ text: string } | { problem: string }>

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'it may not be read',
  EISDIR: 'it is a folder',
}

/** Paths are relative to the file that names them. */
export function readBeside(file: string, readFile: Context['readFile']): ReadText {
  return async (path) => {
    try {
      return { text: await readFile(resolve(dirname(file), path)) }
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      if (code === undefined) throw cause
      return { problem: `cannot read ${path}: ${REASONS[code] ?? code}` }
    }
  }
}

/** `{ env: NAME }` or `{ file: PATH }`, and nothing beside it. */
export function asSource(value: unknown): { env: string } | { file: string } | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
  const [member, ...more] = Object.entries(value)
  if (!member || more.length > 0 || typeof member[1] !== 'string' || member[1] === '') return undefined
  if (member[0] === 'env') return { env: member[1] }
  return member[0] === 'file' ? { file: member[1] } : undefined
}

/** The secret's text. One line end at the end of a file is no part of it. */
export async function readSecret(
  source: { env: string } | { file: string },
  env: Context['env'],
  readText: ReadText,
): Promise<{ text: string } | { problem: string }> {
  if ('env' in source) {
    const text = env[source.env]
    if (text === undefined) return { problem: `the environment variable ${source.env} is not set` }
    return text === '' ? { problem: `the environment variable ${source.env} is empty` } : { text }
  }
  const read = await readText(source.file)
  if ('problem' in read) return read
  const text = read.text.replace(/\r?\n$/, '')
  return text === '' ? { problem: `${source.file} is empty` } : { text }
}

/** A credential's fields with every source in them, however deep, replaced by what it names. */
export async function readFields(
  fields: { readonly [name: string]: unknown },
  env: Context['env'],
  readText: ReadText,
  report: (path: readonly string[], problem: string) => void,
): Promise<JsonObject> {
  async function read(value: unknown, path: readonly string[]): Promise<Json> {
    const source = path.length > 0 ? asSource(value) : undefined
    if (source) {
      const secret = await readSecret(source, env, readText)
      if ('text' in secret) return secret.text
      report(path, secret.problem)
      return null
    }
    if (value === null || typeof value !== 'object') return value as Json
    if (Array.isArray(value)) return Promise.all(value.map((item, i) => read(item, [...path, String(i)])))
    const members = Object.entries(value).map(
      async ([key, member]) => [key, await read(member, [...path, key])] as const,
    )
    return Object.fromEntries(await Promise.all(members))
  }
  return (await read(fields, [])) as JsonObject
}
