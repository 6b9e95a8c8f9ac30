/** The statement of movements by itself: what crosses columns, what leaves, what is noticed, what a spreadsheet must not run. */
import t from 'tap'
import type { KnownEvent } from '../../src/api/event-types.js'
import type { Amount } from '../../src/base/amount.js'
import { decodeBlock } from '../../src/chain-adapter/block.js'
import { checksOf, csvOf, statementOf } from '../../src/cli/account-statement.js'
import { createPool } from '../../src/privacy/pool.js'
import { AccountMovements, type LedgerMovement } from '../../src/wallet/movements.js'
import { must } from '../chain-adapter/fixtures.js'
import { People } from '../wallet/people.js'

const moved = (time: number, kind: LedgerMovement['kind'], change: bigint, channel: string | null = null) => ({
  block: time,
  time,
  kind,
  change,
  counterparty: null,
  channel,
})
const cents = (value: bigint) => value as Amount
const events: KnownEvent[] = [
  { cursor: 1, type: 'channel.opened', time: 2, channel: 'a', peer: 'p' },
  {
    cursor: 2,
    type: 'payment.succeeded',
    time: 3,
    key: 'k',
    invoice: 'i',
    reference: '=1+1',
    amount_minor: cents(100n),
    fee_minor: cents(7n),
    parts: 1,
  },
  {
    cursor: 3,
    type: 'invoice.paid',
    time: 4,
    invoice: 'i',
    reference: 'claim "7", ward 2',
    amount_minor: cents(50n),
    channel: 'b',
    parts: 1,
    receipt: '',
  },
  { cursor: 4, type: 'forward.claimed', time: 5, channel: 'b', fee_minor: cents(3n) },
]
// Channel a is closed at 893; in b a cheat was punished when 153 were ours of a pool of 400; c is open with 20.
const movements = [
  moved(1, 'mint', 2_000n),
  moved(2, 'deposit', -1_000n, 'a'),
  moved(2, 'deposit', -100n, 'b'),
  moved(6, 'close', 893n, 'a'),
  moved(7, 'punish', 400n, 'b'),
  moved(8, 'deposit', -20n, 'c'),
  moved(9, 'redeem', -1n),
]
const channels = [
  { channel: 'a', phase: 'closed', balance: 893n, locks: 0 },
  { channel: 'b', phase: 'closed', balance: 153n, locks: 0 },
  { channel: 'c', phase: 'open', balance: 20n, locks: 0 },
]
const held = { available: 2_000n - 1_120n + 893n - 1n, pendingOpen: 400n, pendingFrozen: 0n }
const agree = (...given: Parameters<typeof checksOf>) => checksOf(...given).map(({ counted, held }) => counted === held)

t.test('adds up to the unit, and says where it does not', (t) => {
  const statement = statementOf(movements, events, channels)
  t.same([statement.ledger, statement.channels], [2_172n, 20n])
  t.same(agree(statement, held, held, channels), [true, true, true])
  const short = { ...held, available: held.available - 1n }
  t.same(agree(statement, held, short, channels), [false, false, true], 'a unit is missing on the ledger')
  t.same(agree(statementOf(movements, events.slice(0, -1), channels), held, held, channels), [true, true, false])
  t.same(agree(statementOf(movements.slice(1), events, channels), held, held, channels), [false, true, true])
  t.end()
})

t.test('after events have left the log: one line has what stood before, and all adds up as if they were there', (t) => {
  const whole = statementOf(movements, events, channels)
  const carried = { time: 4, channels: -107n + 50n } // cursors 1 to 3
  const statement = statementOf(movements, events.slice(3), channels, carried)
  t.same([statement.ledger, statement.channels], [whole.ledger, whole.channels])
  t.same(agree(statement, held, held, channels), [true, true, true])
  t.match(statement.lines[0], { kind: 'carried over', time: 4, ledger: 900n, channels: 1_100n - 107n + 50n })
  t.same(statement.lines.slice(1), whole.lines.slice(-5), 'and the lines after it are the same')
  t.match([...csvOf(statement)][1], /^1970-01-01T00:00:04.000Z,carried over,19.43,9.00,10.43,9.00,10.43,19.43,,,$/m)
  t.end()
})

t.test('as CSV', (t) => {
  const rows = [...csvOf(statementOf(movements, events, channels))].map((row) => row.trimEnd())
  t.equal(rows[0]?.split(',').length, 11)
  t.match(rows[4], /^1970-01-01T00:00:03.000Z,payment.succeeded,-1.00,0.00,-1.00,9.00,10.00,19.00,,,'=1\+1$/)
  t.match(rows[5], /,payment.fee,-0.07,/)
  t.match(rows[6], /,"claim ""7"", ward 2"$/)
  t.match(rows[9], /,punish,2.47,4.00,-1.53,/, 'more than was in the channel')
  t.match(rows.at(-1), /,redeem,-0.01,-0.01,0.00,21.72,0.20,21.92,,,block 9$/)
  t.end()
})

t.test('the ledger is read once: another look asks for what came since, and the sum is what is held', async (t) => {
  const pool = createPool({ threads: 1 })
  const people = new People(pool)
  const chain = await people.ledger()
  t.teardown(async () => {
    await chain.close()
    await pool.close()
  })
  const issuer = await people.wallet('issuer', chain)
  const [alice, bob] = [await people.registered('alice', chain, issuer), await people.registered('bob', chain, issuer)]
  const asked: number[] = []
  const source = {
    blocks: async (from: number) => {
      asked.push(from)
      return (await chain.blocks(from)).map((bytes) => must(decodeBlock(bytes)))
    },
  }
  const { keys } = await people.get('alice')
  const books = new AccountMovements({ source, account: keys.account, key: keys.paillier, pool })
  const seen: [string, bigint][] = []
  const agrees = async () => {
    for await (const { kind, change } of books.more()) seen.push([kind, change])
    const held = must(await alice.balance())
    const total = held.available + held.pendingOpen + held.pendingFrozen
    t.same(
      seen.reduce((sum, [, change]) => sum + change, 0n),
      total,
    )
  }
  must(await issuer.mint('m', alice.account, cents(900n)))
  await agrees()
  const first = asked.splice(0)
  must(await alice.transfer('t', bob.account, cents(250n)))
  must(await bob.transfer('back', alice.account, cents(50n)))
  must(await alice.redeem('r', cents(100n)))
  await agrees()
  t.ok(first[0] === 0 && asked[0] === first.at(-1), `${first} then ${asked}`)
  t.same(seen, [
    ['mint', 900n],
    ['transfer', -250n],
    ['transfer', 50n],
    ['redeem', -100n],
  ])
})
