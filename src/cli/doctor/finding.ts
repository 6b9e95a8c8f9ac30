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

/** C11: not a close, and no exit: a stopped channel takes neither, and a restart leaves it so. */
export const mendStopped = (dir: string, channel: string): string =>
  `install a version that mends it, stop the node, then: meridian channel resume ${channel} --dir ${dir}; meridian start --dir ${dir}`

export const stoppedAtDefect = (dir: string, channel: string, clause: string): Finding =>
  fault(
    'channel',
    `${channel}: stopped at ${clause}, a defect of this program; it only defends itself`,
    mendStopped(dir, channel),
  )
