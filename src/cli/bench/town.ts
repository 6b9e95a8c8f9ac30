/** What a bench runs in: a directory, a test ledger with its issuer in this process, and parties in theirs. Leaves nothing. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Amount } from '../../base/amount.js'
import { curve } from '../../base/curve/index.js'
import { encodeGenesis, type Genesis } from '../../base/genesis.js'
import { parseAccountId } from '../../base/ids.js'
import { inProcessAdapter } from '../../chain-adapter/embedded/in-process.js'
import { Ledger } from '../../chain-adapter/embedded/ledger.js'
import { type LedgerServer, serveLedger } from '../../chain-adapter/embedded/server.js'
import { need } from '../../chain-adapter/need.js'
import { createPool, type ProofPool } from '../../privacy/pool.js'
import { Secrets } from '../../store/keystore.js'
import { memoryStore } from '../../store/memory.js'
import { openAccountKeys } from '../../wallet/keys.js'
import { admit } from '../../wallet/registration.js'
import { Wallet } from '../../wallet/wallet.js'
import { EXIT, VerbExit } from '../exit.js'
import type { ChannelFacts } from './calls.js'
import { Party } from './crew.js'

export interface TownOptions {
  /** The run's directory is made within it. Default: the machine's for temporary files. */
  readonly dir: string | undefined
  readonly keyBits: Genesis['keyBits']
  /** Flags of node for every party, such as --cpu-prof. */
  readonly execArgv: readonly string[]
}

const AMOUNT_BITS = 48
const BLOCK_MS = 100
const READY_POLL_MS = 20
const READY_MS = 60_000

export interface Member {
  readonly party: Party
  readonly account: string
  readonly url: string
}

const secretsOf = (): Secrets => new Secrets(new Uint8Array(randomBytes(32)))

export class Town {
  readonly #parties: Party[] = []
  readonly #closers: (() => Promise<unknown>)[] = []
  #minted = 0
  #razed = false
  #genesis: Genesis | undefined
  #issuer: Wallet | undefined
  #server: LedgerServer | undefined

  private constructor(
    readonly dir: string,
    private readonly options: TownOptions,
  ) {}

  static async create(options: TownOptions): Promise<Town> {
    return new Town(await mkdtemp(join(options.dir ?? tmpdir(), 'meridian-bench-')), options)
  }

  /** The ledger and its issuer. */
  async found(): Promise<void> {
    const pool = createPool({ threads: 2 })
    this.#opened(() => pool.close())
    const [issuer, regulator, head] = [secretsOf(), secretsOf(), secretsOf()]
    const keyBits = this.options.keyBits
    const genesis: Genesis = {
      version: 1,
      amountBits: AMOUNT_BITS,
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
    const dir = join(this.dir, 'ledger')
    const clock = { kind: 'system', interval_ms: BLOCK_MS, idle_ms: 1_000 } as const
    const ledger = need(await Ledger.create({ dir, genesis, headKey: head.signingKey, clock, verifiers: 2 }))
    this.#opened(() => ledger.close())
    const server = await serveLedger(ledger)
    this.#opened(() => server.close())
    this.#server = server
    const keys = await openAccountKeys(issuer, keyBits, pool)
    const chain = inProcessAdapter(ledger)
    this.#genesis = genesis
    this.#issuer = await Wallet.open({ chain, pool, store: memoryStore(), keys, seed: issuer.walletSeed })
  }

  get genesis(): Genesis {
    if (this.#genesis === undefined) throw new Error('the town has no ledger')
    return this.#genesis
  }

  get ledgerUrl(): string {
    return this.#server?.url ?? ''
  }

  /** A process of its own with a node, registered, and with this much to spend. */
  async settle(name: string, amount: bigint, how: { readonly forwarding?: boolean } = {}): Promise<Member> {
    const party = this.hire(name)
    const { forwarding = false } = how
    const genesis = encodeGenesis(this.genesis)
    const common = { name, dir: join(this.dir, name), ledgerUrl: this.ledgerUrl, genesis }
    const { account, url } = await party.call('open', { ...common, forwarding })
    const issuer = this.#issuer!
    await party.call('register', need(await admit(issuer, await party.call('request', null))))
    need(await issuer.mint(`bench ${this.#minted++}`, need(parseAccountId(account)), amount as Amount))
    await party.call('balance', null)
    return { party, account, url }
  }

  /** A process of its own that is nothing yet. */
  hire(name: string): Party {
    if (this.#razed) throw new VerbExit(EXIT.checkFailed, 'interrupted')
    const party = new Party(name, this.options.execArgv)
    this.#parties.push(party)
    return party
  }

  /** What opens while everything is being ended is ended at once. */
  #opened(close: () => Promise<unknown>): void {
    if (!this.#razed) this.#closers.push(close)
    else void close()
  }

  /** Opens a channel; rounds run when it resolves. */
  async channel(from: Member, to: Member, deposit: bigint, share: bigint): Promise<string> {
    const { account: peer, url } = to
    const id = await from.party.call('openChannel', { peer, url, deposit, share })
    for (const member of [from, to]) {
      await until(async () => (await member.party.call('channel', id)).ready, `a channel of ${member.party.name}`)
    }
    return id
  }

  get parties(): readonly Party[] {
    return this.#parties
  }

  /** Everything is ended and removed. */
  async raze(): Promise<void> {
    this.#razed = true
    await Promise.all(this.#parties.map((party) => party.stop()))
    for (const closer of this.#closers.splice(0).reverse()) await closer()
    await rm(this.dir, { recursive: true, force: true })
  }
}

async function publicOf(secrets: Secrets, keyBits: number, pool: ProofPool): Promise<Genesis['issuer']> {
  const keys = await openAccountKeys(secrets, keyBits, pool)
  return { account: keys.account, n: keys.paillier.n, keyProof: await pool.proveKey(keys.paillier, keys.account) }
}

export async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + READY_MS; ; await sleep(READY_POLL_MS)) {
    if (await holds()) return
    if (Date.now() > end) throw new VerbExit(EXIT.checkFailed, `${what} does not come up`)
  }
}

/** The channel as both sides see it once nothing is under way: the same version, no lock. */
export async function settled(members: readonly Member[], id: string): Promise<readonly ChannelFacts[]> {
  const facts = () => Promise.all(members.map(({ party }) => party.call('channel', id)))
  await until(async () => {
    const seen = await facts()
    return seen.every(({ version, locks }) => version === seen[0]!.version && locks === 0)
  }, 'a settled channel')
  return facts()
}
