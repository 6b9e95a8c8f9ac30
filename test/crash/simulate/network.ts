/**
 * Connections between nodes. A connection delivers what was sent in its order; a cut takes any
 * end of what was under way, and each side learns of it after what still reached it. What is sent twice is so by the
 * protocol alone: after a reconnect.
 */
import { curve } from '../../../src/base/curve/index.js'
import { type AccountId, idText } from '../../../src/base/ids.js'
import { ok } from '../../../src/base/result.js'
import { type NodeMessage, nodeCodec } from '../../../src/node/messages.js'
import type { PeersOptions, Transport } from '../../../src/node/peers.js'
import { Waiters } from '../../../src/node/waiters.js'
import type { Schedule } from './clock.js'
import type { Life } from './life.js'
import type { Random } from './random.js'

/** One side of a connection: what is on its way to it. */
interface End {
  readonly port: Port
  readonly peer: AccountId
  readonly queue: (Uint8Array | NodeMessage)[]
  /** Its node knows of the connection. */
  joined: boolean
  /** Nothing more comes after what is in the queue. */
  cut: boolean
  other: End
}

interface Port {
  readonly name: string
  readonly account: AccountId
  readonly life: Life
  readonly options: PeersOptions
  listening: boolean
  readonly kept: Map<string, { readonly peer: AccountId; readonly url: string }>
  readonly waiters: Waiters
  /** By the peer's account. */
  readonly ends: Map<string, End>
}

/** Told of every message at the moment in which it leaves. */
export type Leaving = (name: string, to: AccountId, message: NodeMessage) => void

/** One message in so many goes through the real codec: for all of them that is a sixth of a run. */
const CODED = 8

function decoded(bytes: Uint8Array): NodeMessage {
  const message = nodeCodec.decode(bytes)
  if (!message.ok || message.value === 'ignored') throw new Error('a message that its own codec refuses')
  return message.value
}

export const pairOf = (a: string, b: string): string => [a, b].sort().join('-')

export class Network {
  readonly #ports = new Map<string, Port>()
  readonly #names = new Map<string, string>()
  /** Pairs that cannot connect, or whose messages stand still. */
  readonly blocked = new Set<string>()
  readonly stalled = new Set<string>()
  delivered = 0
  /** Told when a node hears where its peer stands. */
  reestablished: (pair: string, listener: string) => void = () => undefined

  constructor(
    private readonly schedule: Schedule,
    private readonly random: Random,
    private readonly leaving: Leaving,
  ) {}

  // ---- what a node sees

  transport(name: string, life: Life): (options: PeersOptions) => Transport {
    return (options) => {
      const account = curve.multiplyBase(options.key)
      const waiters = new Waiters(options.timers)
      const port: Port = { name, account, life, options, listening: false, kept: new Map(), waiters, ends: new Map() }
      this.#ports.set(name, port)
      this.#names.set(idText(account), name)
      return this.#surface(port)
    }
  }

  #surface(port: Port): Transport {
    const url = `sim://${port.name}`
    const isConnected = (peer: AccountId): boolean => port.ends.get(idText(peer))?.joined === true
    return {
      listening: url,
      listen: async () => {
        port.listening = true
        return ok(url)
      },
      keep: (peer, address) => void port.kept.set(idText(peer), { peer, url: address }),
      isConnected,
      connected: async (peer, ms) => {
        if (!isConnected(peer)) await port.waiters.wait(idText(peer), ms)
        return isConnected(peer)
      },
      failure: () => undefined,
      list: () => [],
      send: (peer, message) => this.#send(port, peer, message),
      cut: (peer) => {
        const end = port.ends.get(idText(peer))
        if (end !== undefined) for (const side of [end, end.other]) this.#cut(side)
      },
      close: async () => {
        port.waiters.close()
        this.gone(port.name)
      },
    }
  }

  #send(port: Port, peer: AccountId, message: NodeMessage): boolean {
    const end = port.ends.get(idText(peer))
    if (end?.joined !== true || !port.life.acts()) return false
    this.leaving(port.name, peer, message)
    if (!end.other.cut) end.other.queue.push(this.random.oneIn(CODED) ? nodeCodec.encode(message) : message)
    return true
  }

  // ---- what happens between them

  /** Connects whoever wants to be and can. */
  connect(): void {
    for (const port of this.#ports.values()) {
      for (const [account] of port.kept) {
        const other = this.#ports.get(this.#names.get(account) ?? '')
        if (other?.listening !== true || !port.life.alive || !other.life.alive) continue
        if (this.blocked.has(pairOf(port.name, other.name))) continue
        const [here, there] = [port.ends.get(account), other.ends.get(idText(port.account))]
        // W3: a side that has not noticed the cut is called anew by the other; the newest connection wins.
        const standing = here !== undefined && there !== undefined && here.other === there && !here.cut
        if (!standing && (here === undefined || there === undefined || here.cut || there.cut)) this.#join(port, other)
      }
    }
  }

  #join(a: Port, b: Port): void {
    const make = (port: Port, peer: AccountId): End =>
      ({ port, peer, queue: [], joined: false, cut: false }) as unknown as End
    const [here, there] = [make(a, b.account), make(b, a.account)]
    here.other = there
    there.other = here
    for (const end of [here, there]) {
      this.#leave(end.port, end.peer)
      end.port.ends.set(idText(end.peer), end)
      this.schedule.add({ kind: 'link', life: end.port.life, run: () => this.#joined(end) })
    }
  }

  #joined(end: End): void {
    if (end.port.ends.get(idText(end.peer)) !== end) return
    end.joined = true
    end.port.options.handlers.connected(end.peer, new Set(end.other.port.options.features.map((bit) => bit >> 1)))
    end.port.waiters.wake(idText(end.peer))
  }

  #leave(port: Port, peer: AccountId): void {
    const end = port.ends.get(idText(peer))
    if (end === undefined) return
    port.ends.delete(idText(peer))
    if (end.joined && port.life.alive) port.options.handlers.disconnected(peer)
  }

  #live(): End[] {
    return [...this.#ports.values()].flatMap((port) =>
      [...port.ends.values()].filter((end) => {
        // W3: an end is noticed where nothing arrives any more: the idle deadline passes.
        return end.joined && (end.cut || (end.queue.length > 0 && !this.#stands(end)))
      }),
    )
  }

  #stands({ port, peer }: End): boolean {
    return this.stalled.has(pairOf(port.name, this.#names.get(idText(peer)) ?? ''))
  }

  get underWay(): number {
    return this.#live().length
  }

  /** The oldest message of some connection arrives, or the news of its end. @returns its name; undefined: nothing did. */
  deliver(): string | undefined {
    const end = this.random.pick(this.#live())
    if (end === undefined) return undefined
    // What stood still when its connection ended is lost.
    if (end.cut && this.#stands(end)) end.queue.length = 0
    const sent = end.queue.shift()
    if (sent === undefined) {
      this.#leave(end.port, end.peer)
      return 'end'
    }
    const message = sent instanceof Uint8Array ? decoded(sent) : sent
    this.delivered += 1
    if (message.name === 'reestablish') {
      this.reestablished(pairOf(end.port.name, this.#names.get(idText(end.peer)) ?? ''), end.port.name)
    }
    end.port.options.handlers.message(end.peer, message, () => undefined)
    return message.name
  }

  /** Cuts a connection: an end of what is under way to either side is lost. */
  cut(pair?: string): boolean {
    const ends = [...this.#ports.values()].flatMap((port) => [...port.ends.values()])
    const named = (end: End): string => pairOf(end.port.name, this.#names.get(idText(end.peer)) ?? '')
    const end = this.random.pick(ends.filter((each) => !each.cut && (pair === undefined || named(each) === pair)))
    if (end === undefined) return false
    for (const side of [end, end.other]) this.#cut(side)
    return true
  }

  #cut(end: End): void {
    if (end.cut) return
    end.queue.length = this.random.below(end.queue.length + 1)
    end.cut = true
  }

  /** A process ended, and its sockets with it. */
  gone(name: string): void {
    const port = this.#ports.get(name)
    if (port === undefined) return
    for (const end of port.ends.values()) this.#cut(end.other)
    port.ends.clear()
    this.#ports.delete(name)
  }
}
