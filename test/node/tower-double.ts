/** A tower in a test's hands: real sessions and messages, and whatever answers the test wants. It watches nothing. */
import { bytesToHex } from '../../src/base/bytes.js'
import { decodeChannelState } from '../../src/base/channel-state.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { idText } from '../../src/base/ids.js'
import {
  jobReceiptDigest,
  receiptDigest,
  type TowerAnswer,
  type TowerMessage,
  type TowerMessageOf,
  towerCodec,
} from '../../src/base/message/tower.js'
import type { Ledger } from '../../src/chain-adapter/embedded/ledger.js'
import { EMPTY_STORE, insertSecret, type RevocationStore } from '../../src/channel/revocation.js'
import type { ReceiptBody } from '../../src/watchtower/tower-receipt.js'
import type { PeerAddress } from '../../src/wire/address.js'
import { type Listener, listen } from '../../src/wire/listen.js'
import { negotiate, type Peer } from '../../src/wire/peer.js'
import type { Session } from '../../src/wire/session.js'
import { must } from '../wire/people.js'

interface Kept {
  readonly version: number
  readonly state: Uint8Array
  readonly signatures: TowerMessageOf<'appointment'>['signatures']
  readonly secrets: RevocationStore
}

export class TowerDouble {
  /** By channel and client: each side of a channel may have its own record, as with a real tower. */
  readonly #kept = new Map<string, Kept>()
  /** Every request, in order. */
  readonly heard: TowerMessage[] = []
  readonly jobs = new Map<string, TowerMessageOf<'revealJob'>>()
  /** Withheld answers are kept and given by `answer`. */
  withholding = false
  /** What is sent in place of a right answer; undefined sends nothing. */
  twist: (answer: TowerAnswer) => TowerAnswer | undefined = (answer) => answer
  sessions = 0
  #withheld: (() => void)[] = []
  #listener: Listener | undefined
  #port = 0
  #peer: Peer<TowerMessage> | undefined

  private constructor(
    private readonly ledger: Ledger,
    readonly key: Scalar,
  ) {}

  static async open(ledger: Ledger, key: Scalar): Promise<TowerDouble> {
    const tower = new TowerDouble(ledger, key)
    await tower.listen()
    return tower
  }

  get address(): PeerAddress {
    return { account: curve.multiplyBase(this.key), url: `ws://127.0.0.1:${this.#port}` }
  }

  /** The same port again after `stop`. */
  async listen(): Promise<void> {
    const { key } = this
    const onSession = (session: Session): void => void this.#meet(session)
    this.#listener = must(await listen({ host: '127.0.0.1', port: this.#port, key, onSession }))
    this.#port = this.#listener.port
  }

  async stop(): Promise<void> {
    await this.#listener?.close()
    this.#withheld = []
  }

  /** Gives the answers that were withheld, and withholds no more. */
  answer(): void {
    this.withholding = false
    for (const give of this.#withheld.splice(0)) give()
  }

  /** Of a channel that one client alone has here. */
  kept(channel: Uint8Array): Kept | undefined {
    const name = idText(channel)
    return [...this.#kept].find(([key]) => key.startsWith(name))?.[1]
  }

  /** What it was asked so often under this name. */
  count(name: TowerMessage['name']): number {
    return this.heard.filter((message) => message.name === name).length
  }

  say(answer: TowerAnswer): void {
    this.#peer?.send(answer)
  }

  receipt(client: Uint8Array, body: Omit<ReceiptBody, 'signature'>, key: Scalar = this.key): TowerAnswer {
    const parties = { ledger: this.ledger.ledger, tower: this.address.account, client }
    return { name: 'receipt', body: { ...body, signature: curve.sign(receiptDigest(parties, body), key) } }
  }

  async #meet(session: Session): Promise<void> {
    const met = await negotiate({ session, ledger: this.ledger.ledger, codec: towerCodec })
    if (!met.ok) return
    const peer = met.value
    this.#peer = peer
    this.sessions += 1
    peer.onMessage((message) => {
      this.heard.push(message)
      const right = this.#answer(peer, message)
      const give = (): void => {
        const said = this.twist(right)
        if (said !== undefined) peer.send(said)
      }
      if (this.withholding && message.name !== 'register') this.#withheld.push(give)
      else give()
    })
  }

  #answer(peer: Peer<TowerMessage>, message: TowerMessage): TowerAnswer {
    const { height, time } = this.ledger.head
    switch (message.name) {
      case 'register': {
        const { channel } = message.body
        const kept = this.#kept.get(recordOf(channel, peer.account))
        const version = kept?.version ?? null
        return { name: 'registered', body: { channel, version, secrets: kept?.secrets.count ?? 0 } }
      }
      case 'appointment': {
        const { channel } = message.body
        const { version, secrets } = this.#keep(message.body, peer.account)
        return this.receipt(peer.account, { channel, version, secrets: secrets.count, height, time })
      }
      case 'revealJob': {
        const { job } = message.body
        this.jobs.set(bytesToHex(job), message.body)
        const parties = { ledger: this.ledger.ledger, tower: this.address.account, client: peer.account }
        const digest = jobReceiptDigest(parties, towerCodec.encode(message), { height, time })
        return { name: 'jobReceipt', body: { job, height, time, signature: curve.sign(digest, this.key) } }
      }
      case 'cancelJob':
        this.jobs.delete(bytesToHex(message.body.job))
        return { name: 'jobCancelled', body: { job: message.body.job } }
      case 'retrieve': {
        const { channel } = message.body
        const kept = this.#kept.get(recordOf(channel, peer.account))
        const newest = kept === undefined ? null : { state: kept.state, signatures: kept.signatures }
        const { count, slots } = kept?.secrets ?? EMPTY_STORE
        const secrets = { count, slots: slots.flatMap((slot) => slot?.secret ?? []) }
        return { name: 'retrieved', body: { channel, newest, secrets } }
      }
      default:
        throw new Error(`a client does not say ${message.name}`)
    }
  }

  /** @throws where the secrets leave a gap or contradict each other: a client must not give such. */
  #keep({ channel, state, signatures, secrets: given }: TowerMessageOf<'appointment'>, client: Uint8Array): Kept {
    const name = recordOf(channel, client)
    let secrets = this.#kept.get(name)?.secrets ?? EMPTY_STORE
    if (given.kind === 'list') {
      if (given.from > secrets.count) throw new Error('a gap in the secrets')
      for (const secret of given.list.slice(secrets.count - given.from)) {
        const more = insertSecret(secrets, secret)
        if (more === undefined) throw new Error('a secret that does not derive the others')
        secrets = more
      }
    } else {
      const { count, slots } = given
      secrets = { count, slots: slots.map((secret, place) => ({ index: slotIndex(count, place), secret })) }
    }
    const { version } = must(decodeChannelState(state))
    const kept = { version, state, signatures, secrets }
    this.#kept.set(name, kept)
    return kept
  }
}

const recordOf = (channel: Uint8Array, client: Uint8Array): string => `${idText(channel)} ${idText(client)}`

/** The last version below `count` whose index ends with `place` zeros, as an index (C3). */
function slotIndex(count: number, place: number): bigint {
  const all = (1n << 48n) - 1n
  for (let version = count - 1; version >= 0; version--) {
    const index = all - BigInt(version)
    if ((index & ((2n << BigInt(place)) - 1n)) === 1n << BigInt(place)) return index
  }
  throw new Error('more slots than the count has digits')
}
