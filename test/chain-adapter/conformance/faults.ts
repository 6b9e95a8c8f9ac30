import { curve } from '../../../src/base/curve/index.js'
import { register } from '../../contract/account-transactions.js'
import { reveal } from '../../contract/channel-transactions.js'
import { role } from '../../contract/world.js'
import type { Scene, Tap } from '../conformance.js'
import { codeOf, eventsAfter } from './user.js'

const [alice, frank] = [role('alice'), role('frank')]

/** L8: a point keeps the first ledger time it was seen at, to the second. */
export async function manualTime(t: Tap, { user, chain, advance }: Scene): Promise<void> {
  const start = (await chain.now()).time
  const expiry = start + 30
  const [inTime, late] = [user.world.scalar(), user.world.scalar()]
  t.equal((await advance!(30)).time, expiry)
  t.equal((await chain.now()).time, expiry, 'time moves by exactly that much')
  t.equal((await user.submit(reveal(user.world, alice, [inTime]))).time, expiry, 'and by nothing else')
  t.equal((await advance!(1)).time, expiry + 1)
  await user.submit(reveal(user.world, alice, [late]))
  t.equal(await codeOf(chain.submit(reveal(user.world, alice, [inTime, late]))), 'known_point')
  await user.submit(reveal(user.world, alice, [inTime, user.world.scalar()]))
  const registered = async (scalar: typeof late) => (await chain.revealed(curve.multiplyBase(scalar))).value
  t.same(await registered(inTime), { scalar: inTime, time: expiry }, 'at its expiry: in time, and it stays')
  t.same(await registered(late), { scalar: late, time: expiry + 1 }, 'one second later: late')
}

/** A ledger that delays what it likes (an attacker's, or full blocks): time passes, and nothing happens twice. */
export async function withholding(t: Tap, { user, chain, withhold, pass }: Scene): Promise<void> {
  const before = await chain.now()
  await withhold!(true)
  const scalar = user.world.scalar()
  const tx = reveal(user.world, alice, [scalar])
  const pending = chain.submit(tx)
  const passed = await pass!(60)
  t.equal(passed.time, before.time + 60)
  t.equal((await chain.revealed(curve.multiplyBase(scalar))).value, undefined, 'withheld')
  await withhold!(false)
  const receipt = await pending
  t.ok(receipt.time >= passed.time && receipt.height > passed.height, 'final in a later block')
  t.same(await chain.submit(tx), receipt)
  t.same((await eventsAfter(chain, receipt.cursor - 1, 1))[0]!.transaction, tx, 'once')
  user.repeat(tx, receipt)
}

/** A1: final is final. What a client was told before a reorganisation is true after it. */
export async function reorganisation(t: Tap, { user, chain, reorganise }: Scene): Promise<void> {
  const tx = reveal(user.world, alice, [user.world.scalar()])
  const receipt = await user.submit(tx)
  const events = await eventsAfter(chain, 0, user.cursor)
  const pending = chain.submit(register(user.world, frank))
  await reorganise!()
  t.same(await chain.submit(tx), receipt)
  t.same(await eventsAfter(chain, 0, user.cursor), events)
  t.equal((await pending).cursor, user.cursor + 1, 'what was not yet final becomes so once')
  t.ok((await chain.now()).height >= receipt.height)
}
