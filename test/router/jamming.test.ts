/** Jamming: whatever strangers do with their locks, half of a channel is left to peers with a record of good payments. */
import fc from 'fast-check'
import t from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { LIMITS } from '../../src/base/limits.js'
import { bucketFor, type Claimant, type Room } from '../../src/router/jamming/buckets.js'
import {
  afterEnd,
  afterRefusal,
  aged,
  decodeReputation,
  encodeReputation,
  isKnown,
  lateness,
  lessened,
  mayFail,
  newcomer,
  type Reputation,
  reachOf,
} from '../../src/router/jamming/reputation.js'
import { cents, must, NOW } from './support.js'

const MONTH_S = 2_419_200
const good = (amount: bigint) => ({ claimed: true, amount: cents(amount), held: 1 })

function repeated(times: number, change: (reputation: Reputation) => Reputation, from = newcomer(NOW)): Reputation {
  let reputation = from
  for (let i = 0; i < times; i++) reputation = change(reputation)
  return reputation
}
const trusted = (payments: number = LIMITS.record_slots_min, amount = 1_000n) =>
  repeated(payments, (before) => afterEnd(before, good(amount), NOW))

t.test('a record: earned by what ends well and quickly, lost by what is held, halved by time, durable', (t) => {
  t.notOk(isKnown(trusted(LIMITS.record_slots_min - 1)))
  const known = trusted()
  t.ok(isKnown(known))
  t.same(reachOf(known), { slots: LIMITS.record_reach * 16, value: BigInt(LIMITS.record_reach) * 16_000n })
  t.same(reachOf(trusted(15)), { slots: 0, value: 0n }, 'who is not known reaches nothing')
  t.same(must(decodeReputation(encodeReputation(known))), known)
  t.match(decodeReputation(encodeReputation(known).slice(1)), { ok: false })

  t.equal(lateness(LIMITS.lock_quick_s), 0, 'to the second')
  t.equal(lateness(LIMITS.lock_quick_s + 1), 1)
  const held = (seconds: number, claimed: boolean) => ({ claimed, amount: cents(1_000), held: seconds })
  t.match(afterEnd(known, held(LIMITS.lock_quick_s, true), NOW), { slots: 17, value: 17_000n })
  t.match(afterEnd(known, held(6 * LIMITS.lock_quick_s, true), NOW), { slots: 11, value: 11_000n }, 'late, if it paid')
  t.match(afterEnd(known, held(86_400, false), NOW), { slots: 0, value: 0n, failed: 1 }, 'held to its expiry')
  t.match(afterEnd(known, held(1, false), NOW), { slots: 16, value: 16_000n, failed: 1 }, 'failed at once')

  const later = (months: number) => aged(known, NOW + months * MONTH_S)
  t.match(
    [later(0), later(1), later(2)].map(({ slots }) => slots),
    [16, 8, 4],
  )
  t.match(later(1_000), { slots: 0, value: 0n })
  t.same(aged(aged(known, NOW + MONTH_S), NOW + 2 * MONTH_S), later(2), 'in steps or at once')
  t.equal(aged(known, NOW - MONTH_S), known, 'ledger time never goes back')
  const most = trusted(1, 2n ** 60n)
  t.equal(afterEnd(most, good(2n ** 60n), NOW).value, 2n ** 53n, 'bounded')
  t.equal(afterEnd({ ...known, slots: LIMITS.record_slots_max }, good(1n), NOW).slots, LIMITS.record_slots_max)
  t.end()
})

t.test('failures are rationed: each good payment is worth one, a minute forgets one', (t) => {
  const refusals = (count: number, from?: Reputation) => repeated(count, (before) => afterRefusal(before, NOW), from)
  const full = LIMITS.failed_forwards
  t.ok(mayFail(refusals(full - 1)))
  t.notOk(mayFail(refusals(full)))
  t.ok(mayFail(refusals(full, trusted())), 'who pays more may fail more')
  t.notOk(mayFail(refusals(full + LIMITS.record_slots_min, trusted())))
  const minute = LIMITS.failure_forgotten_s
  t.equal(aged(refusals(full), NOW + minute - 1).failed, full)
  t.equal(aged(refusals(full), NOW + minute).failed, full - 1)
  t.equal(aged(aged(refusals(full), NOW + 1.5 * minute), NOW + 2 * minute).failed, full - 2, 'no fraction is lost')
  t.equal(aged(refusals(3), NOW + 100 * minute).failed, 0)
  t.equal(afterEnd(refusals(5), good(1n), NOW).failed, 4)
  t.end()
})

interface Lock {
  readonly peer: string
  readonly amount: Amount
  readonly bucket: 'general' | 'protected'
  readonly since: number
}

/** A hub with one outgoing channel, and peers that lock what they can in it. */
class Hub {
  readonly locks = new Set<Lock>()
  readonly records = new Map<string, Reputation>()
  now = NOW

  constructor(
    readonly slots: number,
    readonly value: bigint,
  ) {}

  record(peer: string): Reputation {
    return aged(this.records.get(peer) ?? newcomer(this.now), this.now)
  }

  #load(counts: (lock: Lock) => boolean) {
    const counted = [...this.locks].filter(counts)
    return { slots: counted.length, value: cents(counted.reduce((sum, { amount }) => sum + amount, 0n)) }
  }

  #claimant(peer: string): Claimant {
    const mine = [...this.locks].filter((lock) => lock.peer === peer)
    const late = mine.map(({ amount, since }) => ({ amount, steps: lateness(this.now - since) }))
    const standing = lessened(this.record(peer), {
      slots: late.reduce((sum, { steps }) => sum + steps, 0),
      value: cents(late.reduce((sum, { amount, steps }) => sum + amount * BigInt(steps), 0n)),
    })
    const others = [...this.records.keys()].filter((name) => name !== peer).map((name) => reachOf(this.record(name)))
    return {
      others: {
        slots: others.reduce((sum, { slots }) => sum + slots, 0),
        value: cents(others.reduce((sum, { value }) => sum + value, 0n)),
      },
      known: isKnown(standing),
      reach: reachOf(standing),
      protected: this.#load((lock) => lock.peer === peer && lock.bucket === 'protected'),
      mayFail: mayFail(this.record(peer)),
    }
  }

  room(peer: string): Room {
    return {
      whole: { slots: this.slots, value: cents(this.value) },
      general: this.#load(({ bucket }) => bucket === 'general'),
      ownGeneral: this.#load((lock) => lock.bucket === 'general' && lock.peer === peer).slots,
    }
  }

  /** @returns the lock, if the hub takes it. */
  offer(peer: string, amount: bigint): Lock | undefined {
    const claimant = this.#claimant(peer)
    if (!claimant.mayFail) return undefined
    const used = this.#load(() => true)
    const fits = used.slots < this.slots && used.value + amount <= this.value
    const bucket = fits ? bucketFor(this.room(peer), claimant, cents(amount)) : undefined
    if (bucket === undefined) {
      this.records.set(peer, afterRefusal(this.record(peer), this.now))
      return undefined
    }
    const lock = { peer, amount: cents(amount), bucket, since: this.now }
    this.locks.add(lock)
    return lock
  }

  end(lock: Lock, claimed: boolean): void {
    this.locks.delete(lock)
    const end = { claimed, amount: lock.amount, held: this.now - lock.since }
    this.records.set(lock.peer, afterEnd(this.record(lock.peer), end, this.now))
  }

  pay(peer: string, amount: bigint): boolean {
    const lock = this.offer(peer, amount)
    if (lock !== undefined) this.end(lock, true)
    return lock !== undefined
  }
}

const zMove = fc.record({
  peer: fc.constantFrom('mallory', 'mallory 2', 'mallory 3', 'mallory 4'),
  amount: fc.bigInt(1n, 5_000n),
  times: fc.integer({ min: 1, max: 40 }),
  wait: fc.constantFrom(0, 1, 60, 3_600, 86_400),
  end: fc.constantFrom('held', 'failed', 'claimed late'),
})

t.test('slow and fast jammers, any number of locks: alice, who has paid well, has half of slots and money', (t) => {
  const property = fc.property(fc.array(zMove, { maxLength: 25 }), (moves) => {
    const hub = new Hub(20, 10_000n)
    for (let i = 0; i < LIMITS.record_slots_min * 8; i++) if (!hub.pay('alice', 1_000n)) return false
    for (const { peer, amount, times, wait, end } of moves) {
      for (let i = 0; i < times; i++) {
        const lock = hub.offer(peer, amount)
        if (lock !== undefined && end === 'failed') hub.end(lock, false)
      }
      hub.now += wait
      for (const lock of hub.locks) if (end === 'claimed late' && hub.now - lock.since > 3_600) hub.end(lock, true)
      const { slots, value } = hub.room('alice').general
      if (slots > 10 || value > 5_000n) return false
      // a payment of any size in her half, and as many at once as are left of it
      if (!hub.pay('alice', 5_000n)) return false
      const many = Array.from({ length: 10 }, () => hub.offer('alice', 100n))
      if (many.some((lock) => lock === undefined)) return false
      for (const lock of many) hub.end(lock!, true)
    }
    return true
  })
  fc.assert(property, { numRuns: 100, seed: 11 })
  t.end()
})

t.test(
  'a large claim of a newcomer gets what no record reaches, and the peers with a record keep all that theirs do',
  (t) => {
    const after = (payments: number, amount: bigint) => {
      const hub = new Hub(20, 10_000n)
      for (let i = 0; i < payments; i++) hub.pay('alice', amount)
      return hub
    }
    const few = after(16, 10n)
    t.equal(few.offer('bob', 9_360n)?.bucket, 'general', 'alice reaches 640')
    t.equal(few.offer('carol', 1n), undefined, 'to others the half is as closed as ever')
    t.ok(few.pay('alice', 640n))
    t.equal(after(16, 10n).offer('bob', 9_361n), undefined)
    const small = after(16, 10n)
    for (let i = 0; i < 5; i++) small.offer('mallory', 1_000n)
    t.equal(small.offer('mallory 2', 4_000n), undefined, 'many claims that half would carry share the half')
    t.equal(after(128, 1_000n).offer('bob', 5_001n), undefined, 'what records reach stays theirs')

    const zLock = fc.record({ peer: fc.integer({ min: 0, max: 9 }), amount: fc.bigInt(1n, 10_000n) })
    const property = fc.property(
      fc.integer({ min: 16, max: 60 }),
      fc.bigInt(1n, 200n),
      fc.array(zLock),
      (n, one, locks) => {
        const hub = after(n, one)
        const { value: reach } = reachOf(hub.record('alice'))
        for (const { peer, amount } of locks) hub.offer(`mallory ${peer}`, amount)
        return hub.pay('alice', reach < 5_000n ? reach : 5_000n)
      },
    )
    fc.assert(property, { numRuns: 300, seed: 5 })
    t.end()
  },
)

t.test('one stranger has at most half of the general slots; a traitor loses its record while it holds', (t) => {
  const hub = new Hub(20, 10_000n)
  const count = (peer: string, amount = 1n) => {
    let taken = 0
    while (hub.offer(peer, amount) !== undefined) taken += 1
    return taken
  }
  t.equal(new Hub(20, 10_000n).offer('bob', 10_000n)?.bucket, 'general', 'nobody is known: nothing is kept')
  for (let i = 0; i < 16; i++) hub.pay('alice', 1_000n)
  t.equal(count('mallory'), 5)
  t.equal(count('bob'), 5)
  t.equal(count('carol'), 0)
  t.equal(hub.offer('alice', 9_000n)?.bucket, 'general', 'nobody else is known: for alice nothing is kept')

  const betrayed = new Hub(200, 1_000_000n)
  for (let i = 0; i < 20; i++) betrayed.pay('alice', 1_000n)
  for (let i = 0; i < 20; i++) betrayed.pay('mallory', 1_000n)
  const taken = Array.from({ length: 150 }, () => betrayed.offer('mallory', 10n)).filter((lock) => lock !== undefined)
  t.equal(taken.length, 150, 'as long as nothing is late')
  betrayed.now += 2 * LIMITS.lock_quick_s
  t.equal(betrayed.offer('mallory', 1n), undefined, 'then it is a stranger')
  for (const lock of taken) betrayed.end(lock, true)
  t.notOk(isKnown(betrayed.record('mallory')), 'and stays one')
  t.ok(betrayed.pay('alice', 1n))
  t.end()
})
