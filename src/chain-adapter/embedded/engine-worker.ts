/** The ledger's own thread: storage, contract and blocks live here; proofs in the pool's threads below it. */
import { isMainThread, parentPort, threadId, workerData } from 'node:worker_threads'
import { equalBytes } from '../../base/bytes.js'
import { cbor } from '../../base/codec.js'
import { counts } from '../../base/counters.js'
import { curve, parseScalar } from '../../base/curve/index.js'
import { invariant, MeridianError } from '../../base/errors.js'
import { decodeGenesis } from '../../base/genesis.js'
import { LIMITS } from '../../base/limits.js'
import { checkDigest } from '../../privacy/check.js'
import { createPool, type ProofPool } from '../../privacy/pool.js'
import { type Block, digestBlock } from '../block.js'
import { apply } from '../contract/apply.js'
import { readAccount, readChannel, readRevealed } from '../contract/state.js'
import { need } from '../need.js'
import { Engine } from './engine.js'
import type { BlockNotice, EngineApi, EngineStart } from './engine-api.js'
import { openStorage } from './open-storage.js'
import { serve } from './rpc.js'
import type { LedgerStorage } from './storage.js'

interface Opened {
  readonly engine: Engine
  readonly storage: LedgerStorage
  readonly pool: ProofPool
}

async function open(start: EngineStart, onBlock: (block: Block) => void): Promise<Opened> {
  const genesis = need(decodeGenesis(start.genesis))
  const headKey = need(parseScalar(start.headKey))
  if (!equalBytes(curve.multiplyBase(headKey), genesis.headKey)) throw new MeridianError('ledger_other', 'head key')
  if (genesis.clock !== null) throw new MeridianError('ledger_other', 'genesis names a clock: not an embedded ledger')
  const storage = await openStorage(start, genesis)
  const pool = createPool({ threads: start.verifiers })
  const engine = new Engine({
    genesis,
    headKey,
    storage,
    clock: start.clock,
    execute: (view, tx, at, verify) => apply(view, genesis, tx, at, verify),
    digestOf: checkDigest,
    verify: (check) => pool.verify(check),
    onBlock,
  })
  return { engine, storage, pool }
}

function page(storage: LedgerStorage, from: number): readonly Uint8Array[] {
  const blocks: Uint8Array[] = []
  let size = 0
  for (let height = from; blocks.length < LIMITS.block_page && size < LIMITS.block_page_bytes; height++) {
    const bytes = storage.blockBytes(height)
    if (bytes === undefined) break
    blocks.push(bytes)
    size += bytes.length
  }
  return blocks
}

function api(opening: Promise<Opened>, decided: { accepted: number; refused: number }): EngineApi {
  const viewOf = async <T>(read: (view: { get(key: string): Uint8Array | undefined }) => T) => {
    const { storage } = await opening
    const { height, time } = storage.head
    return { height, time, value: read({ get: (key) => storage.state(key) }) }
  }
  return {
    ready: async () => (await opening).storage.head,
    submit: async (bytes) => (await opening).engine.submit(bytes),
    account: (id) => viewOf((view) => readAccount(view, id)),
    channel: (id) => viewOf((view) => readChannel(view, id)),
    revealed: (point) => viewOf((view) => readRevealed(view, point)),
    blocks: async (from) => page((await opening).storage, from),
    blockDigest: async (height) => (await opening).storage.digestBytes(height),
    heightAfter: async (cursor) => (await opening).storage.heightAfter(cursor),
    advance: async (step) => (await opening).engine.advance(step),
    hold: async (held) => (await opening).engine.hold(held),
    stats: async () => ({ ...decided, waiting: (await opening).engine.waiting, thread: threadId, counts: counts() }),
    close: async () => {
      const { engine, pool, storage } = await opening
      await engine.close()
      await pool.close()
      await storage.close()
    },
  }
}

invariant(!isMainThread && parentPort !== null, 'A2', 'the contract runs off the main thread')
const port = parentPort
const decided = { accepted: 0, refused: 0 }
const opening = open(workerData as EngineStart, (block) => {
  decided.accepted += block.transactions.length
  decided.refused += block.refusals.length
  const notice: BlockNotice = { head: block.head, digest: cbor(digestBlock(block)) }
  port.postMessage({ notice })
})
opening.catch(() => undefined) // reported by `ready`
serve<EngineApi>(port, api(opening, decided))
