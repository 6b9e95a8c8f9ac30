/** Run by power.test.ts under the shim: one of each change, synced or not, and then the power goes. */
import {
  appendFileSync,
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

const dir = process.argv[2]!
const path = (name: string): string => join(dir, name)

function change(name: string, flags: string, act: (fd: number) => void, synced: boolean): void {
  const fd = openSync(path(name), flags)
  act(fd)
  if (synced) fsyncSync(fd)
  closeSync(fd)
}
const put = (name: string, text: string) => change(name, 'w', (fd) => writeSync(fd, text), true)
const syncNames = () => {
  const fd = openSync(dir, 'r')
  fsyncSync(fd)
  closeSync(fd)
}

for (const name of ['appended', 'overwritten', 'cut-off', 'emptied', 'replaced', 'removed', 'moved', 'kept'])
  put(name, name)
mkdirSync(path('made-before'))
syncNames()
put('kept', 'kept and synced')
change('kept', 'r+', (fd) => writeSync(fd, 'K', 0), true)
appendFileSync(path('appended'), ' and lost')
change('overwritten', 'r+', (fd) => writeSync(fd, 'XXXX', 2), false)
change('overwritten', 'r+', (fd) => writeSync(fd, 'YYYY', 4), false)
change('cut-off', 'r+', (fd) => ftruncateSync(fd, 2), false)
writeFileSync(path('emptied'), 'new')
put('draft', 'synced, but its name is not')
renameSync(path('draft'), path('replaced'))
renameSync(path('moved'), path('moved-away'))
unlinkSync(path('removed'))
put('created', 'synced, but its name is not')
mkdirSync(path('made'))
put('made-before/inside', 'its directory is durable, its name is not')
unlinkSync(path('created'))
writeFileSync(path('power-cut'), '')
process.stdout.write('the power did not go\n')
