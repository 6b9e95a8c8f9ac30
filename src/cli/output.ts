/** What a verb prints: lines for people, or one JSON object a line (`--json`). Bigints become digit strings. */
export interface Output {
  readonly json: boolean
  /** `text` for people, `value` for programs. */
  print(text: string, value: Record<string, unknown>): void
  /** Progress and remarks: standard error, so that standard output stays parseable. */
  note(text: string): void
}

export function createOutput(json: boolean, stdout: NodeJS.WritableStream, stderr: NodeJS.WritableStream): Output {
  return {
    json,
    print(text, value) {
      stdout.write(json ? `${toJson(value)}\n` : `${text}\n`)
    },
    note(text) {
      stderr.write(`${text}\n`)
    },
  }
}

export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? item.toString() : item))

/** Columns padded to their widest cell: `account show`, `channel list`. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widthOf = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0))
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widthOf(column))).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}

/** Ledger seconds are UTC where the ledger's clock is the system's. */
export function timeText(seconds: number): string {
  const date = new Date(seconds * 1_000)
  return Number.isNaN(date.getTime()) ? `${seconds}` : `${seconds} (${date.toISOString()})`
}
