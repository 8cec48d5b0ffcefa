import type { Attack } from '../attack.ts'

export const attack: Attack = {
  title: 'CONNECT opens a way to declared hosts and ports, and to nothing else',
  rule: 'R16',
  published: 'agentcage PR 214',
  needs: ['connect'],
  async run(ground) {
    const { allowed, stranger, strangerPlain, plain, subject } = ground
    const wrong: string[] = []
    for (const authority of [
      stranger.authority,
      strangerPlain.authority,
      `${allowed.host}:${strangerPlain.port}`,
      `${allowed.host}:${plain.port}`,
      `${allowed.host}:22`,
      `${allowed.host}:0`,
      `127.0.0.1:${allowed.port}`,
      `127.0.0.1:${subject.port}`,
      `localhost:${subject.port}`,
      `[::1]:${subject.port}`,
      `${allowed.host}`,
      `${allowed.host}:`,
      `${allowed.host}:65536`,
      `${allowed.host}:${allowed.port}/`,
      `${allowed.host}:${allowed.port}?`,
      `a@${allowed.host}:${allowed.port}`,
    ]) {
      const tunnel = await ground.tunnel(authority, { plain: true }).catch(() => undefined)
      if (!tunnel) continue
      wrong.push(`CONNECT ${authority.replace(/\d{4,}/, 'PORT')} is answered with 200`)
      tunnel.socket.destroy()
    }
    return wrong
  },
}
