/** What the bench asks of its processes, over the channel that each was forked with. */
import type { RegistrationRequest } from '../../wallet/registration.js'
import type { LoadFigures, Shape } from './load.js'
import type { Usage } from './usage.js'

interface Define<Input, Output> {
  readonly input: Input
  readonly output: Output
}

/** The calls of one kind of process; names with what goes in and what comes out. */
export type InputOf<Table, Name extends keyof Table> = Table[Name] extends { input: infer Input } ? Input : never
export type OutputOf<Table, Name extends keyof Table> = Table[Name] extends { output: infer Output } ? Output : never
export type Handlers<Table> = {
  readonly [Name in keyof Table]: (input: InputOf<Table, Name>) => Promise<OutputOf<Table, Name>>
}

/** Every process answers these (child.ts). */
export interface MeterCalls {
  readonly resetUsage: Define<null, null>
  readonly usage: Define<null, Usage>
}

export interface PartySetup {
  readonly dir: string
  readonly ledgerUrl: string
  /** encodeGenesis. */
  readonly genesis: Uint8Array
  readonly forwarding: boolean
  /** Else what an earlier process left is opened. */
  readonly create: boolean
  /** 0 takes a free one. */
  readonly port: number
}

export interface ChannelFacts {
  readonly channel: string
  readonly ready: boolean
  readonly balance: bigint
  readonly locks: number
  readonly version: number
}

export interface Timed {
  readonly shape: Shape
  readonly seconds: number
  /** No more are started than these. */
  readonly count?: number
}

/** What a node keeps. */
export interface TableRows {
  /** By table. */
  readonly rows: Readonly<Record<string, number>>
  /** Of keys and values, by table. */
  readonly bytes: Readonly<Record<string, number>>
  readonly disk_bytes: number
}

/** A channel of one of the nodes of a process. */
export interface Lane {
  readonly member: number
  readonly channel: string
}

/** Sums of what succeeded: what left the payer, and the fees within. */
export type Loaded = LoadFigures & { readonly paid: bigint; readonly fees: bigint }

/** A process of nodes; `member` says which of them. */
export interface PartyCalls {
  /** One more node. */
  readonly open: Define<PartySetup, { readonly member: number; readonly account: string; readonly url: string }>
  readonly request: Define<number, RegistrationRequest>
  /** Registers with the issuer's admission. */
  readonly register: Define<{ readonly member: number; readonly admission: string }, null>
  /** Rolls over until everything is available; what it then holds. */
  readonly balance: Define<number, bigint>
  readonly openChannel: Define<
    {
      readonly member: number
      readonly peer: string
      readonly url: string
      readonly deposit: bigint
      readonly share: bigint
    },
    string
  >
  readonly channel: Define<Lane, ChannelFacts>
  readonly rows: Define<number, TableRows>
  /** All of a node's channels: how many, in how many rounds run, what it has in them. */
  readonly channels: Define<number, { readonly all: number; readonly ready: number; readonly balance: bigint }>
  /** Over these channels in turn. */
  readonly payDirect: Define<Timed & { readonly lanes: readonly Lane[]; readonly max: number }, Loaded>
  /** By its nodes in turn. */
  readonly issue: Define<{ readonly count: number; readonly max: number }, readonly string[]>
  /** By its nodes in turn. Takes `invoices` calls of the bench meanwhile. */
  readonly payInvoices: Define<Timed, Loaded>
  /** Hands over more invoices to pay. */
  readonly invoices: Define<readonly string[], null>
  readonly feesEarned: Define<number, bigint>
}

export interface LedgerSetup {
  readonly dir: string
  /** encodeGenesis. */
  readonly genesis: Uint8Array
  readonly headKey: Uint8Array
  /** Else what an earlier process left is opened. */
  readonly create: boolean
  /** 0 takes a free one. */
  readonly port: number
}

/** Milliseconds from one block to the next, and what was in them. */
export interface BlockFigures {
  readonly blocks: number
  readonly transactions: number
  readonly interval_p50_ms: number
  readonly interval_max_ms: number
}

/** Latencies from the posting of all exits to each punishment's block, and from each exit's block to its punishment's. */
export interface Breached {
  readonly punished: LoadFigures
  readonly response_p50_ms: number
  readonly response_p99_ms: number
  /** Until the last exit stood on the ledger. */
  readonly exits_ms: number
}

/** The ledger's process. */
export interface LedgerCalls {
  readonly open: Define<LedgerSetup, { readonly url: string; readonly transactions: number }>
  /** Resolves when all are final; with the first one's code that was refused. */
  readonly submit: Define<readonly Uint8Array[], string | null>
  /** Since it was last asked. */
  readonly blocks: Define<null, BlockFigures>
  /** Exits to be posted at once. A few at a time: a long message of a process costs the square of its length in memory. */
  readonly holdExits: Define<readonly Uint8Array[], null>
  /** Posts them and waits until every one is punished. */
  readonly breach: Define<{ readonly seconds: number }, Breached>
}

export interface TowerSetup {
  readonly dir: string
  readonly ledgerUrl: string
  readonly genesis: Uint8Array
  readonly create: boolean
  /** 0 takes a free one. */
  readonly port: number
}

/** A watchtower's process. */
export interface TowerCalls {
  readonly open: Define<TowerSetup, { readonly account: Uint8Array; readonly url: string; readonly channels: number }>
  readonly submitted: Define<null, Readonly<Record<'punish' | 'supersede' | 'reveal', number>>>
}

/** A channel that a tower is to watch: keys and secrets follow from its id (watched-channel.ts). */
export interface WatchedChannel {
  readonly id: Uint8Array
  /** Index among the clients. */
  readonly client: number
  readonly cheater: 0 | 1
}

export interface ClientsSetup {
  readonly tower: { readonly account: Uint8Array; readonly url: string }
  readonly ledger: Uint8Array
  readonly keyBits: number
  /** Account keys. */
  readonly clients: readonly Uint8Array[]
}

/** The process of a tower's clients. */
export interface ClientCalls {
  readonly open: Define<ClientsSetup, null>
  /** Gives these to the tower, the first state of each: registration, appointment, receipt. */
  readonly take: Define<{ readonly channels: readonly WatchedChannel[]; readonly window: number }, Loaded>
  /** Newer states with the secrets of those before, channel after channel. */
  readonly appoint: Define<Timed, Loaded>
}

export interface IdleSetup {
  readonly account: Uint8Array
  readonly url: string
  readonly ledger: Uint8Array
  readonly count: number
  readonly shape: Shape
}

/** A process of peers that only listen. */
export interface IdleCalls {
  readonly connect: Define<IdleSetup, Loaded>
  /** Connections that stand. */
  readonly alive: Define<null, number>
}

export interface Request {
  readonly id: number
  readonly name: string
  readonly input: unknown
}

/** An answer, or a word on the way: how many have succeeded, how many invoices are left. */
export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failed: string }
  | { readonly done: number }
  | { readonly stock: number }
