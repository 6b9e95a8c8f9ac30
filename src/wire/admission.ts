import type { Socket } from 'node:net'
import { isIPv6 } from 'node:net'
import { LIMITS } from '../base/limits.js'
import type { Timers } from './environment.js'

export interface AdmissionOptions {
  readonly timers: Timers
  readonly handshake_ms?: number | undefined
  readonly unauthenticated_connections?: number | undefined
  readonly unauthenticated_per_address?: number | undefined
}

interface Waiting {
  readonly socket: Socket
  readonly group: string
  readonly cancelDeadline: () => void
}

/** TCP connections that have not finished Noise: bounded in number, in all and per address, and in time (W3). */
export class Admission {
  readonly #timers: Timers
  readonly #deadlineMs: number
  readonly #bound: number
  readonly #boundPerAddress: number
  /** By remote address and port: under TLS the raw socket and the one that Noise sees are two objects. */
  readonly #waiting = new Map<string, Waiting>()
  readonly #perGroup = new Map<string, number>()

  constructor(options: AdmissionOptions) {
    this.#timers = options.timers
    this.#deadlineMs = options.handshake_ms ?? LIMITS.handshake_ms
    this.#bound = options.unauthenticated_connections ?? LIMITS.unauthenticated_connections
    this.#boundPerAddress = options.unauthenticated_per_address ?? LIMITS.unauthenticated_per_address
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Takes a fresh TCP connection in, or cuts it off. */
  enter(socket: Socket): void {
    socket.on('error', () => socket.destroy()) // a reset before anyone else listens
    const key = keyOf(socket)
    const group = addressGroup(socket.remoteAddress ?? '')
    const alike = this.#perGroup.get(group) ?? 0
    if (key === undefined || this.#waiting.size >= this.#bound || alike >= this.#boundPerAddress) {
      socket.destroy()
      return
    }
    this.#perGroup.set(group, alike + 1)
    const cancelDeadline = this.#timers.after(this.#deadlineMs, () => socket.destroy())
    const waiting: Waiting = { socket, group, cancelDeadline }
    this.#waiting.set(key, waiting)
    socket.once('close', () => {
      if (this.#waiting.get(key) === waiting) this.#leave(key, waiting)
    })
  }

  /** Noise is through: the connection no longer counts here and has no deadline. */
  authenticated(socket: Socket): void {
    const key = keyOf(socket)
    const waiting = key === undefined ? undefined : this.#waiting.get(key)
    if (key !== undefined && waiting !== undefined) this.#leave(key, waiting)
  }

  /** Cuts all waiting ones off. */
  clear(): void {
    for (const { socket } of [...this.#waiting.values()]) socket.destroy()
  }

  #leave(key: string, waiting: Waiting): void {
    waiting.cancelDeadline()
    this.#waiting.delete(key)
    const left = this.#perGroup.get(waiting.group)! - 1
    if (left === 0) this.#perGroup.delete(waiting.group)
    else this.#perGroup.set(waiting.group, left)
  }
}

/** @returns undefined for a socket that is gone already. */
const keyOf = (socket: Socket): string | undefined =>
  socket.remoteAddress === undefined ? undefined : `${socket.remoteAddress} ${socket.remotePort}`

/** What one sender commands: an IPv4 address, or an IPv6 network of 64 bits. */
export function addressGroup(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped !== null) return mapped[1]!
  if (!isIPv6(address)) return address
  const [head = '', tail = ''] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === '' ? [] : tail.split(':')
  const zeros = Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0')
  return [...left, ...zeros, ...right].slice(0, 4).join(':')
}
