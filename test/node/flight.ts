/** A payment that is irrevocably in the hands of a payee who does nothing with it: every lock of its route is live. */
import type { Scalar } from '../../src/base/curve/index.js'
import type { ChannelId } from '../../src/base/ids.js'
import type { TransactionOf } from '../../src/base/transaction.js'
import { openArrival } from '../../src/router/arrival.js'
import { invoiceScalar, parseInvoice } from '../../src/router/invoice.js'
import { scalarUpstream } from '../../src/router/point-lock.js'
import { must } from '../chain-adapter/fixtures.js'
import { byHand, exitFrom } from './adversary.js'
import type { Puppet } from './puppet.js'
import { cents, PATIENT, until, type Village, type Villager } from './village.js'

export interface Flight {
  /** Of the payment, and the hospital's name. */
  readonly key: string
  readonly hospital: Villager
  readonly id: ChannelId
  readonly puppet: Puppet
  /** Of the hub's lock toward the hospital. */
  readonly scalar: Scalar
  readonly expiry: number
  /** The hospital's state before the lock: revoked by now. */
  readonly old: TransactionOf<'exit'>
}

/** What the hospital's channel with the hub begins with: its own deposit, and the hub's share. */
export const HOSPITAL_DEPOSIT = 1n
export const HUB_SHARE = 100_000n

/** @param key a hospital's name that nobody has yet. The window of its channel is `window` seconds. */
export async function inFlight(
  village: Village,
  { payer, hub }: { readonly payer: Villager; readonly hub: Villager },
  key: string,
  { amount, window }: { readonly amount: bigint; readonly window: number },
): Promise<Flight> {
  const hospital = await village.settle(key, 100n, { ...PATIENT, window })
  const id = await village.channel(hospital, hub, HOSPITAL_DEPOSIT, HUB_SHARE)
  await until(() => hospital.node.channel(id)?.canReceive === HUB_SHARE)
  const wish = { amount: cents(amount), reference: key, expiresIn: 100_000 }
  const { text } = must(await hospital.node.issueInvoice(key, wish))
  const { secrets } = hospital.directory
  const old = await exitFrom(hospital, id)
  const puppet = await byHand(village, hospital, hub, id)
  const ready = () => [...hub.node.channels(), ...payer.node.channels()].every((one) => one.ready || !one.connected)
  await until(() => hub.node.channel(id)?.ready === true && ready())
  must(await payer.node.pay(key, text, cents(100n)))
  const arrived = () => puppet.effects.find((effect) => effect.type === 'lockIn')
  while (arrived() === undefined) await puppet.pump()
  const effect = arrived()
  if (effect?.type !== 'lockIn') throw new Error('no lock')
  const { lock, payload } = effect
  const { point, expiry } = lock
  const incoming = { channel: id, id: lock.id, peer: hub.node.account, amount: lock.amount, point, expiry }
  const { ledger } = village.ledger
  const arrival = openArrival({ ...incoming, onion: payload }, secrets.signingKey, ledger)
  if (arrival.kind !== 'final') throw new Error('not the payee')
  const own = invoiceScalar(secrets.walletSeed, ledger, must(parseInvoice(text)).secret)
  await until(() => hub.node.channel(id)?.waiting === null)
  return { key, hospital, id, puppet, scalar: scalarUpstream(own, arrival.y), expiry, old }
}
