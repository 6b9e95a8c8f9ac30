/**
 * `npm run crash`: `--simulate` runs whole networks under one seed in this process, `--every-step` one payment again and
 * again; everything else real processes.
 */
import { everyStepMain } from './every-step/main.js'
import { processes } from './processes/main.js'
import { simulate } from './simulate/main.js'

const args = process.argv.slice(2)
const RUNS = { '--simulate': simulate, '--every-step': everyStepMain }
const chosen = Object.entries(RUNS).find(([flag]) => args.includes(flag))
process.exit(await (chosen === undefined ? processes(args) : chosen[1](args.filter((arg) => arg !== chosen[0]))))
