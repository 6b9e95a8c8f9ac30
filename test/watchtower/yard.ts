/** A tower between alice and bob: their channel on a ledger double, co-signed states with real secrets, and clients. */
import { utf8 } from '../../src/base/bytes.js'
import { channelStateDigest } from '../../src/base/channel-state.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { prf, prfScalar, sha256 } from '../../src/base/digest.js'
import type { AccountId, ChannelId } from '../../src/base/ids.js'
import type { GivenSecrets, TowerAnswer, TowerMessageOf, TowerRequest } from '../../src/base/message/tower.js'
import { delegationDigest, type TransactionOf, transactionDigest } from '../../src/base/transaction.js'
import { Draft, writeChannel } from '../../src/chain-adapter/contract/state.js'
import { EMPTY_STORE, insertSecret, revocationHash, revocationSecret } from '../../src/channel/revocation.js'
import { type MemoryStore, memoryStore } from '../../src/store/memory.js'
import { TOWER_DEFAULTS, type TowerConfig } from '../../src/watchtower/config.js'
import { packSecrets } from '../../src/watchtower/secrets.js'
import { Tower } from '../../src/watchtower/tower.js'
import { silent } from '../../src/wire/environment.js'
import { fund } from '../contract/account-transactions.js'
import { openChannel, type SignedState, signState, type TestChannel } from '../contract/channel-transactions.js'
import { type Role, role, World } from '../contract/world.js'
import { ManualTimers } from '../wire/people.js'
import { ChainDouble, lifeline } from './chain-double.js'

export const [alice, bob, mallory, towerRole] = [role('alice'), role('bob'), role('mallory'), role('tower')]

/** Lets everything that can happen happen: promises, the store's syncs. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setImmediate(resolve))
}

export const seedOf = (channel: Pick<TestChannel, 'id'>, side: 0 | 1): Uint8Array =>
  prf(channel.id, 'test-tower-seed', Uint8Array.of(side))

/** A state that both signed, with the hashes of both BOLT 3 trees. */
export function cosigned(world: World, channel: Pick<TestChannel, 'id' | 'keys'>, version: number): SignedState {
  const hash = (side: 0 | 1) => revocationHash(revocationSecret(seedOf(channel, side), version))
  // One commitment for all versions: the tower must not care, and thousands of states cost only their signatures.
  const commitment = curve.multiplyBase(prfScalar(channel.id, 'test-commitment'))
  return signState(world, channel, { version, balance: commitment }, { revocations: [hash(0), hash(1)] })
}

/** The other side's secrets of these versions. */
export const secretsOf = (
  channel: Pick<TestChannel, 'id'>,
  side: 0 | 1,
  from: number,
  to: number,
): Extract<GivenSecrets, { kind: 'list' }> => ({
  kind: 'list',
  from,
  list: Array.from({ length: Math.max(0, to - from) }, (_, at) => revocationSecret(seedOf(channel, side), from + at)),
})

export function wholeStore(channel: Pick<TestChannel, 'id'>, side: 0 | 1, count: number): GivenSecrets {
  let store = EMPTY_STORE
  for (let version = 0; version < count; version++) {
    store = insertSecret(store, revocationSecret(seedOf(channel, side), version))!
  }
  return { kind: 'store', ...packSecrets(store) }
}

export function exitOf(
  world: World,
  channel: Pick<TestChannel, 'id' | 'keys'>,
  poster: 0 | 1,
  { encoded, signatures }: Pick<SignedState, 'encoded' | 'signatures'>,
): TransactionOf<'exit'> {
  const unsigned = {
    kind: 'exit' as const,
    ledger: world.ledger,
    channel: channel.id,
    poster,
    state: encoded,
    stateSignatures: signatures,
  }
  return { ...unsigned, signature: curve.sign(transactionDigest(unsigned), channel.keys[poster]) }
}

/** A client's end of a session with the tower. */
export class Client {
  readonly answers: TowerAnswer[] = []
  #waiting: ((answer: TowerAnswer) => void)[] = []
  readonly #session

  constructor(
    readonly who: Role,
    tower: Tower,
  ) {
    this.#session = tower.connect(who.account, (answer) => {
      this.answers.push(answer)
      this.#waiting.shift()?.(answer)
    })
  }

  ask(request: TowerRequest): Promise<TowerAnswer> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#session.receive(request, () => {})
    })
  }

  /** The code of a refusal, else the answer's name. */
  async verdict(request: TowerRequest): Promise<string> {
    const answer = await this.ask(request)
    return answer.name === 'towerRefused' ? answer.body.code : answer.name
  }

  register(channel: Pick<TestChannel, 'id'>): Promise<string> {
    return this.verdict({ name: 'register', body: { channel: channel.id } })
  }
}

export const appointmentOf = (
  channel: Pick<TestChannel, 'id'>,
  state: Pick<SignedState, 'encoded' | 'signatures'>,
  secrets: GivenSecrets = { kind: 'list', from: 0, list: [] },
): TowerRequest => ({
  name: 'appointment',
  body: { channel: channel.id, state: state.encoded, signatures: state.signatures, secrets },
})

export const delegation = (world: World, client: Role) =>
  curve.sign(delegationDigest(world.ledger, client.account, towerRole.account), client.key)

export const jobOf = (
  world: World,
  client: Role,
  channel: Pick<TestChannel, 'id'>,
  name: string,
  task: TowerMessageOf<'revealJob'>['task'],
): TowerRequest => ({
  name: 'revealJob',
  body: { job: sha256(utf8(name)), channel: channel.id, task, delegation: delegation(world, client) },
})

/** Alice (opener) and bob with a channel of window 100. */
export class Yard {
  readonly timers = new ManualTimers()
  readonly chain: ChainDouble
  store: MemoryStore = memoryStore()
  tower!: Tower
  #die = (): void => {}

  private constructor(
    readonly world: World,
    readonly channel: TestChannel,
    readonly opening: TransactionOf<'openChannel'>,
    readonly config: TowerConfig,
  ) {
    this.chain = new ChainDouble(world)
  }

  static async build(config: Partial<TowerConfig> = {}): Promise<Yard> {
    const world = new World()
    fund(
      world,
      new Map([
        [alice, 100n],
        [bob, 50n],
      ]),
    )
    const { tx, channel } = openChannel(world, { parties: [alice, bob], deposits: [60n, 50n], window: 100 })
    const yard = new Yard(world, channel, tx, { ...TOWER_DEFAULTS, settlementDepth: 6, ...config })
    await yard.startTower()
    return yard
  }

  /** With the channel on the ledger and both its parties registered at the tower. */
  static async opened(config: Partial<TowerConfig> = {}): Promise<Yard & { alice: Client; bob: Client }> {
    const yard = await Yard.build(config)
    yard.chain.take(yard.opening)
    const clients = { alice: new Client(alice, yard.tower), bob: new Client(bob, yard.tower) }
    await clients.alice.register(yard.channel)
    await clients.bob.register(yard.channel)
    return Object.assign(yard, clients)
  }

  async startTower(store: MemoryStore = this.store): Promise<void> {
    this.store = store
    const { timers, config } = this
    const { chain, die } = lifeline(this.chain)
    this.#die = die
    this.tower = await Tower.open({ store, key: towerRole.key, chain, timers, logger: silent, config })
    await this.tower.start()
  }

  /** Power loss: the tower's object is left behind, what was synced stays. */
  async crash(inFlight: 'lost' | 'kept' = 'lost'): Promise<void> {
    this.#die()
    const store = this.store.crash(inFlight)
    await this.startTower(store)
  }

  state(version: number): SignedState {
    return version === 0 ? this.channel.state0 : cosigned(this.world, this.channel, version)
  }

  /** Another content that both signed under the same version. */
  otherState(version: number): SignedState {
    return signState(this.world, this.channel, { version, balance: 1n })
  }

  /** Bob's secrets for alice's tower, alice's for bob's: all below `to`. */
  secrets(client: Role, from: number, to: number): Extract<GivenSecrets, { kind: 'list' }> {
    return secretsOf(this.channel, client === alice ? 1 : 0, from, to)
  }

  planted(channel: Pick<TestChannel, 'id' | 'keys'>, version: number): SignedState {
    return cosigned(this.world, channel, version)
  }

  exit(poster: 0 | 1, version: number): TransactionOf<'exit'> {
    return exitOf(this.world, this.channel, poster, this.state(version))
  }

  /** A further channel of the same two accounts, put into the ledger's state as its opening would. */
  plant(name: string, accounts: readonly [AccountId, AccountId] = [alice.account, bob.account]) {
    const id = sha256(utf8(`planted ${name}`)) as ChannelId
    const keys: readonly [Scalar, Scalar] = [prfScalar(id, 'one'), prfScalar(id, 'two')]
    const channel = { id, keys }
    const view = this.world.channel(this.channel.id)
    const draft = new Draft(this.world.view)
    writeChannel(draft, {
      ...view,
      channel: id,
      accounts: [...accounts] as [AccountId, AccountId],
      channelKeys: [curve.multiplyBase(keys[0]), curve.multiplyBase(keys[1])],
      state: channelStateDigest(cosigned(this.world, channel, 0).encoded),
      phase: 'open',
      dispute: null,
    })
    for (const [key, bytes] of draft.writes) this.world.records.set(key, bytes)
    return channel
  }
}
