/** Incoming locks (R3): decide once, then carry out what router/obligation says is owed, whatever happens between. */
import { type Amount, amountFromBytes, amountToBytes, plus, ZERO } from '../base/amount.js'
import { bytesToHex, u64, utf8 } from '../base/bytes.js'
import { otherSide } from '../base/channel-state.js'
import type { Point } from '../base/curve/index.js'
import { InvariantError } from '../base/errors.js'
import type { Store } from '../base/ports/store.js'
import type { Lock } from '../channel/types.js'
import { type FinalArrival, type ForwardArrival, openArrival } from '../router/arrival.js'
import { reasonOfChannel } from '../router/failure.js'
import { decideForward } from '../router/forward.js'
import {
  claimObligation,
  failObligation,
  type ObligationEvent,
  type ObligationStep,
  offerObligation,
  stepObligation,
  unreadableObligation,
} from '../router/obligation.js'
import { decodeObligation, encodeObligation, type LockRef, type Obligation } from '../router/obligation-record.js'
import { decideReceive } from '../router/receive.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Tx } from './engine.js'
import type { Invoices } from './invoices.js'
import type { LiveChannel } from './live-channel.js'
import { putOwner } from './offered.js'
import { forget, remember, wasSeen } from './retention.js'
import { channelsTo, pointUse, type RouterParts } from './router-parts.js'

const keyOf = ({ channel, id }: LockRef): Uint8Array => tableKey('obligation', channel, id)
const FEES = tableKey('node', utf8('fees'))

export class Obligations {
  constructor(
    private readonly parts: RouterParts,
    private readonly invoices: Invoices,
  ) {}

  /** Everything this hub ever earned by forwarding. */
  static feesEarned(tx: Pick<Tx, 'get'>): Amount {
    const row = tx.get(FEES)
    return row === undefined ? ZERO : amountFromBytes(row)
  }

  /** An incoming lock is irrevocably in (C12): asked once. */
  arrived(tx: Tx, channel: LiveChannel, lock: Lock, onion: Uint8Array): undefined {
    const { parts } = this
    const { amount, point, expiry, id } = lock
    const incoming = { channel: channel.id, id, peer: channel.peer, amount, point, expiry, onion }
    const arrival = openArrival(incoming, parts.key, parts.chain.ledger)
    const ref = { channel: channel.id, id }
    if (arrival.kind === 'unreadable') return this.#keep(tx, unreadableObligation(ref))
    if (arrival.kind === 'invalid') return this.#fail(tx, ref, arrival.secret, 'payload_invalid')
    const { payload, replayTag } = arrival
    const replayed = wasSeen(tx, payload.expiry, replayTag)
    // One that outlasts its own lock is refused as often as it comes: what is remembered is bounded by C9's expiry, and
    // of a peer that failed too often only what is claimed: the rest is refused whatever it says (R2).
    const bounded = arrival.kind === 'final' || parts.records.mayFail(channel.peer)
    if (payload.expiry <= expiry && bounded) remember(tx, payload.expiry, replayTag)
    if (arrival.kind === 'final') return this.#receive(tx, arrival, replayed)
    return this.#forward(tx, arrival, replayed)
  }

  /** Something happened to the outgoing lock that was offered for this incoming one. */
  outgoing(tx: Tx, incoming: LockRef, event: ObligationEvent): void {
    this.#step(tx, incoming, event)
  }

  /** Something happened to the incoming lock itself. */
  incoming(tx: Tx, channel: LiveChannel, lock: Lock, event: 'incomingSettled' | 'incomingReturned'): undefined {
    this.#step(tx, { channel: channel.id, id: lock.id }, { kind: event }, lock)
  }

  /** After a start: every obligation says again what it owes. */
  resume(tx: Tx, records: readonly Obligation[]): void {
    for (const { incoming } of records) this.#step(tx, incoming, { kind: 'resume' })
  }

  static async all(store: Store): Promise<Obligation[]> {
    const records: Obligation[] = []
    for await (const { value } of store.range(tableRange('obligation'))) records.push(read(value))
    return records
  }

  #receive(tx: Tx, arrival: FinalArrival, replayed: boolean): undefined {
    const { parts, invoices } = this
    const issued = arrival.point === null ? undefined : invoices.byPoint(tx, arrival.point)
    const decision = decideReceive(arrival, {
      now: parts.view().time,
      ledgerFresh: parts.ledgerFresh() && !parts.draining(),
      replayed,
      expiryNear: parts.bounds.near,
      issued,
      seed: parts.seed,
    })
    const ref = { channel: arrival.incoming.channel, id: arrival.incoming.id }
    if (decision.kind === 'fail') {
      const { peer } = arrival.incoming
      if (!replayed && !parts.records.mayFail(peer)) forget(tx, arrival.payload.expiry, arrival.replayTag)
      parts.records.refused(tx, peer)
      return this.#fail(tx, ref, arrival.secret, decision.reason)
    }
    invoices.markPaid(tx, decision.invoice)
    putClaimed(tx, ref, decision.invoice.point)
    this.#keep(tx, claimObligation(ref, decision.scalar))
  }

  #forward(tx: Tx, arrival: ForwardArrival, replayed: boolean): undefined {
    const { parts } = this
    const { peer } = arrival.incoming
    const decision = decideForward(arrival, {
      now: parts.view().time,
      ledgerFresh: parts.ledgerFresh() && !parts.draining(),
      forwarding: parts.forwarding,
      replayed,
      bounds: parts.bounds,
      claimant: parts.records.claimant(peer),
      channelsTo: (account) => channelsTo(parts, account, peer),
      pointUse: (point) => pointUse(parts, tx, point),
    })
    const ref = { channel: arrival.incoming.channel, id: arrival.incoming.id }
    if (decision.kind === 'fail') {
      parts.records.refused(tx, peer)
      return this.#keep(tx, failObligation({ incoming: ref, secret: arrival.secret }, decision.reason, decision.policy))
    }
    const { channel: outgoing, amount, point, expiry, onion } = decision.offer
    const channel = parts.channels.get(outgoing)
    if (channel === undefined) throw new InvariantError('R3', 'a forward through an unknown channel')
    const body = { kind: 'lock', amount, point, expiry, payload: onion } as const
    parts.channels.offer(tx, channel, body, (offered) => {
      if (!offered.ok) return this.#fail(tx, ref, arrival.secret, reasonOfChannel(offered.error.code))
      const out = { channel: outgoing, id: offered.value }
      putOwner(tx, out, { kind: 'forward', incoming: ref })
      parts.records.offered(tx, { peer, incoming: ref, outgoing: out, amount, bucket: decision.bucket })
      return this.#keep(tx, offerObligation(ref, out, arrival.secret, decision.fee))
    })
  }

  #fail(
    tx: Tx,
    incoming: LockRef,
    secret: Parameters<typeof failObligation>[0]['secret'],
    reason: Parameters<typeof failObligation>[1],
  ): undefined {
    this.#keep(tx, failObligation({ incoming, secret }, reason))
  }

  #step(tx: Tx, incoming: LockRef, event: ObligationEvent, lock?: Lock): void {
    const bytes = tx.get(keyOf(incoming))
    if (bytes === undefined) return // ended already: a repetition
    const made = stepObligation(read(bytes), event)
    this.#keep(tx, made, lock)
    const { phase } = made.obligation
    if ((phase === 'claiming' || phase === 'releasing') && this.#isOut(incoming)) {
      this.#keep(tx, stepObligation(made.obligation, { kind: 'incomingReturned' }), lock)
    }
  }

  /** The ledger has paid the incoming channel out and told what became of the lock: nothing is left to claim or release. */
  #isOut({ channel: id, id: lock }: LockRef): boolean {
    const channel = this.parts.channels.get(id)
    if (channel?.state.phase !== 'closed') return false
    const from = otherSide(channel.context.side)
    return !channel.state.untold.some(({ lock: left }) => left.from === from && left.id === lock)
  }

  #keep(tx: Tx, { obligation, effects }: ObligationStep, lock?: Lock): undefined {
    const { channels } = this.parts
    if (obligation.phase === 'ended') tx.delete(keyOf(obligation.incoming))
    else tx.put({ key: keyOf(obligation.incoming), value: encodeObligation(obligation) })
    this.parts.kept(tx, obligation)
    for (const effect of effects) {
      const channel = channels.get(effect.lock.channel)
      if (effect.kind === 'ended') {
        this.#ended(tx, effect, lock)
        continue
      }
      if (channel === undefined) continue // forgotten with its channel: nothing is held there
      const ref = { from: otherSide(channel.context.side), id: effect.lock.id }
      if (effect.kind === 'claim') channels.step(tx, channel, { type: 'fulfill', lock: ref, scalar: effect.scalar })
      else channels.step(tx, channel, { type: 'giveBack', lock: ref, reason: effect.reason })
    }
  }

  #ended(tx: Tx, ended: Extract<ObligationStep['effects'][number], { kind: 'ended' }>, lock: Lock | undefined): void {
    const point = takeClaimed(tx, ended.lock)
    if (ended.outcome !== 'claimed') return
    if (point !== undefined) {
      this.invoices.received(tx, point, ended.lock.channel)
      return
    }
    if (lock === undefined) return
    const { fee } = ended
    tx.put({ key: FEES, value: amountToBytes(plus(Obligations.feesEarned(tx), fee)) })
    const { time } = this.parts.view()
    this.parts.events.append(tx, { type: 'forward.claimed', time, channel: bytesToHex(ended.lock.channel), fee })
  }
}

/** Which invoice an incoming lock pays, until it is out. */
const claimedKey = ({ channel, id }: LockRef): Uint8Array => tableKey('node', utf8('claimed'), channel, u64(id))
const putClaimed = (tx: Tx, lock: LockRef, point: Point): void => tx.put({ key: claimedKey(lock), value: point })

function takeClaimed(tx: Tx, lock: LockRef): Point | undefined {
  const point = tx.get(claimedKey(lock))
  if (point !== undefined) tx.delete(claimedKey(lock))
  return point as Point | undefined
}

function read(bytes: Uint8Array): Obligation {
  const record = decodeObligation(bytes)
  if (!record.ok) throw new InvariantError('S1', 'a stored obligation cannot be read')
  return record.value
}
