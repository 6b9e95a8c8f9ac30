/** Two parties, a link that delivers, delays, repeats and breaks, disks that survive crashes, and a small registry. */
import { equalBytes } from '../../src/base/bytes.js'
import type { Side } from '../../src/base/channel-state.js'
import type { Scalar } from '../../src/base/curve/index.js'
import { idText } from '../../src/base/ids.js'
import { type ChannelMessage, channelCodec } from '../../src/base/message/channel.js'
import { channelKeys, createContext } from '../../src/channel/keys.js'
import { decodeChannel, encodeChannel } from '../../src/channel/snapshot.js'
import { step } from '../../src/channel/step.js'
import type { Channel, Context, Effect, Env, Input, Terms } from '../../src/channel/types.js'
import { type Opened, PEOPLE, POLICY, randomizerFor } from './parties.js'

export * from './parties.js'

/** Where a party dies in its next durable step. */
export type Crash = 'before the batch' | 'after the batch'

export interface Ledger {
  height: number
  time: number
  readonly revealed: Map<string, { scalar: Scalar; time: number }>
}

export class Party {
  state: Channel
  /** The last batch. Channels never change, so it is turned into bytes only when it is read. */
  disk: Channel
  readonly context: Context
  readonly told: Effect[] = []
  /** R versions that a worker has yet to compute. */
  readonly jobs: number[] = []
  outgoing: Uint8Array[] = []
  crash: Crash | undefined
  down = false
  /** C7: every signature that ever left, by version. */
  private readonly signedOut = new Map<number, Uint8Array>()
  readonly sent: ChannelMessage[] = []

  constructor(
    readonly side: Side,
    terms: Terms,
    disk: Uint8Array,
    private readonly ledger: Ledger,
  ) {
    this.state = read(disk)
    this.disk = this.state
    const context = createContext(terms, side, channelKeys(PEOPLE[side].seed, terms), POLICY)
    if (!context.ok) throw new Error('context')
    this.context = context.value
  }

  get env(): Env {
    const { height, time, revealed } = this.ledger
    return {
      context: this.context,
      view: { height, time },
      now: time,
      revealed: (point) => revealed.get(idText(point)),
    }
  }

  /** @returns the effects, also where the party died before it could run them. */
  input(input: Input): readonly Effect[] {
    if (this.down) return []
    const result = step(this.state, input, this.env)
    if (result.durable && this.crash === 'before the batch') {
      this.die()
      return []
    }
    this.state = result.state
    if (result.durable) this.disk = result.state
    const dies = result.durable && this.crash === 'after the batch'
    for (const effect of result.effects) {
      if (effect.type !== 'send') this.perform(effect)
      else if (!dies) this.send(effect.message)
    }
    if (dies) this.die()
    return result.effects
  }

  private die(): void {
    this.crash = undefined
    this.down = true
    this.outgoing = []
    this.jobs.length = 0
  }

  restart(): void {
    this.down = false
    this.state = read(encodeChannel(this.disk))
  }

  private perform(effect: Effect): void {
    if (effect.type === 'prepareRandomizer') this.jobs.push(effect.version)
    else if (effect.type === 'reveal') {
      const key = idText(effect.lock.point)
      if (!this.ledger.revealed.has(key))
        this.ledger.revealed.set(key, { scalar: effect.scalar, time: this.ledger.time })
    } else this.told.push(effect)
  }

  private send(message: ChannelMessage): void {
    if (message.name === 'commit') this.signs(message.body.version, message.body.signature)
    if (message.name === 'ack') this.signs(message.body.version, message.body.signature)
    const revocation = 'revocation' in message.body ? message.body.revocation : null
    // C11, checked from outside: what replaces the revoked version is on disk before the secret leaves.
    if (revocation !== null && this.disk.current.content.version <= revocation.version) {
      throw new Error(`secret of ${revocation.version} left too early`)
    }
    this.sent.push(message)
    this.outgoing.push(channelCodec.encode(message))
  }

  private signs(version: number, signature: Uint8Array): void {
    const before = this.signedOut.get(version)
    if (before !== undefined && !equalBytes(before, signature)) throw new Error(`two contents of version ${version}`)
    this.signedOut.set(version, signature)
  }

  receive(bytes: Uint8Array): readonly Effect[] {
    const message = channelCodec.decode(bytes)
    if (!message.ok || message.value === 'ignored') return []
    return this.input({ type: 'received', message: message.value })
  }

  work(): void {
    for (const version of this.jobs.splice(0)) {
      const randomizer = randomizerFor(this.side, this.context.terms, version)
      this.input({ type: 'randomizerReady', version, randomizer })
    }
  }

  toldOf<T extends Effect['type']>(type: T): Extract<Effect, { type: T }>[] {
    return this.told.filter((effect): effect is Extract<Effect, { type: T }> => effect.type === type)
  }
}

function read(disk: Uint8Array): Channel {
  const channel = decodeChannel(disk)
  if (!channel.ok) throw new Error(`snapshot: ${channel.error.detail}`)
  if (!equalBytes(encodeChannel(channel.value), disk)) throw new Error('a snapshot changes when read and written')
  return channel.value
}

export class World {
  readonly ledger: Ledger = { height: 2, time: 1_010, revealed: new Map() }
  readonly parties: readonly [Party, Party]
  linked = false

  constructor(opened: Opened) {
    const make = (side: Side): Party => new Party(side, opened.terms, opened.channels[side], this.ledger)
    this.parties = [make(0), make(1)]
    for (const party of this.parties) party.input({ type: 'funded' })
  }

  get alice(): Party {
    return this.parties[0]
  }

  get bob(): Party {
    return this.parties[1]
  }

  connect(): void {
    if (this.linked) return
    for (const party of this.parties) if (party.down) party.restart()
    this.linked = true
    for (const party of this.parties) party.input({ type: 'connected' })
    this.afterCrash()
  }

  cut(): void {
    if (!this.linked) return
    this.linked = false
    for (const party of this.parties) {
      party.outgoing = []
      party.input({ type: 'disconnected' })
    }
  }

  /** A party that died takes the connection with it. */
  private afterCrash(): void {
    if (this.linked && this.parties.some((party) => party.down)) this.cut()
  }

  /** Delivers the oldest message of a side. */
  deliver(from: Side, repeat = false): boolean {
    if (!this.linked) return false
    const bytes = repeat ? this.parties[from].outgoing[0] : this.parties[from].outgoing.shift()
    if (bytes === undefined) return false
    this.parties[from === 0 ? 1 : 0].receive(bytes)
    this.afterCrash()
    return true
  }

  input(side: Side, input: Input): readonly Effect[] {
    const effects = this.parties[side].input(input)
    this.afterCrash()
    return effects
  }

  work(): void {
    for (const party of this.parties) party.work()
    this.afterCrash()
  }

  tick(seconds: number): void {
    this.ledger.time += seconds
    this.ledger.height += 1
    for (const side of [0, 1] as const) this.input(side, { type: 'tick' })
  }

  /** Until nothing moves. */
  settle(): void {
    for (let moved = true; moved; ) {
      this.work()
      moved = this.deliver(0) || this.deliver(1)
    }
    if (this.parties.some((party) => party.jobs.length > 0)) this.settle()
  }

  /** Both back, connected, everything delivered. */
  heal(): void {
    this.cut()
    this.connect()
    this.settle()
  }
}
