import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseScalar } from '../../base/curve/index.js'
import { type Genesis, ledgerIdOf } from '../../base/genesis.js'
import { runCheck } from '../../privacy/check.js'
import { createLevelStore, openLevelStore } from '../../store/level.js'
import { memoryStore } from '../../store/memory.js'
import { type Block, beforeGenesis, sealBlock, sortedWrites } from '../block.js'
import { checkGenesis, genesisWrites } from '../contract/genesis.js'
import { need } from '../need.js'
import type { EngineStart } from './engine-api.js'
import { HeadFile } from './head-file.js'
import { LedgerStorage } from './storage.js'

function firstBlock(genesis: Genesis, headKey: Uint8Array): Block {
  const ledger = ledgerIdOf(genesis)
  const body = { transactions: [], refusals: [], writes: sortedWrites(genesisWrites(genesis)) }
  return sealBlock(ledger, beforeGenesis(genesis, ledger), genesis.time, body, need(parseScalar(headKey)))
}

/**
 * `<dir>/ledger` is the database, `<dir>/ledger.head` the head file (S2).
 * @throws MeridianError with the code of Ledger.create and Ledger.open
 */
export async function openStorage(
  { dir, create, headKey }: Pick<EngineStart, 'dir' | 'create' | 'headKey'>,
  genesis: Genesis,
): Promise<LedgerStorage> {
  if (dir === undefined) return LedgerStorage.create(memoryStore(), genesis, firstBlock(genesis, headKey))
  const [database, headFile] = [join(dir, 'ledger'), join(dir, 'ledger.head')]
  if (create) {
    need(checkGenesis(genesis, runCheck))
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const store = need(await createLevelStore(database))
    return LedgerStorage.create(store, genesis, firstBlock(genesis, headKey), await HeadFile.create(headFile))
  }
  const store = need(await openLevelStore(database))
  const mark = await HeadFile.open(headFile)
  const storage = mark.ok ? await LedgerStorage.open(store, genesis, mark.value) : mark
  if (storage.ok) return storage.value
  await store.close()
  if (mark.ok) await mark.value.close()
  return need(storage)
}
