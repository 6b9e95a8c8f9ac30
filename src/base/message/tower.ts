/**
 * Messages between a channel's party and a watchtower (T1 to T3), types 192 to 254, over the same Noise sessions as
 * those between peers. The session's account is the client; it must be a party of every channel that it names. Requests
 * about one channel are answered in their order, and only once the tower's own disk has what the answer says.
 */
import { z } from 'zod'
import { type Digest, u64 } from '../bytes.js'
import { zBytes, zBytesUpTo, zCount, zDigest, zPoint, zScalar, zSignature, zText } from '../codec.js'
import { taggedHash } from '../digest.js'
import { LIMITS } from '../limits.js'
import { define, type MessageOf, messageCodec } from './codec.js'

const zChannel = zDigest
const zState = zBytesUpTo(LIMITS.tower_state_bytes)
const zSignatures = z.tuple([zSignature, zSignature])
/** Names a job within its client: 32 bytes that the client chose; the same bytes again are the same job. */
const zJob = zBytes(32)

/**
 * All secrets of versions below `count` (C3, BOLT 3): the slots of a RevocationStore from place 0 on. They fill without
 * holes, so there are exactly as many as `count` has binary digits, and a slot's index follows from `count` and place.
 */
export const zSecretStore = z.strictObject({
  count: zCount,
  slots: z.array(zBytes(32)).max(LIMITS.revocation_slots),
})
export type SecretStore = z.output<typeof zSecretStore>

/** The counterparty's secrets: those of versions `from`, `from` + 1, …, or the whole store for a tower that comes late. */
export const zGivenSecrets = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('list'),
    from: zCount,
    list: z.array(zBytes(32)).max(LIMITS.tower_secrets_listed),
  }),
  z.strictObject({ kind: z.literal('store'), ...zSecretStore.shape }),
])
export type GivenSecrets = z.output<typeof zGivenSecrets>

/** Asks the tower to watch. Idempotent. `tower_later` while the tower's ledger does not show the channel yet. */
export const register = define(192, 'register', z.strictObject({ channel: zChannel }))

/** Watched. `version` of the newest state held, null for none; all counterparty's secrets below `secrets` are held. */
export const registered = define(
  194,
  'registered',
  z.strictObject({ channel: zChannel, version: zCount.nullable(), secrets: zCount }),
)

/** A request was refused and changed nothing: its type (192, 198, …), what it was about, and a stable code. */
export const towerRefused = define(
  196,
  'towerRefused',
  z.strictObject({ request: zCount, channel: zChannel.nullable(), job: zJob.nullable(), code: zText(64) }),
)

/** A co-signed state, not below the newest held one, and the secrets that the tower lacks; some may come again. */
export const appointment = define(
  198,
  'appointment',
  z.strictObject({ channel: zChannel, state: zState, signatures: zSignatures, secrets: zGivenSecrets }),
)

/**
 * T2, durable before it is signed. It says: at `height` and `time` of the tower's ledger view the tower holds the
 * co-signed state `version`, and has taken the counterparty's secrets of all versions below `secrets`.
 */
export const receipt = define(
  200,
  'receipt',
  z.strictObject({
    channel: zChannel,
    version: zCount,
    secrets: zCount,
    height: zCount,
    time: zCount,
    /** The tower's account key over receiptDigest. */
    signature: zSignature,
  }),
)

/**
 * A scalar to put into the registry (L8) at or before ledger time `deadline`, the expiry of its lock, in the client's
 * absence. `deadline`: from ledger time `from` on. `derived`: as soon as the ledger reveals `point`, the sum of its
 * scalar and y.
 */
export const zRevealTask = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('deadline'), scalar: zScalar, from: zCount, deadline: zCount }),
  z.strictObject({ kind: z.literal('derived'), point: zPoint, y: zScalar, deadline: zCount }),
])
export type RevealTask = z.output<typeof zRevealTask>

/** `delegation`: the client's account key over delegationDigest(ledger, client, tower). */
export const revealJob = define(
  202,
  'revealJob',
  z.strictObject({ job: zJob, channel: zChannel, task: zRevealTask, delegation: zSignature }),
)

/** The job is durable. The tower's account key over jobReceiptDigest. */
export const jobReceipt = define(
  204,
  'jobReceipt',
  z.strictObject({ job: zJob, height: zCount, time: zCount, signature: zSignature }),
)

/** Answered with `jobCancelled`, whether the job was known or not. */
export const cancelJob = define(206, 'cancelJob', z.strictObject({ job: zJob }))

/** Asks for what the tower holds (C8: a client in RECOVERY). */
export const retrieve = define(208, 'retrieve', z.strictObject({ channel: zChannel }))
export const retrieved = define(
  210,
  'retrieved',
  z.strictObject({
    channel: zChannel,
    newest: z.strictObject({ state: zState, signatures: zSignatures }).nullable(),
    secrets: zSecretStore,
  }),
)

export const jobCancelled = define(212, 'jobCancelled', z.strictObject({ job: zJob }))

const REQUESTS = [register, appointment, revealJob, cancelJob, retrieve] as const
const ANSWERS = [registered, towerRefused, receipt, jobReceipt, retrieved, jobCancelled] as const
export type TowerRequest = MessageOf<(typeof REQUESTS)[number]>
export type TowerAnswer = MessageOf<(typeof ANSWERS)[number]>
export type TowerMessage = TowerRequest | TowerAnswer
export type TowerMessageOf<Name extends TowerMessage['name']> = Extract<TowerMessage, { name: Name }>['body']

export const towerCodec = messageCodec([...REQUESTS, ...ANSWERS])

/** Type of each request, as `towerRefused` names it. */
export const TOWER_REQUEST_TYPES = Object.fromEntries(REQUESTS.map(({ name, type }) => [name, type])) as Readonly<
  Record<TowerRequest['name'], number>
>

/** Whom a receipt binds, and to whom. */
export interface ReceiptParties {
  readonly ledger: Uint8Array
  readonly tower: Uint8Array
  readonly client: Uint8Array
}

/** What a receipt's signature is over. */
export const receiptDigest = (
  { ledger, tower, client }: ReceiptParties,
  body: Omit<TowerMessageOf<'receipt'>, 'signature'>,
): Digest =>
  taggedHash(
    'tower-receipt',
    ledger,
    tower,
    client,
    body.channel,
    u64(body.version),
    u64(body.secrets),
    u64(body.height),
    u64(body.time),
  )

/** What a job's receipt is over; `request` is the encoded revealJob as towerCodec gives it. */
export const jobReceiptDigest = (
  { ledger, tower, client }: ReceiptParties,
  request: Uint8Array,
  at: { readonly height: number; readonly time: number },
): Digest => taggedHash('tower-job-receipt', ledger, tower, client, request, u64(at.height), u64(at.time))
