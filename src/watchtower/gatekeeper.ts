/**
 * Who may ask a tower for what (T1), as pure functions over one record: each gives the record as it is to be kept, or a
 * code. A decision reads no disk and no ledger; the ledger's view of the channel comes in.
 */
import { type Digest, equalBytes } from '../base/bytes.js'
import { otherSide, type Side } from '../base/channel-state.js'
import { curve } from '../base/curve/index.js'
import { sha256 } from '../base/digest.js'
import type { AccountId, LedgerId } from '../base/ids.js'
import type { GivenSecrets, TowerMessageOf } from '../base/message/tower.js'
import type { ChannelView, View } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'
import { delegationDigest } from '../base/transaction.js'
import { postable } from '../chain-adapter/contract/channel-rules.js'
import { derivesAll, insertSecret, isOneTree, type RevocationStore, storedSecret } from '../channel/revocation.js'
import type { TowerConfig } from './config.js'
import { bytesOf, type HeldState, type JobRow, type Watched } from './record.js'
import { packSecrets, unpackSecrets } from './secrets.js'

/** What one client uses of the tower. */
export interface Usage {
  readonly channels: number
  readonly bytes: number
  readonly jobs: number
}

/**
 * A channel enters only where the tower's own view of the ledger shows it with the session's account as a party.
 * Errors: `tower_later`, `tower_not_party`, `channel_closed`, `tower_quota`.
 */
export function admit(
  { value: view, height }: View<ChannelView | undefined>,
  client: AccountId,
  usage: Usage,
  config: TowerConfig,
): Result<Watched> {
  if (view === undefined) return refuse('tower_later')
  const side = view.accounts.findIndex((account) => equalBytes(account, client))
  if (side === -1) return refuse('tower_not_party')
  if (view.phase === 'closed') return refuse('channel_closed')
  if (usage.channels >= config.channelsPerClient) return refuse('tower_quota', 'channels')
  return ok({
    channel: view.channel,
    client,
    side: side as Side,
    peer: view.accounts[otherSide(side as Side)],
    channelKeys: [view.channelKeys[0], view.channelKeys[1]],
    stateZero: view.state,
    newest: null,
    previous: null,
    secrets: { count: 0, slots: [] },
    attention: view.phase === 'disputed' ? { closed: false, since: height } : null,
  })
}

type Appointment = TowerMessageOf<'appointment'>

/**
 * The record with the appointment taken in; the same object where it holds nothing new.
 * Errors: those of `postable`, `tower_stale`, `tower_conflict`, `tower_gap`, `wrong_secret`, `tower_quota`.
 */
export function appoint(
  watched: Watched,
  appointment: Appointment,
  keyBits: number,
  usage: Usage,
  config: TowerConfig,
): Result<Watched> {
  const newest = newestOf(watched, appointment, keyBits)
  if (!newest.ok) return newest
  const secrets = secretsOf(watched, newest.value, appointment.secrets)
  if (!secrets.ok) return secrets
  const held = watched.newest
  if (newest.value === held && secrets.value.count === watched.secrets.count) return ok(watched)
  const next: Watched = {
    ...watched,
    newest: newest.value,
    previous: held === null || newest.value === held ? watched.previous : { version: held.version, hash: held.hash },
    secrets: packSecrets(secrets.value),
  }
  const grown = usage.bytes - bytesOf(watched) + bytesOf(next)
  return grown > config.bytesPerClient ? refuse('tower_quota', 'bytes') : ok(next)
}

function newestOf(watched: Watched, { state, signatures }: Appointment, keyBits: number): Result<HeldState> {
  const held = watched.newest
  if (held !== null && equalBytes(state, held.state)) return ok(held)
  // C11: the contract's own exit check. What passes it here is what `supersede` takes later.
  const terms = { channel: watched.channel, channelKeys: watched.channelKeys, state: watched.stateZero, keyBits }
  const decoded = postable(terms, state, signatures)
  if (!decoded.ok) return decoded
  const { version, revocations } = decoded.value
  if (held !== null && version < held.version) return refuse('tower_stale')
  if (held !== null && version === held.version) return refuse('tower_conflict', 'state')
  return ok({ version, state, signatures, hash: revocations[otherSide(watched.side)] })
}

function secretsOf(watched: Watched, newest: HeldState, given: GivenSecrets): Result<RevocationStore> {
  const held = unpackSecrets(watched.secrets)
  if (held === undefined) return refuse('internal', 'stored secrets')
  const hashes = knownHashes(watched, newest)
  const taken = given.kind === 'list' ? listed(held, given, hashes) : whole(held, given, hashes)
  if (!taken.ok) return taken
  // A secret of a version above the newest state belongs to no state that anybody could have replaced.
  return taken.value.count > newest.version + 1 ? refuse('tower_gap', 'beyond the state') : taken
}

type Hashes = ReadonlyMap<number, Digest>

/** T1: the hashes against which secrets are checked: of the states held before, of the one held now, of the one that comes. */
function knownHashes({ previous, newest: held }: Watched, newest: HeldState): Hashes {
  const hashes = new Map<number, Digest>([[newest.version, newest.hash]])
  if (held !== null) hashes.set(held.version, held.hash)
  if (previous !== null) hashes.set(previous.version, previous.hash)
  return hashes
}

function listed(
  held: RevocationStore,
  { from, list }: Extract<GivenSecrets, { kind: 'list' }>,
  hashes: Hashes,
): Result<RevocationStore> {
  if (from > held.count) return refuse('tower_gap')
  let store = held
  for (const [at, secret] of list.entries()) {
    const version = from + at
    if (version < held.count) {
      const known = storedSecret(held, version)
      if (known === undefined || !equalBytes(known, secret)) return refuse('tower_conflict', 'secret')
      continue
    }
    const hash = hashes.get(version)
    if (hash !== undefined && !equalBytes(sha256(secret), hash)) return refuse('wrong_secret')
    const next = insertSecret(store, secret)
    if (next === undefined) return refuse('wrong_secret', 'tree')
    store = next
  }
  return ok(store)
}

/** For a tower that comes late: everything at once, which must give what it holds already. */
function whole(
  held: RevocationStore,
  given: Extract<GivenSecrets, { kind: 'store' }>,
  hashes: Hashes,
): Result<RevocationStore> {
  const store = unpackSecrets(given)
  if (store === undefined) return refuse('bad_encoding', 'secrets')
  if (store.count < held.count) return refuse('tower_stale', 'secrets')
  if (!isOneTree(store)) return refuse('wrong_secret', 'tree')
  if (!derivesAll(store, held)) return refuse('tower_conflict', 'secret')
  for (const [version, hash] of hashes) {
    const secret = storedSecret(store, version)
    if (secret !== undefined && !equalBytes(sha256(secret), hash)) return refuse('wrong_secret')
  }
  return ok(store)
}

interface JobTerms {
  readonly ledger: LedgerId
  readonly tower: AccountId
  readonly client: AccountId
  /** Ledger time of the tower's view. */
  readonly now: number
  /** The other party of the channel. */
  readonly peer: AccountId
  /** Jobs that the client has about its channels with that party. */
  readonly aboutPeer: number
}

/**
 * A reveal job of a client whose channel is watched (T3). The delegation is checked here: later there is nobody to ask.
 * Errors: `bad_signature`, `tower_job_late`, `tower_quota`.
 */
export function takeJob(
  request: TowerMessageOf<'revealJob'>,
  { ledger, tower, client, now, peer, aboutPeer }: JobTerms,
  usage: Usage,
  config: TowerConfig,
): Result<JobRow> {
  const { job, channel, task, delegation } = request
  if (task.deadline < now || task.deadline > now + config.jobAheadMax) return refuse('tower_job_late')
  if (usage.jobs >= config.jobsPerClient) return refuse('tower_quota', 'jobs')
  // No more than are still free: one payer leaves half of its payee's quota to the others, however many channels it has;
  // n payers leave 1/(n + 1).
  if (aboutPeer >= config.jobsPerClient - usage.jobs) return refuse('tower_quota', 'jobs of one peer')
  if (!curve.verify(delegationDigest(ledger, client, tower), delegation, client)) {
    return refuse('bad_signature', 'delegation')
  }
  return ok({ client, job, channel, peer, task, delegation })
}
