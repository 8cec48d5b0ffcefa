import { hostname } from 'node:os'

/** Whether a process is known to be gone: one of this machine that is no more. Its id may be another's by now. */
export function isGone({ host, pid }: { readonly host: string; readonly pid: number }): boolean {
  return host === hostname() && !isAlive(pid)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM'
  }
}
