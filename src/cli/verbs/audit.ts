import { existsSync } from 'node:fs'
import { type Command, InvalidArgumentError } from 'commander'
import { type Amount, formatGrouped } from '../../base/amount.js'
import { type Digest, equalBytes, hexToBytes } from '../../base/bytes.js'
import { MeridianError } from '../../base/errors.js'
import { type Genesis, ledgerIdOf } from '../../base/genesis.js'
import { idText } from '../../base/ids.js'
import { type AuditOptions, type AuditReport, auditLedger, type Finding } from '../../chain-adapter/audit/audit.js'
import type { AccountFlows, ChannelFlows } from '../../chain-adapter/audit/books.js'
import { connectLedger, type RemoteLedger } from '../../chain-adapter/remote/client.js'
import { createPool } from '../../privacy/pool.js'
import { openAccountKeys } from '../../wallet/keys.js'
import { readConfig } from '../config.js'
import { genesisOf, readSecrets } from '../directory.js'
import { EXIT, UsageError, VerbExit } from '../exit.js'
import { MovementsFile } from '../movements-file.js'
import { columns, type Output } from '../output.js'
import { outside, passphraseFor } from '../passphrase.js'
import { type DirectoryVerbOptions, directoryVerb, httpUrl, outputOf } from '../verb.js'

interface AuditVerbOptions extends DirectoryVerbOptions {
  readonly ledger?: string
  readonly genesis?: string
  readonly head?: Digest
  readonly csv?: string
}

/** How long the ledger may be unreachable before the audit ends without a verdict. */
const UNREACHABLE_MS = 15_000

export const auditVerb = (): Command =>
  directoryVerb('audit', "re-verify a ledger from genesis, proof by proof, and read it with the regulator's key")
    .option('--ledger <url>', 'address of the ledger (default: the one of config.json)', httpUrl)
    .option('--genesis <file>', "genesis.cbor of the ledger (default: the directory's)")
    .option('--from-genesis', 'examine every block; always so, the flag says it aloud')
    .option('--head <hash>', 'a head that you know: it must be in the chain', parseHash)
    .option('--csv <file>', 'write every movement there, outside of the directory')
    .action(audit)

async function audit(options: AuditVerbOptions): Promise<void> {
  const { dir, csv } = options
  const out = outputOf(options)
  if (csv !== undefined) {
    outside(dir, csv, 'the file of movements')
    if (existsSync(csv)) throw new UsageError(`${csv} is there already; it is not overwritten`)
  }
  const { ledger: url } = await readConfig(dir, { ledger: options.ledger })
  const genesis = await genesisOf(dir, options.genesis)
  const secrets = await readSecrets(dir, await passphraseFor(options))
  const pool = createPool()
  let chain: RemoteLedger | undefined
  try {
    const { account, paillier } = await openAccountKeys(secrets, genesis.keyBits, pool)
    if (!equalBytes(account, genesis.regulator.account)) throw new MeridianError('not_regulator')
    chain = await connect(url, genesis)
    const { head } = options
    const pinned = head === undefined ? {} : { head }
    const result = await examine({ source: chain, regulator: paillier, pool, ...pinned, ...progress(out) }, csv)
    print(out, genesis, result)
    if (result.verdict !== 'CONSISTENT') {
      throw new VerbExit(EXIT.checkFailed, `the ledger is inconsistent: ${result.findings.length} findings`)
    }
  } finally {
    await chain?.close()
    await pool.close()
  }
}

/** A ledger whose own head is not signed by its key has failed the audit already. */
async function connect(url: string, genesis: Genesis): Promise<RemoteLedger> {
  try {
    return await connectLedger(url, ledgerIdOf(genesis), { unknown_ms: UNREACHABLE_MS })
  } catch (error) {
    if (!(error instanceof MeridianError) || error.code !== 'ledger_head') throw error
    throw new VerbExit(EXIT.checkFailed, `INCONSISTENT: ${error.message}`)
  }
}

async function examine(options: AuditOptions, csv: string | undefined): Promise<AuditReport> {
  if (csv === undefined) return auditLedger(options)
  const file = await MovementsFile.create(csv)
  try {
    const result = await auditLedger({ ...options, onMovement: (movement) => file.add(movement) })
    await file.finish()
    return result
  } finally {
    await file.close()
  }
}

function progress(out: Output): Pick<AuditOptions, 'onProgress'> {
  if (out.json || !process.stderr.isTTY) return {}
  return { onProgress: ({ height, of }) => void process.stderr.write(`\rblock ${height} of ${of}`) }
}

function print(out: Output, genesis: Genesis, result: AuditReport): void {
  for (const finding of result.findings) out.print(findingLine(finding), { type: 'finding', ...finding })
  if (result.findingsLeftOut > 0) out.note(`and ${result.findingsLeftOut} more findings`)
  if (!out.json) out.print(accountTable(genesis, result.accounts), {})
  else for (const flows of result.accounts) out.print('', accountValue(flows))
  if (out.json) for (const flows of result.channels) out.print('', channelValue(flows))
  const { minted, held, locked, redeemed } = result.totals
  const hash = result.head === null ? null : idText(result.head.stateHash)
  out.print(
    [
      `minted ${money(minted)} = held ${money(held)} + locked ${money(locked)} + redeemed ${money(redeemed)}`,
      `${result.blocks} blocks, ${result.transactions} transactions, ${result.proofs} proofs, ${result.channels.length} channels`,
      `head ${hash ?? 'none'} (pin it next time: --head)`,
      result.verdict,
    ].join('\n'),
    {
      type: 'audit',
      verdict: result.verdict,
      ledger: idText(result.ledger),
      head: hash,
      height: result.head?.height ?? null,
      blocks: result.blocks,
      transactions: result.transactions,
      proofs: result.proofs,
      findings: result.findings.length + result.findingsLeftOut,
      minted_minor: minted,
      held_minor: held,
      locked_minor: locked,
      redeemed_minor: redeemed,
    },
  )
}

function findingLine({ block, transaction, kind, code, detail }: Finding): string {
  const place = block === null ? 'chain' : `block ${block}`
  const inside = transaction === null ? '' : ` transaction ${transaction}`
  return `FOUND ${place}${inside}${kind === null ? '' : ` (${kind})`}: ${code}${detail === null ? '' : ` (${detail})`}`
}

function accountTable(genesis: Genesis, accounts: readonly AccountFlows[]): string {
  const name = ({ account }: AccountFlows) => {
    if (equalBytes(account, genesis.issuer.account)) return `${idText(account)} issuer`
    return equalBytes(account, genesis.regulator.account) ? `${idText(account)} regulator` : idText(account)
  }
  const rows = accounts.map((flows) => {
    const { received, given, held } = flows
    const paidOut = received.close + received.settle + received.punish
    const amounts = [received.mint, received.transfer, given.transfer, given.deposit, paidOut, given.redeem, held]
    return [name(flows), ...amounts.map(money)]
  })
  return columns([['account', 'minted', 'received', 'paid', 'deposited', 'paid out', 'redeemed', 'held'], ...rows])
}

const accountValue = ({ account, received, given, held }: AccountFlows) => ({
  type: 'account',
  account: idText(account),
  received_minor: received,
  given_minor: given,
  held_minor: held,
})

const channelValue = ({ channel, accounts, deposits, payouts, ended, poster }: ChannelFlows) => ({
  type: 'channel',
  channel: idText(channel),
  accounts: accounts.map(idText),
  deposits_minor: deposits,
  payouts_minor: payouts,
  ended,
  exited_by: poster === null ? null : idText(accounts[poster]),
})

const money = (value: bigint): string =>
  value < 0n ? `-${formatGrouped(-value as Amount)}` : formatGrouped(value as Amount)

function parseHash(text: string): Digest {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new InvalidArgumentError('64 hexadecimal digits, as the ledger prints them')
  return hexToBytes(text) as Digest
}
