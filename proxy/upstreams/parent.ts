import type { Socket } from 'node:net'
import { type Egress, isDirect } from '../../core/egress.ts'
import { LocumError } from '../../core/errors.ts'
import { type ClientConnection, Fields, type RequestHead, type ResponseHandler } from '../wire/message.ts'
import { Dial, type DialContext } from './dial.ts'
import { parentError, parentFault, parentRefusal } from './faults.ts'
import type { UpstreamSpec } from './spec.ts'

/** `final`: another address would be refused as well. */
export type Opened = (error: LocumError | undefined, socket: Socket | undefined, final: boolean) => void

/**
 * The way out by a parent proxy. It is asked by CONNECT, for http upstreams too: so it gets the address
 * that was judged and no name to look up again, sees no head with a secret in it, and what it says
 * cannot be taken for an upstream's answer.
 */
export class Parent {
  readonly #egress: Egress
  readonly #context: DialContext
  readonly #connect: (socket: Socket) => ClientConnection
  readonly #spec: UpstreamSpec

  constructor(egress: Egress, context: DialContext, connect: (socket: Socket) => ClientConnection) {
    this.#egress = egress
    this.#context = context
    this.#connect = connect
    const { scheme, host, port, ca } = egress
    // Where a proxy stands is the operator's word; Locum's own listeners are refused all the same.
    this.#spec = {
      key: 'egress',
      destination: { scheme, host, port, wildcard: false },
      ca,
      allowPrivateNetwork: true,
    }
  }

  /** Whether what is asked for as `host` leaves this way. */
  carries(host: string): boolean {
    return !isDirect(this.#egress.direct, host)
  }

  /**
   * A tunnel to one address, asked for by `start`. `done` is called once, perhaps inside it, and never
   * after `cancel`; its socket is paused.
   * `raw`: the other side may speak first.
   */
  open(address: string, port: number, raw: boolean, done: Opened): Opening {
    const opening = new Opening(done, port, raw)
    const authority = `${address.includes(':') ? `[${address}]` : address}:${port}`
    const fields = new Fields()
    const { authorization } = this.#egress
    if (authorization) fields.append('Proxy-Authorization', authorization.reveal())
    const dial = new Dial(this.#context, this.#spec, (error, socket) => {
      if (error) opening.fail(parentError(error))
      else if (socket) opening.ask(this.#connect(socket), connectTo(authority, fields))
    })
    opening.dial = dial
    return opening
  }
}

function connectTo(authority: string, fields: Fields): RequestHead {
  return {
    method: 'CONNECT',
    target: authority,
    minor: 1,
    host: authority,
    fields,
    contentLength: undefined,
    chunked: false,
    upgrade: undefined,
    expectContinue: false,
  }
}

/** One tunnel that is asked for. The bounds of heads and interim answers are the wire's, that of time the dial's. */
export class Opening implements ResponseHandler {
  #done: Opened | undefined
  readonly #port: number
  readonly #raw: boolean
  /** To the proxy itself. */
  dial: Dial | undefined
  #connection: ClientConnection | undefined

  constructor(done: Opened, port: number, raw: boolean) {
    this.#done = done
    this.#port = port
    this.#raw = raw
  }

  start(): void {
    this.dial?.start()
  }

  ask(connection: ClientConnection, head: RequestHead): void {
    this.#connection = connection
    connection.send(head, undefined, this)
  }

  cancel(): void {
    this.#done = undefined
    this.dial?.cancel()
    this.#connection?.destroy()
  }

  fail(error: LocumError, final = false): void {
    const done = this.#done
    this.cancel()
    done?.(error, undefined, final)
  }

  informational(): void {}

  response({ status }: { status: number }): void {
    this.fail(parentRefusal(status, this.#port), status === 407)
  }

  upgraded(_head: unknown, { socket, rest }: Parameters<ResponseHandler['upgraded']>[1]): void {
    const done = this.#done
    this.#done = undefined
    if (!done || (rest.length > 0 && !this.#raw)) {
      socket.destroy()
      const says = 'The egress proxy sent more than its answer.'
      done?.(new LocumError('upstream_unreachable', says), undefined, false)
      return
    }
    if (rest.length > 0) socket.unshift(rest)
    done(undefined, socket as Socket, false)
  }

  failed(fault: Parameters<ResponseHandler['failed']>[0]): void {
    this.fail(parentFault(fault))
  }
}
