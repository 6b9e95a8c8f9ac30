/** Incoming locks (R3): decide once, then carry out what router/obligation says is owed, whatever happens between. */
import { z } from 'zod'
import { type Amount, amountFromBytes, amountToBytes, plus, ZERO } from '../base/amount.js'
import { bytesToHex, u64, utf8 } from '../base/bytes.js'
import { otherSide } from '../base/channel-state.js'
import { cbor, zAmount, zPoint } from '../base/codec.js'
import { InvariantError } from '../base/errors.js'
import type { Store } from '../base/ports/store.js'
import type { Lock } from '../channel/types.js'
import { type FinalArrival, type ForwardArrival, openArrival } from '../router/arrival.js'
import { reasonOfChannel } from '../router/failure.js'
import { decideForward } from '../router/forward.js'
import { holdEnds } from '../router/held-part.js'
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
import { parseRow } from '../store/rows.js'
import { tableKey, tableRange } from '../store/tables.js'
import type { Tx } from './engine.js'
import { HeldParts, type SetName, setName } from './held-parts.js'
import type { Invoices } from './invoices.js'
import { KeptRows } from './kept-rows.js'
import type { LiveChannel } from './live-channel.js'
import { forget, remember, wasSeen } from './retention.js'
import { channelsTo, pointUse, type RouterParts } from './router-parts.js'

const keyOf = ({ channel, id }: LockRef): Uint8Array => tableKey('obligation', channel, id)
const FEES = tableKey('node', utf8('fees'))

interface Owed {
  readonly records: readonly Obligation[]
  /** Payments of which parts are held (R1). */
  readonly held: readonly SetName[]
}

export class Obligations {
  readonly #held: HeldParts
  readonly #rows = new KeptRows<Obligation>({ encode: encodeObligation, decode: read })
  readonly #claimed = new KeptRows<Claimed>({
    encode: ({ point, amount }) => cbor({ point, amount: amountToBytes(amount) }),
    decode: (bytes) => parseRow(bytes, zClaimed),
  })

  constructor(
    private readonly parts: RouterParts,
    private readonly invoices: Invoices,
  ) {
    this.#held = new HeldParts((tx, point, held) => {
      const issued = invoices.byPoint(tx, point)
      return issued === undefined ? 0 : holdEnds(held, issued.invoice, parts.bounds.near)
    })
  }

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
    const ref = { channel: channel.id, id: lock.id }
    if (!this.#held.drop(tx, ref)) this.#step(tx, ref, { kind: event }, lock)
  }

  /** After a start: every obligation says again what it owes; parts are held on, or go back. */
  resume(tx: Tx, { records, held }: Owed): void {
    for (const { incoming } of records) this.#step(tx, incoming, { kind: 'resume' })
    this.#held.load(tx, held)
    this.#giveBackOverdue(tx, this.parts.view().time)
  }

  /** Ledger time is `now`: parts that were held for long enough go back. */
  advanced(now: number): void {
    if (this.#held.isDue(now)) this.parts.channels.engine.do((tx) => this.#giveBackOverdue(tx, now))
  }

  static async all(store: Store): Promise<Owed> {
    const records: Obligation[] = []
    for await (const { value } of store.range(tableRange('obligation'))) records.push(read(value))
    return { records, held: await HeldParts.names(store) }
  }

  #receive(tx: Tx, arrival: FinalArrival, replayed: boolean): undefined {
    const { parts, invoices } = this
    const { point, payload } = arrival
    const issued = point === null ? undefined : invoices.byPoint(tx, point)
    const name = point === null ? undefined : setName(point, payload.set)
    const now = parts.view().time
    this.#giveBackOverdue(tx, now)
    const decision = decideReceive(arrival, {
      now,
      ledgerFresh: parts.ledgerFresh() && !parts.draining(),
      replayed,
      expiryNear: parts.bounds.near,
      issued,
      held: name === undefined ? [] : this.#held.of(tx, name),
      seed: parts.seed,
    })
    const ref = { channel: arrival.incoming.channel, id: arrival.incoming.id }
    if (decision.kind === 'fail') {
      const { peer } = arrival.incoming
      if (!replayed && !parts.records.mayFail(peer)) forget(tx, payload.expiry, arrival.replayTag)
      parts.records.refused(tx, peer)
      return this.#fail(tx, ref, arrival.secret, decision.reason)
    }
    if (decision.kind === 'hold') {
      this.#held.add(tx, setName(decision.invoice.point, payload.set), decision.part)
      return
    }
    // R1: that it is paid, and every claim, is one batch: from here on all parts are ours to claim, whatever happens.
    const { invoice } = decision
    this.#held.take(tx, setName(invoice.point, payload.set))
    invoices.markPaid(tx, invoice, decision.parts.length)
    for (const { lock, amount } of decision.parts)
      this.#claimed.put(tx, claimedKey(lock), { point: invoice.point, amount })
    for (const { lock, scalar } of decision.parts) this.#keep(tx, claimObligation(lock, scalar))
    for (const { lock, secret } of this.#held.takeAll(tx, invoice.point)) this.#fail(tx, lock, secret, 'invoice_paid')
  }

  /** The other parts did not come in time: none is claimed, all go back. */
  #giveBackOverdue(tx: Tx, now: number): void {
    for (const name of this.#held.overdue(tx, now)) {
      for (const { lock, secret } of this.#held.take(tx, name)) this.#fail(tx, lock, secret, 'parts_timeout')
    }
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
      parts.owners.put(tx, out, { kind: 'forward', incoming: ref })
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
    const obligation = this.#rows.get(tx, keyOf(incoming))
    if (obligation === undefined) return // ended already: a repetition
    const made = stepObligation(obligation, event)
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
    if (obligation.phase === 'ended') this.#rows.delete(tx, keyOf(obligation.incoming))
    else this.#rows.put(tx, keyOf(obligation.incoming), obligation)
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
    const claimed = this.#claimed.get(tx, claimedKey(ended.lock))
    if (claimed !== undefined) {
      this.#claimed.delete(tx, claimedKey(ended.lock))
      const gained = ended.outcome === 'claimed' ? claimed.amount : ZERO
      this.invoices.partOut(tx, claimed.point, ended.lock.channel, gained)
      return
    }
    if (ended.outcome !== 'claimed') return
    if (lock === undefined) return
    const { fee } = ended
    tx.put({ key: FEES, value: amountToBytes(plus(Obligations.feesEarned(tx), fee)) })
    const { time } = this.parts.view()
    this.parts.events.append(tx, { type: 'forward.claimed', time, channel: bytesToHex(ended.lock.channel), fee })
  }
}

/** Which invoice an incoming lock pays, and how much of it, until it is out. */
const zClaimed = z.strictObject({ point: zPoint, amount: zAmount })
type Claimed = z.output<typeof zClaimed>
const claimedKey = ({ channel, id }: LockRef): Uint8Array => tableKey('node', utf8('claimed'), channel, u64(id))

function read(bytes: Uint8Array): Obligation {
  const record = decodeObligation(bytes)
  if (!record.ok) throw new InvariantError('S1', 'a stored obligation cannot be read')
  return record.value
}
