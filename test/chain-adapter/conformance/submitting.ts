import { encodeTransaction, type Transaction, transactionId } from '../../../src/base/transaction.js'
import { mint, register, rollover, transfer } from '../../contract/account-transactions.js'
import { reveal } from '../../contract/channel-transactions.js'
import { type Role, role, signedBy } from '../../contract/world.js'
import type { Scene, Tap } from '../conformance.js'
import { codeOf, eventsAfter } from './user.js'

const [alice, bob, carol, dave, issuer] = ['alice', 'bob', 'carol', 'dave', 'issuer'].map(role) as [
  Role,
  Role,
  Role,
  Role,
  Role,
]

/** A1: resolves when final, with where and when; what it says is what the ledger then shows. */
export async function submission(t: Tap, { user, chain }: Scene): Promise<void> {
  t.equal((await chain.account(alice.account)).value, undefined, 'unknown before')
  const tx = register(user.world, alice)
  const receipt = await user.submit(tx)
  t.same(receipt.id, transactionId(encodeTransaction(tx)))
  t.equal(receipt.cursor, 1)
  t.ok((await chain.now()).height >= receipt.height, 'final when it resolves')
  await user.submit(register(user.world, bob))
  await user.submit(mint(user.world, alice, 500n))
  await user.submit(rollover(user.world, alice))
  await user.submit(rollover(user.world, alice))
  const paid = await user.submit(transfer(user.world, alice, bob, 123n))
  t.equal(paid.cursor, 6)
  for (const who of [alice, bob]) {
    t.same((await chain.account(who.account)).value, user.world.account(who), `${who.name} as the contract has it`)
  }
}

/** Rejects with the contract's code; nothing changes, and a refused transaction may come again. */
export async function refusals(t: Tap, { user, chain }: Scene): Promise<void> {
  const good = register(user.world, carol)
  t.equal(await codeOf(chain.submit({ ...good, signature: good.admission })), 'bad_signature')
  t.equal(
    await codeOf(chain.submit(signedBy(carol, { ...good, ledger: transactionId(new Uint8Array()) }))),
    'wrong_ledger',
  )
  await user.submit(good)
  t.equal(await codeOf(chain.submit(register(user.world, carol, { nonce: 1 }))), 'account_exists')
  const before = await chain.account(bob.account)
  const { nonce } = user.world.account(issuer)
  const forged = mint(user.world, bob, 5n, { commitment: user.world.commit(6n) })
  t.equal(await codeOf(chain.submit(forged)), 'bad_proof')
  t.same((await chain.account(bob.account)).value, before.value, 'a refusal changes nothing')
  t.equal((await chain.account(issuer.account)).value?.nonce, nonce, 'and consumes no nonce')

  const first = mint(user.world, bob, 5n)
  user.world.accept(first)
  const early = mint(user.world, bob, 7n)
  t.equal(await codeOf(chain.submit(early)), 'bad_nonce')
  await chain.submit(first)
  await user.submit(early)
  t.same((await chain.account(bob.account)).value, user.world.account(bob), 'a refused transaction may come again')
}

/** The same bytes again resolve with the first receipt, also while the first is under way. */
export async function idempotence(t: Tap, { user, chain, second }: Scene): Promise<void> {
  const [before, tx] = [user.cursor, register(user.world, dave)]
  const others = await second()
  const [one, two, three] = await Promise.all([chain.submit(tx), chain.submit(tx), others.submit(tx)])
  t.same([two, three], [one, one])
  user.repeat(tx, one)
  await user.submit(reveal(user.world, dave, [user.world.scalar()]))
  t.same(await others.submit(tx), one, 'whoever sends them, whenever')
  t.same(
    (await eventsAfter(chain, before, 2)).map(({ transaction }) => transaction.kind),
    ['register', 'reveal'],
  )
  await others.close()
}

/** Many at once from several clients: each exactly once, cursors without gaps. */
export async function concurrency(t: Tap, { user, chain, second }: Scene): Promise<void> {
  const clients = [chain, await second(), await second()]
  const txs: Transaction[] = Array.from({ length: 24 }, () => reveal(user.world, alice, [user.world.scalar()]))
  const before = user.cursor
  const receipts = await Promise.all(txs.map((tx, i) => clients[i % clients.length]!.submit(tx)))
  t.same(
    receipts.map(({ cursor }) => cursor).sort((a, b) => a - b),
    Array.from(txs, (_, i) => before + i + 1),
  )
  for (const [i, receipt] of receipts.entries()) user.repeat(txs[i]!, receipt)
  const events = await eventsAfter(chain, before, txs.length)
  for (const [i, receipt] of receipts.entries()) {
    const event = events[receipt.cursor - before - 1]!
    t.same(event.transaction, txs[i], 'the event at a receipt’s cursor is its transaction')
    t.same([event.id, event.height, event.time], [receipt.id, receipt.height, receipt.time])
  }
  await Promise.all(clients.slice(1).map((client) => client.close()))
}
