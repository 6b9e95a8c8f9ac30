/** What the demo stands on: its directories, the ledger, the processes and a recording relay between every two of them. */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ApiClient, connectApi } from '../../api/client.js'
import { type Amount, formatDecimal } from '../../base/amount.js'
import { encodeGenesis, type Genesis } from '../../base/genesis.js'
import { writeFileAtomic } from '../../store/file.js'
import { writeConfig } from '../config.js'
import type { Role } from '../config-table.js'
import { filesOf, mustBeNew } from '../directory.js'
import { EXIT, VerbExit } from '../exit.js'
import { createLedger, WINDOW_MAX_S, WINDOW_MIN_S } from '../verbs/genesis.js'
import { createNode } from '../verbs/init.js'
import type { Place } from './leak-search.js'
import { AMOUNT_BITS, FAR_HUB, HUB, type HubName, type PartyName } from './money.js'
import { Processes } from './processes.js'
import { type Relay, startRelay } from './relay.js'

export interface StageOptions {
  /** Undefined: a fresh directory of the system's temporary ones, removed at the end. */
  readonly dir: string | undefined
  readonly keyBits: number
}

/** One running node. */
export interface Party {
  readonly name: PartyName
  readonly dir: string
  /** Hexadecimal. */
  readonly account: string
  readonly api: ApiClient
  /** Aborted when the demo ends, whatever is still under way. */
  readonly ending: AbortSignal
  /** Its process's way to its hub, the hub's to the far one; null where it needs none. */
  readonly hub: Link | null
}

export interface Link {
  /** Who is at its other end. */
  readonly to: PartyName
  readonly relay: Relay
  /** Of its recordings. */
  readonly name: string
}

/** Nodes that share a process. */
export interface Group {
  readonly name: string
  readonly parties: readonly PartyName[]
  /** Of all of them. */
  readonly hub?: HubName
}

export const TOWER = 'tower'
const BLOCK_MS = 100
/** Until there is one. */
const NOWHERE = 'http://127.0.0.1:1'
const SERVICES: ReadonlySet<PartyName> = new Set([HUB, FAR_HUB, 'issuer'])
/** The demo's hubs grant whatever hospital asks for, up to all that may ever be minted. */
const INBOUND_MAX = formatDecimal(((1n << BigInt(AMOUNT_BITS)) - 1n) as Amount)

export class Stage {
  readonly processes: Processes
  readonly #ending = new AbortController()
  readonly #relays: Relay[] = []
  readonly #accounts = new Map<PartyName, string>()
  readonly #roles = new Map<PartyName, Role>()
  /** One directory after the other; the last of them. */
  #making: Promise<void> = Promise.resolve()
  #genesis: Genesis | undefined
  #ledgerUrl = NOWHERE
  readonly #hubUrls = new Map<PartyName, string>()
  /** From the first hub to the far one: it outlives a kill. */
  #between: Link | null = null
  #towerUrl = ''
  #recorded = 0

  private constructor(
    readonly dir: string,
    private readonly isFresh: boolean,
    private readonly keyBits: number,
  ) {
    this.processes = new Processes({ logs: join(dir, 'logs'), env: { MERIDIAN_PASSPHRASE_FILE: this.passphrase } })
  }

  static async create({ dir, keyBits }: StageOptions): Promise<Stage> {
    if (dir !== undefined) mustBeNew(dir)
    const work = dir ?? (await mkdtemp(join(tmpdir(), 'meridian-demo-')))
    const stage = new Stage(work, dir === undefined, keyBits)
    await mkdir(join(work, 'nodes'), { recursive: true, mode: 0o700 })
    await mkdir(stage.recordings)
    await writeFile(stage.passphrase, `${randomBytes(16).toString('hex')}\n`, { mode: 0o600 })
    return stage
  }

  get ending(): AbortSignal {
    return this.#ending.signal
  }
  get passphrase(): string {
    return join(this.dir, 'passphrase')
  }
  get recordings(): string {
    return join(this.dir, 'wire')
  }
  get ledgerDir(): string {
    return join(this.dir, 'ledger')
  }
  get genesis(): Genesis {
    return this.#genesis!
  }
  /** Bytes that passed the relays so far. */
  get recorded(): number {
    return this.#recorded + this.#relays.reduce((sum, { bytes }) => sum + bytes, 0)
  }
  /** Processes that are up, this one included. */
  get running(): number {
    return this.processes.running
  }
  nodeDir(name: PartyName): string {
    return join(this.dir, 'nodes', name)
  }
  accountOf(name: PartyName): string {
    return this.#accounts.get(name)!
  }
  get accounts(): ReadonlyMap<PartyName, string> {
    return this.#accounts
  }

  /** Keys, store and configuration, as the verb `init` makes them. */
  init(name: PartyName, role: Role): Promise<void> {
    this.#making = this.#making.then(() => this.#init(name, role))
    return this.#making
  }

  async #init(name: PartyName, role: Role): Promise<void> {
    if (this.ending.aborted) throw new VerbExit(EXIT.checkFailed, 'the demo has ended')
    const founder = this.#genesis === undefined
    const options = { dir: this.nodeDir(name), role, passphraseFile: this.passphrase, test: true as const }
    const founding = founder ? { keyBits: this.keyBits } : {}
    const { account } = await createNode({ ...options, ...founding, ledger: this.#ledgerUrl }, this.#genesis)
    this.#accounts.set(name, account)
    this.#roles.set(name, role)
  }

  /** After `init` of issuer and regulator: what the verb `genesis` makes. Flagged `test`: cheap scrypt. */
  async found(): Promise<void> {
    this.#genesis = await createLedger({
      dir: this.ledgerDir,
      passphraseFile: this.passphrase,
      issuer: filesOf(this.nodeDir('issuer')).publicKey,
      regulator: filesOf(this.nodeDir('regulator')).publicKey,
      test: true,
      amountBits: AMOUNT_BITS,
      windowMin: WINDOW_MIN_S,
      windowMax: WINDOW_MAX_S,
    })
    for (const name of ['issuer', 'regulator']) {
      await writeFileAtomic(filesOf(this.nodeDir(name)).genesis, encodeGenesis(this.genesis))
    }
  }

  async startLedger(): Promise<void> {
    const args = ['ledger', '--dir', this.ledgerDir, '--port', '0', '--block-ms', String(BLOCK_MS)]
    const { ready } = await this.processes.serve('ledger', args)
    this.#ledgerUrl = String(ready)
    this.#making = this.#making.then(() => this.#nameLedger())
  }

  /** What was made before there was a ledger: the verbs, and `doctor`, find it by the configuration afterwards. */
  async #nameLedger(): Promise<void> {
    for (const [name, role] of this.#roles) await writeConfig(this.nodeDir(name), { role, ledger: this.#ledgerUrl })
  }

  /** An address of the ledger for one process alone. */
  async ledgerFor(process: string): Promise<string> {
    const { relay } = await this.#link(process, 'ledger', this.#ledgerUrl)
    return `http://${relay.host}:${relay.port}`
  }

  /** Watches for the hub: the one who may be away while others exit (T1). */
  async startTower(): Promise<void> {
    const env = { MERIDIAN_LEDGER: await this.ledgerFor(TOWER) }
    const { address } = await this.processes.serve(TOWER, ['tower', '--dir', this.nodeDir(TOWER)], env)
    this.#towerUrl = String(address).split('@')[1]!
  }

  /** T2: without the tower's receipt for the state after it, the hub gives up no state. */
  async #watched(): Promise<Record<string, string>> {
    if (this.#towerUrl === '') return {}
    const { relay } = await this.#link(HUB, TOWER, this.#towerUrl)
    const address = `${this.accountOf(TOWER)}@ws://${relay.host}:${relay.port}`
    return { MERIDIAN_TOWERS: address, MERIDIAN_TOWER_RECEIPTS_REQUIRED: '1' }
  }

  /** Starts nodes in one process, which reaches the ledger, and the hub where there is one, through relays of its own. */
  async start(
    { name, parties, hub }: Group,
    verb: 'start' | 'hub' = 'start',
    more: Readonly<Record<string, string>> = {},
  ): Promise<Party[]> {
    const env = {
      ...more,
      MERIDIAN_LEDGER: await this.ledgerFor(name),
      MERIDIAN_INBOUND_MAX: verb === 'hub' ? INBOUND_MAX : '0.00',
      ...(name === HUB ? await this.#watched() : {}),
      ...(this.#hubUrls.has(name) ? { MERIDIAN_LISTEN: new URL(this.#hubUrls.get(name)!).host } : {}),
    }
    const dirs = parties.flatMap((party) => ['--dir', this.nodeDir(party)])
    // The hubs' and the issuer's proofs are everybody's way; the others share the machine with them.
    const threads = parties.length === 1 && SERVICES.has(parties[0]!) ? [] : ['--threads', '1']
    await this.processes.serve(name, [verb, ...dirs, ...threads], env)
    const link = hub === undefined ? null : await this.#link(name, hub, this.#hubUrls.get(hub)!)
    return Promise.all(
      parties.map(async (party) => {
        const dir = this.nodeDir(party)
        return {
          name: party,
          dir,
          account: this.accountOf(party),
          api: await connectApi(dir),
          ending: this.ending,
          hub: link,
        }
      }),
    )
  }

  /** Again after its end: on the same port, where its peers' relays lead. */
  async startHub(name: HubName): Promise<Party> {
    const [hub] = await this.start({ name, parties: [name] }, 'hub')
    const { listening } = await hub!.api.node()
    this.#hubUrls.set(name, listening ?? '')
    return hub!
  }

  /** The first hub with its way to the far one, which is up. */
  async joinHubs(hub: Party): Promise<Party> {
    this.#between ??= await this.#link(HUB, FAR_HUB, this.#hubUrls.get(FAR_HUB)!)
    return { ...hub, hub: this.#between }
  }

  /** `<account>@ws://host:port` of its hub, as this party reaches it. */
  hubAddress({ hub }: Party): string {
    const { relay, to } = hub!
    return `${this.accountOf(to)}@ws://${relay.host}:${relay.port}`
  }

  /** Everything recorded is on disk when it resolves. */
  async closeRelays(): Promise<void> {
    const recorded = this.recorded
    await Promise.all(this.#relays.splice(0).map((relay) => relay.close()))
    this.#recorded = recorded
  }

  /** All that may not hold an amount. */
  get places(): readonly Place[] {
    return [
      { medium: 'wire', path: this.recordings },
      { medium: 'ledger', path: this.ledgerDir },
      { medium: 'disk', path: join(this.dir, 'nodes') },
      { medium: 'log', path: join(this.dir, 'logs') },
    ]
  }

  /** Leaves no process; removes a directory that it made itself unless it is to be kept. */
  async end(keep: boolean): Promise<void> {
    this.#ending.abort()
    await this.processes.stopAll()
    await this.closeRelays()
    await Promise.allSettled([this.#making])
    if (this.isFresh && !keep) await rm(this.dir, { recursive: true, force: true })
  }

  async #link(from: string, to: PartyName, target: string): Promise<Link> {
    const { hostname, port } = new URL(target)
    const name = `${from}-to-${to}-${this.#relays.length + 1}`
    const relay = await startRelay({ targetHost: hostname, targetPort: Number(port), dir: this.recordings, name })
    this.#relays.push(relay)
    return { to, relay, name }
  }
}

/** At most `processes` groups of at least `size` each. */
export function groupsOf(
  kind: string,
  names: readonly PartyName[],
  hub: HubName,
  processes: number,
  size: number,
): Group[] {
  const each = Math.max(size, Math.ceil(names.length / processes))
  const count = Math.ceil(names.length / each)
  return Array.from({ length: count }, (_, i) => ({
    name: `${kind}-process-${i + 1}`,
    parties: names.slice(i * each, (i + 1) * each),
    hub,
  }))
}
