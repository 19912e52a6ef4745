package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
)

// within bounds whatever Kafka or the pipeline has to answer.
const within = 15 * time.Second

// Pipeline publishes records and reads outcomes and replies.
type Pipeline struct {
	Outcomes chan Outcome
	Replies  chan Reply
	Failed   chan error // reading ended

	id       string      // of the verification that it is about
	prefix   string      // [kafka] topic_prefix of the deployment
	schemas  string      // the folder of the .avsc files
	client   *kgo.Client // our records; outcomes and replies
	table    *kgo.Client // verification.schemas
	writers  map[uint64]string
	decoders map[uint64]*avro.Schema
}

// Outcome has the fields of a VerificationOutcome that are used here; the others are skipped.
type Outcome struct {
	ID       string  `avro:"verification_id"`
	Version  int64   `avro:"version"`
	State    string  `avro:"state"`
	IsFinal  bool    `avro:"is_final"`
	Reason   *string `avro:"reason"`
	Provider *string `avro:"provider"`
}

// Reply has the fields of a Reply that are used here.
type Reply struct {
	RequestID  string `avro:"request_id"`
	ID         string `avro:"verification_id"`
	Kind       string `avro:"kind"`
	Reason     string `avro:"reason"`
	ChecksLeft int    `avro:"checks_left"`
	RetryAt    *int64 `avro:"retry_at"`
}

// Open begins to read what is said of one verification.
func Open(ctx context.Context, id string) (*Pipeline, error) {
	p := &Pipeline{
		Outcomes: make(chan Outcome, 100), Replies: make(chan Reply, 100), Failed: make(chan error, 1),
		id: id, prefix: os.Getenv("TOPIC_PREFIX"), schemas: cmp.Or(os.Getenv("SCHEMAS"), "../../../../schemas"),
		writers: map[uint64]string{}, decoders: map[uint64]*avro.Schema{},
	}
	brokers := kgo.SeedBrokers(strings.Split(cmp.Or(os.Getenv("KAFKA"), "127.0.0.1:9092"), ",")...)
	var err error
	if p.client, err = kgo.NewClient(brokers,
		// What has to be set elsewhere is the default here: acks of all in-sync replicas, idempotence, keys by murmur2.
		kgo.RecordDeliveryTimeout(within),
		// No group: each process reads all partitions, from a minute ago, as it is the brokers' clocks that count.
		kgo.ConsumeTopics(p.prefix+"verification.outcomes", p.prefix+"verification.replies"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(time.Now().Add(-time.Minute).UnixMilli())),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), // what an aborted transaction wrote is not true
	); err != nil {
		return nil, err
	}
	if p.table, err = kgo.NewClient(brokers, kgo.ConsumeTopics(p.prefix+"verification.schemas"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())); err != nil {
		p.client.Close()
		return nil, err
	}
	go func() { p.Failed <- p.follow(ctx) }()
	return p, nil
}

// Close closes the connections.
func (p *Pipeline) Close() {
	p.client.Close()
	p.table.Close()
}

// Publish returns when Kafka has the record, and before it the schema, without which nobody could read it.
func (p *Pipeline) Publish(ctx context.Context, topic, key, name string, fields map[string]any) error {
	schema, text, err := p.ours(name)
	if err != nil {
		return err
	}
	// C3 01, the fingerprint in little-endian order, the Avro body; fields left out get the schema's defaults.
	value, err := schema.AppendSingleObject(nil, fields)
	if err != nil {
		return err
	}
	// The key of a schema is the same fingerprint, most significant digit first: the order in which Go writes a hash.
	fingerprint := fmt.Sprintf("%x", schema.Fingerprint(avro.NewRabin()))
	for _, record := range []*kgo.Record{
		{Topic: p.prefix + "verification.schemas", Key: []byte(fingerprint), Value: []byte(text)}, // once would do
		{Topic: p.prefix + topic, Key: []byte(key), Value: value},
	} {
		if err := p.client.ProduceSync(ctx, record).FirstErr(); err != nil {
			return fmt.Errorf("Kafka did not take the record for %s: %w", record.Topic, err)
		}
	}
	return nil
}

// follow reads outcomes and replies until something fails.
func (p *Pipeline) follow(ctx context.Context) error {
	for {
		fetches := p.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("cannot read from Kafka: %w", err)
		}
		for records := fetches.RecordIter(); !records.Done(); {
			record := records.Next()
			var outcome Outcome
			var reply Reply
			var err error
			if record.Topic == p.prefix+"verification.replies" {
				err = p.decode(ctx, record.Value, "Reply", &reply)
			} else {
				err = p.decode(ctx, record.Value, "VerificationOutcome", &outcome)
			}
			if err != nil {
				return fmt.Errorf("%s, partition %d, offset %d: %w", record.Topic, record.Partition, record.Offset, err)
			}
			if reply.ID == p.id {
				p.Replies <- reply
			} else if outcome.ID == p.id {
				p.Outcomes <- outcome
			}
		}
	}
}

// decode reads a record with the schema it was written with, which its first ten bytes name, into what ours says.
func (p *Pipeline) decode(ctx context.Context, value []byte, name string, into any) error {
	bytes, _, err := avro.SingleObjectFingerprint(value)
	if err != nil {
		return err
	}
	fingerprint := binary.LittleEndian.Uint64(bytes[:])
	if p.decoders[fingerprint] == nil {
		text, err := p.writer(ctx, fingerprint)
		if err != nil {
			return err
		}
		writer, err := avro.Parse(text)
		if err != nil {
			return err
		}
		reader, _, err := p.ours(name)
		if err != nil {
			return err
		}
		if p.decoders[fingerprint], err = avro.Resolve(writer, reader); err != nil {
			return err
		}
	}
	_, err = p.decoders[fingerprint].DecodeSingleObject(value, into, avro.SkipUnknown())
	return err
}

// writer finds a schema. It was published before the first record that uses it, so reading on finds it.
func (p *Pipeline) writer(ctx context.Context, fingerprint uint64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for p.writers[fingerprint] == "" {
		fetches := p.table.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return "", fmt.Errorf("no schema %016x: %w", fingerprint, err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if number, err := strconv.ParseUint(string(record.Key), 16, 64); err == nil {
				p.writers[number] = string(record.Value)
			}
		})
	}
	return p.writers[fingerprint], nil
}

func (p *Pipeline) ours(name string) (*avro.Schema, string, error) {
	text, err := os.ReadFile(filepath.Join(p.schemas, name+".avsc"))
	if err != nil {
		return nil, "", err
	}
	schema, err := avro.Parse(string(text))
	return schema, string(text), err
}
