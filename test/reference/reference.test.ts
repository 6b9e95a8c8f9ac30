/** The references say what the code says, and the guides name only what there is. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { Command } from 'commander'
import t from 'tap'
import { ROOT } from '../../src/base/root.js'
import { moreSettings } from '../../src/cli/config.js'
import { group } from '../../src/cli/verb.js'
import { loadVerbs } from '../../src/cli/verbs/index.js'
import { references } from './reference.js'

t.test('references do not drift', (t) => {
  const made = references()
  for (const [name, text] of Object.entries(made)) {
    const file = new URL(`docs/reference/${name}`, ROOT)
    t.ok(existsSync(file) && readFileSync(file, 'utf8') === text, `docs/reference/${name}: npm run docs`)
    t.notMatch(text, /\| (any|undefined) \||\[object/, `${name}: every field has a type`)
  }
  t.same(readdirSync(new URL('docs/reference/', ROOT)).sort(), Object.keys(made).sort(), 'and there are no others')
  t.end()
})

/** Lines of shell blocks that call us. */
const commandsOf = (text: string): string[] =>
  [...text.matchAll(/^```sh\n(.*?)^```/gms)]
    .flatMap(([, block]) => block!.split('\n'))
    .filter((line) => line.startsWith('meridian '))

const optionNames = (command: Command): string[] =>
  command.options.flatMap(({ long, short }) => [long, short]).filter((name) => name !== undefined && name !== null)

t.test('guides: five users, each command with options that it has', async (t) => {
  const root = group('meridian', 'about', await loadVerbs(undefined))
  const names = ['auditor', 'hospital', 'hub', 'load-tester', 'watchtower']
  t.same(
    readdirSync(new URL('docs/guides/', ROOT)).sort(),
    names.map((name) => `${name}.md`),
  )
  let seen = 0
  for (const name of names) {
    for (const line of commandsOf(readFileSync(new URL(`docs/guides/${name}.md`, ROOT), 'utf8'))) {
      const words = line.split(/\s+/).slice(1)
      let command = root
      for (const word of words) {
        const inner = command.commands.find((one) => one.name() === word)
        if (inner === undefined) break
        command = inner
      }
      if (command === root || command.commands.length > 0) t.fail(`${name}: ${line}`)
      for (const flag of words.filter((word) => word.startsWith('--'))) {
        if (!optionNames(command).includes(flag)) t.fail(`${name}: ${flag} in ${line}`)
      }
      for (const setting of line.matchAll(/--set (\S+)/g)) moreSettings(setting[1]!)
      seen += 1
    }
  }
  t.ok(seen > 30, `${seen} commands`)
})
