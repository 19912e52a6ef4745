// Avro's single-object encoding on avsc, which has the types but neither the frame nor this fingerprint.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import avsc from 'avsc'

const FOLDER = process.env.SCHEMAS ?? join(import.meta.dirname, '../../../../schemas')
const MAGIC = Buffer.from([0xc3, 0x01])

/** CRC-64-AVRO of a schema's Parsing Canonical Form, which is what avsc makes of schema(). */
function fingerprintOf(type) {
  const empty = 0xc15d213aa4d7a795n
  let crc = empty
  for (const byte of Buffer.from(JSON.stringify(type.schema()))) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ (crc & 1n ? empty : 0n)
  }
  return crc
}

/** The key of a schema on verification.schemas: 16 hex digits of the number, most significant first. */
const keyOf = fingerprint => fingerprint.toString(16).padStart(16, '0')

/** One of the schemas that the pipeline comes with. */
export class Schema {
  #type
  #fingerprint
  #resolvers = new Map() // from writers' schemas to this one, by key

  constructor(name) {
    this.text = readFileSync(join(FOLDER, `${name}.avsc`), 'utf8')
    this.#type = avsc.Type.forSchema(JSON.parse(this.text))
    this.#fingerprint = fingerprintOf(this.#type)
    this.key = keyOf(this.#fingerprint)
  }

  /** C3 01, the fingerprint in little-endian order, the body; fields left out get the schema's defaults. */
  encode(fields) {
    const fingerprint = Buffer.alloc(8)
    fingerprint.writeBigUInt64LE(this.#fingerprint)
    return Buffer.concat([MAGIC, fingerprint, this.#type.toBuffer(fields)])
  }

  /** A record, whatever version it was written with; writerOf finds the text of the schema of a key. */
  async decode(value, writerOf) {
    if (!value.subarray(0, 2).equals(MAGIC)) throw new Error('not a single-object encoding')
    const key = keyOf(value.readBigUInt64LE(2))
    if (!this.#resolvers.has(key)) {
      this.#resolvers.set(key, this.#type.createResolver(avsc.Type.forSchema(JSON.parse(await writerOf(key)))))
    }
    return this.#type.fromBuffer(value.subarray(10), this.#resolvers.get(key))
  }
}
