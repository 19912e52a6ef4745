// Publish to the pipeline, and read what it says of one verification.

import { EventEmitter, once } from 'node:events'
import { randomUUID } from 'node:crypto'
import * as kafka from '@platformatic/kafka'
import { Schema } from './avro.js'

/** Milliseconds that whatever Kafka or the pipeline has to answer may take. */
export const WITHIN = 15_000

const PREFIX = process.env.TOPIC_PREFIX ?? ''
const CLIENT = {
  clientId: 'shop',
  bootstrapBrokers: (process.env.KAFKA ?? '127.0.0.1:9092').split(','),
  timeout: WITHIN,
  connectTimeout: 5_000
}

/** Emits 'outcome' and 'reply' with what is said of the verification, and 'error' when reading has ended. */
export class Pipeline extends EventEmitter {
  #producer = new kafka.Producer({
    ...CLIENT,
    idempotent: true, // with the acknowledgement of all in-sync replicas
    serializers: { key: kafka.stringSerializer },
    // Keys are placed by murmur2 without its sign bit, as Java does. The default of this client keeps that bit, so half
    // of the keys would lie elsewhere (unless the number of partitions is a power of two), which costs them a hop.
    partitioner: kafka.compatibilityPartitioner
  })
  #consumers = []
  #writers = new Map() // the schemas on the topic so far, by key
  #table = new EventEmitter().setMaxListeners(0)
  #id

  constructor(id) {
    super()
    this.#id = id
  }

  /** Returns once everything that is written from now on will be read. */
  async open() {
    const { EARLIEST, LATEST } = kafka.ListOffsetTimestamps
    await this.#follow(['verification.schemas'], EARLIEST, message => {
      this.#writers.set(message.key.toString(), message.value.toString())
      this.#table.emit(message.key.toString())
    })
    const outcome = new Schema('VerificationOutcome')
    const reply = new Schema('Reply')
    await this.#follow(['verification.outcomes', 'verification.replies'], LATEST, async message => {
      const [event, schema] = message.topic.endsWith('.replies') ? ['reply', reply] : ['outcome', outcome]
      const record = await schema.decode(message.value, key => this.#writer(key))
      if (record.verification_id === this.#id) this.emit(event, record)
    })
  }

  async close() {
    await Promise.all([this.#producer, ...this.#consumers].map(client => client.close(true)))
  }

  /** Returns when Kafka has the record, and before it the schema, without which nobody could read it. */
  async publish(topic, key, name, fields) {
    const schema = new Schema(name)
    const messages = [
      { topic: `${PREFIX}verification.schemas`, key: schema.key, value: Buffer.from(schema.text) }, // once would do
      { topic: PREFIX + topic, key, value: schema.encode(fields) }
    ]
    for (const message of messages) await this.#producer.send({ messages: [message] })
  }

  /** Hands each record of these topics to `take`, one after the other. */
  async #follow(topics, from, take) {
    // Each process reads all partitions: it is in a group of its own, which keeps no positions.
    const consumer = new kafka.Consumer({ ...CLIENT, groupId: `shop-${randomUUID()}` })
    this.#consumers.push(consumer)
    topics = topics.map(topic => PREFIX + topic)
    const offsets = []
    for (const [topic, partitions] of await consumer.listOffsets({ topics, timestamp: from })) {
      partitions.forEach((offset, partition) => offsets.push({ topic, partition, offset }))
    }
    const stream = await consumer.consume({
      topics,
      mode: kafka.MessagesStreamModes.MANUAL,
      offsets,
      autocommit: false,
      maxWaitTime: 500,
      isolationLevel: kafka.FetchIsolationLevels.READ_COMMITTED // what an aborted transaction wrote is not true
    })
    const read = async () => {
      for await (const message of stream) await take(message)
    }
    read().catch(error => this.emit('error', error))
  }

  /** A schema. It was published before the first record that uses it, so it is there or about to be read. */
  async #writer(key) {
    if (!this.#writers.has(key)) await once(this.#table, key, { signal: AbortSignal.timeout(WITHIN) })
    return this.#writers.get(key)
  }
}
