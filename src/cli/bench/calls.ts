/** What the bench asks of a party's process, over the channel that it was forked with. */
import type { RegistrationRequest } from '../../wallet/registration.js'
import type { LoadFigures, Shape } from './load.js'
import type { Usage } from './usage.js'

interface Define<Input, Output> {
  readonly input: Input
  readonly output: Output
}

export interface PartySetup {
  readonly name: string
  /** Created by the party. */
  readonly dir: string
  readonly ledgerUrl: string
  /** encodeGenesis. */
  readonly genesis: Uint8Array
  readonly forwarding: boolean
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
}

/** Sums of what succeeded: what left the payer, and the fees within. */
export type Loaded = LoadFigures & { readonly paid: bigint; readonly fees: bigint }

export interface Calls {
  readonly open: Define<PartySetup, { readonly account: string; readonly url: string }>
  readonly request: Define<null, RegistrationRequest>
  /** Registers with the issuer's admission. */
  readonly register: Define<string, null>
  /** Rolls over until everything is available; what it then holds. */
  readonly balance: Define<null, bigint>
  readonly openChannel: Define<
    { readonly peer: string; readonly url: string; readonly deposit: bigint; readonly share: bigint },
    string
  >
  readonly channel: Define<string, ChannelFacts>
  readonly payDirect: Define<Timed & { readonly channel: string; readonly max: number }, Loaded>
  readonly issue: Define<{ readonly count: number; readonly max: number }, readonly string[]>
  /** Takes `invoices` calls of the bench meanwhile. */
  readonly payInvoices: Define<Timed, Loaded>
  /** Hands over more invoices to pay. */
  readonly invoices: Define<readonly string[], null>
  readonly feesEarned: Define<null, bigint>
  readonly resetUsage: Define<null, null>
  readonly usage: Define<null, Usage>
  readonly stop: Define<null, null>
}
export type CallName = keyof Calls

export interface Request<Name extends CallName = CallName> {
  readonly id: number
  readonly name: Name
  readonly input: Calls[Name]['input']
}

/** An answer, or a word on the way: how many have succeeded, how many invoices are left. */
export type Reply =
  | { readonly id: number; readonly value: Calls[CallName]['output'] }
  | { readonly id: number; readonly failed: string }
  | { readonly done: number }
  | { readonly stock: number }
