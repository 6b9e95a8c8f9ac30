/** How far a bench is: a bar on a terminal, a line a second elsewhere. */

export interface Screen extends NodeJS.WritableStream {
  readonly isTTY?: boolean
}

const BAR = 30
const LINE_MS = 1_000

export class Progress {
  #last = 0

  constructor(private readonly out: Screen) {}

  /** A step of the setting up, or a result. */
  say(text: string): void {
    if (this.out.isTTY) this.out.write('\r\x1b[K')
    this.out.write(`${text}\n`)
  }

  /** @param part from 0 to 1 */
  bar(label: string, part: number, done: number): void {
    if (this.out.isTTY) {
      const full = Math.round(Math.min(1, part) * BAR)
      this.out.write(`\r\x1b[K${label} [${'#'.repeat(full)}${' '.repeat(BAR - full)}] ${done}`)
      return
    }
    const now = performance.now()
    if (now - this.#last < LINE_MS * 0.9) return
    this.#last = now
    this.out.write(`${label}: ${Math.round(100 * Math.min(1, part))} %, ${done} done\n`)
  }
}
