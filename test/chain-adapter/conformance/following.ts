import { register } from '../../contract/account-transactions.js'
import { reveal } from '../../contract/channel-transactions.js'
import { role } from '../../contract/world.js'
import type { Scene, Tap } from '../conformance.js'
import { codeOf, eventsAfter, take } from './user.js'

const [alice, erin] = [role('alice'), role('erin')]

/** Ordered, gap-free, replayable from every cursor, then live. */
export async function eventReplay(t: Tap, { user, chain, second }: Scene): Promise<void> {
  const others = await second()
  const start = user.cursor
  const live = eventsAfter(others, 0, start + 6)
  const first = register(user.world, erin)
  await user.submit(first)
  for (let i = 0; i < 4; i++) await user.submit(reveal(user.world, alice, [user.world.scalar()]))
  const all = await eventsAfter(chain, 0, start + 5)
  t.same(
    all.map(({ cursor }) => cursor),
    Array.from(all, (_, i) => i + 1),
  )
  t.same(all[start]!.transaction, first)
  for (const cursor of [1, start, start + 1, start + 4]) {
    t.same(await eventsAfter(chain, cursor, start + 5 - cursor), all.slice(cursor), `from cursor ${cursor}`)
  }
  const next = eventsAfter(chain, start + 5, 1)
  await user.submit(reveal(user.world, erin, [user.world.scalar()]))
  t.equal((await next)[0]!.cursor, start + 6, 'then live ones')
  t.same(await live, await eventsAfter(chain, 0, start + 6), 'a follower from the start saw the same')
  t.equal(await codeOf(eventsAfter(chain, start + 7, 1)), 'ledger_behind', 'nobody can have seen what did not happen')

  const leaving = new AbortController()
  const left = take(chain.events(start + 6, leaving.signal), 1)
  leaving.abort()
  t.same(await left, [], 'ends when its signal aborts')
  await others.close()
}

/** Height and time never go back; a view carries those of its ledger. */
export async function headsAndViews(t: Tap, { user, chain }: Scene): Promise<void> {
  const heads = take(chain.heads(), 3)
  for (let before = await chain.now(), i = 0; i < 4; i++) {
    const receipt = await user.submit(reveal(user.world, alice, [user.world.scalar()]))
    const [now, view] = [await chain.now(), await chain.account(alice.account)]
    t.ok(receipt.height > before.height && receipt.time >= before.time, 'time is monotone')
    t.ok(view.height >= receipt.height && view.time >= receipt.time && view.height >= now.height, 'a view is no older')
    before = now
  }
  const seen = await heads
  for (const [i, head] of seen.slice(1).entries()) {
    const before = seen[i]!
    t.ok(head.height > before.height && head.time >= before.time && head.cursor >= before.cursor, 'heads rise')
  }
  t.equal((await chain.channel(user.world.ledger as never)).value, undefined)
  t.equal((await chain.revealed(alice.account)).value, undefined)
}

/** After `close` nothing hangs: calls reject with `unavailable`, iterations end. */
export async function closing(t: Tap, { user, second, supports, withhold }: Scene): Promise<void> {
  const other = await second()
  const tx = reveal(user.world, alice, [user.world.scalar()])
  if (supports.withholding) await withhold!(true)
  const pending = codeOf(other.submit(tx))
  const [events, heads] = [take(other.events(user.cursor), 1), take(other.heads(), 1_000)]
  await other.close()
  t.equal(await pending, supports.withholding ? 'unavailable' : 'resolved', 'a pending submit')
  t.same(await events, [], 'events end')
  t.ok((await heads).length < 1_000, 'heads end')
  for (const call of [
    () => other.submit(tx),
    () => other.account(alice.account),
    () => other.channel(user.world.ledger as never),
    () => other.revealed(alice.account),
    () => other.now(),
  ]) {
    t.equal(await codeOf(call()), 'unavailable')
  }
  await other.close()
  if (supports.withholding) await withhold!(false)
  t.ok(await user.submit(tx), 'others are not concerned, and the same bytes tell what became of them')
}

/** What was final stays: receipts, views, events; and the ledger goes on. */
export async function restarting(t: Tap, { user, chain, restart }: Scene): Promise<void> {
  const tx = reveal(user.world, alice, [user.world.scalar()])
  const receipt = await user.submit(tx)
  const last = user.cursor
  const [events, account] = [await eventsAfter(chain, 0, last), await chain.account(alice.account)]
  user.chain = await restart!()
  t.same(await user.chain.submit(tx), receipt, 'the first receipt')
  t.same(await eventsAfter(user.chain, 0, last), events, 'the same events')
  t.same((await user.chain.account(alice.account)).value, account.value)
  const again = await user.submit(reveal(user.world, alice, [user.world.scalar()]))
  t.equal(again.cursor, last + 1)
  t.ok(again.time >= receipt.time)
}
