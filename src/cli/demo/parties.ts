/** Accounts and channels of the demo's parties: admitted, registered, funded, opened, closed, asked for their balance. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Amount } from '../../base/amount.js'
import { ERRORS, type ErrorCode, MeridianError } from '../../base/errors.js'
import { filesOf, readPublicKey } from '../directory.js'
import { Lanes } from './lanes.js'
import type { PlannedParty } from './money.js'
import type { Party, Stage } from './stage.js'

/** A party with its channel to its hub. */
export interface Member {
  readonly party: Party
  readonly channel: string
}

export interface Onboarded {
  registered: number
  funded: number
  opened: number
}

/** Both work for others one transaction at a time: a few asked at once keep them busy, more would only wait (L2). */
const ISSUER_LANES = 2
const HUB_LANES = 3
const CLOSE_LANES = 4
const ASK_MS = 250
const READY_MS = 60_000
const TRIES = 8

/** Waiting, or asking again, may mend it. */
export const isPassing = (code: ErrorCode): boolean => ['wait', 'retry_same_key'].includes(ERRORS[code].action)

/** Repeats what a moment's waiting mends, until the demo ends; an idempotency key in `act` makes it happen once. */
export async function insist<T>({ ending }: Pick<Party, 'ending'>, act: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof MeridianError) || !isPassing(error.code) || attempt === TRIES || ending.aborted)
        throw error
      await sleep(ASK_MS * attempt)
    }
  }
}

export class Registrar {
  readonly #issuing = new Lanes(ISSUER_LANES)
  readonly #opening = new Lanes(HUB_LANES)
  readonly done: Onboarded = { registered: 0, funded: 0, opened: 0 }

  /** @param tell after every step of anybody */
  constructor(
    private readonly stage: Stage,
    private readonly issuer: Party,
    private readonly tell: (done: Onboarded) => void,
  ) {}

  /** Admission, registration with the key proof, and its first money, ready to be spent. */
  async fund(party: Party, amount: Amount): Promise<void> {
    const request = await readPublicKey(filesOf(party.dir).publicKey)
    const { admission } = await insist(party, () => this.issuer.api.admit(`admit-${party.name}`, request))
    await insist(party, () => party.api.register('register', admission))
    this.#count('registered')
    await this.mint(party, amount)
    // L2: a credit is spendable after two rollovers. Now, and not while the hub waits for them.
    for (const stage of [1, 2]) await insist(party, () => party.api.rollover(`rollover-${stage}`))
  }

  async mint(party: Party, amount: Amount, key = `mint-${party.name}`): Promise<void> {
    await this.#issuing.run(() => insist(party, () => this.issuer.api.mint(key, party.account, amount)))
    this.#count('funded')
  }

  /** A channel with its hub, both deposits on the ledger, rounds running. */
  async open(party: Party, { deposit, share }: Pick<PlannedParty, 'deposit' | 'share'>): Promise<Member> {
    const address = this.stage.hubAddress(party)
    const { channel } = await this.#opening.run(() =>
      insist(party, () => party.api.openChannel('open-hub', address, deposit, share)),
    )
    await untilReady(party, channel)
    this.#count('opened')
    return { party, channel }
  }

  #count(what: keyof Onboarded): void {
    this.done[what] += 1
    this.tell(this.done)
  }
}

async function untilReady(party: Party, channel: string): Promise<void> {
  for (const end = Date.now() + READY_MS; Date.now() < end && !party.ending.aborted; await sleep(ASK_MS)) {
    if ((await party.api.channel(channel)).ready) return
  }
  throw new MeridianError('channel_offline', `the channel of ${party.name} does not come up`)
}

/** Cooperative closes (L6): what the channel held is on the ledger, under each owner's key. */
export async function closeAll(members: readonly Member[], tell: (closed: number) => void): Promise<void> {
  const lanes = new Lanes(CLOSE_LANES)
  let closed = 0
  await Promise.all(
    members.map(({ party, channel }) =>
      lanes.run(async () => {
        await insist(party, () => party.api.closeChannel('close-hub', channel))
        tell(++closed)
      }),
    ),
  )
}

/** The account gives its money back to the issuer, who burns it (L3). */
export async function redeem(party: Party, amount: Amount): Promise<void> {
  await insist(party, () => party.api.redeem('redeem', amount))
}

/** What the account holds, decrypted by its own node. */
export async function balanceOf({ api }: Party): Promise<bigint> {
  const { available_minor, pending_open_minor, pending_frozen_minor } = await api.account()
  return available_minor + pending_open_minor + pending_frozen_minor
}
