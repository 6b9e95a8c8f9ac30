/** What a bench runs in: a directory, a test ledger with its issuer, and parties, each in a process of its own. Leaves nothing. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Amount } from '../../base/amount.js'
import { curve } from '../../base/curve/index.js'
import { encodeGenesis, type Genesis, ledgerIdOf } from '../../base/genesis.js'
import { type AccountId, idText, parseAccountId } from '../../base/ids.js'
import type { ChainAdapter } from '../../base/ports/chain.js'
import { need } from '../../chain-adapter/need.js'
import { connectLedger } from '../../chain-adapter/remote/client.js'
import { createPool, type ProofPool } from '../../privacy/pool.js'
import { Secrets } from '../../store/keystore.js'
import { memoryStore } from '../../store/memory.js'
import { openAccountKeys } from '../../wallet/keys.js'
import { admit, register, registrationRequest } from '../../wallet/registration.js'
import { Wallet } from '../../wallet/wallet.js'
import type { PeerAddress } from '../../wire/address.js'
import { EXIT, UsageError, VerbExit } from '../exit.js'
import type { ChannelFacts, LedgerCalls, LedgerSetup, OutputOf, PartyCalls, PartySetup } from './calls.js'
import { Party, type Role } from './crew.js'

export interface TownOptions {
  /** The run's directory is made within it. Default: the machine's for temporary files. */
  readonly dir: string | undefined
  readonly keyBits: Genesis['keyBits']
  /** L (section 2). Default: 48. */
  readonly amountBits?: number
  /** Flags of node for every party, such as --cpu-prof. */
  readonly execArgv: readonly string[]
  /** Of the ledger that is founded; fresh where absent. */
  readonly issuer?: Secrets
}

const AMOUNT_BITS = 48
const READY_POLL_MS = 20
const READY_MS = 60_000

/** Somebody who takes channels: one of ours, or a hub elsewhere. */
export interface Host {
  readonly name: string
  readonly account: string
  readonly url: string
}

/** A node of one of the processes. */
export interface Member extends Host {
  readonly party: Party<PartyCalls>
  readonly member: number
}

export const isMember = (host: Host): host is Member => 'party' in host

/** A ledger that runs elsewhere, with its issuer's secrets, and a hub on it. */
export interface Abroad {
  readonly ledgerUrl: string
  readonly genesis: Genesis
  readonly issuer: Secrets
  readonly hub: PeerAddress
}

const secretsOf = (): Secrets => new Secrets(new Uint8Array(randomBytes(32)))

export interface MemberOptions {
  readonly forwarding?: boolean
  /** Of its process's node. */
  readonly flags?: readonly string[]
}

/** A channel between two of them. */
export interface Link {
  readonly from: Member
  readonly to: Host
  readonly channel: string
}

/** An account of this process: no node, only what it does on the ledger. */
export interface Resident {
  readonly wallet: Wallet
  readonly secrets: Secrets
}

interface Founded {
  readonly genesis: Genesis
  readonly chain: ChainAdapter
  readonly pool: ProofPool
  readonly issuer: Wallet
  readonly url: string
  /** Undefined where the ledger runs elsewhere. */
  readonly setup: LedgerSetup | undefined
}

export class Town {
  readonly #parties: { stop(): Promise<void> }[] = []
  readonly #closers: (() => Promise<unknown>)[] = []
  #minted = 0
  #razed = false
  /** The hub elsewhere that is driven, if one is. */
  hub: Host | undefined
  #founded: Founded | undefined
  #ledger: Party<LedgerCalls> | undefined

  private constructor(
    readonly dir: string,
    private readonly options: TownOptions,
  ) {}

  static async create(options: TownOptions): Promise<Town> {
    return new Town(await mkdtemp(join(options.dir ?? tmpdir(), 'meridian-bench-')), options)
  }

  /** The ledger and its issuer; once, whoever asks. */
  async found(): Promise<void> {
    if (this.#founded !== undefined) return
    const pool = createPool({ threads: 2 })
    this.#opened(() => pool.close())
    const [issuer, regulator, head] = [this.options.issuer ?? secretsOf(), secretsOf(), secretsOf()]
    const { keyBits, amountBits = AMOUNT_BITS } = this.options
    const genesis: Genesis = {
      version: 1,
      amountBits,
      keyBits,
      issuer: await publicOf(issuer, keyBits, pool),
      regulator: await publicOf(regulator, keyBits, pool),
      headKey: curve.multiplyBase(head.signingKey),
      windowMin: 5,
      windowMax: 1_209_600,
      time: Math.floor(Date.now() / 1_000),
      clock: null,
      salt: new Uint8Array(randomBytes(32)),
      test: true,
    }
    const setup = {
      dir: this.ledgerDir,
      genesis: encodeGenesis(genesis),
      headKey: head.signingKey,
      create: true,
      port: 0,
    }
    const { url } = await this.#startLedger(setup)
    await this.#follow({ url, genesis, pool, setup }, issuer)
  }

  /**
   * Instead of `found`. A bench mints, pays and leaves channels behind: only on a ledger that is there for tests.
   * @throws UsageError
   */
  async join({ ledgerUrl, genesis, issuer, hub }: Abroad): Promise<void> {
    if (!genesis.test)
      throw new UsageError(`the ledger at ${ledgerUrl} is not flagged as a test ledger: nothing is driven there`)
    const pool = createPool({ threads: 2 })
    this.#opened(() => pool.close())
    await this.#follow({ url: ledgerUrl, genesis, pool, setup: undefined }, issuer)
    this.hub = { name: 'hub', account: idText(hub.account), url: hub.url }
  }

  async #follow(where: Omit<Founded, 'chain' | 'issuer'>, issuer: Secrets): Promise<void> {
    const { url, genesis, pool } = where
    const chain = await connectLedger(url, ledgerIdOf(genesis))
    this.#opened(() => chain.close())
    this.#founded = { ...where, chain, issuer: await walletOf(issuer, { genesis, chain, pool }) }
  }

  async #startLedger(setup: LedgerSetup): Promise<OutputOf<LedgerCalls, 'open'>> {
    const party = this.hire<LedgerCalls>('ledger', 'ledger')
    const opened = await party.call('open', setup)
    this.#ledger = party
    return opened
  }

  get #now() {
    if (this.#founded === undefined) throw new Error('the town has no ledger')
    return this.#founded
  }

  get genesis(): Genesis {
    return this.#now.genesis
  }

  get chain(): ChainAdapter {
    return this.#now.chain
  }

  get pool(): ProofPool {
    return this.#now.pool
  }

  get ledger(): Party<LedgerCalls> {
    return this.#ledger!
  }

  get ledgerUrl(): string {
    return this.#now.url
  }

  get ledgerDir(): string {
    return join(this.dir, 'ledger')
  }

  /** The ledger is killed and started again: from the start of its process until it answers. */
  async restartLedger(): Promise<{ readonly restart_ms: number; readonly transactions: number }> {
    await this.ledger.kill()
    const start = performance.now()
    const port = Number(new URL(this.ledgerUrl).port)
    const { transactions } = await this.#startLedger({ ...this.#now.setup!, create: false, port })
    return { restart_ms: performance.now() - start, transactions }
  }

  /** An account of this process, with this much available. */
  async resident(amount: bigint): Promise<Resident> {
    const secrets = secretsOf()
    const wallet = await walletOf(secrets, this.#now)
    need(await register(wallet, need(await admit(this.#now.issuer, await registrationRequest(wallet)))))
    if (amount > 0n) {
      await this.mint(wallet.account, amount)
      for (const stage of [1, 2]) need(await wallet.rollover(`bench ${stage}`))
    }
    return { wallet, secrets }
  }

  /** By the issuer. */
  async mint(account: AccountId, amount: bigint): Promise<void> {
    need(await this.#now.issuer.mint(`bench ${this.#minted++}`, account, amount as Amount))
  }

  /** A process of its own with a node, registered, and with this much to spend. */
  async settle(name: string, amount: bigint, how: MemberOptions = {}): Promise<Member> {
    const [member] = await this.settleMany(name, amount, 1, how)
    return member!
  }

  /** So many nodes in one process. */
  async settleMany(
    name: string,
    amount: bigint,
    count: number,
    { forwarding = false, flags = [] }: MemberOptions = {},
  ): Promise<readonly Member[]> {
    const party = this.hire<PartyCalls>(name, 'party', flags)
    const members: Member[] = []
    for (let at = 0; at < count; at++) {
      const opened = await party.call('open', this.#setup(`${name}-${at}`, forwarding, true))
      const { member, account } = opened
      const request = await party.call('request', member)
      await party.call('register', { member, admission: need(await admit(this.#now.issuer, request)) })
      await this.mint(need(parseAccountId(account)), amount)
      await party.call('balance', member)
      members.push({ name: `${name}-${at}`, party, ...opened })
    }
    return members
  }

  #setup(name: string, forwarding: boolean, create: boolean, port = 0): PartySetup {
    const genesis = encodeGenesis(this.genesis)
    return { dir: join(this.dir, name), ledgerUrl: this.ledgerUrl, genesis, forwarding, create, port }
  }

  /** A new process opens what a killed one left, whose only node this was. */
  async reopen({ name, party, url }: Member, { forwarding = false, flags = [] }: MemberOptions = {}): Promise<Member> {
    const next = this.hire<PartyCalls>(party.name, 'party', flags)
    const port = Number(new URL(url).port)
    return { name, party: next, ...(await next.call('open', this.#setup(name, forwarding, false, port))) }
  }

  /** A process of its own that is nothing yet. */
  hire<Table>(name: string, role: Role, flags: readonly string[] = []): Party<Table> {
    if (this.#razed) throw new VerbExit(EXIT.checkFailed, 'interrupted')
    const party = new Party<Table>(name, role, [...this.options.execArgv, ...flags])
    this.#parties.push(party)
    return party
  }

  /** What opens while everything is being ended is ended at once. */
  #opened(close: () => Promise<unknown>): void {
    if (!this.#razed) this.#closers.push(close)
    else void close()
  }

  /** Opens a channel; rounds run when it resolves. */
  async channel(from: Member, to: Host, deposit: bigint, share: bigint): Promise<Link> {
    const { account: peer, url } = to
    const channel = await from.party.call('openChannel', { member: from.member, peer, url, deposit, share })
    for (const member of [from, to].filter(isMember)) {
      await until(async () => (await factsOf(member, channel)).ready, `a channel of ${member.name}`)
    }
    return { from, to, channel }
  }

  /** Everything is ended and removed. */
  async raze(): Promise<void> {
    this.#razed = true
    const ledger = this.#ledger
    await Promise.all(this.#parties.map((party) => (party === ledger ? undefined : party.stop())))
    for (const closer of this.#closers.splice(0).reverse()) await closer()
    await ledger?.stop()
    await rm(this.dir, { recursive: true, force: true })
  }
}

/** Keeps nothing on disk. */
async function walletOf(
  secrets: Secrets,
  { genesis, chain, pool }: Pick<Founded, 'genesis' | 'chain' | 'pool'>,
): Promise<Wallet> {
  const keys = await openAccountKeys(secrets, genesis.keyBits, pool)
  return Wallet.open({ chain, pool, store: memoryStore(), keys, seed: secrets.walletSeed })
}

async function publicOf(secrets: Secrets, keyBits: number, pool: ProofPool): Promise<Genesis['issuer']> {
  const keys = await openAccountKeys(secrets, keyBits, pool)
  return { account: keys.account, n: keys.paillier.n, keyProof: await pool.proveKey(keys.paillier, keys.account) }
}

export async function until(
  holds: () => Promise<boolean>,
  what: string,
  { look_ms = READY_POLL_MS, give_up_ms = READY_MS } = {},
): Promise<void> {
  for (const end = Date.now() + give_up_ms; ; await sleep(look_ms)) {
    if (await holds()) return
    if (Date.now() > end) throw new VerbExit(EXIT.checkFailed, `${what} does not come up`)
  }
}

const factsOf = ({ party, member }: Member, channel: string): Promise<ChannelFacts> =>
  party.call('channel', { member, channel })

/** The channel as both sides see it once nothing is under way: the same version, no lock. One side, where the hub is elsewhere. */
export async function settled({ from, to, channel }: Link): Promise<readonly ChannelFacts[]> {
  const sides = [from, to].filter(isMember)
  const facts = () => Promise.all(sides.map((side) => factsOf(side, channel)))
  let before = ''
  await until(async () => {
    const seen = await facts()
    const [{ version } = { version: 0 }] = seen
    // Of one side alone: nothing has moved since the last look.
    const stands = sides.length === 2 || before === String(version)
    before = String(version)
    return stands && seen.every((side) => side.version === version && side.locks === 0)
  }, 'a settled channel')
  return facts()
}

/** Sums over channels: what those that opened them have, and what their peers have (of a hub elsewhere: 0). */
export async function balancesOf(links: readonly Link[]): Promise<readonly [bigint, bigint]> {
  const facts = await Promise.all(links.map(settled))
  const sum = (side: 0 | 1) => facts.reduce((total, sides) => total + (sides[side]?.balance ?? 0n), 0n)
  return [sum(0), sum(1)]
}
