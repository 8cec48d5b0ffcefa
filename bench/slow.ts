/**
 * Clients whose heads never end: they connect, begin a request, and send a byte now and then. One that is
 * closed comes again. Told the port and how many by a message; says `ready` when all have been there once.
 */
import { connect, type Socket } from 'node:net'

/** Each sends a byte once in so many ms, a part of them at a time. */
const PAUSE = 2000
const PARTS = 50
/** Clients that connect at once. */
const OPENING = 64

process.on('message', ({ port, clients }: { port: number; clients: number }) => {
  const sockets = new Set<Socket>()
  let begun = 0
  let ready = false
  const open = (): void => {
    const socket = connect(port, '127.0.0.1')
    const again = setTimeout(() => socket.destroy(), 10_000)
    socket.once('connect', () => {
      clearTimeout(again)
      sockets.add(socket)
      socket.write('GET http://slow.example/ HTTP/1.1\r\nHost: slow.example\r\nX: ')
      begun++
      if (begun < clients) next()
      else if (!ready) {
        ready = true
        process.send?.('ready')
      }
    })
    // Whatever ends it, another takes its place.
    socket.on('error', () => {})
    socket.on('data', () => {})
    socket.once('close', () => {
      clearTimeout(again)
      sockets.delete(socket)
      open()
    })
  }
  let opened = 0
  const next = (): void => {
    if (opened++ < clients) open()
  }
  for (let i = 0; i < OPENING; i++) next()
  let part = 0
  setInterval(() => {
    part = (part + 1) % PARTS
    let i = 0
    for (const socket of sockets) if (i++ % PARTS === part) socket.write('x')
  }, PAUSE / PARTS)
})
