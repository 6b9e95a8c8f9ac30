/**
 * Connections that have shown no token. When there are many, whoever knocks still gets in, a probe above all: those that
 * have been silent longest leave.
 */
import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { LIMITS } from '../base/limits.js'

export class Strangers {
  /** Milliseconds; in the order of their coming. */
  readonly #since = new Map<Socket, number>()

  /** @param patience_ms for which nobody is sent away: a request is on its way */
  constructor(private readonly patience_ms: number) {}

  enter(socket: Socket): void {
    this.#since.set(socket, performance.now())
    socket.once('close', () => this.#since.delete(socket))
    this.makeRoom()
  }

  /** It has a token. */
  known(socket: Socket): void {
    this.#since.delete(socket)
  }

  makeRoom(): void {
    for (const [socket, since] of this.#since) {
      if (this.#since.size <= LIMITS.api_strangers || performance.now() - since < this.patience_ms) return
      this.#since.delete(socket)
      socket.destroy()
    }
  }
}
