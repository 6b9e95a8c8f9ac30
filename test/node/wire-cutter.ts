/** A TCP relay in front of a node: it cuts, it stalls, it finds the node again after a restart. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

interface Pair {
  readonly near: Socket
  readonly far: Socket
}

export class WireCutter {
  readonly #pairs = new Set<Pair>()
  #stalled = false
  #budget = Number.POSITIVE_INFINITY

  private constructor(
    private readonly server: Server,
    private target: string,
  ) {}

  /** @param target `ws://host:port` of the node. */
  static async before(target: string): Promise<WireCutter> {
    const server = createServer()
    const cutter = new WireCutter(server, target)
    server.on('connection', (near) => cutter.#relay(near))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return cutter
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  /** The node listens elsewhere now. */
  lead(target: string): void {
    this.target = target
  }

  /** Both ends see a reset, now. */
  cut(): void {
    for (const { near, far } of this.#pairs) {
      near.destroy()
      far.destroy()
    }
  }

  /** Cuts when this many more pieces have passed, whatever the direction. */
  cutAfter(pieces: number): void {
    this.#budget = pieces
  }

  /** Nothing passes, nothing ends: the peer has stopped reading and says nothing. */
  stall(stalled: boolean): void {
    this.#stalled = stalled
    for (const { near, far } of this.#pairs) {
      for (const socket of [near, far]) {
        if (stalled) socket.pause()
        else socket.resume()
      }
    }
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.server.close(resolve))
  }

  #relay(near: Socket): void {
    const { hostname, port } = new URL(this.target)
    const far = connect(Number(port), hostname)
    const pair: Pair = { near, far }
    this.#pairs.add(pair)
    const end = (): void => {
      near.destroy()
      far.destroy()
      this.#pairs.delete(pair)
    }
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', end)
      from.on('close', end)
      from.on('data', (bytes) => {
        this.#budget -= 1
        if (this.#budget < 0) {
          this.#budget = Number.POSITIVE_INFINITY
          this.cut()
        } else to.write(bytes)
      })
      if (this.#stalled) from.pause()
    }
  }
}
