/** The embedded ledger's blocks: what is hashed, what is signed, and how anybody re-checks one (section 3, A2). Pure. */
import { z } from 'zod'
import { compareBytes, type Digest, equalBytes, utf8 } from '../base/bytes.js'
import { cbor, decodeAs, zBytesUpTo, zCount, zDigest, zSignature, zText } from '../base/codec.js'
import { curve, type Scalar } from '../base/curve/index.js'
import { taggedHash } from '../base/digest.js'
import type { Genesis } from '../base/genesis.js'
import type { LedgerId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { LedgerHead } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'

export const zHead = z.strictObject({
  height: zCount,
  time: zCount,
  previous: zDigest,
  stateHash: zDigest,
  cursor: zCount,
  signature: zSignature,
})

const zTransactionBytes = zBytesUpTo(LIMITS.transaction_bytes)

/** A refused transaction leaves its identity and its code, not its bytes: refusals must not fill the disk. */
const zRefused = z.strictObject({ id: zDigest, code: zText(64) })
export type Refused = z.output<typeof zRefused>

/** What one block holds, before it is hashed. */
const body = {
  transactions: z.array(zTransactionBytes),
  refusals: z.array(zRefused),
  /** The keyed state after the block where it differs from before: sorted by key. */
  writes: z.array(z.tuple([zText(256), zBytesUpTo(LIMITS.state_value_bytes)])),
}

/** A block as it is stored and handed to an auditor. */
export const zBlock = z.strictObject({ head: zHead, ...body })
export type Block = z.output<typeof zBlock>
export type BlockBody = Omit<Block, 'head'>

/** What a follower needs to check a head against its transactions, without refusals and write set themselves. */
export const zBlockDigest = z.strictObject({
  head: zHead,
  transactions: z.array(zTransactionBytes),
  refusals: zDigest,
  writes: zDigest,
})
export type BlockDigest = z.output<typeof zBlockDigest>

export const encodeBlock = (block: Block): Uint8Array => cbor(block)
export const decodeBlock = (bytes: Uint8Array): Result<Block> => decodeAs(zBlock, bytes)

type HeadFields = Pick<LedgerHead, 'height' | 'time' | 'previous' | 'cursor'>

/** Hash chain over header, transactions, refusals and write set, each framed so that none can pass for another. */
function stateHash(header: HeadFields, parts: Pick<BlockDigest, 'transactions' | 'refusals' | 'writes'>): Digest {
  const { height, time, previous, cursor } = header
  const transactions = taggedHash('block-transactions', ...parts.transactions)
  const head = cbor({ height, time, previous, cursor })
  return taggedHash('state-hash', head, transactions, parts.refusals, parts.writes)
}

const refusalsDigest = (refusals: readonly Refused[]): Digest =>
  taggedHash('block-refusals', ...refusals.flatMap(({ id, code }) => [id, utf8(code)]))

const writesDigest = (writes: BlockBody['writes']): Digest =>
  taggedHash('block-writes', ...writes.flatMap(([key, value]) => [utf8(key), value]))

const digests = (block: BlockBody) => ({
  transactions: block.transactions,
  refusals: refusalsDigest(block.refusals),
  writes: writesDigest(block.writes),
})

export const digestBlock = (block: Block): BlockDigest => ({ head: block.head, ...digests(block) })

/** What the head key signs: bound to the ledger, so that no other ledger's head passes. */
function headDigest(ledger: LedgerId, head: Omit<LedgerHead, 'signature'>): Digest {
  const { height, time, previous, stateHash, cursor } = head
  return taggedHash('block-head', ledger, cbor({ height, time, previous, stateHash, cursor }))
}

/** The head before block 0: its hash is the ledger id, so that the chain begins in genesis itself. */
export const beforeGenesis = (genesis: Genesis, ledger: LedgerId) => ({
  height: -1,
  time: genesis.time,
  stateHash: ledger as Uint8Array as Digest,
  cursor: 0,
})
/** What the next block builds on. */
export type Previous = Pick<LedgerHead, 'height' | 'time' | 'stateHash' | 'cursor'>

export const sortedWrites = (writes: ReadonlyMap<string, Uint8Array>): BlockBody['writes'] =>
  [...writes].sort(([a], [b]) => compareBytes(utf8(a), utf8(b)))

/** Hashes and signs: `time` is ledger time of the whole block. */
export function sealBlock(ledger: LedgerId, previous: Previous, time: number, body: BlockBody, key: Scalar): Block {
  const header = {
    height: previous.height + 1,
    time,
    previous: previous.stateHash,
    cursor: previous.cursor + body.transactions.length,
  }
  const unsigned = { ...header, stateHash: stateHash(header, digests(body)) }
  const { transactions, refusals, writes } = body
  return {
    head: { ...unsigned, signature: curve.sign(headDigest(ledger, unsigned), key) },
    transactions,
    refusals,
    writes,
  }
}

export const isHeadSigned = (genesis: Genesis, ledger: LedgerId, head: LedgerHead): boolean =>
  curve.verify(headDigest(ledger, head), head.signature, genesis.headKey)

/**
 * A follower's check of one block: signature, hash over its transactions, and that it follows `previous` (undefined
 * where the follower begins in the middle of the chain: then the signature alone vouches for what came before).
 * Refuses with `ledger_head` naming what is wrong.
 */
export function checkBlock(
  genesis: Genesis,
  ledger: LedgerId,
  previous: Previous | undefined,
  block: BlockDigest,
): Result<LedgerHead> {
  const { head } = block
  const wrong = (what: string) => refuse('ledger_head', `${what} of block ${head.height}`)
  if (!isHeadSigned(genesis, ledger, head)) return wrong('signature')
  if (!equalBytes(stateHash(head, block), head.stateHash)) return wrong('hash')
  if (previous === undefined) return ok(head)
  if (head.height !== previous.height + 1) return wrong('height')
  if (!equalBytes(head.previous, previous.stateHash)) return wrong('previous hash')
  if (head.time < previous.time) return wrong('time')
  if (head.cursor !== previous.cursor + block.transactions.length) return wrong('cursor')
  return ok(head)
}
