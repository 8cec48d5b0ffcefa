import { type BigIntStats, lstatSync, renameSync, statSync, unlinkSync } from 'node:fs'
import { connect, type Server } from 'node:net'
import { dirname } from 'node:path'
import { LocumError } from '../core/errors.ts'

/** The bit by which a folder passes its group on (S_ISGID). */
const SET_GROUP = 0o2000

/**
 * Listens on a Unix socket: 0600, or 0660 in a folder that passes its group on, which is how an
 * operator shares it. A socket that a dead process left is replaced, any other file and a socket that
 * somebody serves are not. The server removes it when it closes. Rejects with bad_request.
 */
export async function listenOnPath(server: Server, path: string, backlog?: number): Promise<void> {
  try {
    await attempt(server, path, backlog)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw unusable(path, thrown)
    await removeStale(path)
    await attempt(server, path, backlog).catch((again: unknown) => {
      throw unusable(path, again)
    })
  }
}

function attempt(server: Server, path: string, backlog: number | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const shared = (statSync(dirname(path)).mode & SET_GROUP) !== 0
    server.once('error', reject)
    // The socket is made inside `listen`, with what the mask leaves: it is never open to more, not for a moment.
    const before = process.umask(shared ? 0o117 : 0o177)
    try {
      server.listen({ path, backlog }, () => {
        server.off('error', reject)
        resolve()
      })
    } finally {
      process.umask(before)
    }
  })
}

/** Throws bad_request where the socket is served, or is none. */
async function removeStale(path: string): Promise<void> {
  const found = identify(path)
  if (!found) return
  if (!found.isSocket()) {
    throw new LocumError('bad_request', `There is a file at ${path} that is no socket.`, {
      hint: 'Remove it, or choose another path.',
    })
  }
  if (await isServed(path)) throw inUse(path)
  // Another may have done the same meanwhile, and serve there now.
  const now = identify(path)
  if (!now) return
  if (!isSame(now, found)) throw inUse(path)
  // Or since then, in another process: whoever moved a socket that is not the dead one puts it back.
  const aside = `${path}.${process.pid}`
  renameSync(path, aside)
  if (isSame(identify(aside), found)) return unlinkSync(aside)
  renameSync(aside, path)
  throw inUse(path)
}

function identify(path: string): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false })
}

/** By the time too: the number of a file that is gone is given to the next one that is made. */
function isSame(a: BigIntStats | undefined, b: BigIntStats): boolean {
  return a?.ino === b.ino && a.mtimeNs === b.mtimeNs
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false)
      // Its queue is full: somebody is there.
      else if (error.code === 'EAGAIN') resolve(true)
      else reject(unusable(path, error))
    })
  })
}

function inUse(path: string): LocumError {
  return new LocumError('bad_request', `The Unix socket ${path} is in use by another program.`, {
    hint: 'Stop that program, or choose another path.',
  })
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'is in a folder that is not there',
  ENOTDIR: 'is in something that is no folder',
  EACCES: 'may not be made by this user',
  EPERM: 'may not be made by this user',
  EADDRINUSE: 'is in use by another program',
  ENAMETOOLONG: 'has a path that is too long for this system',
  EINVAL: 'has a path that is too long for this system',
  EROFS: 'is in a folder that cannot be written to',
}

function unusable(path: string, thrown: unknown): unknown {
  const reason = REASONS[(thrown as NodeJS.ErrnoException).code ?? '']
  if (reason === undefined) return thrown
  return new LocumError('bad_request', `The Unix socket ${path} ${reason}.`, {
    hint: 'Choose another path, or make its folder first.',
    cause: thrown,
  })
}
