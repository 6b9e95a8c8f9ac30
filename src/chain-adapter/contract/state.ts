/** What the ledger stores: the key of every record and its one canonical encoding. */
import { z } from 'zod'
import { cbor, decodeAs, zBytesUpTo, zCount, zDigest, zPoint, zScalar } from '../../base/codec.js'
import type { Element, Point, Scalar } from '../../base/curve/index.js'
import { InvariantError } from '../../base/errors.js'
import { type AccountId, idText } from '../../base/ids.js'
import type { AccountView, ChannelView } from '../../base/ports/chain.js'

/** A keyed view of ledger state: everything that the contract reads. */
export interface StateView {
  get(key: string): Uint8Array | undefined
}

/** Reads through to a view, collects writes: thrown away where a transaction is refused (L10). */
export class Draft implements StateView {
  readonly writes = new Map<string, Uint8Array>()

  constructor(private readonly view: StateView) {}

  get(key: string): Uint8Array | undefined {
    return this.writes.get(key) ?? this.view.get(key)
  }

  put(key: string, bytes: Uint8Array): void {
    this.writes.set(key, bytes)
  }
}

const zCiphertext = zBytesUpTo(1024)

/** L2. */
export const zAccount = z.strictObject({
  account: zPoint,
  n: zBytesUpTo(512),
  nonce: zCount,
  available: zCiphertext,
  pendingOpen: zCiphertext,
  pendingFrozen: zCiphertext,
})

/** L7. */
const zDispute = z.strictObject({
  poster: z.union([z.literal(0), z.literal(1)]),
  version: zCount,
  revocation: zDigest,
  deadline: zCount,
  standing: zBytesUpTo(65_536),
  standingVersion: zCount,
})

export const zChannel = z.strictObject({
  channel: zDigest,
  accounts: z.tuple([zPoint, zPoint]),
  channelKeys: z.tuple([zPoint, zPoint]),
  window: zCount,
  state: zDigest,
  pool: zPoint,
  poolCiphertexts: z.tuple([zCiphertext, zCiphertext]),
  phase: z.enum(['open', 'disputed', 'closed']),
  dispute: zDispute.nullable(),
})

/** L8. */
export const zRevealed = z.strictObject({ scalar: zScalar, time: zCount })
export interface Revealed {
  readonly scalar: Scalar
  /** First ledger time at which it was seen. */
  readonly time: number
}

const zQuota = z.strictObject({ height: zCount, count: zCount })

/** A3: ledger time where the ledger has none of its own. */
const zClock = z.strictObject({
  time: zCount,
  height: zCount,
  /** What each account of genesis's list proposes next; null where it has not spoken since the last step. */
  votes: z.array(zCount.nullable()),
})
export type Clock = z.output<typeof zClock>

/** C_minted (L3); infinite until the first mint. */
const zSupply = z.strictObject({ minted: zPoint.nullable() })

const KEYS = {
  account: (id: AccountId) => `account/${idText(id)}`,
  channel: (id: Uint8Array) => `channel/${idText(id)}`,
  clock: 'clock',
  quota: (id: AccountId) => `quota/${idText(id)}`,
  revealed: (point: Point) => `revealed/${idText(point)}`,
  supply: 'supply',
} as const

function read<S extends z.ZodType>(view: StateView, key: string, schema: S): z.output<S> | undefined {
  const bytes = view.get(key)
  if (bytes === undefined) return undefined
  const record = decodeAs(schema, bytes)
  if (!record.ok) throw new InvariantError('L10', `the stored record ${key} cannot be read`)
  return record.value
}

export const readAccount = (view: StateView, id: AccountId): AccountView | undefined =>
  read(view, KEYS.account(id), zAccount)

export const writeAccount = (draft: Draft, account: AccountView): void =>
  draft.put(KEYS.account(account.account), cbor(account))

export const readChannel = (view: StateView, id: Uint8Array): ChannelView | undefined =>
  read(view, KEYS.channel(id), zChannel)

export const writeChannel = (draft: Draft, channel: ChannelView): void =>
  draft.put(KEYS.channel(channel.channel), cbor(channel))

export const readRevealed = (view: StateView, point: Point): Revealed | undefined =>
  read(view, KEYS.revealed(point), zRevealed)

export const writeRevealed = (draft: Draft, point: Point, revealed: Revealed): void =>
  draft.put(KEYS.revealed(point), cbor(revealed))

/** Points that the account has revealed in this block (L8). */
export function readQuota(view: StateView, id: AccountId, height: number): number {
  const quota = read(view, KEYS.quota(id), zQuota)
  return quota?.height === height ? quota.count : 0
}

export const writeQuota = (draft: Draft, id: AccountId, height: number, count: number): void =>
  draft.put(KEYS.quota(id), cbor({ height, count }))

export const readClock = (view: StateView): Clock | undefined => read(view, KEYS.clock, zClock)

export const writeClock = (draft: Draft, clock: Clock): void => draft.put(KEYS.clock, cbor(clock))

/** C_minted: the commitment to everything ever minted (L3). */
export const readMinted = (view: StateView): Element => read(view, KEYS.supply, zSupply)?.minted ?? null

export const writeMinted = (draft: Draft, minted: Element): void => draft.put(KEYS.supply, cbor({ minted }))
