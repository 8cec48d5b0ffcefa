import Type, { type Static } from 'typebox'
import type { AuthMethods } from '../core/auth-method.ts'
import { type FileContent, readConfig, readConfigText } from './file.ts'
import type { Context } from './operation.ts'
import { closed } from './schema.ts'
import { type ReadText, readBeside } from './secret-source.ts'

/** A record that takes any name, and texts. */
const Texts = Type.Record(Type.String(), Type.String(), { expected: 'names with texts' })

/** A file, and all that it refers to. */
export const SentFile = closed({
  text: Type.String({ minLength: 1, expected: 'the text of the file' }),
  // What it is called where something is said of it; nothing is looked for there.
  file: Type.String({ pattern: '^[^\\u0000-\\u001f\\u007f]{1,256}$', expected: 'what the file is called' }),
  // By the paths and names that stand in it.
  files: Type.Optional(Texts),
  env: Type.Optional(Texts),
  prune: Type.Optional(Type.Boolean()),
})

type Sent = Omit<Static<typeof SentFile>, 'prune'>

/**
 * Reads a file that came from elsewhere. What it refers to came with it: neither a file nor a variable
 * of this process is ever read for it. Throws as `readConfigFile` does.
 */
export function readSentFile(
  { file, text, files = {}, env = {} }: Sent,
  { methods }: Pick<Context, 'methods'>,
): Promise<FileContent> {
  const readText: ReadText = async (path) =>
    Object.hasOwn(files, path)
      ? { text: files[path] as string }
      : { problem: `${path} was not sent with the file, and nothing is read on the server` }
  return readConfigText({ file, text, servesHere: false }, { methods, env: own(env), readText })
}

/** Without what every object has. */
function own<T>(members: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.assign(Object.create(null), members)
}

/** A file of this machine with what it refers to, ready to be sent. Throws as `readConfigFile` does. */
export async function gatherFile(
  file: string,
  { methods, env, readFile }: { methods: AuthMethods } & Pick<Context, 'env' | 'readFile'>,
): Promise<Sent> {
  const files: Record<string, string> = {}
  const used: Record<string, string> = {}
  const text = await readConfig(file, readFile)
  const beside = readBeside(file, readFile)
  await readConfigText(
    { file, text, servesHere: false },
    {
      methods,
      env: new Proxy(env, {
        get(variables, name: string) {
          const value = variables[name]
          if (value !== undefined) used[name] = value
          return value
        },
      }),
      async readText(path) {
        const read = await beside(path)
        if ('text' in read) files[path] = read.text
        return read
      },
    },
  )
  return { file, text, files, env: used }
}
