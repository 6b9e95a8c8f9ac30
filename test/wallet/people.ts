/** Named people with keystore secrets, wallets over an in-process ledger, and a genesis made of them. 1024-bit keys. */
import { utf8 } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import type { Genesis } from '../../src/base/genesis.js'
import type { Store } from '../../src/base/ports/store.js'
import { inProcessAdapter } from '../../src/chain-adapter/embedded/in-process.js'
import { Ledger } from '../../src/chain-adapter/embedded/ledger.js'
import type { ProofPool } from '../../src/privacy/pool.js'
import { Secrets } from '../../src/store/keystore.js'
import { memoryStore } from '../../src/store/memory.js'
import { type AccountKeys, openAccountKeys } from '../../src/wallet/keys.js'
import { admit, register, registrationRequest } from '../../src/wallet/registration.js'
import { Wallet } from '../../src/wallet/wallet.js'
import { must } from '../chain-adapter/fixtures.js'

const KEY_BITS = 1024

export interface Person {
  readonly secrets: Secrets
  readonly keys: AccountKeys
}

export class People {
  readonly #known = new Map<string, Promise<Person>>()

  constructor(readonly pool: ProofPool) {}

  get(name: string): Promise<Person> {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const secrets = new Secrets(sha256(utf8(`meridian test person ${name}`)))
    const made = openAccountKeys(secrets, KEY_BITS, this.pool).then((keys) => ({ secrets, keys }))
    this.#known.set(name, made)
    return made
  }

  async genesis(changes: Partial<Genesis> = {}): Promise<Genesis> {
    const account = async (name: string) => {
      const { keys } = await this.get(name)
      const keyProof = await this.pool.proveKey(keys.paillier, keys.account)
      return { account: keys.account, n: keys.paillier.n, keyProof }
    }
    const [issuer, regulator] = [await account('issuer'), await account('regulator')]
    return {
      version: 1,
      amountBits: 48,
      keyBits: KEY_BITS,
      issuer,
      regulator,
      headKey: (await this.get('head')).keys.account,
      windowMin: 10,
      windowMax: 100_000,
      time: 1_000,
      clock: null,
      salt: utf8('test'),
      test: true,
      ...changes,
    }
  }

  async ledger(changes: Partial<Genesis> = {}): Promise<Ledger> {
    const genesis = await this.genesis(changes)
    const headKey = (await this.get('head')).secrets.signingKey
    return must(await Ledger.create({ genesis, headKey, clock: { kind: 'manual', held: false } }))
  }

  async wallet(name: string, ledger: Ledger, store: Store = memoryStore()): Promise<Wallet> {
    const { keys, secrets } = await this.get(name)
    return Wallet.open({ chain: inProcessAdapter(ledger), pool: this.pool, store, keys, seed: secrets.walletSeed })
  }

  /** A wallet whose account is on the ledger. */
  async registered(name: string, ledger: Ledger, issuer: Wallet, store: Store = memoryStore()): Promise<Wallet> {
    const wallet = await this.wallet(name, ledger, store)
    must(await register(wallet, must(await admit(issuer, await registrationRequest(wallet)))))
    return wallet
  }
}
