/** An issuer, a payer, a hub, a hospital and their ledger: real processes on real directories, killed and started again. */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type ApiClient, connectApi } from '../../../src/api/client.js'
import type { Amount } from '../../../src/base/amount.js'
import { encodeGenesis, type Genesis } from '../../../src/base/genesis.js'
import { ROOT } from '../../../src/base/root.js'
import type { Role } from '../../../src/cli/config-table.js'
import { filesOf, readPublicKey } from '../../../src/cli/directory.js'
import { createLedger } from '../../../src/cli/verbs/genesis.js'
import { createNode } from '../../../src/cli/verbs/init.js'
import { type Disk, diskEnv } from '../shim/build.js'
import type { Begin, Said } from './node-process.js'

export type NodeName = 'issuer' | 'payer' | 'hub' | 'hospital'
export const PARTIES = ['payer', 'hub', 'hospital'] as const
export type PartyName = (typeof PARTIES)[number]
export type MemberName = Exclude<PartyName, 'hub'>

/** Minor units. What goes into the two channels; the rest stays on the accounts. */
export const DEPOSITS = {
  payer: { own: 40_000_000n, hub: 40_000_000n },
  hospital: { own: 40_000_000n, hub: 40_000_000n },
} as const
const MINTED: Readonly<Record<PartyName, bigint>> = { payer: 50_000_000n, hub: 100_000_000n, hospital: 50_000_000n }

const NODE_PROCESS = fileURLToPath(new URL('./node-process.js', import.meta.url))
const MERIDIAN = fileURLToPath(new URL('bin/meridian.js', ROOT))
/** Every block wakes all four nodes: more of them would be what a run spends its time on. */
const BLOCK_MS = 250

/** How a process ended by itself or by us. */
export interface End {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The last of what it wrote to stderr. */
  readonly errors: string
}

export interface Life {
  readonly name: NodeName
  readonly api: ApiClient
  readonly ended: Promise<End>
  kill(): void
}

/** A node whose directory breaks a promise, found at its start. */
export class Broken extends Error {
  constructor(
    readonly node: string,
    readonly clauses: readonly string[],
  ) {
    super(`${node}: ${clauses.join('; ')}`)
  }
}

interface Spare {
  readonly process: ChildProcess
  readonly ended: Promise<End>
  readonly disk: Disk | undefined
}

export class Network {
  readonly #spares = new Map<NodeName, Spare>()
  readonly #current = new Map<NodeName, ChildProcess>()
  readonly #processes = new Set<ChildProcess>()
  #ledger: ChildProcess | undefined
  #shadows = 0

  private constructor(
    readonly dir: string,
    private readonly ports: { readonly ledger: number; readonly hub: number },
  ) {}

  /** Takes up the network in `dir`, or founds one there: accounts, money, a channel of each member with the hub. */
  static async open(dir: string): Promise<Network> {
    const network = new Network(dir, { ledger: await freePort(), hub: await freePort() })
    rmSync(network.#path('shadows'), { recursive: true, force: true })
    if (existsSync(network.#path('founded'))) await network.startLedger()
    else await network.#found()
    return network
  }

  /** Starts a node on such a disk. @throws Broken; Error where it ended before it answered */
  async start(name: NodeName, disk?: Disk): Promise<Life> {
    const { process, ended } = this.#take(name, disk)
    this.#current.set(name, process)
    process.send(this.#begin(name))
    const said = (await Promise.race([once(process, 'message').then(([first]) => first), ended])) as Said | End
    if ('broken' in said) {
      process.kill('SIGKILL')
      throw new Broken(name, said.broken)
    }
    if (!('url' in said)) throw new Dead(said as End)
    return { name, api: await connectApi(this.#node(name)), ended, kill: () => void process.kill('SIGKILL') }
  }

  /** To what was last started under this name, whether it has answered or not. */
  signal(name: NodeName, signal: 'SIGKILL' | 'SIGUSR2'): void {
    this.#current.get(name)?.kill(signal)
  }

  /** Loads a process for the next start of this name, so that it waits for nothing but its disk. */
  warm(name: NodeName, disk?: Disk): void {
    if (!this.#spares.has(name)) this.#spares.set(name, this.#spawn(name, disk))
  }

  async startLedger(): Promise<void> {
    const args = ['ledger', '--dir', this.#path('ledger'), '--port', String(this.ports.ledger), '--json']
    const env = { ...process.env, MERIDIAN_PASSPHRASE_FILE: this.#path('passphrase') }
    const child = spawn(process.execPath, [MERIDIAN, ...args, '--block-ms', String(BLOCK_MS), '--verifiers', '1'], {
      env,
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    this.#keep(child)
    this.#ledger = child
    const lines = createInterface({ input: child.stdout! })
    await once(lines, 'line')
  }

  async killLedger(): Promise<void> {
    const ledger = this.#ledger!
    ledger.kill('SIGKILL')
    await once(ledger, 'exit')
    await this.startLedger()
  }

  /** Kills whatever runs. */
  async end(): Promise<void> {
    this.#spares.clear()
    const gone = [...this.#processes].map((child) => once(child, 'exit'))
    for (const child of this.#processes) child.kill('SIGKILL')
    await Promise.all(gone)
  }

  /** `<account>@ws://host:port` of the hub. */
  async hubAddress(): Promise<string> {
    const { account } = await readPublicKey(filesOf(this.#node('hub')).publicKey)
    return `${account}@ws://127.0.0.1:${this.ports.hub}`
  }

  #take(name: NodeName, disk: Disk | undefined): Spare {
    const spare = this.#spares.get(name)
    this.#spares.delete(name)
    if (spare !== undefined && spare.disk === disk && spare.process.exitCode === null) return spare
    spare?.process.kill('SIGKILL')
    return this.#spawn(name, disk)
  }

  #spawn(name: NodeName, disk: Disk | undefined): Spare {
    const shadow = this.#path('shadows', String(this.#shadows++))
    mkdirSync(shadow, { recursive: true })
    mkdirSync(this.#path('departures'), { recursive: true })
    const env = { ...process.env, ...(disk === undefined ? {} : diskEnv(this.#node(name), shadow, disk)) }
    const child = fork(NODE_PROCESS, { env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    this.#keep(child)
    let errors = ''
    child.stderr!.on('data', (bytes) => {
      errors = `${errors}${bytes}`.slice(-2_000)
    })
    const ended = once(child, 'close').then(([code, signal]): End => {
      rmSync(shadow, { recursive: true, force: true })
      return { code, signal, errors }
    })
    return { process: child, ended, disk }
  }

  #keep(child: ChildProcess): void {
    this.#processes.add(child)
    child.once('exit', () => this.#processes.delete(child))
    child.on('error', () => undefined) // a message to a process that was just killed; its end is told by `close`
  }

  #begin(name: NodeName): Begin {
    const hub = name === 'hub'
    return {
      dir: this.#node(name),
      passphrase: this.#path('passphrase'),
      ledger: `http://127.0.0.1:${this.ports.ledger}`,
      listen: `127.0.0.1:${hub ? this.ports.hub : 0}`,
      inboundMax: hub ? '1000000.00' : '0.00',
      forwarding: hub,
      departures: this.#path('departures', name),
    }
  }

  async #found(): Promise<void> {
    rmSync(this.dir, { recursive: true, force: true })
    mkdirSync(this.#path('nodes'), { recursive: true })
    writeFileSync(this.#path('passphrase'), 'a passphrase of crash tests\n')
    await this.#makeDirectories()
    await this.startLedger()
    for (const name of ['issuer', ...PARTIES] as const) this.warm(name)
    const [issuer, hub, payer, hospital] = await Promise.all(
      (['issuer', 'hub', 'payer', 'hospital'] as const).map((name) => this.start(name)),
    )
    for (const life of [hub!, payer!, hospital!]) await this.#fund(issuer!, life)
    for (const life of [payer!, hospital!]) await this.#openChannel(life)
    for (const life of [issuer!, hub!, payer!, hospital!]) {
      life.kill()
      await life.ended
    }
    this.#ledger!.kill('SIGKILL')
    await once(this.#ledger!, 'exit')
    for (const name of KEPT) cpSync(this.#path(name), this.#path('founded', name), { recursive: true })
    await this.startLedger()
  }

  async #makeDirectories(): Promise<void> {
    const make = (name: string, role: Role, genesis: Genesis | undefined) =>
      createNode(
        {
          dir: this.#path('nodes', name),
          role,
          passphraseFile: this.#path('passphrase'),
          test: true,
          ledger: `http://127.0.0.1:${this.ports.ledger}`,
          ...(genesis === undefined ? { keyBits: 1024 } : {}),
        },
        genesis,
      )
    await make('issuer', 'issuer', undefined)
    await make('regulator', 'regulator', undefined)
    const genesis = await createLedger({
      dir: this.#path('ledger'),
      passphraseFile: this.#path('passphrase'),
      issuer: filesOf(this.#node('issuer')).publicKey,
      regulator: filesOf(this.#path('nodes', 'regulator')).publicKey,
      test: true,
      amountBits: 48,
      windowMin: 10,
      windowMax: 100_000,
    })
    writeFileSync(filesOf(this.#node('issuer')).genesis, encodeGenesis(genesis))
    await make('hub', 'hub', genesis)
    for (const name of ['payer', 'hospital']) await make(name, 'participant', genesis)
  }

  async #fund(issuer: Life, { name, api }: Life): Promise<void> {
    const request = await readPublicKey(filesOf(this.#node(name)).publicKey)
    const { admission } = await issuer.api.admit(`admit-${name}`, request)
    const { account } = await api.register('register', admission)
    await issuer.api.mint(`mint-${name}`, account, MINTED[name as PartyName] as Amount)
    for (const stage of [1, 2]) await api.rollover(`rollover-${stage}`)
  }

  async #openChannel({ name, api }: Life): Promise<void> {
    const { own, hub } = DEPOSITS[name as MemberName]
    const { channel } = await api.openChannel('open-hub', await this.hubAddress(), own as Amount, hub as Amount)
    while (!(await api.channel(channel)).ready) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  #node(name: NodeName): string {
    return this.#path('nodes', name)
  }

  #path(...parts: string[]): string {
    return join(this.dir, ...parts)
  }
}

/** What a network is, besides the payments that were made over it. */
const KEPT = ['nodes', 'ledger', 'departures'] as const

/** The network as it was founded, again: for experiments that lose it. Nothing of it may be running. */
export function restoreFounded(dir: string): void {
  rmSync(join(dir, 'payments.jsonl'), { force: true })
  for (const name of KEPT) {
    rmSync(join(dir, name), { recursive: true, force: true })
    cpSync(join(dir, 'founded', name), join(dir, name), { recursive: true })
  }
}

/** A process that ended before it answered: killed, cut, or its disk refused. */
export class Dead extends Error {
  constructor(readonly end: End) {
    super(`ended with ${end.signal ?? end.code}: ${end.errors}`)
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
