/** A TCP relay between two processes that records every byte before it goes on (issue A: the leak search's medium). */
import { createWriteStream, type WriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { finished, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

export interface RelayOptions {
  /** Of the process that serves. */
  readonly targetHost: string
  readonly targetPort: number
  /** Recordings go here: `<name>-<connection>.up`, from who called, and `.down`, back to it. */
  readonly dir: string
  /** Of the link: letters, digits, dashes. */
  readonly name: string
}

export interface Relay {
  readonly host: string
  readonly port: number
  /** Bytes recorded so far, both directions. */
  readonly bytes: number
  /** Ends all connections; resolves when every recording is complete on disk. */
  close(): Promise<void>
}

const HOST = '127.0.0.1'

/** Listens on a free loopback port. @throws where the directory cannot be made or no port be had. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  await mkdir(options.dir, { recursive: true })
  const relay = new TcpRelay(options)
  await relay.listen()
  return relay
}

class TcpRelay implements Relay {
  readonly host = HOST
  readonly #options: RelayOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #recordings = new Set<Promise<void>>()
  #connections = 0
  #bytes = 0
  #failure: Error | undefined

  constructor(options: RelayOptions) {
    this.#options = options
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#join(socket))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get bytes(): number {
    return this.#bytes
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, HOST, resolve)
    })
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
    await Promise.all(this.#recordings)
    if (this.#failure !== undefined) throw this.#failure
  }

  #join(caller: Socket): void {
    this.#connections += 1
    const base = join(this.#options.dir, `${this.#options.name}-${this.#connections}`)
    const { targetHost, targetPort } = this.#options
    const target = connect({ host: targetHost, port: targetPort, allowHalfOpen: true })
    for (const socket of [caller, target]) {
      socket.setNoDelay(true)
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    }
    this.#pipe(caller, target, `${base}.up`)
    this.#pipe(target, caller, `${base}.down`)
  }

  #pipe(from: Socket, to: Socket, file: string): void {
    const recording = createWriteStream(file)
    const done = new Promise<void>((resolve) => {
      finished(recording, (error) => {
        if (error) this.#fail(error)
        resolve()
      })
    })
    this.#recordings.add(done)
    // A reset or a dead target ends both directions, as it would without a relay.
    pipeline(from, this.#tap(recording), to)
      .catch(() => {
        from.destroy()
        to.destroy()
      })
      .finally(() => recording.end())
  }

  /** What cannot be recorded does not pass: a search of half the bytes would prove nothing. */
  #tap(recording: WriteStream): Transform {
    return new Transform({
      transform: (chunk: Buffer, _encoding, next) => {
        this.#bytes += chunk.length
        if (recording.destroyed) next(new Error('the recording has failed'))
        else if (recording.write(chunk)) next(null, chunk)
        else recording.once('drain', () => next(null, chunk))
      },
    })
  }

  #fail(error: Error): void {
    this.#failure ??= error
    for (const socket of this.#sockets) socket.destroy()
  }
}
