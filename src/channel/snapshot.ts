/**
 * A channel as bytes (C6, S1): what one batch writes. Volatile fields (connection, held commit, stall clock) are not in
 * it. A later layout gets another schema number and a reader of this one beside its own.
 */
import { z } from 'zod'
import { AMOUNT_BYTES, type Amount, amountFromBytes, amountToBytes, packAmounts } from '../base/amount.js'
import { bigintToBytes, bytesToBigint, concatBytes } from '../base/bytes.js'
import { channelStateDigest, decodeChannelState, decodeLocks, encodeLocks, type Side } from '../base/channel-state.js'
import { cbor, decodeAs, zBytesUpTo, zCount, zDigest, zScalar, zSide, zSignature } from '../base/codec.js'
import { InvariantError } from '../base/errors.js'
import { closeOffer, commit, zVersionKeys } from '../base/message/channel.js'
import { ok, type Result, refuse } from '../base/result.js'
import { zExit } from '../base/transaction.js'
import { VOLATILE } from './birth.js'
import { packOperation, unpackOperations } from './operation.js'
import type { Built, Channel, Cosigned, Lock, LockNote, Operation } from './types.js'

const SCHEMA = 2

const zBlob = z.custom<Uint8Array>((value) => value instanceof Uint8Array)
const zPair = <S extends z.ZodType>(schema: S) => z.tuple([schema, schema])
const zBuilt = z.strictObject({
  encoded: zBlob,
  /** Balances, then locks in the state's order. */
  amounts: zBlob,
  at: z.strictObject({ height: zCount, time: zCount }),
})
const zLocks = z.strictObject({ locks: zBlob, amounts: zBlob })
const zNote = z.strictObject({
  lock: zLocks,
  scalar: zScalar.nullable(),
  revealing: z.boolean(),
  release: zBytesUpTo(1_024).nullable(),
  refused: z.boolean(),
  deadTold: z.boolean(),
})

const zDispute = z.strictObject({
  poster: zSide,
  version: zCount,
  revocation: zDigest,
  deadline: zCount,
  standing: zBlob,
  standingVersion: zCount,
})

const zSnapshot = z.strictObject({
  schema: z.literal(SCHEMA),
  phase: z.enum(['funding', 'open', 'closing', 'exiting', 'broken', 'disputed', 'recovery', 'closed']),
  breach: z.string().nullable(),
  current: zBuilt,
  signatures: zPair(zSignature),
  outstanding: z.strictObject({ built: zBuilt, operations: zBlob, message: commit.schema }).nullable(),
  unrevoked: z.strictObject({ hash: zDigest, operations: zBlob, removed: zLocks }).nullable(),
  pending: zBlob,
  nextId: zPair(zCount),
  committedId: zPair(zCount),
  revoked: zCount,
  signed: z.strictObject({ version: zCount, digest: zDigest }),
  secrets: z.strictObject({ count: zCount, slots: zBlob }),
  peerKeys: zVersionKeys.nullable(),
  peerRandomizer: zBlob,
  randomizers: z.array(z.tuple([zCount, zBlob])),
  notes: z.array(zNote),
  shutdown: z.strictObject({ sent: z.boolean(), received: z.boolean() }),
  close: z
    .strictObject({ by: zSide, version: zCount, offer: closeOffer.schema, accepted: zSignature.nullable() })
    .nullable(),
  exit: zExit.nullable(),
  dispute: zDispute.nullable(),
  submitted: z.array(z.tuple([z.enum(['exit', 'supersede', 'punish', 'settle', 'closeChannel']), zCount])),
  peerRecovers: zCount.nullable(),
  floor: zCount,
  untold: z.array(z.strictObject({ lock: zLocks, lost: z.boolean() })),
})
type Snapshot = z.output<typeof zSnapshot>

// ---- writing

const packBuilt = ({ encoded, content }: Built): z.output<typeof zBuilt> => ({
  encoded,
  amounts: packAmounts([...content.balances, ...content.locks.map((lock) => lock.amount)]),
  at: { height: content.at.height, time: content.at.time },
})

const packLocks = (locks: readonly Lock[]): z.output<typeof zLocks> => ({
  locks: encodeLocks(locks),
  amounts: packAmounts(locks.map((lock) => lock.amount)),
})

const FRAME_BYTES = 3

/** Operations of both sides: each with its proposer and its length before it. */
function packMixed(operations: readonly Operation[]): Uint8Array {
  const packed = operations.map(packOperation)
  const out = new Uint8Array(packed.reduce((sum, { length }) => sum + FRAME_BYTES + length, 0))
  let at = 0
  for (const [index, bytes] of packed.entries()) {
    out[at] = operations[index]!.from
    out[at + 1] = bytes.length >> 8
    out[at + 2] = bytes.length
    out.set(bytes, at + FRAME_BYTES)
    at += FRAME_BYTES + bytes.length
  }
  return out
}

const INDEX_BYTES = 6
const SLOT_BYTES = 1 + INDEX_BYTES + 32

const packSecrets = (secrets: Channel['secrets']): Snapshot['secrets'] => ({
  count: secrets.count,
  slots: concatBytes(
    ...secrets.slots.flatMap((slot, place) =>
      slot === undefined ? [] : [Uint8Array.of(place), bigintToBytes(slot.index, INDEX_BYTES), slot.secret],
    ),
  ),
})

const packNote = (note: LockNote): z.output<typeof zNote> => ({
  lock: packLocks([note.lock]),
  scalar: note.scalar ?? null,
  revealing: note.revealing ?? false,
  release: note.release ?? null,
  refused: note.refused ?? false,
  deadTold: note.deadTold ?? false,
})

export function encodeChannel(channel: Channel): Uint8Array {
  const { outstanding, unrevoked } = channel
  const snapshot: Snapshot = {
    schema: SCHEMA,
    phase: channel.phase,
    breach: channel.breach,
    current: packBuilt(channel.current),
    signatures: [channel.current.signatures[0], channel.current.signatures[1]],
    outstanding: outstanding && {
      built: packBuilt(outstanding),
      operations: packMixed(outstanding.operations),
      message: outstanding.message,
    },
    unrevoked: unrevoked && {
      hash: unrevoked.hash,
      operations: packMixed(unrevoked.operations),
      removed: packLocks(unrevoked.removed),
    },
    pending: packMixed(channel.pending),
    nextId: [channel.nextId[0], channel.nextId[1]],
    committedId: [channel.committedId[0], channel.committedId[1]],
    revoked: channel.revoked,
    signed: channel.signed,
    secrets: packSecrets(channel.secrets),
    peerKeys: channel.peerKeys,
    peerRandomizer: channel.peerRandomizer,
    // Only what a message may have to repeat (C8); those further ahead are computed anew.
    randomizers: [...channel.randomizers]
      .filter(([version]) => version <= channel.current.content.version + 1)
      .map(([version, value]) => [version, value]),
    notes: [...channel.notes.values()].map(packNote),
    shutdown: channel.shutdown,
    close: channel.close,
    exit: channel.exit,
    dispute: channel.dispute,
    submitted: [...channel.submitted],
    peerRecovers: channel.peerRecovers,
    floor: channel.floor,
    untold: channel.untold.map(({ lock, lost }) => ({ lock: packLocks([lock]), lost })),
  }
  return cbor(snapshot)
}

// ---- reading

/** What we wrote ourselves and cannot read is a corrupt store, found before anything is signed. */
class Unreadable extends InvariantError {
  constructor(what: string) {
    super('C6', `a stored channel cannot be read: ${what}`)
  }
}

function must<T>(result: Result<T>, what: string): T {
  if (!result.ok) throw new Unreadable(what)
  return result.value
}

function readAmounts(bytes: Uint8Array): Amount[] {
  const amounts: Amount[] = []
  for (let at = 0; at + AMOUNT_BYTES <= bytes.length; at += AMOUNT_BYTES) {
    amounts.push(amountFromBytes(bytes.subarray(at, at + AMOUNT_BYTES)))
  }
  return amounts
}

function readLocks(packed: { readonly locks: Uint8Array; readonly amounts: Uint8Array }): Lock[] {
  const amounts = readAmounts(packed.amounts)
  return must(decodeLocks(packed.locks), 'locks').map((lock, index) => {
    const amount = amounts[index]
    if (amount === undefined) throw new Unreadable('lock amounts')
    return { ...lock, amount }
  })
}

function readLock(packed: z.output<typeof zLocks>): Lock {
  const [lock] = readLocks(packed)
  if (lock === undefined) throw new Unreadable('lock')
  return lock
}

function readBuilt({ encoded, amounts, at }: z.output<typeof zBuilt>): Built {
  const state = must(decodeChannelState(encoded), 'state')
  const [opener, peer, ...rest] = readAmounts(amounts)
  if (opener === undefined || peer === undefined) throw new Unreadable('balances')
  const locks = readLocks({ locks: state.locks, amounts: concatBytes(...rest.map(amountToBytes)) })
  const content = { version: state.version, balances: [opener, peer] as const, locks, at }
  return { content, state, encoded, digest: channelStateDigest(encoded) }
}

function readMixed(bytes: Uint8Array): Operation[] {
  const operations: Operation[] = []
  for (let at = 0; at < bytes.length; ) {
    const from: Side = bytes[at] === 1 ? 1 : 0
    const length = bytes[at + 1]! * 256 + bytes[at + 2]!
    const end = at + FRAME_BYTES + length
    operations.push(...must(unpackOperations(bytes.slice(at + FRAME_BYTES, end), from), 'operations'))
    at = end
  }
  return operations
}

function readSecrets({ count, slots }: Snapshot['secrets']): Channel['secrets'] {
  const read: Channel['secrets']['slots'][number][] = []
  for (let at = 0; at < slots.length; at += SLOT_BYTES) {
    const index = bytesToBigint(slots.subarray(at + 1, at + 1 + INDEX_BYTES))
    read[slots[at]!] = { index, secret: slots.slice(at + 1 + INDEX_BYTES, at + SLOT_BYTES) }
  }
  return { count, slots: Array.from(read) }
}

function readNote(packed: z.output<typeof zNote>): [string, LockNote] {
  const lock = readLock(packed.lock)
  const note: LockNote = {
    lock,
    ...(packed.scalar === null ? {} : { scalar: packed.scalar }),
    ...(packed.revealing ? { revealing: true } : {}),
    ...(packed.release === null ? {} : { release: packed.release }),
    ...(packed.refused ? { refused: true } : {}),
    ...(packed.deadTold ? { deadTold: true } : {}),
  }
  return [`${lock.from}/${lock.id}`, note]
}

/** Errors: `bad_encoding` for another schema or damaged bytes. The channel comes back disconnected. */
export function decodeChannel(bytes: Uint8Array): Result<Channel> {
  const parsed = decodeAs(zSnapshot, bytes)
  if (!parsed.ok) return parsed
  try {
    return ok(readSnapshot(parsed.value))
  } catch (error) {
    if (error instanceof Unreadable) return refuse('bad_encoding', error.message)
    throw error
  }
}

function readSnapshot(snapshot: Snapshot): Channel {
  const { outstanding, unrevoked } = snapshot
  const current: Cosigned = { ...readBuilt(snapshot.current), signatures: snapshot.signatures }
  return {
    phase: snapshot.phase,
    breach: snapshot.breach,
    current,
    outstanding: outstanding && {
      ...readBuilt(outstanding.built),
      operations: readMixed(outstanding.operations),
      message: outstanding.message,
    },
    unrevoked: unrevoked && {
      hash: unrevoked.hash,
      operations: readMixed(unrevoked.operations),
      removed: readLocks(unrevoked.removed),
    },
    pending: readMixed(snapshot.pending),
    nextId: snapshot.nextId,
    committedId: snapshot.committedId,
    revoked: snapshot.revoked,
    signed: snapshot.signed,
    secrets: readSecrets(snapshot.secrets),
    peerKeys: snapshot.peerKeys,
    peerRandomizer: snapshot.peerRandomizer,
    randomizers: new Map(snapshot.randomizers),
    notes: new Map(snapshot.notes.map(readNote)),
    shutdown: snapshot.shutdown,
    close: snapshot.close,
    exit: snapshot.exit,
    dispute: snapshot.dispute,
    submitted: new Map(snapshot.submitted),
    peerRecovers: snapshot.peerRecovers,
    floor: snapshot.floor,
    untold: snapshot.untold.map(({ lock, lost }) => ({ lock: readLock(lock), lost })),
    ...VOLATILE,
  }
}
