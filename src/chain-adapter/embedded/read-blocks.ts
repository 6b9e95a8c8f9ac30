import type { Genesis } from '../../base/genesis.js'
import { LIMITS } from '../../base/limits.js'
import type { AuditSource } from '../audit/audit.js'
import { type Block, decodeBlock } from '../block.js'
import { need } from '../need.js'
import { openStorage } from './open-storage.js'

/**
 * The blocks of a ledger's directory, read where no process serves it. Nothing is written.
 * @throws MeridianError with the codes of Ledger.open
 */
export async function readBlocks(dir: string, genesis: Genesis): Promise<AuditSource & { close(): Promise<void> }> {
  const storage = await openStorage({ dir, create: false, headKey: new Uint8Array(32) }, genesis)
  return {
    genesis,
    head: async () => storage.head,
    async blocks(from) {
      const page: Block[] = []
      for (let height = from; page.length < LIMITS.block_page; height++) {
        const bytes = storage.blockBytes(height)
        if (bytes === undefined) break
        page.push(need(decodeBlock(bytes)))
      }
      return page
    },
    close: () => storage.close(),
  }
}
