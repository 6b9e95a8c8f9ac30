/**
 * What follows from the ledger for a tower (T3), as pure functions. An event only says where to look: what is to be done
 * follows from the ledger's view as it is now, so that an event seen twice or a reorganisation makes no wrong move.
 */
import { type Digest, equalBytes } from '../base/bytes.js'
import { curve, type Point, type Scalar, scalarAdd } from '../base/curve/index.js'
import { sha256 } from '../base/digest.js'
import type { AccountId, LedgerId } from '../base/ids.js'
import type { ChannelView } from '../base/ports/chain.js'
import { type TransactionOf, transactionDigest } from '../base/transaction.js'
import { storedSecret } from '../channel/revocation.js'
import type { JobRow, Watched } from './record.js'
import { unpackSecrets } from './secrets.js'

/**
 * T3's one rule: punish where the secret of the recorded version is held, else supersede where the held state is higher
 * than the standing one. The client's own exit is never punished; a higher co-signed state supersedes it too, for it is
 * what both agreed on last.
 * @returns undefined where nothing is to be done, or nothing can be any more.
 */
export function dutyOf(
  watched: Watched,
  view: ChannelView | undefined,
  at: { readonly ledger: LedgerId; readonly now: number },
): TransactionOf<'punish' | 'supersede'> | undefined {
  const dispute = view?.phase === 'disputed' ? view.dispute : null
  if (dispute === null) return undefined
  const { ledger, now } = at
  const { channel, newest } = watched
  const secret = dispute.poster === watched.side ? undefined : secretOf(watched, dispute.version)
  // The secrets of versions whose hash never came by here are the client's word: a wrong one must not keep us from superseding.
  if (secret !== undefined && equalBytes(sha256(secret), dispute.revocation)) {
    return { kind: 'punish', ledger, channel, secret: secret as Digest }
  }
  if (newest === null || newest.version <= dispute.standingVersion || now > dispute.deadline) return undefined
  return { kind: 'supersede', ledger, channel, state: newest.state, stateSignatures: newest.signatures }
}

function secretOf(watched: Watched, version: number): Uint8Array | undefined {
  const store = unpackSecrets(watched.secrets)
  return store === undefined ? undefined : storedSecret(store, version)
}

/** What a look at the channel leaves of the attention paid to it; `forget` once it lies `depth` blocks under the head. */
export function attentionAfter(
  watched: Watched,
  view: { readonly height: number; readonly value: Pick<ChannelView, 'phase'> | undefined },
  depth: number,
): Watched['attention'] | 'forget' {
  const phase = view.value?.phase ?? 'open'
  const closed = phase === 'closed'
  const since = watched.attention?.closed === closed ? watched.attention.since : view.height
  if (phase === 'disputed' || view.height - since < depth) return { closed, since }
  return closed ? 'forget' : null
}

/** What a job puts into the registry, where that is known from the start. */
export const scalarOf = ({ task }: JobRow): Scalar | null => (task.kind === 'deadline' ? task.scalar : null)

/** The point under which the registry will hold it; null where the sum of a derived job would open nothing. */
export const targetOf = ({ task }: JobRow): Point | null =>
  task.kind === 'deadline' ? curve.multiplyBase(task.scalar) : curve.addBase(task.point, task.y)

/** A derived job's scalar once the ledger has revealed its point. */
export const derivedScalar = ({ task }: JobRow, revealed: Scalar): Scalar | null =>
  task.kind === 'derived' ? (scalarAdd(revealed, task.y) ?? null) : task.scalar

export interface DueJob {
  readonly row: JobRow
  readonly scalar: Scalar
}

/** One reveal for due jobs of one client, under its delegation and quota (L8). Known points in it do no harm. */
export function revealFor(
  jobs: readonly DueJob[],
  { ledger, tower, key }: { readonly ledger: LedgerId; readonly tower: AccountId; readonly key: Scalar },
): TransactionOf<'reveal'> | undefined {
  const [first] = jobs
  if (first === undefined) return undefined
  const unsigned = {
    kind: 'reveal' as const,
    ledger,
    account: first.row.client,
    delegate: { account: tower, delegation: first.row.delegation },
    scalars: jobs.map(({ scalar }) => scalar),
  }
  return { ...unsigned, signature: curve.sign(transactionDigest(unsigned), key) }
}
