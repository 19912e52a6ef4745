import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.avro.message.SchemaStore;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Publishes to the pipeline, and reads what it says of one verification. */
final class Pipeline implements AutoCloseable {
    /** For whatever Kafka or the pipeline has to answer. */
    static final Duration WITHIN = Duration.ofSeconds(15);

    private static final String KAFKA = System.getenv().getOrDefault("KAFKA", "127.0.0.1:9092");
    private static final String PREFIX = System.getenv().getOrDefault("TOPIC_PREFIX", "");
    private static final Path SCHEMAS = Path.of(System.getenv().getOrDefault("SCHEMAS", "../../../../schemas"));

    /** Outcomes of the verification as GenericRecord, and a RuntimeException when reading has ended. */
    final BlockingQueue<Object> events = new LinkedBlockingQueue<>();

    private final String id;
    private final KafkaProducer<String, byte[]> producer;
    private final KafkaConsumer<String, byte[]> consumer;
    private final Writers writers = new Writers();
    private final Map<String, CompletableFuture<GenericRecord>> asked = new ConcurrentHashMap<>();
    private final Thread reader = new Thread(this::follow, "pipeline");

    /** Returns once everything that is written from now on will be read. */
    Pipeline(String id) {
        this.id = id;
        // What has to be set elsewhere is the default here: acks of all in-sync replicas, idempotence, keys by murmur2.
        producer = new KafkaProducer<>(
            Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, KAFKA,
                ProducerConfig.MAX_BLOCK_MS_CONFIG, (int) WITHIN.toMillis(),
                ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, (int) WITHIN.toMillis(),
                ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, 5_000),
            new StringSerializer(), new ByteArraySerializer());
        consumer = everything("verification.outcomes", "verification.replies");
        consumer.seekToEnd(consumer.assignment());
        consumer.assignment().forEach(consumer::position); // seeking is lazy; this makes it happen before we publish
        reader.start();
    }

    /** Returns when Kafka has the record, and before it the schema, without which nobody could read it. */
    void publish(String topic, String key, String name, Map<String, Object> fields) {
        Schema schema = ours(name);
        var record = new GenericRecordBuilder(schema); // fields left out get the schema's defaults
        fields.forEach((field, value) -> record.set(field, value));
        try {
            // C3 01, the fingerprint in little-endian order, the Avro body.
            ByteBuffer encoded = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(record.build());
            byte[] value = Arrays.copyOf(encoded.array(), encoded.limit());
            // The key of a schema is the same fingerprint as 16 hex digits, most significant first. Once would do.
            String fingerprint = "%016x".formatted(SchemaNormalization.parsingFingerprint64(schema));
            byte[] text = Files.readAllBytes(file(name));
            producer.send(new ProducerRecord<>(PREFIX + "verification.schemas", fingerprint, text)).get();
            producer.send(new ProducerRecord<>(PREFIX + topic, key, value)).get();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (ExecutionException error) {
            throw new IllegalStateException("Kafka did not take the " + name + ": " + error.getCause().getMessage());
        } catch (InterruptedException error) {
            throw new IllegalStateException("interrupted");
        }
    }

    /**
     * Publishes a check or command and waits for the reply to it. The same id may be published again when in doubt: it
     * counts once and always gets the same reply.
     */
    GenericRecord ask(String requestId, String topic, String name, Map<String, Object> fields) throws Exception {
        var reply = new CompletableFuture<GenericRecord>();
        asked.put(requestId, reply);
        try {
            publish(topic, id, name, fields);
            return reply.get(WITHIN.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException error) {
            throw new IllegalStateException("no reply within " + WITHIN.toSeconds() + " s; is the pipeline running?");
        } finally {
            asked.remove(requestId);
        }
    }

    static Schema ours(String name) {
        try {
            return new Schema.Parser().parse(file(name).toFile());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    @Override
    public void close() throws InterruptedException {
        consumer.wakeup();
        reader.join();
        writers.table.close();
        producer.close(WITHIN);
    }

    private static Path file(String name) {
        return SCHEMAS.resolve(name + ".avsc");
    }

    private void follow() {
        var outcomes = new BinaryMessageDecoder<GenericRecord>(GenericData.get(), ours("VerificationOutcome"), writers);
        var replies = new BinaryMessageDecoder<GenericRecord>(GenericData.get(), ours("Reply"), writers);
        try (consumer) {
            while (true) {
                for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    boolean isReply = record.topic().equals(PREFIX + "verification.replies");
                    GenericRecord said = (isReply ? replies : outcomes).decode(record.value());
                    if (isReply) {
                        var reply = asked.get(said.get("request_id").toString());
                        if (reply != null) {
                            reply.complete(said);
                        }
                    } else if (said.get("verification_id").toString().equals(id)) {
                        events.add(said);
                    }
                }
            }
        } catch (WakeupException closed) {
            // by close()
        } catch (IOException | RuntimeException error) {
            events.add(new IllegalStateException("cannot read on: " + error.getMessage()));
        }
    }

    /** All partitions of these topics, in no group: each process reads everything, and keeps no positions. */
    private static KafkaConsumer<String, byte[]> everything(String... topics) {
        var consumer = new KafkaConsumer<>(
            Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, KAFKA,
                ConsumerConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, (int) WITHIN.toMillis(),
                ConsumerConfig.REQUEST_TIMEOUT_MS_CONFIG, 5_000,
                ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false,
                ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed"), // what an aborted transaction wrote is not true
            new StringDeserializer(), new ByteArrayDeserializer());
        consumer.assign(List.of(topics).stream()
            .flatMap(topic -> consumer.partitionsFor(PREFIX + topic).stream())
            .map(each -> new TopicPartition(each.topic(), each.partition()))
            .toList());
        return consumer;
    }

    /** The schemas on verification.schemas, which Avro asks for by the fingerprint in front of a record. */
    private static final class Writers implements SchemaStore {
        private final Map<Long, Schema> known = new HashMap<>();
        private final KafkaConsumer<String, byte[]> table = everything("verification.schemas");

        Writers() {
            table.seekToBeginning(table.assignment());
        }

        /** A schema was published before the first record that uses it, so reading on finds it. */
        @Override
        public Schema findByFingerprint(long fingerprint) {
            long late = System.nanoTime() + WITHIN.toNanos();
            while (!known.containsKey(fingerprint) && System.nanoTime() < late) {
                for (ConsumerRecord<String, byte[]> record : table.poll(Duration.ofMillis(500))) {
                    String text = new String(record.value(), StandardCharsets.UTF_8);
                    known.put(Long.parseUnsignedLong(record.key(), 16), new Schema.Parser().parse(text));
                }
            }
            return known.get(fingerprint); // null: Avro throws MissingSchemaException
        }
    }
}
