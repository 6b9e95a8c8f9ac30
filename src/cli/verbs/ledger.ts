import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { idText } from '../../base/ids.js'
import { decodeBlock } from '../../chain-adapter/block.js'
import { SYSTEM_CLOCK } from '../../chain-adapter/embedded/clock.js'
import { Ledger } from '../../chain-adapter/embedded/ledger.js'
import { serveLedger } from '../../chain-adapter/embedded/server.js'
import { need } from '../../chain-adapter/need.js'
import { filesOf, readGenesis, readSecrets } from '../directory.js'
import { UsageError } from '../exit.js'
import type { Output } from '../output.js'
import { passphraseFor } from '../passphrase.js'
import { untilStopped } from '../signals.js'
import { type DirectoryVerbOptions, directoryVerb, integer, outputOf } from '../verb.js'

interface LedgerOptions extends DirectoryVerbOptions {
  readonly host: string
  readonly port: number
  readonly blockMs: number
  readonly verifiers: number
  readonly manualClock?: true
}

const DEFAULT_PORT = 8_100

export const ledgerVerb = (): Command =>
  directoryVerb('ledger', 'serve the embedded ledger that genesis made; a line per block')
    .option('--port <port>', 'port; 0 takes a free one', integer(0, 65_535), DEFAULT_PORT)
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option(
      '--block-ms <milliseconds>',
      'a block ends so long after its first transaction',
      integer(1, 60_000),
      SYSTEM_CLOCK.kind === 'system' ? SYSTEM_CLOCK.interval_ms : 200,
    )
    .option('--verifiers <threads>', 'threads that check proofs', integer(1, 64), verifiersHere())
    .option('--manual-clock', 'time moves by call only: test ledgers')
    .action(serve)

async function serve(options: LedgerOptions): Promise<void> {
  const { dir, host, port, blockMs, verifiers, manualClock = false } = options
  const out = outputOf(options)
  const genesis = await readGenesis(filesOf(dir).genesis)
  if (manualClock && !genesis.test) throw new UsageError('--manual-clock is for test ledgers alone')
  const { signingKey: headKey } = await readSecrets(dir, await passphraseFor(options))
  const clock = manualClock
    ? ({ kind: 'manual', held: false } as const)
    : ({ kind: 'system', interval_ms: blockMs, idle_ms: 1_000 } as const)
  const ledger = need(await Ledger.open({ dir, genesis, headKey, clock, verifiers }))
  try {
    const server = await serveLedger(ledger, { host, port })
    try {
      await untilDone(ledger, server.url, out, manualClock)
    } finally {
      await server.close()
    }
  } finally {
    await ledger.close()
  }
  out.note('stopped')
}

async function untilDone(ledger: Ledger, url: string, out: Output, manualClock: boolean): Promise<void> {
  const ending = new AbortController()
  const stopped = untilStopped()
  const { height } = ledger.head
  out.print(`READY ${url}\nledger ${idText(ledger.ledger)} block ${height}`, {
    ready: url,
    ledger: idText(ledger.ledger),
    block: height,
  })
  if (!manualClock) for (const word of clockWords(ledger)) out.note(word)
  const printing = printBlocks(ledger, height + 1, out, ending.signal)
  await Promise.race([stopped, printing])
  ending.abort()
  await printing
}

const GAP_S = 60

/** L1: ledger time never goes back, and catches up step by step. */
function clockWords({ head }: Ledger): string[] {
  const ahead_s = head.time - Math.floor(Date.now() / 1_000)
  if (Math.abs(ahead_s) < GAP_S || head.height === 0) return []
  return [
    ahead_s > 0
      ? `this machine's clock is ${ahead_s} s behind the last block: ledger time stands still until it is there (timedatectl set-ntp true)`
      : `the last block is ${-ahead_s} s old: ledger time follows in steps, so that no deadline passes unseen`,
  ]
}

async function printBlocks(ledger: Ledger, from: number, out: Output, signal: AbortSignal): Promise<void> {
  let next = from
  for await (const head of ledger.heads(signal)) {
    while (next <= head.height) {
      for (const bytes of await ledger.blocks(next)) {
        const { head, transactions, refusals } = need(decodeBlock(bytes))
        const hash = idText(head.stateHash)
        out.print(
          `block ${head.height}  time ${head.time}  transactions ${transactions.length}  refused ${refusals.length}  ${hash}`,
          {
            block: head.height,
            time: head.time,
            transactions: transactions.length,
            refused: refusals.length,
            hash,
          },
        )
        next = head.height + 1
      }
    }
  }
}

/** One core is left to the contract itself. */
const verifiersHere = (): number => Math.max(1, Math.min(availableParallelism() - 1, 4))
