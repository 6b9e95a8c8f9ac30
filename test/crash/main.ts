/** `npm run crash`: `--simulate` runs whole networks under one seed in this process; everything else real processes. */
import { simulate } from './simulate/main.js'

const args = process.argv.slice(2)
if (!args.includes('--simulate')) throw new Error('--simulate --steps N --seed S')
process.exit(await simulate(args.filter((arg) => arg !== '--simulate')))
