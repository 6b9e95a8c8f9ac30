/** A WebSocket client made of bytes: it sends what no library would. */
import { connect, type Socket } from 'node:net'
import type { AccountId } from '../../src/base/ids.js'
import { ephemeralKey, systemEntropy } from '../../src/wire/environment.js'
import { startInitiator, type Transport } from '../../src/wire/noise.js'
import { must, type Person } from './people.js'

export const UPGRADE =
  'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Protocol: meridian.1\r\n\r\n'

export interface FrameShape {
  readonly opcode?: number
  readonly fin?: boolean
  readonly reserved?: number
  readonly masked?: boolean
  /** Announced instead of the true length. */
  readonly length?: number
}

/** One WebSocket frame (RFC 6455, 5.2), as wrong as wanted. */
export function wsFrame(payload: Uint8Array, shape: FrameShape = {}): Uint8Array {
  const { opcode = 2, fin = true, reserved = 0, masked = true, length = payload.length } = shape
  const head = [(fin ? 0x80 : 0) | (reserved << 4) | opcode]
  const maskBit = masked ? 0x80 : 0
  if (length < 126) head.push(maskBit | length)
  else if (length < 65_536) head.push(maskBit | 126, length >> 8, length & 255)
  else
    head.push(
      maskBit | 127,
      0,
      0,
      0,
      0,
      (length >>> 24) & 255,
      (length >>> 16) & 255,
      (length >>> 8) & 255,
      length & 255,
    )
  const mask = [1, 2, 3, 4]
  const body = masked ? payload.map((byte, index) => byte ^ mask[index & 3]!) : payload
  return Buffer.concat([Uint8Array.from(masked ? [...head, ...mask] : head), body])
}

export class RawClient {
  readonly socket: Socket
  /** Resolves when the other side, or TCP, has ended the connection. */
  readonly closed: Promise<void>
  #bytes: Buffer = Buffer.alloc(0)
  #wake: () => void = () => {}

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.on('error', () => {}) // a reset is one way of being cut off
    this.socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    this.closed = new Promise((resolve) => {
      this.socket.once('close', () => {
        resolve()
        this.#wake()
      })
    })
  }

  write(bytes: Uint8Array | string): void {
    this.socket.write(bytes)
  }

  /** The first bytes that `read` accepts. @throws when the connection ends before. */
  async #take<T>(read: (bytes: Buffer) => { used: number; value: T } | undefined): Promise<T> {
    for (;;) {
      const found = read(this.#bytes)
      if (found !== undefined) {
        this.#bytes = this.#bytes.subarray(found.used)
        return found.value
      }
      if (this.socket.destroyed) throw new Error('the listener ended the connection')
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async upgrade(): Promise<void> {
    this.write(UPGRADE)
    const status = await this.#take((bytes) => {
      const end = bytes.indexOf('\r\n\r\n')
      return end < 0 ? undefined : { used: end + 4, value: bytes.subarray(0, 12).toString() }
    })
    if (status !== 'HTTP/1.1 101') throw new Error(status)
  }

  /** An unfragmented short frame of the listener. */
  frame(): Promise<Uint8Array> {
    return this.#take((bytes) => {
      const length = bytes.length < 2 ? undefined : bytes[1]!
      if (length === undefined || length > 125 || bytes.length < length + 2) return undefined
      return { used: length + 2, value: bytes.subarray(2, length + 2) }
    })
  }

  /** Upgrade and Noise; `change` may spoil acts one and three. */
  async authenticate(
    who: Person,
    remote: AccountId,
    change = (act: Uint8Array, _which: 1 | 3) => act,
  ): Promise<Transport> {
    await this.upgrade()
    const initiator = startInitiator(who.key, remote, ephemeralKey(systemEntropy))
    this.write(wsFrame(change(initiator.actOne, 1)))
    const { actThree, transport } = must(initiator.finish(await this.frame()))
    this.write(wsFrame(change(actThree, 3)))
    return transport
  }

  destroy(): void {
    this.socket.destroy()
  }
}
