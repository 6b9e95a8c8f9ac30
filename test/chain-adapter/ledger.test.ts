import t from 'tap'
import { inProcessAdapter } from '../../src/chain-adapter/embedded/in-process.js'
import { mint, register } from '../contract/account-transactions.js'
import { role, World } from '../contract/world.js'
import { createLedger } from './fixtures.js'

t.test('first steps', async (t) => {
  const world = new World()
  const ledger = await createLedger({ dir: t.testdir() })
  const chain = inProcessAdapter(ledger)
  const tx = register(world, role('alice'))
  const receipt = await chain.submit(tx)
  world.accept(tx)
  t.same(await chain.submit(tx), receipt)
  await chain.submit(mint(world, role('alice'), 5n))
  t.match(await ledger.stats(), { accepted: 2, refused: 0 })
  t.not((await ledger.stats()).thread, 0)
  await ledger.close()
})
