/** What channels want computed: Paillier randomizers ahead of need (C2); proofs of closes (L6), settlements (L9), and their check. */
import { bigintToBytes } from '../base/bytes.js'
import { subtractElements } from '../base/curve/index.js'
import { InvariantError } from '../base/errors.js'
import type { ChainAdapter, ChannelView } from '../base/ports/chain.js'
import { closeStatement, type Parties } from '../chain-adapter/contract/statements.js'
import { channelKeys, randomnessOf } from '../channel/keys.js'
import type { CloseProof, CloseTerms, SettleProof, SettleTerms, Terms } from '../channel/types.js'
import type { ProofPool } from '../privacy/pool.js'
import { proveClose, proveSettle } from '../wallet/balances.js'
import type { AccountKeys } from '../wallet/keys.js'
import type { Entropy } from '../wire/environment.js'
import type { LiveChannel } from './live-channel.js'

export class WorkerDesk {
  constructor(
    private readonly chain: ChainAdapter,
    private readonly pool: ProofPool,
    private readonly keys: AccountKeys,
    /** Secrets.channelSeed. */
    private readonly seed: Uint8Array,
    private readonly entropy: Entropy,
  ) {}

  /** Own R of a version, as it travels. */
  async randomizer(
    terms: Pick<Terms, 'ledger' | 'channel' | 'accounts' | 'nonce'>,
    version: number,
  ): Promise<Uint8Array> {
    const { n } = this.keys.paillier
    const s = randomnessOf(channelKeys(this.seed, terms), n.length * 8, version)
    return bigintToBytes(await this.pool.randomizerOwn(this.keys.paillier, s, 'urgent'), 2 * n.length)
  }

  async proveClose({ id }: LiveChannel, terms: CloseTerms): Promise<CloseProof> {
    const { genesis, ledger } = this.chain
    const { channel, parties } = await this.#ledgerSide(id)
    const { validUntil, commitment } = terms
    const base = { kind: 'closeChannel', ledger, channel: id, validUntil, commitment } as const
    const proof = await proveClose({ pool: this.pool, entropy: this.entropy, genesis, channel, parties }, base, terms)
    return { validUntil, commitment, ...proof }
  }

  /** Against the own terms: what the peer named as C_A plays no part beyond having to be the same. */
  async verifyClose({ id }: LiveChannel, terms: CloseTerms, offered: CloseProof): Promise<boolean> {
    const { genesis, ledger } = this.chain
    const { channel, parties } = await this.#ledgerSide(id)
    const { validUntil, commitment } = terms
    const { ciphertexts, ciphertextsRegulator, proof } = offered
    const unproven = { kind: 'closeChannel', ledger, channel: id, validUntil, commitment } as const
    const statement = closeStatement(genesis, channel, parties, { ...unproven, ciphertexts, ciphertextsRegulator })
    return this.pool.verify({ type: 'statement', statement, proof }, 'urgent')
  }

  /** L9: bound to what stands on the ledger now; where that has changed, the channel passes the answer over. */
  async proveSettle({ id }: LiveChannel, terms: SettleTerms): Promise<SettleProof> {
    const { genesis, ledger } = this.chain
    const { channel, parties } = await this.#ledgerSide(id)
    const { commitment } = terms
    const commitments = [commitment, subtractElements(channel.pool, commitment)] as const
    const unproven = { kind: 'settle', ledger, channel: id } as const
    return proveSettle(
      { pool: this.pool, genesis, channel, parties, entropy: this.entropy },
      unproven,
      commitments,
      terms,
    )
  }

  async #ledgerSide(id: LiveChannel['id']): Promise<{ readonly channel: ChannelView; readonly parties: Parties }> {
    const { value: channel } = await this.chain.channel(id)
    if (channel === undefined) throw new InvariantError('L5', 'a channel that is closing is not on the ledger')
    const [opener, peer] = await Promise.all(channel.accounts.map((account) => this.chain.account(account)))
    if (opener?.value === undefined || peer?.value === undefined) {
      throw new InvariantError('L5', 'a party of a channel has no account')
    }
    return { channel, parties: [opener.value, peer.value] }
  }
}
