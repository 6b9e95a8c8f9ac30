import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Command, InvalidArgumentError } from 'commander'
import { ROOT } from '../../base/root.js'
import { need } from '../../chain-adapter/need.js'
import { defaultConfig } from '../../node/config.js'
import { type ClaimRow, readClaims } from '../demo/claims.js'
import { AMOUNT_BITS, CLAIM_MAX, planMoney } from '../demo/money.js'
import { castGroups, draw, play } from '../demo/orchestrate.js'
import { Progress } from '../demo/progress.js'
import { exitOf, lastWords, type Outcome, summary } from '../demo/report.js'
import { openSandbox } from '../demo/sandbox.js'
import { Stage } from '../demo/stage.js'
import { readInput } from '../directory.js'
import { EXIT, VerbExit } from '../exit.js'
import { untilStopped } from '../signals.js'
import { type CommonOptions, integer, outputOf, verb } from '../verb.js'

interface DemoOptions extends CommonOptions {
  readonly csv: string
  readonly keep?: true
  readonly dir?: string
  readonly keyBits: number
  readonly nodesPerProcess?: number
}

const NOTICED_MS = 1_000
const CLAIMS = fileURLToPath(new URL('data/claims.csv', ROOT))

export const demoVerb = (): Command =>
  verb('demo', 'pay a file of claims through a hub, settle on the ledger, reconcile, search for leaked amounts')
    .option('--csv <file>', 'encounters, in the columns of Synthea', CLAIMS)
    .option('--keep', 'stay up afterwards, as a sandbox with a funded account, until Ctrl-C')
    .option('--dir <directory>', 'work there and leave it (default: a temporary one, removed at the end)')
    .option('--key-bits <bits>', 'Paillier keys: 2048, 3072, or 1024 for a quick look', keyBits, 2048)
    .option('--nodes-per-process <count>', 'at least so many nodes in a process', integer(1, 1_000))
    .action(demo)

async function demo(options: DemoOptions): Promise<void> {
  const out = outputOf(options)
  const rows = await readRows(options.csv)
  const plan = planMoney(rows, defaultConfig(AMOUNT_BITS).policy, draw)
  const interrupt = new AbortController()
  const progress = new Progress(out.json ? process.stderr : process.stdout, interrupt.signal)
  ignoreRepeats()
  const interrupted = untilStopped().then(() => interrupt.abort())
  const stage = await Stage.create({ dir: options.dir, keyBits: options.keyBits })
  let kept = true // whatever goes wrong is left to be looked at
  try {
    progress.say(
      `${plan.counts.claims} claims, ${plan.counts.covered} covered; ${plan.payers.length} payers and ` +
        `${plan.hospitals.length} hospitals, a canary of each kind included; ${options.keyBits}-bit keys; ${stage.dir}\n` +
        "every byte between two processes goes through a recording relay; the operators' API on loopback alone does not",
    )
    const groups = castGroups(plan, options.nodesPerProcess)
    const ended = interrupted.then(() => 'interrupted' as const)
    const outcome = await Promise.race([
      play(stage, plan, groups, progress).catch((error: unknown) => causeOf(error, stage)),
      stage.processes.crashed,
      ended,
    ])
    if (outcome === 'interrupted') {
      kept = false
      throw new VerbExit(EXIT.checkFailed, 'interrupted: nothing was reconciled')
    }
    const exit = exitOf(outcome)
    kept = options.keep === true || exit === EXIT.checkFailed
    conclude(outcome, out.json, progress)
    if (exit === EXIT.checkFailed) progress.say(`left to be looked at: ${stage.dir}`)
    else if (options.keep === true) await keepUp(stage, progress, ended)
    if (exit !== EXIT.done) throw new VerbExit(exit, '')
  } finally {
    interrupt.abort()
    await stage.end(kept)
  }
}

/** `npm start` passes on the Ctrl-C that the terminal sent here as well: the second one must not end the tidying up. */
function ignoreRepeats(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined)
}

/** A call that failed because its process is gone is told by the process's end, which may be noticed a moment later. */
async function causeOf(error: unknown, stage: Stage): Promise<never> {
  await Promise.race([stage.processes.crashed, pause(NOTICED_MS)])
  throw error
}

async function readRows(path: string): Promise<readonly ClaimRow[]> {
  const bytes = await readInput(path)
  return bytes.length === 0 ? [] : need(readClaims(bytes, { limitMinor: CLAIM_MAX }))
}

async function keepUp(stage: Stage, progress: Progress, ended: Promise<unknown>): Promise<void> {
  const walk = await Promise.race([openSandbox(stage, progress), stage.processes.crashed, ended])
  if (typeof walk !== 'string') return
  progress.say(walk)
  await Promise.race([ended, stage.processes.crashed])
}

/** The JSON object is the last line of standard output. */
function conclude(outcome: Outcome, json: boolean, progress: Progress): void {
  progress.say(lastWords(outcome))
  if (json) outputOf({ json: true }).print('', summary(outcome))
}

function keyBits(text: string): number {
  const bits = Number(text)
  if ([1024, 2048, 3072].includes(bits)) return bits
  throw new InvalidArgumentError('2048 or 3072, or 1024 to try it out')
}
