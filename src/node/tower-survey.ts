/**
 * What towers hold of a channel whose own data is behind, or that a tower says is (C8). Each is asked until it answers,
 * however long it is away. Nothing that it says is trusted: a state counts for its two signatures.
 */
import type { Signature } from '../base/curve/index.js'
import { type AccountId, type ChannelId, idText } from '../base/ids.js'
import { type ExitTerms, postable } from '../chain-adapter/contract/channel-rules.js'
import type { RevocationStore } from '../channel/revocation.js'
import type { TowerClient } from '../watchtower/client.js'
import { unpackSecrets } from '../watchtower/secrets.js'

/** What a tower showed, with both parties' signatures checked. */
export interface TowerState {
  readonly tower: AccountId
  readonly version: number
  /** encodeChannelState's bytes. */
  readonly state: Uint8Array
  readonly signatures: readonly [Signature, Signature]
  /** The peer's, of the shape that their count gives them, else unchecked; undefined where they have another. */
  readonly secrets: RevocationStore | undefined
}

export interface SurveyParts {
  readonly clients: readonly TowerClient[]
  /** NodeConfig's towerReceiptsRequired. */
  readonly required: number
  readonly shown: (channel: ChannelId, found: TowerState) => void
  /** After `shown`, whatever it held. */
  readonly answered: (channel: ChannelId) => void
}

/** A number: the version that it showed. `lied`: it named a state and has none, or one that both did not sign. */
type Answer = 'asked' | 'nothing' | 'lied' | number

/** S2: so many towers that one of them must know the newest state whose predecessor's secret has left. */
export const towersThatKnow = (towers: number, required: number): number => towers - Math.max(required, 1) + 1

export class TowerSurvey {
  /** By channel, then by tower. */
  readonly #answers = new Map<string, Map<string, Answer>>()
  /** By channel, then by tower: the version that it named and has not shown yet. */
  readonly #named = new Map<string, Map<string, number>>()
  /** By channel, then by tower: the last that it showed, with secrets that nothing may have told true or false yet. */
  readonly #found = new Map<string, Map<string, TowerState>>()

  constructor(private readonly parts: SurveyParts) {}

  /** Every tower anew: what one said before the channel was frozen is no answer. */
  askAll(terms: ExitTerms): void {
    for (const client of this.parts.clients) this.#askOnce(client, terms)
  }

  /** A tower names a version above ours. */
  askFor(client: TowerClient, terms: ExitTerms, version: number): void {
    const named = this.#named.get(idText(terms.channel)) ?? new Map<string, number>()
    this.#named.set(idText(terms.channel), named.set(idText(client.account), version))
    this.#askOnce(client, terms)
  }

  /** Enough towers have answered: what they showed is the newest, or nobody could have needed a newer one (T2). */
  enough(channel: ChannelId): boolean {
    const { clients, required } = this.parts
    const answers = [...(this.#answers.get(idText(channel))?.values() ?? [])]
    const held = answers.filter((answer) => typeof answer === 'number')
    const nothing = answers.filter((answer) => answer === 'nothing')
    // T2: where receipts are required, towers that all hold nothing have lost it.
    const known = clients.length === 0 || required === 0 || held.length > 0
    return known && held.length + nothing.length >= towersThatKnow(clients.length, required)
  }

  /** A tower names a version above this one and has not shown it: no waiting outvotes that (S2). */
  ahead(channel: ChannelId, version: number): boolean {
    return [...(this.#named.get(idText(channel))?.values() ?? [])].some((named) => named > version)
  }

  /**
   * All that towers have shown once more: since an exit stands its record tells whose secrets are the peer's (L7), and the
   * tower that was right may be gone by now, while one that lied answered first.
   */
  recall(channel: ChannelId): void {
    for (const found of [...(this.#found.get(idText(channel))?.values() ?? [])]) this.parts.shown(channel, found)
  }

  forget(channel: ChannelId): void {
    this.#found.delete(idText(channel))
    this.#answers.delete(idText(channel))
    this.#named.delete(idText(channel))
  }

  #of(channel: Uint8Array): Map<string, Answer> {
    const known = this.#answers.get(idText(channel)) ?? new Map<string, Answer>()
    this.#answers.set(idText(channel), known)
    return known
  }

  #askOnce(client: TowerClient, terms: ExitTerms): void {
    const answers = this.#of(terms.channel)
    const tower = idText(client.account)
    if (answers.get(tower) === 'asked') return
    answers.set(tower, 'asked')
    void this.#ask(client, terms)
  }

  async #ask(client: TowerClient, terms: ExitTerms): Promise<void> {
    const channel = terms.channel as ChannelId
    const tower = idText(client.account)
    const answer = await client.retrieve(channel)
    if (answer === undefined) return // this node stops
    const { newest, secrets } = answer
    const named = this.#named.get(idText(channel))?.delete(tower) === true
    if (newest === null) this.#of(channel).set(tower, named ? 'lied' : 'nothing')
    else {
      const { state, signatures } = newest
      const checked = postable(terms, state, signatures)
      this.#of(channel).set(tower, checked.ok ? checked.value.version : 'lied')
      if (checked.ok) {
        const { version } = checked.value
        const found = { tower: client.account, version, state, signatures, secrets: unpackSecrets(secrets) }
        const all = this.#found.get(idText(channel)) ?? new Map<string, TowerState>()
        this.#found.set(idText(channel), all.set(tower, found))
        this.parts.shown(channel, found)
      }
    }
    this.parts.answered(channel)
  }
}
