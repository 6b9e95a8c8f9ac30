import { type FileHandle, open } from 'node:fs/promises'
import { concatBytes, type Digest, equalBytes, readU64, u64 } from '../../base/bytes.js'
import { sha256 } from '../../base/digest.js'
import type { LedgerHead } from '../../base/ports/chain.js'
import { ok, type Result, refuse } from '../../base/result.js'

/** The highest block that anybody was told of. */
export interface Mark {
  readonly height: number
  readonly stateHash: Digest
}

/** 8 height, 32 state hash, 32 checksum. */
const SLOT_BYTES = 72
const SLOTS = 2

/**
 * S2: LevelDB can lose synced writes and open without a word. This file outside of it remembers the last acknowledged
 * block, so that a ledger never signs two heads of one height. Two slots take turns: a torn write spoils only one.
 */
export class HeadFile {
  private constructor(
    private readonly file: FileHandle,
    readonly mark: Mark | undefined,
  ) {}

  static async create(path: string): Promise<HeadFile> {
    return new HeadFile(await open(path, 'wx+', 0o600), undefined)
  }

  /** Refuses with `store_corrupt` where the file is missing or neither slot is whole. */
  static async open(path: string): Promise<Result<HeadFile>> {
    const file = await open(path, 'r+').catch(() => undefined)
    if (file === undefined) return refuse('store_corrupt', 'head file')
    const bytes = new Uint8Array(SLOT_BYTES * SLOTS)
    await file.read(bytes, 0, bytes.length, 0)
    const marks = [readSlot(bytes.slice(0, SLOT_BYTES)), readSlot(bytes.slice(SLOT_BYTES))].filter(
      (mark) => mark !== undefined,
    )
    const mark = marks.sort((a, b) => b.height - a.height)[0]
    if (mark !== undefined) return ok(new HeadFile(file, mark))
    await file.close()
    return refuse('store_corrupt', 'head file')
  }

  /** Durable when it resolves. */
  async write({ height, stateHash }: LedgerHead): Promise<void> {
    const content = concatBytes(u64(height), stateHash)
    await this.file.write(concatBytes(content, sha256(content)), 0, SLOT_BYTES, (height % SLOTS) * SLOT_BYTES)
    await this.file.datasync()
  }

  close(): Promise<void> {
    return this.file.close()
  }
}

function readSlot(slot: Uint8Array): Mark | undefined {
  const height = readU64(slot)
  const whole = equalBytes(sha256(slot.slice(0, 40)), slot.slice(40))
  return whole && height !== undefined ? { height, stateHash: slot.slice(8, 40) as Digest } : undefined
}
