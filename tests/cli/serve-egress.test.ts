import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { startParent } from '../kit/parent.ts'
import { startProgram } from './kit.ts'

// A program of its own starts here, on machines that may be busy.
t.setTimeout(120_000)

t.test('serve leaves by the parent proxy that its file names, and lets pass what it says', async (t) => {
  const parent = await startParent(t, {
    credentials: 'locum:corp-Passw0rd',
    to: () => (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'),
  })
  const folder = t.testdir({
    'corp.pw': 'corp-Passw0rd\n',
    'locum.yaml': `
unmatched: tunnel
egress: { proxy: "${parent.url}", username: locum, password: { file: corp.pw } }
principals: [{ id: billing, kind: service }]
identity: { default: billing }
`,
  })
  const program = startProgram(t, [
    'serve',
    ...['--data', `${folder}/data`, '--config', `${folder}/locum.yaml`],
    ...['--proxy', '127.0.0.1:0', '--console', '127.0.0.1:0', '--grace', '0'],
  ])
  const [, port] = await program.until(/proxy {4}http:\/\/127.0.0.1:(\d+)/)
  const client = connect(Number(port), '127.0.0.1')
  client.on('error', () => {})
  client.write('CONNECT 93.184.216.34:443 HTTP/1.1\r\nHost: 93.184.216.34:443\r\n\r\n')
  const [answer] = await once(client, 'data')
  t.match(String(answer), /^HTTP\/1\.1 200 /)
  client.destroy()
  t.same(parent.asked, ['93.184.216.34:443'])
  program.child.kill('SIGTERM')
  t.same(await program.ended(), { code: 0, signal: null })
  t.notMatch(`${program.said.out}${program.said.err}`, 'corp-Passw0rd')
})
