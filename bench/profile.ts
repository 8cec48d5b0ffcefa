import { writeFileSync } from 'node:fs'

/** µs between two samples. */
const INTERVAL = 200

/** Writes what a Node process does while `work` goes on as a V8 CPU profile. `port`: of its inspector. */
export async function profileWhile<T>(port: number, file: string, work: () => Promise<T>): Promise<T> {
  const inspector = await connect(port)
  try {
    await inspector.call('Profiler.enable')
    await inspector.call('Profiler.setSamplingInterval', { interval: INTERVAL })
    await inspector.call('Profiler.start')
    const result = await work()
    const { profile } = (await inspector.call('Profiler.stop')) as { profile: unknown }
    writeFileSync(file, JSON.stringify(profile))
    return result
  } finally {
    inspector.close()
  }
}

interface Inspector {
  /** Rejects where the inspector does not answer with a result. */
  call(method: string, params?: object): Promise<unknown>
  close(): void
}

async function connect(port: number): Promise<Inspector> {
  const [target] = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as [
    { webSocketDebuggerUrl: string },
  ]
  const socket = new WebSocket(target.webSocketDebuggerUrl)
  const waiting = new Map<number, (answer: { result?: unknown; error?: { message: string } }) => void>()
  socket.addEventListener('message', ({ data }) => {
    const answer = JSON.parse(String(data))
    waiting.get(answer.id)?.(answer)
    waiting.delete(answer.id)
  })
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', reject)
  })
  let last = 0
  return {
    call(method, params = {}) {
      const id = ++last
      socket.send(JSON.stringify({ id, method, params }))
      return new Promise((resolve, reject) => {
        waiting.set(id, ({ result, error }) => (error ? reject(new Error(error.message)) : resolve(result)))
      })
    },
    close: () => socket.close(),
  }
}
