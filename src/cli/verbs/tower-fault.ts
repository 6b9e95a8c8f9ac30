import type { Command } from 'commander'
import { equalBytes } from '../../base/bytes.js'
import { MeridianError } from '../../base/errors.js'
import { ledgerIdOf } from '../../base/genesis.js'
import { idText, type LedgerId } from '../../base/ids.js'
import type { AuditSource } from '../../chain-adapter/audit/audit.js'
import { readBlocks } from '../../chain-adapter/embedded/read-blocks.js'
import { need } from '../../chain-adapter/need.js'
import { connectLedger } from '../../chain-adapter/remote/client.js'
import { historiesOf, judge, type Verdict } from '../../watchtower/fault.js'
import { parseTowerReceipt, type TowerReceipt } from '../../watchtower/tower-receipt.js'
import { filesOf, readGenesis, readInput } from '../directory.js'
import { EXIT, UsageError, VerbExit } from '../exit.js'
import type { Output } from '../output.js'
import { type CommonOptions, httpUrl, outputOf, verb } from '../verb.js'

interface FaultOptions extends CommonOptions {
  readonly receipt: string
  readonly ledger?: string
  readonly dir?: string
}

export const towerFaultVerb = (): Command =>
  verb('tower-fault', 'judge by receipt and ledger whether a watchtower did what it signed for; needs no node')
    .requiredOption('--receipt <file>', 'receipts, one a line, as `channel receipts --out` writes them')
    .option('--ledger <url>', 'address of the ledger whose blocks decide', httpUrl)
    .option('--dir <directory>', "or the ledger's own directory, where no process serves it")
    .action(fault)

async function fault(options: FaultOptions): Promise<void> {
  const receipts = await readReceipts(options.receipt)
  const out = outputOf(options)
  const { ledger } = receipts[0]!.parties
  const source = await openSource(options, ledger as LedgerId)
  let verdicts: Verdict[]
  try {
    const histories = await historiesOf(source, new Set(receipts.map(({ body }) => idText(body.channel))))
    verdicts = receipts.map((receipt) => {
      const history = histories.get(idText(receipt.body.channel))
      if (history === undefined) throw new MeridianError('tower_receipt_foreign', 'the ledger has no such channel')
      return need(judge(receipt, history))
    })
  } finally {
    await source.close()
  }
  for (const [i, verdict] of verdicts.entries()) print(out, receipts[i]!, verdict)
  const some = (wanted: Verdict['verdict']) => verdicts.some(({ verdict }) => verdict === wanted)
  if (some('guilty')) throw new VerbExit(EXIT.checkFailed, 'a tower did not do what it signed for')
  if (some('undecided')) throw new VerbExit(EXIT.pending, 'not decided yet, or not by these receipts')
}

/** @throws UsageError, MeridianError `tower_receipt_invalid` or `tower_receipt_foreign` */
async function readReceipts(path: string): Promise<TowerReceipt[]> {
  const lines = new TextDecoder().decode(await readInput(path)).split('\n')
  const receipts = lines.filter((line) => line.trim() !== '').map((line) => need(parseTowerReceipt(line)))
  const [first] = receipts
  if (first === undefined) throw new UsageError(`${path} holds no receipt`)
  const foreign = receipts.some(({ parties }) => !equalBytes(parties.ledger, first.parties.ledger))
  if (foreign) throw new MeridianError('tower_receipt_foreign', 'receipts of several ledgers in one file')
  return receipts
}

type Source = AuditSource & { close(): Promise<void> }

async function openSource({ ledger: url, dir }: FaultOptions, ledger: LedgerId): Promise<Source> {
  if ((url === undefined) === (dir === undefined)) throw new UsageError('give --ledger URL or --dir DIRECTORY')
  if (url !== undefined) return connectLedger(url, ledger)
  const genesis = await readGenesis(filesOf(dir!).genesis)
  if (!equalBytes(ledgerIdOf(genesis), ledger)) throw new MeridianError('tower_receipt_foreign', 'another ledger')
  return readBlocks(dir!, genesis)
}

const WORDS: Readonly<Record<Verdict['reason'], string>> = {
  no_exit: 'nobody exited this channel',
  own_exit: 'the client itself exited: a tower answers the counterparty',
  exit_not_older: 'the counterparty exited with a state that the receipt does not surpass',
  exit_before_receipt: 'the exit stood on the ledger when the receipt was signed',
  punished: 'the exit was punished',
  agreed: 'both parties closed the channel together',
  superseded: "the receipt's state, or a newer one, stood at the end",
  dispute_running: 'the dispute is not settled yet',
  punish_missing: 'a revoked state was settled: the tower held its secret and did not punish',
  supersede_missing: 'an old state was settled: the tower held a newer one and did not supersede',
}

function print(out: Output, { parties, body }: TowerReceipt, verdict: Verdict): void {
  const { verdict: word, reason, exit, deadline, end } = verdict
  const seen =
    exit === undefined
      ? ''
      : `; exit of version ${exit.version} in block ${exit.at.height} at ${exit.at.time}, supersede until ${deadline}` +
        (end === undefined ? '' : `, ${end.kind} in block ${end.at.height} at ${end.at.time}`)
  const held = `receipt for version ${body.version}, secrets below ${body.secrets}, block ${body.height}`
  out.print(`${word.replace('_', ' ').toUpperCase()} ${idText(parties.tower)}: ${WORDS[reason]} (${held}${seen})`, {
    verdict: word,
    reason,
    tower: idText(parties.tower),
    client: idText(parties.client),
    channel: idText(body.channel),
    version: body.version,
    secrets: body.secrets,
    height: body.height,
    ...(exit === undefined ? {} : { exit_version: exit.version, exit_block: exit.at.height, exit_time: exit.at.time }),
    ...(deadline === undefined ? {} : { deadline }),
    ...(end === undefined ? {} : { end: end.kind, end_block: end.at.height, end_time: end.at.time }),
  })
}
