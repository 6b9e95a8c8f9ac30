/** What must be true of one payment, seen from outside its nodes: whether it still moves, and once it has ended, how (R1, R3, R5). */
import type { PaymentView } from '../../../src/node/payment-view.js'
import { verifyReceipt } from '../../../src/router/receipt.js'
import { TABLES } from '../../../src/store/tables.js'
import type { Image } from '../simulate/disk.js'
import { durableChannel } from '../simulate/durable.js'
import type { Host } from '../simulate/host.js'
import type { Founded, Stage } from './stage.js'

/** Nothing of these is left of a payment that has ended. */
const PASSING: ReadonlySet<number> = new Set([TABLES.obligation, TABLES.offered, TABLES.held, TABLES.outbox])

export interface Verdict {
  readonly view: PaymentView | undefined
  readonly wrong: readonly string[]
}

export class Judge {
  constructor(
    private readonly stage: Stage,
    private readonly founded: Founded,
    /** Of the payment and of its invoice. */
    private readonly key: string,
  ) {}

  get #view(): PaymentView | undefined {
    return this.stage.host('payer').node?.payment(this.key)
  }

  /** What has not ended: at every node, on its disk and in its memory. */
  moving(): string[] {
    const status = this.#view?.status ?? 'unknown'
    const moving = status === 'pending' || status === 'unknown' ? [`the payment is ${status}`] : []
    for (const host of this.stage.hosts.values()) {
      if (!host.up) moving.push(`${host.name} is down: ${host.failure ?? ''}`)
      for (const { state, stopped } of host.channels()) {
        const { phase, link, current, outstanding, unrevoked, pending, untold } = state
        const locks = (outstanding ?? current).content.locks.length
        const between = outstanding !== null || unrevoked !== null || pending.length + untold.length > 0
        if (phase === 'open' && link === 'live' && locks === 0 && !between && stopped === undefined) continue
        moving.push(
          `${host.name}: a channel is ${stopped ?? phase} ${link}, has ${locks} locks${between ? ', runs' : ''}`,
        )
      }
      for (const key of host.disk.rows.keys()) {
        if (PASSING.has(key.charCodeAt(0))) moving.push(`${host.name} keeps a row of table ${key.charCodeAt(0)}`)
      }
    }
    return moving
  }

  async verdict(): Promise<Verdict> {
    const wrong = this.moving()
    const view = this.#view
    const paid = view?.status === 'succeeded'
    const amount = paid ? this.founded.scene.amount : 0n
    if (paid) wrong.push(...this.#receipt(view))
    for (const [name, host] of this.stage.hosts) {
      const gained = this.#gained(host)
      const { booked, ends } = await this.#log(host)
      if (gained !== booked) wrong.push(`${name} gained ${gained}, its log says ${booked}`)
      if (name === 'payer' && ends !== 1) wrong.push(`the payer's log tells ${ends} ends`)
      if (name === 'payer' && gained !== -amount - (view?.fee ?? 0n)) wrong.push(`the payer gained ${gained}`)
      if (name === 'payee' && ends !== (paid ? 1 : 0)) wrong.push(`the payee's log tells ${ends} ends`)
      if (name === 'payee' && gained !== amount) wrong.push(`the payee gained ${gained}, not ${amount}`)
      if (gained < 0n && name !== 'payer') wrong.push(`${name} lost ${-gained}`)
    }
    const [row] = (await this.stage.host('payee').node?.invoices(10)) ?? []
    const [isPaid, received] = [row?.paid ?? false, row?.received ?? 0n]
    if (isPaid !== paid || received !== amount) wrong.push(`the invoice is paid: ${isPaid}, received ${received}`)
    return { view, wrong }
  }

  #receipt({ receipt, sent }: PaymentView): string[] {
    const { amount } = this.founded.scene
    const verified = verifyReceipt(receipt ?? '', { payee: this.stage.host('payee').account })
    const wrong = verified.ok && verified.value.amount === amount ? [] : ['its receipt does not verify']
    return sent === amount ? wrong : [...wrong, `it sent ${sent}`]
  }

  /** By the newest states on its disk. */
  #gained({ name, disk }: Host): bigint {
    const before = this.founded.disks.get(name)
    if (before === undefined) return 0n
    const balance = ({ rows }: Pick<Image, 'rows'>, { id, ends }: Founded['channels'][number]): bigint =>
      durableChannel({ rows }, id)?.current.content.balances[ends[0] === name ? 0 : 1] ?? 0n
    const mine = this.founded.channels.filter(({ ends }) => ends.includes(name))
    return mine.reduce((sum, channel) => sum + balance(disk, channel) - balance(before, channel), 0n)
  }

  async #log({ node }: Host): Promise<{ booked: bigint; ends: number }> {
    let [booked, ends] = [0n, 0]
    for (const event of (await node?.events.page(0, 1_000)) ?? []) {
      if (event.type === 'payment.succeeded' || event.type === 'payment.failed' || event.type === 'invoice.paid')
        ends += 1
      if (event.type === 'payment.succeeded') booked -= event.amount + event.fee
      if (event.type === 'payment.returned') booked += event.amount + event.fee
      if (event.type === 'forward.claimed') booked += event.fee
      if (event.type === 'invoice.paid') booked += event.amount
    }
    return { booked, ends }
  }
}
