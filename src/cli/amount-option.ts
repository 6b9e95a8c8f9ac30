import { InvalidArgumentError } from 'commander'
import { type Amount, parseDecimal } from '../base/amount.js'

/** For `.option('--amount <decimal>', ..., amountOption)`: exactly two decimals; the mend is shown otherwise. */
export function amountOption(text: string): Amount {
  const parsed = parseDecimal(text)
  if (parsed.ok) return parsed.value
  throw new InvalidArgumentError(parsed.error.detail ?? 'below 2^64 minor units')
}
