import { clientHello, inRecords } from '../../kit/client-hello.ts'
import { settled } from '../asking.ts'
import type { Attack } from '../attack.ts'

const NAMES = [
  '',
  '.',
  '..',
  '*',
  '*.localhost',
  '\0',
  'a\0b',
  'allowed.localhost\0',
  'allowed.localhost.',
  '../../etc/passwd',
  'xn--',
  'xn--a',
  'xn--127.0.0.1',
  '127.0.0.1',
  '[::1]',
  '::1',
  'a b',
  'a/b',
  'a\\b',
  'a:b',
  'a@b',
  '-a',
  'a-',
  '_',
  '%00',
  '\xff',
  '\r\nHost: x',
  '<script>',
  "'",
  '"',
  '`id`',
  '$(x)',
  '__proto__',
  'constructor',
  'x'.repeat(63),
  'x'.repeat(64),
  'x'.repeat(255),
  'x'.repeat(256),
  'a.'.repeat(200),
  'x'.repeat(60_000),
]

export const attack: Attack = {
  title: 'no server name of TLS, whatever is in it, brings the proxy down or opens the tunnel',
  rule: 'R20',
  needs: ['connect'],
  async run(ground) {
    const { allowed } = ground
    const wrong: string[] = []
    for (const name of NAMES) {
      const tunnel = await ground.tunnel(allowed.authority, { plain: true })
      tunnel.socket.write(inRecords(clientHello({ names: [[name]] }), 16_000))
      await settled(tunnel)
      // A record of type 22 would be a ServerHello: the name was accepted.
      if (
        tunnel.received.charCodeAt(0) === 22 &&
        name.toLowerCase().replace(/\.$/, '') !== allowed.host &&
        name !== ''
      )
        wrong.push(`a certificate is shown for ${JSON.stringify(name.slice(0, 40))}`)
      tunnel.socket.destroy()
    }
    return wrong
  },
}
