/** Payments that wait, for parts, for hubs that stall, for channels, for each other: all or nothing, one end, and none before it is one (R1, R5). */
import t, { type Test } from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { otherSide } from '../../src/base/channel-state.js'
import type { Result } from '../../src/base/result.js'
import type { NodeParts } from '../../src/node/assemble.js'
import type { Node } from '../../src/node/node.js'
import type { PaymentView } from '../../src/node/payment-view.js'
import { decodeHeldParts } from '../../src/router/held-part.js'
import { invoiceScalar } from '../../src/router/invoice.js'
import { hopScalar } from '../../src/router/onion/crypto.js'
import { scalarUpstream } from '../../src/router/point-lock.js'
import { verifyReceipt } from '../../src/router/receipt.js'
import { TABLES } from '../../src/store/tables.js'
import { between, type Founded, found, Stage } from './every-step/stage.js'
import { must } from './simulate/base.js'
import { pairOf } from './simulate/network.js'

const AMOUNT = 120_000n
const FEE_MAX = 1_000n as Amount
const SLICE_S = 10
const sizes = { sends: 100_000n, carries: 100_000n, amount: AMOUNT }

/** The stage with everybody on it, and what a caller does there. */
class Play {
  readonly #before: ReadonlyMap<string, bigint>

  private constructor(readonly stage: Stage) {
    this.#before = this.worth()
  }

  static async of(founded: Founded, seed = 'waits'): Promise<Play> {
    const stage = new Stage(seed, founded.scene, founded)
    for (const host of stage.hosts.values()) host.start()
    await stage.exchange(() => undefined)
    return new Play(stage)
  }

  node(name: string): Node {
    const { node } = this.stage.host(name)
    if (node === undefined) throw new Error(`${name} is down`)
    return node
  }

  /** The node's insides: what no operator's call does. */
  parts(name: string): NodeParts {
    return (this.node(name) as unknown as { readonly parts: NodeParts }).parts
  }

  /** Until nothing moves. */
  async rest<T>(call?: Promise<T>): Promise<T> {
    let answer: { readonly value: T } | undefined
    call?.then((value) => {
      answer = { value }
    })
    await this.stage.exchange(() => undefined)
    if (call !== undefined && answer === undefined) throw new Error('a call was not answered')
    return answer?.value as T
  }

  async pass(seconds: number): Promise<void> {
    for (let passed = 0; passed < seconds; passed += SLICE_S) {
      await this.stage.schedule.advance(SLICE_S * 1_000)
      this.stage.ledger.propose()
      await this.rest()
    }
  }

  async invoice(amount: bigint): Promise<string> {
    const wish = { amount: amount as Amount, reference: 'claim', expiresIn: 20_000 }
    return must(await this.rest(this.node('payee').issueInvoice('invoice', wish))).text
  }

  pay(text: string, { key = 'key', name = 'payer', feeMax = FEE_MAX } = {}): Promise<Result<PaymentView>> {
    return this.rest(this.node(name).pay(key, text, feeMax))
  }

  view(key = 'key', name = 'payer'): PaymentView {
    const view = this.node(name).payment(key)
    if (view === undefined) throw new Error('no such payment')
    return view
  }

  /** Nothing more comes over from one to the other; the connection stands. */
  stall(a: string, b: string, stalled = true): void {
    if (stalled) this.stage.network.stalled.add(pairOf(a, b))
    else this.stage.network.stalled.delete(pairOf(a, b))
  }

  worth(): Map<string, bigint> {
    const worthOf = (name: string): bigint =>
      this.node(name)
        .channels()
        .reduce((sum, { balance }) => sum + balance, 0n)
    return new Map([...this.stage.hosts.keys()].map((name) => [name, worthOf(name)]))
  }

  /** What each has won since the beginning; who has neither won nor lost is not named. */
  gained(): Record<string, bigint> {
    const gains = [...this.worth()].map(([name, now]) => [name, now - (this.#before.get(name) ?? 0n)] as const)
    return Object.fromEntries(gains.filter(([, gain]) => gain !== 0n))
  }

  locks(name: string): number {
    return this.node(name)
      .channels()
      .reduce((sum, { locks }) => sum + locks, 0)
  }

  async events(name: string, type: string) {
    return (await this.node(name).events.page(0, 1_000)).filter((event) => event.type === type)
  }

  /** No lock is left and no channel is anything but open: nobody forced a close. */
  idle(t: Test): void {
    for (const name of this.stage.hosts.keys()) {
      const channels = this.node(name).channels()
      t.ok(
        channels.every(({ phase, ready, locks }) => phase === 'open' && ready && locks === 0),
        `${name} is idle`,
      )
    }
  }
}

const pairOfHubs = await found({ name: 'two hubs', ...between(['payer', 'other', 'payee'], ['left', 'right'], sizes) })

/** One of two parts is held by the payee, the other stands still on its last hop. */
async function halfWay(): Promise<Play> {
  const play = await Play.of(pairOfHubs)
  play.stall('payee', 'right')
  must(await play.pay(await play.invoice(AMOUNT)))
  return play
}

t.test('R1: one part comes and the other does not: pending until both are back, then all of it', async (t) => {
  const play = await halfWay()
  t.match(play.view(), { status: 'pending', parts: 2 })
  t.equal(play.locks('payee'), 1)
  await play.pass(50)
  t.equal(play.locks('payee'), 1, 'held')
  await play.pass(40)
  t.equal(play.locks('payee'), 0)
  t.match(play.view(), { status: 'pending', parts: 1, code: null }, 'the other part may still be claimed')
  play.stall('payee', 'right', false)
  await play.rest()
  t.equal(play.locks('payee'), 1, 'the late part is held too')
  await play.pass(90)
  t.match(play.view(), { status: 'failed', code: 'parts_timeout', attempts: 2, receipt: null })
  t.same(play.gained(), {})
  play.idle(t)
  t.equal((await play.events('payer', 'payment.failed')).length, 1)
  t.match(await play.node('payee').invoices(1), [{ paid: false, received: 0n }])
})

t.test(
  'R5: a payee that claims one part has sold the proof for it; the other comes back, told and counted',
  async (t) => {
    const play = await halfWay()
    const { disk, secrets } = play.stage.host('payee')
    const [, row] = [...disk.rows].find(([key]) => key.charCodeAt(0) === TABLES.held)!
    const [part] = must(decodeHeldParts(row))
    const { invoice } = (await play.node('payee').invoices(1))[0]!
    const own = invoiceScalar(secrets.walletSeed, play.stage.ledger.ledger, invoice.secret)
    const { channels, engine } = play.parts('payee')
    const channel = channels.get(part!.lock.channel)!
    const lock = { from: otherSide(channel.context.side), id: part!.lock.id }
    engine.do((tx) =>
      channels.step(tx, channel, { type: 'fulfill', lock, scalar: scalarUpstream(own, hopScalar(part!.secret)) }),
    )
    await play.rest()
    const { receipt, fee } = play.view()
    t.match(play.view(), { status: 'succeeded', parts: 2, sent: AMOUNT }, 'both may still be claimed')
    t.equal(must(verifyReceipt(receipt ?? '', { payee: play.node('payee').account })).amount, AMOUNT)
    play.stall('payee', 'right', false)
    await play.pass(90)
    const [back] = await play.events('payer', 'payment.returned')
    t.match(back, { key: 'key', reference: 'claim', amount: AMOUNT - part!.amount })
    const after = play.view()
    t.match(after, { status: 'succeeded', sent: part!.amount, receipt })
    t.ok(after.fee !== null && fee !== null && after.fee < fee)
    const { payer, payee } = play.gained()
    t.same([payer, payee], [-part!.amount - (after.fee ?? 0n), part!.amount], 'to the unit')
    play.idle(t)
  },
)

t.test('R1: two pay one invoice at once: one of them has paid it, the other has its money back', async (t) => {
  const winners = new Set<string>()
  for (const seed of ['1', '2', '3', '4', '5', '6']) {
    const play = await Play.of(pairOfHubs, seed)
    const text = await play.invoice(50_000n)
    const calls = ['payer', 'other'].map((name) => play.node(name).pay('key', text, FEE_MAX))
    for (const started of await play.rest(Promise.all(calls))) t.ok(started.ok)
    const ends = ['payer', 'other'].map((name) => [name, play.view('key', name)] as const)
    const [winner] = ends.find(([, { status }]) => status === 'succeeded') ?? []
    const loser = winner === 'payer' ? 'other' : 'payer'
    t.match(play.view('key', loser), { status: 'failed', code: 'payment_details_wrong', receipt: null })
    t.same([play.gained()[loser], play.gained()['payee']], [undefined, 50_000n])
    t.equal((await play.events('payee', 'invoice.paid')).length, 1)
    play.idle(t)
    winners.add(winner ?? 'nobody')
  }
  t.same([...winners].sort(), ['other', 'payer'], 'whoever comes first')
})

t.test('R1: two pay one invoice in parts at once: all of one payment, nothing of the other, one proof', async (t) => {
  const ample = { ...sizes, carries: 300_000n }
  const founded = await found({ name: 'ample', ...between(['payer', 'other', 'payee'], ['left', 'right'], ample) })
  const winners = new Set<string>()
  for (const seed of ['1', '4', '7']) {
    const play = await Play.of(founded, seed)
    const text = await play.invoice(AMOUNT)
    const calls = ['payer', 'other'].map((name) => play.node(name).pay('key', text, FEE_MAX))
    for (const started of await play.rest(Promise.all(calls))) t.ok(started.ok)
    const [winner, loser] = play.view().status === 'succeeded' ? ['payer', 'other'] : ['other', 'payer']
    t.match(play.view('key', winner), { status: 'succeeded', parts: 2, sent: AMOUNT })
    t.match(
      play.view('key', loser),
      { status: 'failed', code: 'payment_details_wrong', receipt: null },
      'without a wait',
    )
    t.same([play.gained()[loser], play.gained()['payee']], [undefined, AMOUNT])
    t.equal((await play.events('payee', 'invoice.paid')).length, 1)
    play.idle(t)
    winners.add(winner)
  }
  t.same([...winners].sort(), ['other', 'payer'], 'whoever is complete first')
})

t.test(
  'R5: of two keys for one invoice only one is under way or paid; what has failed leaves room for another',
  async (t) => {
    const play = await Play.of(pairOfHubs)
    const text = await play.invoice(50_000n)
    const refused = async (key: string, feeMax = FEE_MAX) => {
      const started = await play.pay(text, { key, feeMax })
      return started.ok ? started.value.status : started.error.code
    }
    t.equal(await refused('stingy', 0n as Amount), 'failed')
    play.stall('payee', 'left')
    play.stall('payee', 'right')
    t.equal(await refused('first'), 'pending')
    t.equal(await refused('second'), 'invoice_paid')
    t.equal(await refused('stingy'), 'payment_key_reused')
    play.stall('payee', 'left', false)
    play.stall('payee', 'right', false)
    await play.rest()
    t.equal(await refused('first'), 'succeeded')
    t.equal(await refused('third'), 'invoice_paid')
    t.equal(await refused('stingy', 0n as Amount), 'failed')
    t.equal(play.gained()['payee'], 50_000n)
    play.idle(t)
  },
)

t.test('R5: where one part can never arrive, another path carries it, and the payer pays once', async (t) => {
  const hubs = ['left', 'middle', 'right']
  const threeHubs = await found({ name: 'three hubs', ...between(['payer', 'payee'], hubs, sizes) })
  let [attempts, parts] = [0, 0]
  for (const hub of hubs) {
    const play = await Play.of(threeHubs)
    const text = await play.invoice(AMOUNT)
    play.stage.network.blocked.add(pairOf('payee', hub))
    play.stage.network.cut(pairOf('payee', hub))
    await play.rest()
    must(await play.pay(text))
    t.match(play.view(), { status: 'succeeded', sent: AMOUNT })
    t.equal(play.gained()['payee'], AMOUNT)
    t.equal(play.gained()[hub], undefined, 'nothing went over it')
    attempts += play.view().attempts
    parts += play.view().parts
    play.stage.network.blocked.clear()
    await play.rest()
    play.idle(t)
  }
  t.ok(attempts > parts, `${attempts} attempts for ${parts} parts`)
})

t.test(
  'L8, C10: a lock that a hub sits on, or the payee: pending until it is dead, then back; nobody forces a close',
  async (t) => {
    const chain = await found({
      name: 'chain',
      people: ['payer', 'payee'],
      hubs: ['near', 'far'],
      channels: [
        ['payer', 'near', 100_000n, 10_000n],
        ['near', 'far', 100_000n, 10_000n],
        ['payee', 'far', 10_000n, 100_000n],
      ],
      amount: 50_000n,
    })
    /** Who sits on it, and whether its peer upstream hears nothing more from it either. */
    for (const [who, silent] of [
      ['payee', false],
      ['far', false],
      ['far', true],
    ] as const) {
      const play = await Play.of(chain)
      await play.pass(30)
      t.equal(play.node('payer').status().graphChannels, 1, 'gossip has come')
      const text = await play.invoice(50_000n)
      Object.assign(play.parts(who).obligations, { arrived: () => undefined })
      must(await play.pay(text))
      if (silent) play.stall('near', 'far')
      const [lock] = play
        .parts(who)
        .channels.all()
        .flatMap(({ state }) => state.current.content.locks)
      const { expiry } = lock!
      let early = 0
      for (let slices = 0; play.view().status === 'pending' && slices < 1_000; slices++) {
        await play.pass(SLICE_S)
        if (play.view().status !== 'pending' && play.node('payer').time <= expiry) early += 1
      }
      t.equal(early, 0, 'not before the lock is dead')
      t.match(play.view(), { status: 'failed', attempts: 1, receipt: null }, `${who}${silent ? ', silent' : ''}`)
      t.ok(play.node('payer').time < expiry + 900, 'and soon after it: no other lock had to expire')
      play.stall('near', 'far', false)
      await play.rest()
      t.same(play.gained(), {})
      play.idle(t)
    }
  },
)

t.test('R5: what a restart interrupted waits for its channels, and not for ever', async (t) => {
  const larger = { ...sizes, sends: 200_000n }
  const founded = await found({ name: 'a choice', ...between(['payer', 'payee'], ['left', 'right'], larger) })
  const roads = ['left', 'right'].map((hub) => pairOf('payer', hub))
  for (const back of [true, false]) {
    const play = await Play.of(founded)
    const { network } = play.stage
    const text = await play.invoice(AMOUNT)
    for (const road of roads) network.stalled.add(road)
    must(await play.pay(text))
    play.parts('payer').intake.closed = true // as a stop begins: what comes back is left for the next start
    network.stalled.clear()
    await play.rest()
    t.match(play.view(), { status: 'pending', parts: 0, attempts: 1 }, 'no hub has the whole for it')
    const payer = play.stage.host('payer')
    payer.life?.end()
    for (const road of roads) network.blocked.add(road)
    payer.start()
    await play.rest()
    await play.pass(20)
    t.match(play.view(), { status: 'pending', parts: 0, attempts: 1 }, 'its hubs are away')
    if (back) network.blocked.clear()
    await play.rest()
    t.equal(play.view().status, back ? 'succeeded' : 'pending')
    await play.pass(20)
    if (back) t.match(play.view(), { status: 'succeeded', parts: 2, sent: AMOUNT })
    else t.match(play.view(), { status: 'failed', code: 'no_capacity_to_payee' })
    network.blocked.clear()
    await play.rest()
    t.equal(play.gained()['payee'], back ? AMOUNT : undefined)
    play.idle(t)
  }
})
