/** Drives openings (L5): wallet, proofs, policy and storage around the pure negotiation. */
import { type Amount, plus } from '../base/amount.js'
import { bytesToHex, equalBytes } from '../base/bytes.js'
import type { ErrorCode } from '../base/errors.js'
import { type AccountId, type ChannelId, idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { OpeningMessage } from '../base/message/opening.js'
import type { AccountView, ChainAdapter } from '../base/ports/chain.js'
import { type Result, refuse } from '../base/result.js'
import {
  type OpeningEnv,
  type OpenLimit,
  type OpenRequest,
  receiveOpening,
  requestOpening,
} from '../channel/opening.js'
import type { ChannelLimits } from '../channel/types.js'
import type { Balance, Wallet } from '../wallet/wallet.js'
import type { Entropy, Logger } from '../wire/environment.js'
import { Attempt, type AttemptParts, shareCode } from './attempt.js'
import { serveAll } from './heads.js'

/** R7: what this node grants to whoever opens a channel toward it. */
export interface OpenPolicy {
  readonly enabled: boolean
  /** Accounts that may open channels; absent: any. */
  readonly peers?: readonly AccountId[]
  /** The peer's own deposit. */
  readonly depositMin: Amount
  /** Most that is deposited on request in one channel; 0 grants none. */
  readonly shareMax: Amount
  /** Most that is deposited on request, in percent of the peer's own deposit. */
  readonly sharePercent?: number
  /** Most that is deposited on request in all channels that are not paid out, together. */
  readonly shareBudget?: Amount
  /** What no request may take from the account. */
  readonly fundsKept?: Amount
}

export interface OpeningsOptions extends AttemptParts {
  readonly wallet: Wallet
  readonly chain: ChainAdapter
  readonly limits: ChannelLimits
  readonly openPolicy: () => OpenPolicy
  readonly logger: Logger
  readonly entropy: Entropy
  readonly env: () => OpeningEnv
  readonly isConnected: (peer: AccountId) => boolean
  /** A1: the view is younger than `ledger_age_max_s`. */
  readonly ledgerFresh: () => boolean
}

export interface OpenWish {
  /** Idempotency key: the channel that it names is opened once. */
  readonly key: string
  readonly peer: AccountId
  readonly deposit: Amount
  /** R7: asked of the peer; 0 for none. */
  readonly share: Amount
  readonly window: number
}

const ATTEMPTS_MAX = 256
/** Ledger seconds for which an opening may still be accepted. */
const VALID_S = 600
/** Attempts at one opening while other transactions of the account come first: each failure is the success of another. */
const TRIES_MAX = 64

const totalOf = ({ available, pendingOpen, pendingFrozen }: Balance): Amount =>
  plus(available, pendingOpen, pendingFrozen)

type Request = Extract<OpeningMessage, { name: 'openChannel' }>['body']
interface Denied {
  readonly code: ErrorCode
  readonly limit?: OpenLimit
}

/** R7: the rules that look at nothing but the request. */
function policyRefusal(policy: OpenPolicy, from: AccountId, { deposit, share }: Request): Denied | undefined {
  const { enabled, peers, depositMin, shareMax, sharePercent } = policy
  if (!enabled || peers?.some((peer) => equalBytes(peer, from)) === false) return { code: 'open_not_allowed' }
  if (deposit.amount < depositMin) return { code: 'open_not_allowed', limit: ['deposit_min', depositMin] }
  const byDeposit = sharePercent === undefined ? shareMax : (deposit.amount * BigInt(sharePercent)) / 100n
  const most = (byDeposit < shareMax ? byDeposit : shareMax) as Amount
  return share > most ? { code: 'open_not_allowed', limit: ['share_max', most] } : undefined
}

export class Openings {
  readonly #attempts = new Map<string, Attempt>()
  /** Peers whose request is being looked at: one of each at a time, from its first message on. */
  readonly #asking = new Set<string>()
  /** Shares of attempts under way. */
  readonly #granting = new Map<string, Amount>()
  #closed = false

  constructor(private readonly options: OpeningsOptions) {}

  /** Resolves once the ledger has the channel, or nothing of it happened. */
  async open(wish: OpenWish): Promise<Result<ChannelId>> {
    for (let tries = 1; ; tries++) {
      const outcome = await this.#try(wish)
      if (outcome.ok || outcome.error.code !== 'bad_nonce' || tries === TRIES_MAX) return outcome
    }
  }

  async #try(wish: OpenWish): Promise<Result<ChannelId>> {
    const { wallet, chain, env, limits, isConnected } = this.options
    if (this.#closed) return refuse('unavailable', 'stopping')
    if (!isConnected(wish.peer)) return refuse('channel_offline')
    const { value: peer } = await chain.account(wish.peer)
    if (peer === undefined) return refuse('unknown_account')
    // Rolls over where that is needed; the deposit itself is taken when it is proven.
    const spendable = await wallet.exclusive(() => wallet.spendable(wish.deposit))
    if (!spendable.ok) return spendable
    if (this.#closed) return refuse('unavailable', 'stopping')
    const { deposit, share, window } = wish
    const request: OpenRequest = {
      peer: { account: peer.account, n: peer.n },
      attempt: new Uint8Array(this.options.entropy(32)),
      nonce: spendable.value.view.nonce,
      validUntil: env().view.time + VALID_S,
      window,
      deposit,
      share,
      limits,
    }
    const attempt = this.#begin(request.attempt, peer, wish.key)
    attempt.take(requestOpening(request, env()))
    return this.#finish(attempt)
  }

  receive(from: AccountId, message: OpeningMessage): void {
    const known = this.#attempts.get(bytesToHex(message.body.attempt))
    if (known !== undefined) {
      if (equalBytes(known.peer.account, from)) known.input({ type: 'openingReceived', message })
    } else if (message.name === 'openChannel') {
      void this.#answerOne(from, message.body)
    }
  }

  /** The node stops: nothing new, and what runs ends here. */
  close(): void {
    this.#closed = true
    for (const attempt of this.#attempts.values()) attempt.abandon()
  }

  /** The ledger's time moved. */
  advanced(): void {
    serveAll(this.#attempts.values(), (attempt) => attempt.input({ type: 'openTick' }))
  }

  peerLost(peer: AccountId): void {
    for (const attempt of this.#attempts.values()) {
      if (equalBytes(attempt.peer.account, peer)) attempt.input({ type: 'peerLost' })
    }
  }

  /** The ledger has this channel now. */
  funded(channel: ChannelId): void {
    for (const attempt of this.#attempts.values()) attempt.funded(channel)
  }

  async #answerOne(from: AccountId, body: Request): Promise<void> {
    const peer = idText(from)
    const live = [...this.#attempts.values()].some(
      (attempt) => !attempt.ended && equalBytes(attempt.peer.account, from) && !attempt.outdated(),
    )
    const full = this.#attempts.size + this.#asking.size >= ATTEMPTS_MAX
    if (this.#closed || live || full || this.#asking.has(peer)) return this.#deny(from, body.attempt, 'busy')
    this.#asking.add(peer)
    try {
      // From its attempt on a peer is judged by that: one that has ended makes room for the next at once.
      const { value: account } = await this.options.chain.account(from).finally(() => this.#asking.delete(peer))
      if (account === undefined) this.#deny(from, body.attempt, 'unknown_account')
      else await this.#answer(account, body)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** R7, and what a peer could pile up here. Undefined where the opening is granted. */
  #refusal(from: AccountId, body: Request): Denied | undefined {
    const { openPolicy, ledgerFresh, book, env } = this.options
    const policy = openPolicy()
    const denied = policyRefusal(policy, from, body)
    if (denied !== undefined) return denied
    if (!ledgerFresh()) return { code: 'unavailable' } // A1
    if (body.validUntil > env().view.time + LIMITS.opening_valid_s) return { code: 'open_terms' }
    if (book.unfunded(from) >= LIMITS.openings_unfunded) return { code: 'busy' }
    const granted = plus(book.granted(), ...this.#granting.values(), body.share)
    const within = policy.shareBudget === undefined || body.share === 0n || granted <= policy.shareBudget
    return within ? undefined : { code: 'open_no_funds' }
  }

  /** What the account holds where a share is asked for. */
  async #unaffordable(share: Amount): Promise<ErrorCode | undefined> {
    const balance = await this.options.wallet.balance()
    if (!balance.ok) return shareCode(balance.error.code)
    const { fundsKept } = this.options.openPolicy()
    // Others may be taking theirs meanwhile: what is to stay counts all of them.
    const needed = fundsKept === undefined ? share : plus(fundsKept, ...this.#granting.values())
    return totalOf(balance.value) < needed ? 'open_no_funds' : undefined
  }

  /** The peer's part: policy first, then what the account holds where a share is asked for. */
  async #answer(peer: AccountView, body: Request): Promise<void> {
    const { env, limits } = this.options
    const name = bytesToHex(body.attempt)
    if (this.#closed || this.#attempts.has(name)) return
    const attempt = this.#begin(body.attempt, peer)
    attempt.take(receiveOpening(body, { account: peer.account, n: peer.n }, env()))
    const refusal = this.#refusal(peer.account, body)
    const salt = new Uint8Array(this.options.entropy(32))
    if (refusal !== undefined) attempt.input({ type: 'openDenied', ...refusal })
    else if (body.share > 0n) {
      this.#granting.set(name, body.share) // from here on: others ask meanwhile
      const code = await this.#unaffordable(body.share)
      if (code !== undefined) attempt.input({ type: 'openDenied', code })
    }
    attempt.input({ type: 'openAllowed', limits, salt })
    await this.#finish(attempt)
  }

  #begin(name: Uint8Array, peer: AccountView, key?: string): Attempt {
    const attempt = new Attempt(this.options, peer, name, key)
    this.#attempts.set(bytesToHex(name), attempt)
    return attempt
  }

  async #finish(attempt: Attempt): Promise<Result<ChannelId>> {
    const outcome = await attempt.outcome
    this.#attempts.delete(bytesToHex(attempt.name))
    this.#granting.delete(bytesToHex(attempt.name))
    const peer = idText(attempt.peer.account)
    if (outcome.ok) this.options.logger.info('channel.opened', { peer, channel: idText(outcome.value) })
    else this.options.logger.info('channel.open_failed', { peer, code: outcome.error.code })
    return outcome
  }

  #deny(to: AccountId, attempt: Uint8Array, code: ErrorCode): void {
    this.options.send(to, { name: 'openRefused', body: { attempt, code, limit: null } })
  }

  #failed(error: unknown): void {
    this.options.logger.warn('channel.open_error', { error: error instanceof Error ? error.name : 'unknown' })
  }
}
