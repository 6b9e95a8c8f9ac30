/**
 * Unconditional pays over one channel (C4). What is asked for in one turn of the event loop is one offer: one step of the
 * channel, one message. The event log keeps what was paid, with its reference; who waited when the process ended looks there.
 */
import type { Amount } from '../base/amount.js'
import { type Result, refuse } from '../base/result.js'
import type { OfferBody } from '../channel/types.js'
import type { Timers } from '../wire/environment.js'
import type { Channels } from './channels.js'
import type { Tx } from './engine.js'
import type { LiveChannel } from './live-channel.js'

export interface DirectPay {
  readonly amount: Amount
  /** The books' own; at most LIMITS.pay_reference_bytes. */
  readonly reference: Uint8Array
}

type Told = (result: Result<undefined>) => void

interface Asked {
  readonly body: OfferBody
  readonly told: Told
}

export class DirectPays {
  readonly #asked = new Map<LiveChannel, Asked[]>()
  /** Offered and neither irrevocably in nor refused, by channel and operation. */
  readonly #underWay = new Map<string, Told>()

  constructor(
    private readonly channels: Channels,
    private readonly timers: Timers,
  ) {}

  /**
   * Resolves once the pay is irrevocably in (C12) and that is durable. Errors: the channel's codes, where nothing was paid
   * and nothing will be; `unavailable` where the node stops first: the event log will say what became of it.
   */
  pay(channel: LiveChannel, { amount, reference }: DirectPay): Promise<Result<undefined>> {
    return new Promise((told) => {
      const asked = this.#asked.get(channel)
      const one: Asked = { body: { kind: 'pay', amount, reference }, told }
      if (asked !== undefined) {
        asked.push(one)
        return
      }
      this.#asked.set(channel, [one])
      this.timers.soon(() => this.#offer(channel))
    })
  }

  /** What became of a pay of ours. */
  ended(tx: Tx, channel: LiveChannel, id: number, result: Result<undefined>): undefined {
    const name = nameOf(channel, id)
    tx.after(() => {
      this.#underWay.get(name)?.(result)
      this.#underWay.delete(name)
    })
  }

  /** Nobody waits any longer. */
  close(): void {
    const unknown = refuse('unavailable', 'stopping')
    for (const told of this.#underWay.values()) told(unknown)
    for (const asked of this.#asked.values()) for (const { told } of asked) told(unknown)
    this.#underWay.clear()
    this.#asked.clear()
  }

  #offer(channel: LiveChannel): void {
    const asked = this.#asked.get(channel) ?? []
    this.#asked.delete(channel)
    const bodies = asked.map(({ body }) => body)
    this.channels.engine.do((tx) =>
      this.channels.offerAll(tx, channel, bodies, (results) => {
        for (const [index, { told }] of asked.entries()) {
          const result = results[index]
          if (result === undefined || !result.ok) tx.after(() => told(result ?? refuse('internal')))
          else this.#await(tx, nameOf(channel, result.value), told)
        }
      }),
    )
  }

  #await(tx: Tx, name: string, told: Told): void {
    this.#underWay.set(name, told)
    tx.undo(() => this.#underWay.delete(name))
  }
}

const nameOf = (channel: LiveChannel, id: number): string => `${channel.text}/${id}`
