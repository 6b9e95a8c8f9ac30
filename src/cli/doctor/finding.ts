/** One line of `doctor`. */
export interface Finding {
  readonly check: string
  readonly verdict: 'ok' | 'warn' | 'FAIL'
  readonly text: string
  /** The command, or the deed, that mends it; null where nothing needs mending. */
  readonly mend: string | null
  /** C8: a channel is in RECOVERY, or will be with the next start. */
  readonly recovery: boolean
}

export const fine = (check: string, text: string): Finding => ({
  check,
  verdict: 'ok',
  text,
  mend: null,
  recovery: false,
})
export const doubt = (check: string, text: string, mend: string): Finding => ({
  check,
  verdict: 'warn',
  text,
  mend,
  recovery: false,
})
export const fault = (check: string, text: string, mend: string): Finding => ({
  check,
  verdict: 'FAIL',
  text,
  mend,
  recovery: false,
})
export const recovering = (check: string, text: string, mend: string): Finding => ({
  ...fault(check, text, mend),
  recovery: true,
})
