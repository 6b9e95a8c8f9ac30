/** The visible steps of the demo: what is being done, how far, since when. */
import { performance } from 'node:perf_hooks'
import { EXIT, VerbExit } from '../exit.js'

const LINE_MS = 3_000

export class Progress {
  readonly #start = performance.now()
  readonly #ended: AbortSignal

  constructor(
    private readonly out: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number },
    ended: AbortSignal,
  ) {
    this.#ended = ended
  }

  /** Seconds since the beginning, for people. */
  get elapsed(): string {
    return ((performance.now() - this.#start) / 1_000).toFixed(1)
  }

  say(text: string): void {
    this.out.write(`${text}\n`)
  }

  /**
   * Runs one step. `work` tells how far it is; the last word is its line with the time.
   * @throws VerbExit where the demo was ended meanwhile: no further step begins.
   */
  async step<T>(title: string, work: (tell: (how: string) => void) => Promise<T>): Promise<T> {
    if (this.#ended.aborted) throw new VerbExit(EXIT.checkFailed, 'the demo was interrupted')
    let how = ''
    let shown = performance.now()
    const line = () => `[${this.elapsed.padStart(6)} s] ${title}${how === '' ? '' : `: ${how}`}`
    // A line that wraps could not be written over.
    const rewrite = () => this.out.write(`\r\x1b[K${line().slice(0, (this.out.columns ?? 80) - 1)}`)
    if (this.out.isTTY) rewrite()
    const result = await work((text) => {
      how = text
      if (this.#ended.aborted) return
      if (this.out.isTTY) rewrite()
      else if (performance.now() - shown > LINE_MS) {
        shown = performance.now()
        this.say(`${line()} …`)
      }
    })
    this.out.write(`${this.out.isTTY ? '\r\x1b[K' : ''}${line()}\n`)
    return result
  }
}
