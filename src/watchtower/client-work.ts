/** What a client wants of one tower: per channel, job or retrieval one thing to ask next, if anything. */
import type { Signature } from '../base/curve/index.js'
import { type ErrorCode, invariant } from '../base/errors.js'
import type { ChannelId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { GivenSecrets, RevealTask, TowerMessageOf, TowerRequest } from '../base/message/tower.js'
import { type RevocationStore, storedSecret } from '../channel/revocation.js'

/** A co-signed state that is durable here, and the counterparty's secrets of that moment. */
export interface Watched {
  readonly channel: ChannelId
  readonly version: number
  /** encodeChannelState's bytes. */
  readonly state: Uint8Array
  readonly signatures: readonly [Signature, Signature]
  readonly secrets: RevocationStore
}

/** `version` null: no state. All secrets of versions below `secrets`. */
export interface Held {
  readonly version: number | null
  readonly secrets: number
}

export interface JobRequest {
  /** 32 bytes; the same bytes again are the same job. */
  readonly id: Uint8Array
  readonly channel: ChannelId
  readonly task: RevealTask
}

/** At most one question of it is under way. */
export abstract class Work {
  asked: TowerRequest | undefined
  /** In a row; how long it rests grows with them. */
  refusals = 0
  /** Ends the rest after a refusal. */
  rest: (() => void) | undefined
  /** No asking again mends it: an operator must. */
  stopped: ErrorCode | undefined

  abstract next(): TowerRequest | undefined

  /** The connection is gone: what was asked on it is as if unasked. */
  lost(): void {
    this.asked = undefined
    this.refusals = 0
    this.rest?.()
    this.rest = undefined
    this.stopped = undefined
  }
}

export class ChannelWork extends Work {
  newest: Watched | undefined
  /** What the tower says it holds; undefined until it was asked on this connection. */
  held: Held | undefined
  /** In the appointment under way. */
  given: Watched | undefined
  /** The tower found a gap in listed secrets. */
  whole = false

  constructor(
    readonly channel: ChannelId,
    /** What the tower has signed for. */
    public receipted: Held | undefined,
  ) {
    super()
  }

  get behind(): boolean {
    return this.newest !== undefined && isBehind(this.receipted, this.newest)
  }

  /** A tower that no longer holds what it signed for does not count until it does again. */
  registered(held: Held): void {
    this.held = held
    const { receipted } = this
    if (receipted === undefined) return
    if ((held.version ?? -1) < (receipted.version ?? -1) || held.secrets < receipted.secrets) this.receipted = undefined
  }

  next(): TowerRequest | undefined {
    const { newest, held, channel } = this
    if (newest === undefined) return undefined
    if (held === undefined) return { name: 'register', body: { channel } }
    if (!isBehind(this.receipted, newest) || (held.version ?? -1) > newest.version) return undefined
    this.given = newest
    const { state, signatures } = newest
    const secrets = secretsFrom(newest.secrets, held.secrets, this.whole)
    return { name: 'appointment', body: { channel, state, signatures: [signatures[0], signatures[1]], secrets } }
  }

  override lost(): void {
    super.lost()
    this.held = undefined
    this.given = undefined
    this.whole = false
  }
}

const isBehind = (held: Held | undefined, newest: Watched): boolean =>
  newest.version > (held?.version ?? -1) || newest.secrets.count > (held?.secrets ?? 0)

/** T1: without gaps; to a tower that comes late the whole store, at most 49. */
function secretsFrom(store: RevocationStore, held: number, whole: boolean): GivenSecrets {
  const from = Math.min(held, store.count)
  if (whole || store.count - from > LIMITS.tower_secrets_listed) {
    return { kind: 'store', count: store.count, slots: store.slots.flatMap((slot) => slot?.secret ?? []) }
  }
  const list: Uint8Array[] = []
  for (let version = from; version < store.count; version++) {
    const secret = storedSecret(store, version)
    invariant(secret !== undefined, 'C3', 'a store holds every secret below its count')
    list.push(secret)
  }
  return { kind: 'list', from, list }
}

export class JobWork extends Work {
  receipted = false
  cancelled = false
  /** The tower may have it: by this process, or by one before it where only the name is left. */
  sent: boolean

  constructor(
    readonly id: Uint8Array,
    private readonly wanted?: { readonly request: JobRequest; readonly delegation: Signature },
  ) {
    super()
    this.sent = wanted === undefined
  }

  next(): TowerRequest | undefined {
    if (this.cancelled) return { name: 'cancelJob', body: { job: this.id } }
    if (this.receipted || this.wanted === undefined) return undefined
    this.sent = true
    const { request, delegation } = this.wanted
    return { name: 'revealJob', body: { job: this.id, channel: request.channel, task: request.task, delegation } }
  }
}

export type Retrieved = TowerMessageOf<'retrieved'>

export class RetrieveWork extends Work {
  readonly #waiting: ((found: Retrieved | undefined) => void)[] = []

  constructor(readonly channel: ChannelId) {
    super()
  }

  wait(): Promise<Retrieved | undefined> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** @param found null where the tower does not watch the channel: it holds nothing */
  end(found: Retrieved | null | undefined): void {
    const channel = this.channel as Uint8Array as Retrieved['channel']
    const answer = found === null ? { channel, newest: null, secrets: { count: 0, slots: [] } } : found
    for (const resolve of this.#waiting.splice(0)) resolve(answer)
  }

  next(): TowerRequest {
    return { name: 'retrieve', body: { channel: this.channel } }
  }
}
