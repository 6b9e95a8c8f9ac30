/** A ledger with thousands of channels, a tower and its clients: what `bench tower` measures. */
import { join } from 'node:path'
import type { Amount } from '../../base/amount.js'
import { encodeGenesis } from '../../base/genesis.js'
import type { ChannelId } from '../../base/ids.js'
import type { AccountView } from '../../base/ports/chain.js'
import { encodeTransaction } from '../../base/transaction.js'
import { EXIT, VerbExit } from '../exit.js'
import type { ClientCalls, LedgerCalls, TowerCalls, WatchedChannel } from './calls.js'
import type { Party } from './crew.js'
import { bytesIn } from './disk.js'
import type { Balance } from './figures.js'
import type { Metered } from './measure.js'
import { holdings, Prover, viewOf } from './proven.js'
import type { TowerOptions } from './tower-suite.js'
import type { Resident, Town } from './town.js'
import { StateMaker } from './watched-channel.js'

/** L of the ledger: deposits are one minor unit each. */
export const TOWER_AMOUNT_BITS = 16
const DEPOSIT = 1n as Amount
/** Openings of one account on their way to the ledger. */
const AHEAD = 16
/** The opener watches, the peer exits: with a state below those that the tower is given (clients-party.ts). */
const CHEATER = 1
const REVOKED = 1
/** Exits in one message to the ledger's process. */
const PIECE = 16

export class Yard {
  readonly #open: WatchedChannel[] = []
  #punished = 0
  #url = ''
  #account = new Uint8Array()
  #tower: Party<TowerCalls> | undefined
  #clients: Party<ClientCalls> | undefined
  /** Of a tower that watches nothing. */
  #emptyRss = 0

  private constructor(
    private readonly town: Town,
    private readonly provers: readonly Prover[],
    private readonly cheater: Resident,
    private readonly cheaterView: AccountView,
    private readonly minted: bigint,
  ) {}

  static async build(town: Town, { channels, clients }: TowerOptions): Promise<Yard> {
    const share = BigInt(Math.ceil(channels.at(-1)! / clients)) * DEPOSIT + 1n
    const cheater = await town.resident(0n)
    const provers: Prover[] = []
    for (let client = 0; client < clients; client++) provers.push(await Prover.of(await town.resident(share)))
    const yard = new Yard(town, provers, cheater, await viewOf(town.chain, cheater), share * BigInt(clients))
    await yard.#startTower(true)
    yard.#emptyRss = (await yard.tower.usage()).rss_bytes
    await yard.#startClients()
    return yard
  }

  get tower(): Party<TowerCalls> {
    return this.#tower!
  }

  get clients(): Party<ClientCalls> {
    return this.#clients!
  }

  get ledger(): Party<LedgerCalls> {
    return this.town.ledger
  }

  get parties(): readonly Metered[] {
    return [this.tower, this.clients]
  }

  get #dir(): string {
    return join(this.town.dir, 'tower')
  }

  async #startTower(create: boolean): Promise<number> {
    const { genesis, ledgerUrl } = this.town
    const party = this.town.hire<TowerCalls>('tower', 'tower')
    const port = create ? 0 : Number(new URL(this.#url).port)
    const setup = { dir: this.#dir, ledgerUrl, genesis: encodeGenesis(genesis), create, port }
    const { account, url, channels } = await party.call('open', setup)
    this.#tower = party
    this.#account = Uint8Array.from(account)
    this.#url = url
    return channels
  }

  async #startClients(): Promise<void> {
    const { genesis, chain } = this.town
    const clients = this.provers.map(({ resident }) => resident.secrets.signingKey)
    const party = this.town.hire<ClientCalls>('clients', 'clients')
    const tower = { account: this.#account, url: this.#url }
    await party.call('open', { tower, ledger: chain.ledger, keyBits: genesis.keyBits, clients })
    this.#clients = party
  }

  /** Opens channels until there are so many; the new ones. */
  async openUntil(count: number, tell: (done: number) => void): Promise<readonly WatchedChannel[]> {
    const before = this.#open.length
    let wanted = count - before
    const work = async (prover: Prover, client: number): Promise<void> => {
      const underWay: Promise<void>[] = []
      while (wanted > 0) {
        wanted -= 1
        const { id, tx } = await prover.opening(this.cheater, this.cheaterView, DEPOSIT)
        const submitted = this.ledger.call('submit', [encodeTransaction(tx)])
        const opened = submitted.then((code) => this.#opened(code, id, client, tell))
        opened.catch(() => undefined) // heard where it is awaited
        underWay.push(opened)
        if (underWay.length > AHEAD) await underWay[underWay.length - AHEAD - 1]
      }
      await Promise.all(underWay)
    }
    await Promise.all(this.provers.map(work))
    return this.#open.slice(before)
  }

  #opened(code: string | null, id: ChannelId, client: number, tell: (done: number) => void): void {
    if (code !== null) throw new VerbExit(EXIT.checkFailed, `an opening is refused: ${code}`)
    this.#open.push({ id, client, cheater: CHEATER })
    tell(this.#open.length)
  }

  /** The tower is killed, and started again; what it then takes. */
  async restart(): Promise<Readonly<Record<string, number>>> {
    const channels = this.#open.length
    await this.tower.kill()
    const disk = bytesIn(join(this.#dir, 'data'))
    const start = performance.now()
    const watched = await this.#startTower(false)
    const restart_ms = performance.now() - start
    if (watched !== channels)
      throw new VerbExit(EXIT.checkFailed, `the tower watches ${watched} of ${channels} channels`)
    const { rss_bytes, cpu_ms } = await this.tower.usage()
    return {
      channels,
      restart_to_watching_ms: restart_ms,
      restart_cpu_ms: cpu_ms,
      rss_mib: rss_bytes / 1_048_576,
      rss_empty_mib: this.#emptyRss / 1_048_576,
      rss_bytes_per_channel: Math.max(0, rss_bytes - this.#emptyRss) / channels,
      disk_mib: disk / 1_048_576,
      disk_bytes_per_channel: disk / channels,
    }
  }

  /** The first channels' exits by the counterparty, each with a state whose secret the tower holds. */
  async holdExits(count: number): Promise<void> {
    const { ledger, genesis } = this.town.chain
    for (let first = 0; first < count; first += PIECE) {
      const piece = this.#open.slice(first, Math.min(count, first + PIECE))
      const exits = piece.map(({ id }) =>
        new StateMaker(id as ChannelId, genesis.keyBits).exit(ledger, CHEATER, REVOKED),
      )
      await this.ledger.call('holdExits', exits)
    }
  }

  punished(count: number): void {
    this.#punished += count
  }

  /** What the clients hold on the ledger: all but what is in their channels; a punished channel's pool is theirs (L7). */
  async balance(): Promise<Balance> {
    let found = 0n
    for (const { resident } of this.provers) found += await holdings(resident)
    const locked = BigInt(this.#open.length - this.#punished) * DEPOSIT
    return { what: "the clients' balances on the ledger", expected: this.minted - locked, found }
  }
}
