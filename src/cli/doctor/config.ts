/** What the configuration means for safety, and whether its log can be written. */
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CONFIG_NAMES, type Config } from '../config-table.js'
import { doubt, type Finding, fault, fine } from './finding.js'

const LOG_BYTES_MANY = 1_073_741_824
const DAY_S = 86_400
const LOOPBACK = /^(localhost|127\.|::1$)/

export async function configChecks(dir: string, config: Config): Promise<Finding[]> {
  const path = join(dir, 'config.json')
  const findings = [
    fine('config', `${path}, environment and defaults: ${CONFIG_NAMES.length} keys, each within its bounds`),
  ]
  if (!LOOPBACK.test(config.api_host)) {
    const text = `the API listens on ${config.api_host} in plain HTTP: tokens can be read on the way`
    findings.push(doubt('config', text, `"api_host": "127.0.0.1" in ${path}, and a proxy with TLS`))
  }
  if (config.absent_s < DAY_S) {
    const text = `absent_s is ${config.absent_s}: an outage of a peer that long closes its channels`
    findings.push(doubt('config', text, `"absent_s": 604800 in ${path}`))
  }
  if (config.role === 'hub' && config.towers.length > 0 && config.tower_receipts_required === 0) {
    const text = 'no tower has to sign before a payment goes on: what it lacks at a crash, it cannot defend'
    findings.push(doubt('config', text, `"tower_receipts_required": 1 in ${path}`))
  }
  if (config.log_file !== '-') findings.push(await logCheck(config.log_file ?? join(dir, 'node.log')))
  return findings
}

async function logCheck(path: string): Promise<Finding> {
  const size = await stat(path).then(
    ({ size }) => size,
    () => undefined, // the first start makes it
  )
  const writable = await access(size === undefined ? dirname(path) : path, constants.W_OK).then(
    () => true,
    () => false,
  )
  if (!writable) return fault('log', `${path} cannot be written`, `chown this user ${path}, or another "log_file"`)
  if ((size ?? 0) < LOG_BYTES_MANY) return fine('log', `${path} can be written`)
  return doubt('log', `${path} has ${size} bytes`, 'logrotate with copytruncate (docs/guides/hub.md)')
}
