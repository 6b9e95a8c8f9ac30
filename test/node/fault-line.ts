/** Faults between real nodes: every message is seen as it is about to be encrypted, and meets what was armed for it. */
import { bytesToHex, equalBytes } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import { type AccountId, idText } from '../../src/base/ids.js'
import { CHANNEL_MESSAGES, closeAccept, closeOffer, commit, shutdown } from '../../src/base/message/channel.js'
import { hello } from '../../src/base/message/session.js'
import { NoiseSession } from '../../src/wire/session.js'

/**
 * `dropped`: nothing of the connection arrives from it on, which ends a moment later. `repeated`: it arrives, the
 * connection ends, and it comes again over the next one. `delayed`: it and what follows wait for `release`.
 */
export const KINDS = [
  'dropped',
  'duplicated',
  'repeated',
  'delayed',
  'truncated',
  'cut before it',
  'cut after it',
] as const
export type Kind = (typeof KINDS)[number]

type Send = (bytes: Uint8Array) => boolean

export class Fault {
  /** Its message came; the connection of that has ended; the same bytes went over another one. */
  struck = false
  ended = false
  again = false
  message: Uint8Array | undefined
  session: NoiseSession | undefined
  #held: Uint8Array[] | undefined

  constructor(
    readonly type: number,
    readonly to: AccountId,
    readonly kind: Kind,
  ) {}

  meets(session: NoiseSession, message: Uint8Array): boolean {
    return !this.struck && typeOf(message) === this.type && equalBytes(this.to, session.peer)
  }

  /** @returns whether the message waits behind this one. */
  holds(session: NoiseSession, message: Uint8Array): boolean {
    if (this.#held === undefined || this.session !== session) return false
    this.#held.push(message)
    return true
  }

  strike(session: NoiseSession, message: Uint8Array, pass: Send): boolean {
    Object.assign(this, { struck: true, session, message })
    session.onClose(() => {
      this.ended = true
    })
    switch (this.kind) {
      case 'dropped':
        setImmediate(() => session.destroy('connection_closed'))
        return true
      case 'duplicated':
        pass(message)
        return pass(message)
      case 'repeated':
      case 'cut after it':
        pass(message)
        session.close()
        return false
      case 'delayed':
        this.#held = [message]
        return true
      case 'truncated':
        return pass(message.subarray(0, -1))
      case 'cut before it':
        session.destroy('connection_closed')
        return false
    }
  }

  release(pass: (session: NoiseSession, bytes: Uint8Array) => boolean): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const message of held) pass(this.session!, message)
  }
}

const typeOf = (message: Uint8Array): number => message[0]! * 256 + message[1]!

const CHANNEL_TYPES = new Set<number>(CHANNEL_MESSAGES.map(({ type }) => type))
/** A channel that ends says nothing of itself on a new connection: its messages come again right after `hello`. */
const ENDING = new Set<number>([shutdown.type, closeOffer.type, closeAccept.type])
/** The leader says this again by itself, and never without the proposals that belong to it. */
const isResent = (type: number): boolean => type === commit.type

export class FaultLine {
  /** Types of which the same bytes were sent over two connections. */
  readonly resent = new Set<number>()
  readonly #send = NoiseSession.prototype.send
  readonly #sessions = new Set<NoiseSession>()
  readonly #faults: Fault[] = []
  readonly #first = new Map<string, NoiseSession>()
  #unheard: { readonly type: number; readonly to: AccountId } | undefined

  /** Stands in every connection of this process from now on. */
  constructor() {
    const line = this
    NoiseSession.prototype.send = function (this: NoiseSession, message: Uint8Array): boolean {
      return line.#offered(this, message)
    }
  }

  /** Ends of live connections: two of each, where both ends are in this process. */
  get connections(): number {
    return this.#sessions.size
  }

  /** The next message of this type to this receiver. */
  arm(type: number, to: AccountId, kind: Kind): Fault {
    const fault = new Fault(type, to, kind)
    this.#faults.push(fault)
    return fault
  }

  /** Messages of this type do not arrive there, and nothing else happens to them; undefined ends it. */
  unhear(what: { readonly type: number; readonly to: AccountId } | undefined): void {
    this.#unheard = what
  }

  release(fault: Fault): void {
    fault.release((session, bytes) => this.#send.call(session, bytes))
  }

  /** Ends every connection, at both ends. */
  cut(): void {
    for (const session of this.#sessions) session.destroy('connection_closed')
  }

  /** Ends this account's connections, seen from the other end. */
  cutFrom(account: AccountId): void {
    for (const session of this.#sessions) if (equalBytes(session.peer, account)) session.destroy('connection_closed')
  }

  /** In the name of whoever is connected with this receiver. */
  say(to: AccountId, bytes: Uint8Array): void {
    for (const session of this.#sessions) if (equalBytes(session.peer, to)) session.send(bytes)
  }

  close(): void {
    NoiseSession.prototype.send = this.#send
  }

  #offered(session: NoiseSession, message: Uint8Array): boolean {
    const pass: Send = (bytes) => this.#send.call(session, bytes)
    const type = typeOf(message)
    if (type === hello.type) {
      this.#sessions.add(session)
      session.onClose(() => this.#sessions.delete(session))
    }
    if (type === this.#unheard?.type && equalBytes(this.#unheard.to, session.peer)) return true
    this.#note(session, message)
    if (this.#faults.some((fault) => fault.kind === 'dropped' && fault.session === session)) return true
    if (this.#faults.some((fault) => fault.holds(session, message))) return true
    const fault = this.#faults.find((one) => one.meets(session, message))
    const more = fault === undefined ? pass(message) : fault.strike(session, message, pass)
    if (type === hello.type || CHANNEL_TYPES.has(type)) this.#repeat(session, type, pass)
    return more
  }

  #note(session: NoiseSession, message: Uint8Array): void {
    const name = `${idText(session.peer)} ${bytesToHex(sha256(message))}`
    const first = this.#first.get(name)
    if (first === undefined) this.#first.set(name, session)
    if (first === undefined || first === session) return
    this.resent.add(typeOf(message))
    for (const fault of this.#faults) {
      const same = fault.message !== undefined && equalBytes(fault.message, message)
      if (same && fault.session !== session) fault.again = true
    }
  }

  #repeat(session: NoiseSession, after: number, pass: Send): void {
    for (const fault of this.#faults) {
      const { kind, struck, again, message, to, type } = fault
      if (kind !== 'repeated' || !struck || again || message === undefined || isResent(type)) continue
      if (fault.session === session || !equalBytes(to, session.peer)) continue
      if (ENDING.has(type) !== (after === hello.type)) continue
      fault.again = true
      pass(message)
    }
  }
}
