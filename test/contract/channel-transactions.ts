/** Channels on a World: openings, co-signed states, closes and disputes. `changes` are made before proving and signing. */
import { u64, utf8 } from '../../src/base/bytes.js'
import {
  type ChannelState,
  channelStateDigest,
  encodeChannelState,
  encodeLocks,
  type PublicLock,
  type Side,
} from '../../src/base/channel-state.js'
import { curve, type Element, type Point, type Scalar, type Signature } from '../../src/base/curve/index.js'
import { prf, prfScalar, sha256 } from '../../src/base/digest.js'
import type { ChannelId } from '../../src/base/ids.js'
import { delegationDigest, type TransactionOf } from '../../src/base/transaction.js'
import { channelIdOf } from '../../src/chain-adapter/contract/channel-rules.js'
import {
  closeStatement,
  depositStatement,
  type OpenTerms,
  settleStatement,
  type Unproven,
  type UnprovenHalf,
} from '../../src/chain-adapter/contract/statements.js'
import { unwrap, withdrawal } from './account-transactions.js'
import { type Role, role, signedBy, signedByBoth, type World } from './world.js'

export interface TestChannel {
  readonly id: ChannelId
  readonly parties: readonly [Role, Role]
  readonly keys: readonly [Scalar, Scalar]
  readonly deposits: readonly [bigint, bigint]
  readonly pool: Element
  readonly state0: SignedState
}

export interface SignedState {
  readonly encoded: Uint8Array
  readonly signatures: [Signature, Signature]
  readonly commitment: Point
  readonly locks: readonly TestLock[]
}

export interface TestLock {
  readonly from: Side
  readonly amount: bigint
  readonly scalar: Scalar
  readonly expiry: number
  readonly commitment: Point
}

export const lock = (world: World, from: Side, amount: bigint, expiry: number): TestLock => ({
  from,
  amount,
  expiry,
  scalar: world.scalar(),
  commitment: world.commit(amount),
})

/** The revocation secret of a side at a version. */
export const secretOf = (channel: Pick<TestChannel, 'id'>, side: Side, version: number) =>
  sha256(prf(channel.id, 'test-revocation', Uint8Array.of(side), u64(version)))

export interface StateFields {
  readonly version: number
  /** The opener's balance, or its commitment. */
  readonly balance: bigint | Point
  readonly locks?: readonly TestLock[]
}

/** A state that both have signed. Its ciphertexts are no ciphertexts at all: the contract must not care (L7). */
export function signState(
  world: World,
  channel: Pick<TestChannel, 'id' | 'keys'>,
  { version, balance, locks = [] }: StateFields,
  changes: Partial<ChannelState> = {},
): SignedState {
  const commitment = typeof balance === 'bigint' ? world.commit(balance) : balance
  const opaque = new Uint8Array(world.genesis.keyBits / 4)
  const publicLocks: PublicLock[] = locks.map(({ from, expiry, scalar, commitment }, id) => ({
    id,
    from,
    commitment,
    point: curve.multiplyBase(scalar),
    expiry,
  }))
  const encoded = encodeChannelState({
    channel: channel.id,
    version,
    commitment,
    ciphertexts: [opaque, opaque],
    locks: encodeLocks(publicLocks),
    revocations: [sha256(secretOf(channel, 0, version)), sha256(secretOf(channel, 1, version))],
    nonce: new Uint8Array(24),
    sealed: utf8('sealed'),
    ...changes,
  })
  return { encoded, signatures: signDigest(channel.keys, encoded), commitment, locks }
}

const signDigest = (keys: readonly [Scalar, Scalar], encoded: Uint8Array): [Signature, Signature] => {
  const digest = channelStateDigest(encoded)
  return [curve.sign(digest, keys[0]), curve.sign(digest, keys[1])]
}

export interface Opening {
  readonly parties: readonly [Role, Role]
  readonly deposits: readonly [bigint, bigint]
  readonly window?: number
  readonly validUntil?: number
}

/** A deposit of 0 is an absent half. `changes` reach the terms after the channel id is made. */
export function openChannel(
  world: World,
  { parties, deposits, window = 100, validUntil = world.at.time + 60 }: Opening,
  changes: Partial<OpenTerms> = {},
): { readonly tx: TransactionOf<'openChannel'>; readonly channel: TestChannel } {
  const accounts = [parties[0].account, parties[1].account] as [Point, Point]
  const { nonce } = world.account(parties[0])
  const drawn = parties.map((who, side) =>
    deposits[side] === 0n
      ? null
      : {
          ...withdrawal(world, who, deposits[side]!),
          ciphertextPeer: world.encrypt(parties[1 - side]!, deposits[side]!),
        },
  ) as [UnprovenHalf, UnprovenHalf | null]
  const id = channelIdOf({
    ledger: world.ledger,
    accounts,
    nonce,
    window,
    deposits: [drawn[0].commitment, drawn[1]?.commitment ?? null],
  })
  const keys = [prfScalar(id, 'test-channel-key', u64(0)), prfScalar(id, 'test-channel-key', u64(1))] as const
  const state0 = signState(world, { id, keys }, { version: 0, balance: drawn[0].commitment })
  const terms: OpenTerms = {
    kind: 'openChannel',
    ledger: world.ledger,
    channel: id,
    accounts,
    nonce,
    window,
    validUntil,
    state: channelStateDigest(state0.encoded),
    channelKeys: [curve.multiplyBase(keys[0]), curve.multiplyBase(keys[1])],
    ...changes,
  }
  const halves = drawn.map((half, side) => half && proveHalf(world, parties, terms, side as Side, half))
  const tx = signedByBoth([parties[0].key, parties[1].key], { ...terms, halves } as Unproven<'openChannel'>)
  const pool = world.combine(drawn.map((half) => half?.commitment ?? null))
  return { tx, channel: { id, parties, keys, deposits, pool, state0 } }
}

export function proveHalf(
  world: World,
  parties: readonly [Role, Role],
  terms: OpenTerms,
  side: Side,
  half: UnprovenHalf,
) {
  const accounts = [world.account(parties[0]), world.account(parties[1])] as const
  return { ...half, proof: world.prove(unwrap(depositStatement(world.genesis, accounts, terms, side, half))) }
}

const accountsOf = (world: World, channel: TestChannel) =>
  [world.account(channel.parties[0]), world.account(channel.parties[1])] as const

/** Both balances under their owners' keys and the regulator's. */
const balancesOf = (world: World, channel: TestChannel, [opener, peer]: readonly [bigint, bigint]) => ({
  ciphertexts: [world.encrypt(channel.parties[0], opener), world.encrypt(channel.parties[1], peer)] as [
    Uint8Array,
    Uint8Array,
  ],
  ciphertextsRegulator: [world.encrypt(role('regulator'), opener), world.encrypt(role('regulator'), peer)] as [
    Uint8Array,
    Uint8Array,
  ],
})

export function closeChannel(
  world: World,
  channel: TestChannel,
  balances: readonly [bigint, bigint],
  changes: Partial<Unproven<'closeChannel'>> = {},
): TransactionOf<'closeChannel'> {
  const fields: Unproven<'closeChannel'> = {
    kind: 'closeChannel',
    ledger: world.ledger,
    channel: channel.id,
    validUntil: world.at.time + 60,
    commitment: world.commit(balances[0]),
    ...balancesOf(world, channel, balances),
    ...changes,
  }
  world.combine([channel.pool], [fields.commitment])
  const view = world.channel(channel.id)
  const proof = world.prove(closeStatement(world.genesis, view, accountsOf(world, channel), fields))
  return signedByBoth(channel.keys, { ...fields, proof })
}

export const exit = (
  world: World,
  channel: TestChannel,
  poster: Side,
  state: Pick<SignedState, 'encoded' | 'signatures'>,
): TransactionOf<'exit'> =>
  signedBy(
    { ...channel.parties[poster], key: channel.keys[poster] },
    {
      kind: 'exit',
      ledger: world.ledger,
      channel: channel.id,
      poster,
      state: state.encoded,
      stateSignatures: state.signatures,
    },
  )

export const supersede = (
  world: World,
  channel: TestChannel,
  state: Pick<SignedState, 'encoded' | 'signatures'>,
): TransactionOf<'supersede'> => ({
  kind: 'supersede',
  ledger: world.ledger,
  channel: channel.id,
  state: state.encoded,
  stateSignatures: state.signatures,
})

export const punish = (world: World, channel: TestChannel, side: Side, version: number): TransactionOf<'punish'> => ({
  kind: 'punish',
  ledger: world.ledger,
  channel: channel.id,
  secret: secretOf(channel, side, version),
})

/** `toOpener`: the locks of the standing state that the test says belong to the opener. */
export function settle(
  world: World,
  channel: TestChannel,
  state: SignedState,
  toOpener: readonly TestLock[],
  changes: Partial<Unproven<'settle'>> = {},
): TransactionOf<'settle'> {
  const own = world.combine([state.commitment, ...toOpener.map(({ commitment }) => commitment)])
  const other = world.combine([channel.pool], [own])
  const fields: Unproven<'settle'> = {
    kind: 'settle',
    ledger: world.ledger,
    channel: channel.id,
    ...balancesOf(world, channel, [world.opening(own).value, world.opening(other).value]),
    ...changes,
  }
  const view = world.channel(channel.id)
  const statement = settleStatement(world.genesis, view, accountsOf(world, channel), [own, other], fields)
  return { ...fields, proof: world.prove(statement) }
}

export function reveal(world: World, who: Role, scalars: readonly Scalar[], tower?: Role): TransactionOf<'reveal'> {
  const delegate =
    tower === undefined
      ? null
      : {
          account: tower.account,
          delegation: curve.sign(delegationDigest(world.ledger, who.account, tower.account), who.key),
        }
  return signedBy(tower ?? who, {
    kind: 'reveal',
    ledger: world.ledger,
    account: who.account,
    delegate,
    scalars: [...scalars],
  })
}
