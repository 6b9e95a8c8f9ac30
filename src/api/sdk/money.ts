import { type Amount, formatDecimal, parseDecimal } from '../../base/amount.js'
import { need } from '../../chain-adapter/need.js'

/** `usd('1241.22')` is 124122n: exactly two decimals, no float on the way. @throws MeridianError `bad_amount` with the mend */
export const usd = (text: string): Amount => need(parseDecimal(text))

/** The exact inverse: `formatUsd(124122n)` is `1241.22`. */
export const formatUsd = (minor: bigint): string => formatDecimal(minor as Amount)
