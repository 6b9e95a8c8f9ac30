/** One attempt to open a channel: runs what the pure negotiation asks for and feeds it the answers. */
import { formatDecimal } from '../base/amount.js'
import { equalBytes } from '../base/bytes.js'
import type { ErrorCode } from '../base/errors.js'
import type { AccountId, ChannelId } from '../base/ids.js'
import type { OpeningMessage } from '../base/message/opening.js'
import type { AccountView, ChainAdapter } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'
import { depositStatement, type Parties } from '../chain-adapter/contract/statements.js'
import {
  type Opening,
  type OpeningEffect,
  type OpeningEnv,
  type OpeningInput,
  type OpeningStep,
  type OpenLimit,
  stepOpening,
} from '../channel/opening.js'
import { openingRow } from '../wallet/openings.js'
import { buildHalf } from '../wallet/transactions.js'
import type { Wallet } from '../wallet/wallet.js'
import type { Logger, Timers } from '../wire/environment.js'
import type { ChannelBook } from './channel-book.js'
import type { Engine } from './engine.js'
import type { LedgerDesk } from './ledger-desk.js'
import type { WorkerDesk } from './worker-desk.js'

export interface AttemptParts {
  readonly wallet: Wallet
  readonly chain: ChainAdapter
  readonly engine: Engine
  readonly book: ChannelBook
  readonly ledgerDesk: LedgerDesk
  readonly workerDesk: WorkerDesk
  readonly logger: Logger
  readonly timers: Timers
  readonly env: () => OpeningEnv
  readonly send: (peer: AccountId, message: OpeningMessage) => void
}

/** An attempt that stands still this long is given up: it may be holding the wallet. */
const STALLED_MS = 30_000

/** What the opener is told where our share cannot be had. */
export const shareCode = (code: ErrorCode): ErrorCode =>
  code === 'insufficient_funds' ? 'open_no_funds' : 'unavailable'

const LIMIT_TEXT = { deposit_min: 'deposit at least', share_max: 'inbound at most' } as const
/** R7: for the operator who asked; amounts reach no log. */
const limitText = ([rule, amount]: OpenLimit): string => `${LIMIT_TEXT[rule]} ${formatDecimal(amount)}`

export class Attempt {
  /** Our half has left: until the ledger decides, only moving `available` takes it back. */
  #gaveHalf = false
  #abandoned = false
  /** The connection was lost: what we sent last may not have arrived. */
  #cut = false
  #verifying: Promise<OpeningInput> | undefined
  readonly outcome: Promise<Result<ChannelId>>
  #settle: (outcome: Result<ChannelId>) => void = () => undefined
  #settled = false
  #opening: Opening | undefined
  #channel: ChannelId | undefined
  #callOff: () => void

  constructor(
    private readonly parts: AttemptParts,
    readonly peer: AccountView,
    readonly name: Uint8Array,
    /** The operator's idempotency key, where this side asked for the channel. */
    private readonly key: string | undefined,
  ) {
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve
    })
    this.#callOff = parts.timers.after(STALLED_MS, () => this.#stalled())
  }

  get ended(): boolean {
    return this.#settled
  }

  input(input: OpeningInput): void {
    if (this.#settled || this.#opening === undefined) return
    if (input.type === 'peerLost') this.#cut = true
    this.take(stepOpening(this.#opening, input, this.parts.env()))
  }

  take({ opening, effects }: OpeningStep): void {
    this.#opening = opening
    if (effects.length > 0) {
      this.#callOff()
      this.#callOff = this.parts.timers.after(STALLED_MS, () => this.#stalled())
    }
    for (const effect of effects) this.#run(effect)
  }

  /** The node stops. A half that has left binds only until `available` moves on; a channel that was signed is stored. */
  abandon(): void {
    this.#abandoned = true
    this.#end(refuse('unavailable', 'stopping'))
  }

  funded(channel: ChannelId): void {
    if (this.#channel !== undefined && equalBytes(this.#channel, channel)) this.#end(ok(channel))
  }

  /**
   * Its peer begins anew after a cut: what we signed did not arrive. Should it still reach the ledger, `funded` finds the
   * channel on disk, or our half is void.
   */
  outdated(): boolean {
    if (!this.#cut || this.#opening?.stage !== 'done' || this.#opening.side !== 1) return false
    this.#end(refuse('open_expired'))
    return true
  }

  /** A signed opening may still reach the ledger: then `funded` or the ledger's refusal ends it, or the half is voided. */
  #stalled(): void {
    if (this.#opening?.stage === 'done') this.#end(refuse('open_expired'))
    else this.input({ type: 'openDenied', code: 'open_expired' })
  }

  #end(outcome: Result<ChannelId>): void {
    if (this.#settled) return
    this.#settled = true
    this.#callOff()
    this.#settle(outcome)
  }

  #run(effect: OpeningEffect): void {
    const { engine, book, ledgerDesk, send } = this.parts
    switch (effect.type) {
      case 'sendOpening': {
        if (effect.message.name === 'channelHalf' || effect.message.name === 'channelSigned') this.#gaveHalf = true
        // In order behind whatever must be durable first.
        engine.do((tx) => tx.after(() => send(this.peer.account, effect.message)))
        return
      }
      case 'openRequested':
        return // Openings judges it by the policy
      case 'prepareFirst':
        this.#work(async () => {
          const randomizer = await this.parts.workerDesk.randomizer(effect.terms, effect.version)
          return { type: 'openRandomizer', version: effect.version, randomizer }
        })
        return
      case 'proveDeposit':
        this.#work(() => this.#withdraw(effect))
        return
      case 'verifyDeposit': {
        const verifying = this.#verify(effect)
        this.#verifying = verifying
        this.#work(() => verifying)
        return
      }
      case 'opened':
        this.#channel = effect.terms.channel
        engine.do((tx) => book.open(tx, effect.terms, effect.side, effect.channel, effect.validUntil, this.key))
        return
      case 'submitOpening':
        engine.do((tx) =>
          ledgerDesk.submit(tx, effect.transaction, (told) => {
            if (told.ok) return
            engine.do((later) => book.refused(later, effect.transaction.channel as ChannelId, told.error.code))
            this.#end(told)
          }),
        )
        return
      case 'openFailed':
        this.#end(refuse(effect.code, effect.limit === null ? undefined : limitText(effect.limit)))
        return
    }
  }

  /** [opener, peer]; our own account as the half was built on it. */
  #parties(side: 0 | 1, own: AccountView): Parties {
    return side === 0 ? [own, this.peer] : [this.peer, own]
  }

  /**
   * From here on the wallet is held, until the ledger has decided or the half that was given away is void: no other
   * transaction of ours makes it stale, and no half lingers. Not before: a peer that stands still holds up nobody.
   */
  async #withdraw(effect: Extract<OpeningEffect, { type: 'proveDeposit' }>): Promise<OpeningInput> {
    const { wallet } = this.parts
    await this.#verifying // a half that does not hold never gets at the wallet
    return new Promise((resolve, reject) => {
      const held = wallet.exclusive(async () => {
        if (this.#settled) return resolve({ type: 'openTick' })
        resolve(await this.#prove(effect))
        const outcome = await this.outcome
        // L5: staleness only refuses: moving `available` on takes back a half that the ledger has not seen.
        if (effect.side === 1 && !outcome.ok && this.#gaveHalf && !this.#abandoned) await wallet.voidHalf()
      })
      held.catch((error: unknown) => {
        if (this.#settled) this.#failed(error)
        else reject(error)
      })
    })
  }

  async #prove(effect: Extract<OpeningEffect, { type: 'proveDeposit' }>): Promise<OpeningInput> {
    const { side, terms, amount, blinding } = effect
    const funds = await this.parts.wallet.spendable(amount)
    if (!funds.ok) return { type: 'openDenied', code: side === 0 ? funds.error.code : shareCode(funds.error.code) }
    const { view, available } = funds.value
    // Another transaction of ours came first; the next attempt names the nonce that is next then.
    if (side === 0 && view.nonce !== terms.nonce) return { type: 'openDenied', code: 'bad_nonce' }
    const parties = this.#parties(side, view)
    const made = await buildHalf(this.parts.wallet.parts, { terms, parties, side, available, amount, blinding })
    if (!made.ok) return { type: 'openDenied', code: made.error.code }
    const { half, opening } = made.value
    await this.parts.engine.run((tx) => tx.put(openingRow(half.ciphertextRest, opening))).durable
    return { type: 'depositProved', half }
  }

  async #verify(effect: Extract<OpeningEffect, { type: 'verifyDeposit' }>): Promise<OpeningInput> {
    const { chain, wallet } = this.parts
    const { side, terms, half } = effect
    const [own, peer] = await Promise.all([chain.account(wallet.account), chain.account(this.peer.account)])
    if (own.value === undefined || peer.value === undefined) return { type: 'depositVerified', valid: false }
    const parties: Parties = side === 0 ? [peer.value, own.value] : [own.value, peer.value]
    const statement = depositStatement(chain.genesis, parties, terms, side, half)
    if (!statement.ok) return { type: 'depositVerified', valid: false }
    const check = { type: 'statement', statement: statement.value, proof: half.proof } as const
    return { type: 'depositVerified', valid: await wallet.parts.pool.verify(check, 'urgent') }
  }

  #work(work: () => Promise<OpeningInput>): void {
    work().then(
      (input) => this.input(input),
      (error: unknown) => {
        this.#failed(error)
        this.input({ type: 'openDenied', code: 'unavailable' })
      },
    )
  }

  #failed(error: unknown): void {
    this.parts.logger.warn('channel.open_error', { error: error instanceof Error ? error.name : 'unknown' })
  }
}
