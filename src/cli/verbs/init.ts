import { type Command, Option } from 'commander'
import { bytesToHex, utf8 } from '../../base/bytes.js'
import { curve } from '../../base/curve/index.js'
import { encodeGenesis, type Genesis, ledgerIdOf } from '../../base/genesis.js'
import { idText } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import { proveKey } from '../../privacy/key-proof.js'
import { encodeModulus, privateKeyFromSeed } from '../../privacy/paillier.js'
import { createDirectory, type DataDirectory } from '../../store/directory.js'
import { writeFileAtomic } from '../../store/file.js'
import type { Secrets } from '../../store/keystore.js'
import type { RegistrationRequest } from '../../wallet/registration.js'
import { writeConfig } from '../config.js'
import { type ConfigFile, ROLES, type Role } from '../config-table.js'
import { filesOf, mustBeNew, readGenesis } from '../directory.js'
import { UsageError } from '../exit.js'
import { passphraseFor } from '../passphrase.js'
import { type DirectoryVerbOptions, directoryVerb, httpUrl, integer, outputOf } from '../verb.js'

export interface InitOptions extends DirectoryVerbOptions {
  readonly role: Role
  readonly genesis?: string
  readonly ledger?: string
  readonly listen?: string
  readonly apiPort?: number
  readonly keyBits?: number
  readonly test?: true
}

const KEY_BITS_DEFAULT = 2048

export const initVerb = (): Command =>
  directoryVerb('init', 'create the directory of a node: its keys, its store, its configuration')
    .addOption(new Option('--role <role>', 'what the node is; must be given').choices(ROLES).makeOptionMandatory())
    .option('--genesis <file>', 'genesis.cbor of the ledger; issuer and regulator come before it and may leave it out')
    .option('--ledger <url>', 'address of the ledger', httpUrl)
    .option('--listen <host:port>', 'where peers connect')
    .option('--api-port <port>', 'port of the operator API on loopback', integer(0, 65_535))
    .option('--key-bits <bits>', 'Paillier key of an issuer or regulator (default 2048)', integer(1024, 3072))
    .option('--test', 'for a test ledger: 1024-bit keys allowed, the passphrase stretched cheaply')
    .action(init)

async function init(options: InitOptions): Promise<void> {
  const genesis = options.genesis === undefined ? undefined : await readGenesis(options.genesis)
  report(options, genesis, await createNode(options, genesis))
}

interface Created {
  readonly account: string
  readonly keyBits: number
}

/** What `init` does, without its words. @throws MeridianError, UsageError */
export async function createNode(
  options: Omit<InitOptions, 'genesis'>,
  genesis: Genesis | undefined,
): Promise<Created> {
  const { dir, role, ledger, listen, apiPort } = options
  const keyBits = keyBitsOf(options, genesis)
  mustBeNew(dir)
  const passphrase = await passphraseFor(options, true)
  const test = options.test ?? genesis?.test ?? false
  const config = { role, ledger, listen, api_port: apiPort }
  return furnish({ dir, genesis, config, keyBits }, need(await createDirectory(dir, passphrase, { test })))
}

interface Furniture {
  readonly dir: string
  readonly genesis: Genesis | undefined
  readonly config: ConfigFile
  readonly keyBits: number
}

/** The plain files beside a new store, config.json last: without it nothing starts. Closes the directory. */
export async function furnish({ dir, genesis, config, keyBits }: Furniture, made: DataDirectory): Promise<Created> {
  try {
    const files = filesOf(dir)
    if (genesis !== undefined) await writeFileAtomic(files.genesis, encodeGenesis(genesis))
    // A tower holds no money: the ledger need not know its account, so there is no key to be admitted.
    if (config.role !== 'tower') {
      const publicKey = publicKeyOf(made.secrets, keyBits)
      await writeFileAtomic(files.publicKey, utf8(`${JSON.stringify(publicKey, null, 2)}\n`))
    }
    await writeConfig(dir, config)
    return { account: idText(curve.multiplyBase(made.secrets.signingKey)), keyBits }
  } finally {
    await made.close()
  }
}

/** Everybody's key has the length that genesis fixes; the two that genesis names choose it. */
function keyBitsOf(
  { role, keyBits, ledger, test }: Omit<InitOptions, 'genesis'>,
  genesis: Genesis | undefined,
): number {
  const founds = role === 'issuer' || role === 'regulator'
  if (genesis === undefined && !founds) throw new UsageError(`a ${role} needs --genesis FILE of its ledger`)
  if (ledger === undefined && !founds) throw new UsageError(`a ${role} needs --ledger URL`)
  if (genesis !== undefined && keyBits !== undefined && keyBits !== genesis.keyBits) {
    throw new UsageError(`this ledger has ${genesis.keyBits}-bit keys: leave --key-bits out`)
  }
  const bits = genesis?.keyBits ?? keyBits ?? KEY_BITS_DEFAULT
  if (![1024, 2048, 3072].includes(bits)) throw new UsageError('--key-bits is 2048 or 3072, with --test also 1024')
  if (bits === 1024 && !(genesis?.test ?? test)) throw new UsageError('1024-bit keys are for test ledgers: add --test')
  return bits
}

function publicKeyOf(secrets: Secrets, keyBits: number): RegistrationRequest {
  const account = curve.multiplyBase(secrets.signingKey)
  const key = privateKeyFromSeed(secrets.paillierSeed, keyBits)
  return {
    account: idText(account),
    n: bytesToHex(encodeModulus(key.publicKey)),
    keyProof: bytesToHex(proveKey(key, account)),
  }
}

function report(options: InitOptions, genesis: Genesis | undefined, { account, keyBits }: Created): void {
  const { dir, role } = options
  const files = filesOf(dir)
  const ledger = genesis === undefined ? null : idText(ledgerIdOf(genesis))
  if (role === 'tower') {
    outputOf(options).print(
      [
        `account     ${account}`,
        'role        tower',
        `ledger      ${ledger}`,
        `Clients name it ${account}@ws://host:port, as \`meridian tower\` prints it. It needs no backup: to a new tower`,
        'its clients send everything again.',
      ].join('\n'),
      { account, role, ledger },
    )
    return
  }
  outputOf(options).print(
    [
      `account     ${account}`,
      `role        ${role}, ${keyBits}-bit key`,
      `ledger      ${ledger ?? 'none yet: genesis makes it'}`,
      `public key  ${files.publicKey} (not secret: ${nextStep(role)})`,
      `Back up now, and again after each new channel: meridian backup export --dir ${dir} --out FILE`,
      'Keep the file, and apart from it the passphrase: both together are the account. Lost, nobody restores them.',
    ].join('\n'),
    { account, role, key_bits: keyBits, ledger, public_key: files.publicKey, back_up: [files.keystore] },
  )
}

const nextStep = (role: Role): string =>
  role === 'issuer' || role === 'regulator' ? 'hand it to `genesis`' : 'hand it to the issuer, who admits the account'
