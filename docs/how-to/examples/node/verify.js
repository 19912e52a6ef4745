// Verify a phone number or e-mail address with nothing but Kafka and Avro.

import { randomUUID } from 'node:crypto'
import { on } from 'node:events'
import { createInterface } from 'node:readline'
import { Pipeline, WITHIN } from './pipeline.js'

const USAGE = `usage: verify start RECIPIENT     then type the code, or resend, failover or cancel
       verify check ID CODE
       verify resend|failover ID [STEP]
       verify cancel ID`
const LIFE = 300 // of the code, in seconds; at its end the pipeline ends the verification itself

/** Asks for a verification and follows it to its end; each line typed meanwhile is a code or a command. */
async function start(pipeline, id, recipient) {
  const outcomes = on(pipeline, 'outcome', { signal: AbortSignal.timeout(LIFE * 1000 + WITHIN) })
  const request = { verification_id: id, recipient, brand: 'Example', expires_in_s: LIFE }
  await pipeline.publish('verification.requests', recipient, 'VerificationRequest', request)
  console.log('verification', id)
  let asked = Promise.resolve()
  createInterface({ input: process.stdin }).on('line', line => {
    const words = line.trim().split(/\s+/)
    if (!words[0]) return
    const question = ['resend', 'failover', 'cancel'].includes(words[0]) ? words : ['check', line.trim()]
    asked = asked.then(() => ask(pipeline, id, ...question)).catch(error => pipeline.emit('error', error))
  })
  for await (const [one] of outcomes) {
    console.log([`v${one.version}`, one.state, one.reason, one.provider].filter(Boolean).join(' '))
    if (one.is_final) {
      await asked // the outcome may be here before the reply
      return one.state === 'verified'
    }
    if (one.state !== 'pending') console.log('Code, or resend, failover, cancel:')
  }
}

/** Publishes a check or command and prints the reply to it. The same id may be published again when in doubt: it counts
 *  once and always gets the same reply. */
async function ask(pipeline, id, action, argument) {
  const requestId = randomUUID()
  const replies = on(pipeline, 'reply', { signal: AbortSignal.timeout(WITHIN) })
  if (action === 'check') {
    const check = { check_id: requestId, verification_id: id, code: argument }
    await pipeline.publish('verification.checks', id, 'CodeCheck', check)
  } else {
    const command = { command_id: requestId, verification_id: id, action }
    if (argument !== undefined) command.step_index = Number(argument)
    await pipeline.publish('verification.commands', id, 'Command', command)
  }
  for await (const [reply] of replies) {
    if (reply.request_id !== requestId) continue
    if (reply.kind === 'check') console.log(`${reply.reason}, ${reply.checks_left} checks left`)
    else if (reply.retry_at) console.log(`${reply.reason} until ${new Date(reply.retry_at).toISOString()}`)
    else console.log(reply.reason)
    return true
  }
}

async function main(action, ...rest) {
  const shape = { start: [1, 1], check: [2, 2], resend: [1, 2], failover: [1, 2], cancel: [1, 1] }[action]
  if (!shape || rest.length < shape[0] || rest.length > shape[1]) throw new Error(USAGE)
  if (action !== 'check' && rest[1] !== undefined && !/^\d+$/.test(rest[1])) throw new Error(USAGE)
  // The id is the idempotency key: the same request published again changes nothing.
  const id = action === 'start' ? randomUUID() : rest[0]
  const pipeline = new Pipeline(id)
  try {
    await pipeline.open()
    return action === 'start' ? await start(pipeline, id, rest[0]) : await ask(pipeline, id, action, rest[1])
  } finally {
    await pipeline.close()
  }
}

main(...process.argv.slice(2)).then(
  done => process.exit(done ? 0 : 1),
  error => {
    const why = error.errors?.at(-1)?.message // of a call to Kafka that was tried several times
    console.error(error.name === 'AbortError' ? 'no answer in time; is the pipeline running?' : (why ?? error.message))
    process.exit(1)
  }
)
