import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import type { Command } from 'commander'
import { hexToBytes } from '../../base/bytes.js'
import { curve } from '../../base/curve/index.js'
import { encodeGenesis, type Genesis, ledgerIdOf } from '../../base/genesis.js'
import { idText, parseAccountId } from '../../base/ids.js'
import { LIMITS } from '../../base/limits.js'
import { checkGenesis } from '../../chain-adapter/contract/genesis.js'
import { Ledger } from '../../chain-adapter/embedded/ledger.js'
import { need } from '../../chain-adapter/need.js'
import { runCheck } from '../../privacy/check.js'
import { writeFileAtomic } from '../../store/file.js'
import { createKeystore, readPassphrase, Secrets } from '../../store/keystore.js'
import type { RegistrationRequest } from '../../wallet/registration.js'
import { filesOf, mustBeNew, readPublicKey } from '../directory.js'
import { UsageError } from '../exit.js'
import { passphraseFor } from '../passphrase.js'
import { type DirectoryVerbOptions, directoryVerb, integer, outputOf } from '../verb.js'

export interface GenesisOptions extends DirectoryVerbOptions {
  readonly issuer: string
  readonly regulator: string
  readonly test?: true
  readonly keyBits?: number
  readonly amountBits: number
  readonly windowMin: number
  readonly windowMax: number
}

/** Bounds of a channel's dispute window: an hour, and two weeks. */
export const WINDOW_MIN_S = 3_600
export const WINDOW_MAX_S = 1_209_600

export const genesisVerb = (): Command =>
  directoryVerb('genesis', 'create a ledger: its genesis, the key that signs its blocks, its empty database')
    .requiredOption('--issuer <file>', 'public.json of the issuer')
    .requiredOption('--regulator <file>', 'public.json of the regulator')
    .option('--test', 'short keys and manual clocks allowed: for tests, never for money of value')
    .option('--key-bits <bits>', "bits of every account's Paillier key (default: the issuer's)", integer(1024, 3072))
    .option('--amount-bits <bits>', 'amounts are below 2^bits of minor units; even', integer(16, 64), 48)
    .option('--window-min <seconds>', 'shortest dispute window', integer(1, LIMITS.window_s), WINDOW_MIN_S)
    .option('--window-max <seconds>', 'longest dispute window', integer(1, LIMITS.window_s), WINDOW_MAX_S)
    .action(async (options: GenesisOptions) => report(options, await createLedger(options)))

/** What `genesis` does, without its words. @throws MeridianError, UsageError */
export async function createLedger(options: GenesisOptions): Promise<Genesis> {
  const { dir, test = false } = options
  const seed = new Uint8Array(randomBytes(32))
  const headKey = new Secrets(seed).signingKey
  const [issuer, regulator] = [await readPublicKey(options.issuer), await readPublicKey(options.regulator)]
  const genesis: Genesis = {
    version: 1,
    amountBits: options.amountBits,
    keyBits: keyBitsOf(options, issuer, regulator),
    issuer: accountOf(issuer),
    regulator: accountOf(regulator),
    headKey: curve.multiplyBase(headKey),
    windowMin: options.windowMin,
    windowMax: options.windowMax,
    time: Math.floor(Date.now() / 1000),
    clock: null,
    salt: new Uint8Array(randomBytes(32)),
    test,
  }
  need(checkGenesis(genesis, runCheck))
  mustBeNew(dir)
  const passphrase = need(await readPassphrase(await passphraseFor(options, true)))
  await mkdir(dir, { recursive: true, mode: 0o700 })
  need(await createKeystore(filesOf(dir).keystore, passphrase, { test, seed }))
  const ledger = need(await Ledger.create({ dir, genesis, headKey }))
  await ledger.close()
  // Last of all: a directory with a genesis is whole.
  await writeFileAtomic(filesOf(dir).genesis, encodeGenesis(genesis))
  return genesis
}

function keyBitsOf({ keyBits, test }: GenesisOptions, ...keys: readonly RegistrationRequest[]): Genesis['keyBits'] {
  const [bits, other] = keys.map(({ n }) => n.length * 4)
  if (bits !== other) throw new UsageError(`the issuer has a ${bits}-bit key, the regulator a ${other}-bit one`)
  if (keyBits !== undefined && keyBits !== bits) throw new UsageError(`issuer and regulator have ${bits}-bit keys`)
  if (bits === 1024 && !test) throw new UsageError('1024-bit keys are for test ledgers: add --test')
  if (bits !== 1024 && bits !== 2048 && bits !== 3072) throw new UsageError(`keys of ${bits} bits`)
  return bits
}

const accountOf = ({ account, n, keyProof }: RegistrationRequest): Genesis['issuer'] => ({
  account: need(parseAccountId(account)),
  n: hexToBytes(n),
  keyProof: hexToBytes(keyProof),
})

function report(options: GenesisOptions, genesis: Genesis): void {
  const files = filesOf(options.dir)
  const ledger = idText(ledgerIdOf(genesis))
  outputOf(options).print(
    [
      `ledger      ${ledger}${genesis.test ? ' (test)' : ''}`,
      `genesis     ${files.genesis} (public: every node gets it, over a way that nobody can alter)`,
      `head key    ${idText(genesis.headKey)}`,
      `Back up ${files.keystore} and, apart from it, the passphrase: they sign the ledger's blocks.`,
    ].join('\n'),
    {
      ledger,
      genesis: files.genesis,
      head_key: idText(genesis.headKey),
      test: genesis.test,
      back_up: [files.keystore],
    },
  )
}
