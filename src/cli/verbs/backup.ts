/** A backup is the seed and where the peers are; what it restores starts in RECOVERY (C8). */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { MeridianError } from '../../base/errors.js'
import { decodeGenesis, encodeGenesis } from '../../base/genesis.js'
import { idText, parseAccountId } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import { knownPeers, restoredRows } from '../../node/kept-peers.js'
import { accountOf, type BackupPeer, readBackup, writeBackup } from '../../store/backup.js'
import { createDirectory, openDirectory } from '../../store/directory.js'
import { readPassphrase } from '../../store/keystore.js'
import { parsePeerAddress } from '../../wire/address.js'
import { readConfig } from '../config.js'
import type { ConfigFile } from '../config-table.js'
import { filesOf, mustBeNew, readGenesis, readInput, readPublicKey, readSecrets } from '../directory.js'
import { UsageError } from '../exit.js'
import { runningApi } from '../node-verb.js'
import { outside, passphraseFor } from '../passphrase.js'
import { type DirectoryVerbOptions, directoryVerb, group, httpUrl, outputOf } from '../verb.js'
import { furnish } from './init.js'

export const backupVerb = (): Command =>
  group('backup', 'the seed and the channel peers, in one sealed file', [exportVerb, restoreVerb])

interface ExportOptions extends DirectoryVerbOptions {
  readonly out: string
}

const exportVerb = (): Command =>
  directoryVerb('export', 'write a backup, whether the node runs or not; sealed under the passphrase of --dir')
    .requiredOption('--out <file>', 'a new file outside of --dir')
    .action(exportBackup)

async function exportBackup(options: ExportOptions): Promise<void> {
  const { dir, out: path } = options
  outside(dir, path, 'the backup')
  if (existsSync(path)) throw new MeridianError('backup_exists', path)
  // No directory of a node, or one that does not start, is said before a passphrase is asked for. A founder has no ledger yet.
  await readConfig(dir, { ledger: 'http://ledger.invalid' })
  const passphrase = need(await readPassphrase(await passphraseFor(options)))
  const secrets = await readSecrets(dir, passphrase)
  const peers = await peersOf(dir, passphrase)
  const files = filesOf(dir)
  const genesis = existsSync(files.genesis) ? await readGenesis(files.genesis) : null
  const { n } = await readPublicKey(files.publicKey)
  const content = {
    genesis: genesis === null ? null : encodeGenesis(genesis),
    keyBits: n.length * 4,
    config: await readFile(files.config, 'utf8'),
    peers: [...peers],
  }
  need(await writeBackup(path, passphrase, secrets, content, genesis?.test ?? n.length * 4 === 1024))
  const account = idText(accountOf(secrets))
  outputOf(options).print(
    [
      `backup   ${path}`,
      `account  ${account}`,
      `peers    ${peers.length}`,
      'Keep it apart from its passphrase. Export again after each new channel: a new peer is in no older backup.',
    ].join('\n'),
    { backup: path, account, peers: peers.length },
  )
}

/** The database's owner is asked where there is one (C7): merely trying to open it would turn over LevelDB's log (S2). */
async function peersOf(dir: string, passphrase: Uint8Array): Promise<readonly BackupPeer[]> {
  const api = await runningApi(dir)
  if (api !== undefined) {
    const { peers } = await api.peers()
    return peers.map(({ account, url }) => ({ account: need(parseAccountId(account)), url }))
  }
  const directory = need(await openDirectory(dir, passphrase))
  try {
    return await knownPeers(directory.store, accountOf(directory.secrets))
  } finally {
    await directory.close()
  }
}

interface RestoreOptions extends DirectoryVerbOptions {
  readonly from: string
  readonly ledger?: string
  readonly listen?: string
  readonly peer?: readonly string[]
}

const restoreVerb = (): Command =>
  directoryVerb('restore', 'make a new directory of a backup: its channels start in RECOVERY and close')
    .requiredOption('--from <file>', 'what `backup export` wrote')
    .option('--ledger <url>', 'address of the ledger, where it has moved', httpUrl)
    .option('--listen <host:port>', 'where peers connect, where that has changed')
    .option('--peer <address>', 'a peer that has moved, or is missing: account@ws://host:port; again for each', more)
    .action(restoreBackup)

const more = (peer: string, peers: readonly string[] = []): readonly string[] => [...peers, peer]

async function restoreBackup(options: RestoreOptions): Promise<void> {
  const { dir, from, ledger, listen } = options
  mustBeNew(dir)
  outside(dir, from, 'the backup')
  const moved = (options.peer ?? []).map((text) => need(parsePeerAddress(text)))
  const bytes = await readInput(from)
  const passphrase = need(await readPassphrase(await passphraseFor(options)))
  const { secrets, keyBits, peers: saved, account, ...content } = need(await readBackup(bytes, passphrase))
  const genesis = content.genesis === null ? undefined : need(decodeGenesis(content.genesis))
  const config = { ...parseConfig(content.config), ...given({ ledger, listen }) }
  const peers = new Map([...saved, ...moved].map((peer) => [idText(peer.account), peer]))
  const test = genesis?.test ?? keyBits === 1024
  const made = need(await createDirectory(dir, passphrase, { test, seed: secrets.exportSeed() }))
  await made.store.write(restoredRows([...peers.values()]))
  await furnish({ dir, genesis, config, keyBits }, made)
  const missing = [...peers.values()].filter(({ url }) => url === null).length
  outputOf(options).print(
    [
      `account  ${idText(account)}`,
      `peers    ${peers.size}${missing === 0 ? '' : ` (${missing} without an address: they dial this node, or --peer names them)`}`,
      `Every channel of this account is in RECOVERY: start the node, and each closes with its peer, balance by balance.`,
      `next     meridian start --dir ${dir}`,
      'The node of the old disk must never run again. Keys of payments are forgotten: check before you pay anything again.',
    ].join('\n'),
    { account: idText(account), peers: peers.size, peers_without_address: missing, restored: true },
  )
}

/** Only this program writes it, and the seal was whole. */
function parseConfig(text: string): ConfigFile {
  try {
    return JSON.parse(text) as ConfigFile
  } catch {
    throw new UsageError('the backed up config.json is no JSON')
  }
}

const given = (flags: ConfigFile): ConfigFile =>
  Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined))
