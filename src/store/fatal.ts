import { writeSync } from 'node:fs'
import type { MeridianError } from '../base/errors.js'

/** Told once about the write error that ended a store or a high-water file. */
export type OnFatal = (error: MeridianError) => void

/** sysexits' EX_IOERR: the disk failed, the program did not. */
export const FATAL_EXIT_CODE = 74

/** S2: nobody goes on beside a disk that refused a write. Synchronous: no further line of the program runs. */
export const endProcess: OnFatal = (error) => {
  try {
    writeSync(2, `meridian: FATAL ${error.message}\n`)
  } finally {
    process.exit(FATAL_EXIT_CODE)
  }
}
