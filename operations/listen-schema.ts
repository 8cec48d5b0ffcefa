import Type, { type Static } from 'typebox'
import { about, closed } from './schema.ts'

/** `listen` in the file. */

const Address = Type.String({
  pattern: '^(?:unix:[^\\u0000]+|(?:[A-Za-z0-9.-]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5})$',
  expected: 'HOST:PORT, such as 127.0.0.1:8080, or unix:/path',
})

const PemPath = Type.String({ minLength: 1, expected: 'a path of a PEM file, relative to this file' })

const Tls = closed(
  {
    cert: about(
      'Its certificate, with the chain behind it. A renewed one is shown without a restart.',
      PemPath,
    ),
    key: about("The certificate's private key, without a passphrase.", PemPath),
    clientCa: Type.Optional(
      about(
        'The CA of client certificates. At the proxy and the gateway one says who calls, as a key does; at the console and for the public, only who shows one is let in.',
        PemPath,
      ),
    ),
  },
  '{ cert, key }',
)

export const ListenEntry = Type.Union([
  Address,
  closed(
    {
      address: about('HOST:PORT, or unix:/path with a path relative to this file.', Address, {
        examples: ['0.0.0.0:8443', 'unix:/run/locum/proxy.sock'],
      }),
      tls: Type.Optional(
        about('TLS of this listener. Without it only loopback addresses and Unix sockets are taken.', Tls),
      ),
    },
    '{ address, tls: { cert, key } }',
  ),
])

export const ListenSection = closed({
  proxy: Type.Optional(
    about('The address that clients use as their proxy, and of the gateway.', ListenEntry, {
      default: '127.0.0.1:8080',
    }),
  ),
  console: Type.Optional(
    about('The address of health, readiness and the CA certificate.', ListenEntry, {
      default: '127.0.0.1:8081',
    }),
  ),
  gateway: Type.Optional(
    about('An address for the gateway alone. The proxy goes on serving it too.', ListenEntry),
  ),
  public: Type.Optional(
    about("An address for the console's public pages alone, such as a load balancer's.", ListenEntry),
  ),
  allowPlaintextListener: Type.Optional(
    about(
      'Says that the network is trusted: addresses that are open to it need no TLS. Keys then cross it in clear.',
      Type.Boolean(),
      { default: false },
    ),
  ),
})

export type ListenEntry = Static<typeof ListenEntry>
