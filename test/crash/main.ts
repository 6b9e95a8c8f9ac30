/** `npm run crash`: `--simulate` runs whole networks under one seed in this process; everything else real processes. */
import { processes } from './processes/main.js'
import { simulate } from './simulate/main.js'

const args = process.argv.slice(2)
const simulated = args.filter((arg) => arg !== '--simulate')
process.exit(await (simulated.length < args.length ? simulate(simulated) : processes(args)))
