#!/usr/bin/env node
import { existsSync } from 'node:fs'

const entry = new URL('../dist/src/cli/main.js', import.meta.url)
if (existsSync(entry)) {
  // A reader that closes the pipe early (head, less) ends the program, as it ends any other.
  process.stdout.on('error', (error) => process.exit(error.code === 'EPIPE' ? 0 : 70))
  const { main } = await import(entry.href)
  process.exitCode = await main(process.argv.slice(2))
} else {
  process.stderr.write('meridian: not built yet. Run: npm run build\n')
  process.exitCode = 2
}
