/** From what a channel tells to whom it concerns: a payment of ours, an obligation, the event log. One batch (C6). */
import { unreachable } from '../base/errors.js'
import { ok, refuse } from '../base/result.js'
import type { Lock } from '../channel/types.js'
import type { ObligationEvent } from '../router/obligation.js'
import type { LockRef } from '../router/obligation-record.js'
import type { PaymentEvent } from '../router/payment.js'
import type { DeskEffect } from './channels.js'
import type { DirectPays } from './direct-pays.js'
import type { Tx } from './engine.js'
import type { EventLog } from './event-log.js'
import type { LiveChannel } from './live-channel.js'
import type { Obligations } from './obligations.js'
import type { OfferOwners } from './offered.js'
import type { Payments } from './payments.js'

export class Desk {
  constructor(
    private readonly obligations: Obligations,
    private readonly payments: Payments,
    private readonly directPays: DirectPays,
    private readonly events: EventLog,
    private readonly owners: OfferOwners,
    private readonly time: () => number,
    /** T3: a claim on a channel pays for an incoming lock; told before upstream is. */
    private readonly claimed: (tx: Tx, channel: LiveChannel, incoming: LockRef) => void,
  ) {}

  /** Rounds run (again) on a channel of ours. */
  channelReady(): void {
    this.payments.channelReady()
  }

  handle(tx: Tx, channel: LiveChannel, effect: DeskEffect): undefined {
    switch (effect.type) {
      case 'pays':
        return this.#paid(tx, channel, effect)
      case 'lockIn':
        if (isOurs(channel, effect.lock)) return // the offer of ours stands: its end will come
        this.obligations.arrived(tx, channel, effect.lock, effect.payload)
        return
      case 'lockClaimed':
        return this.#outgoing(tx, channel, effect.lock.id, {
          forward: { kind: 'outgoingClaimed', scalar: effect.scalar },
          payment: (lock) => ({ kind: 'claimed', lock, scalar: effect.scalar }),
          out: false,
        })
      case 'lockSettled':
        if (!isOurs(channel, effect.lock)) return this.obligations.incoming(tx, channel, effect.lock, 'incomingSettled')
        return this.#outgoing(tx, channel, effect.lock.id, {
          forward: { kind: 'outgoingClaimed', scalar: effect.scalar },
          payment: (lock) => ({ kind: 'settled', lock, scalar: effect.scalar }),
          out: true,
        })
      case 'lockReturned':
        return this.#returned(tx, channel, effect)
      case 'lockDead':
        if (!isOurs(channel, effect.lock)) return
        return this.#outgoing(tx, channel, effect.lock.id, {
          forward: { kind: 'outgoingDead' },
          payment: (lock) => ({ kind: 'dead', lock }),
          out: false,
        })
      case 'offerRefused':
        if (effect.operation.body.kind === 'pay') {
          return this.directPays.ended(
            tx,
            channel,
            effect.operation.id,
            refuse(effect.code === 'unknown' ? 'internal' : effect.code),
          )
        }
        return this.#outgoing(tx, channel, effect.operation.id, {
          forward: { kind: 'outgoingVoid', code: effect.code },
          payment: (lock) => ({ kind: 'void', lock, code: effect.code }),
          out: true,
        })
      default:
        return unreachable(effect)
    }
  }

  #returned(tx: Tx, channel: LiveChannel, effect: Extract<DeskEffect, { type: 'lockReturned' }>): undefined {
    const { lock, reason, by } = effect
    if (!isOurs(channel, lock)) return this.obligations.incoming(tx, channel, lock, 'incomingReturned')
    // A lock of ours that we took back was dead (C4); one that the peer gave back carries its reason.
    const ours = by === channel.context.side
    this.#outgoing(tx, channel, lock.id, {
      forward: ours ? { kind: 'outgoingDead' } : { kind: 'outgoingReturned', reason },
      payment: (ref) => (ours ? { kind: 'dead', lock: ref } : { kind: 'returned', lock: ref, reason }),
      out: true,
    })
  }

  #outgoing(
    tx: Tx,
    channel: LiveChannel,
    id: number,
    told: {
      readonly forward: ObligationEvent
      readonly payment: (lock: { readonly channel: LiveChannel['id']; readonly id: number }) => PaymentEvent
      /** The lock is out: its owner hears no more of it. */
      readonly out: boolean
    },
  ): undefined {
    const lock = { channel: channel.id, id }
    const owner = this.owners.of(tx, lock)
    if (owner === undefined) return
    if (told.out) this.owners.drop(tx, lock)
    if (owner.kind === 'forward') {
      if (told.forward.kind === 'outgoingClaimed' && !told.out) this.claimed(tx, channel, owner.incoming)
      this.obligations.outgoing(tx, owner.incoming, told.forward)
    } else this.payments.event(tx, owner.key, told.payment(lock))
  }

  #paid(tx: Tx, channel: LiveChannel, { from, pays }: Extract<DeskEffect, { type: 'pays' }>): undefined {
    const sent = from === channel.context.side
    this.events.appendPays(tx, { sent, time: this.time(), channel: channel.text }, pays)
    if (sent) for (const { id } of pays) this.directPays.ended(tx, channel, id, ok(undefined))
  }
}

const isOurs = (channel: LiveChannel, lock: Lock): boolean => lock.from === channel.context.side
