"""A service that knows Kafka, Avro and ``schemas/*.avsc``, and not one line of this package.

librdkafka with everything at its default (so keys are placed by CRC32 and null keys anywhere), fastavro for the bytes,
single-object framing by hand: what any team in any language would do from the documentation alone.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaError, Message, Producer

from tests.acceptance.found import Found, Letter, Seen, Sent
from tests.acceptance.plain_avro import Fields, Schema
from tests.acceptance.reading import Reading

T = TypeVar("T")


class Stranger:
    """Publishes requests, checks and commands, and follows what comes back."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._prefix = prefix
        self._reading = Reading(bootstrap, prefix)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "linger.ms": 1,
                "message.max.bytes": 1_048_588,
                "log_level": 3,
            }
        )
        self._writers: dict[bytes, Schema] = {}
        self._readers = {name: Schema.of(name) for name in ("VerificationOutcome", "Reply", "DeadLetter")}
        self.request_schema = Schema.of("VerificationRequest")
        self.check_schema = Schema.of("CodeCheck")
        self.command_schema = Schema.of("Command")
        self.published: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """Content of every request by its id."""
        self.typed: dict[str, str | None] = {}
        """Codes by the ids of their checks."""
        self.found = Found()
        """All that was read so far; it grows while one looks."""
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._stopping = threading.Event()
        for record in self.read("verification.schemas", committed=True):
            if record.value is not None:
                schema = Schema(record.value.decode())
                self._writers[schema.frame] = schema
        self._reader = threading.Thread(target=self._follow, name="stranger", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Stop reading; raises what the reader met."""
        self._stopping.set()
        self._reader.join(10)
        self._producer.flush(10)
        self._producer.close()
        if self._failure is not None:
            raise self._failure

    # --- publishing ----------------------------------------------------------------------------------------------

    def publish_schema(self, schema: Schema) -> None:
        """As the contract asks: before the first record that was written with it."""
        self.produce("verification.schemas", schema.text.encode(), key=schema.key.encode())
        self.flush()

    def produce(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Mapping[str, bytes] | None = None,
    ) -> Sent:
        """Any bytes to any topic; without ``partition`` librdkafka's default partitioner decides."""
        sent = Sent(topic)

        def delivered(error: KafkaError | None, message: Message) -> None:
            assert error is None, f"{topic}: {error}"
            sent.partition, sent.offset = int(message.partition() or 0), int(message.offset() or 0)

        place: dict[str, Any] = {} if partition is None else {"partition": partition}
        self._producer.produce(
            self._prefix + topic, value, key, headers=dict(headers or {}), on_delivery=delivered, **place
        )
        self._producer.poll(0)
        return sent

    def flush(self) -> None:
        """Wait until the broker has everything."""
        assert self._producer.flush(30) == 0, "the broker did not take everything in time"

    def request(
        self,
        *,
        schema: Schema | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        bulk: bool = False,
        **fields: Any,
    ) -> str:
        """Publish one request; returns its id, a fresh one unless given."""
        fields.setdefault("verification_id", new_id())
        fields.setdefault("expires_in_s", 30)
        self.published[fields["verification_id"]].append(fields)
        topic = "verification.requests.bulk" if bulk else "verification.requests"
        self.produce(topic, (schema or self.request_schema).write(fields), key=key, partition=partition)
        return str(fields["verification_id"])

    def check(
        self,
        verification_id: str,
        code: str | None = None,
        *,
        schema: Schema | None = None,
        key: bytes | None = None,
        **fields: Any,
    ) -> str:
        """Publish a typed code; returns the check id, a fresh one unless given."""
        fields |= {"verification_id": verification_id, "code": code}
        fields.setdefault("check_id", new_id())
        self.typed[fields["check_id"]] = code
        self.produce("verification.checks", (schema or self.check_schema).write(fields), key=key)
        return str(fields["check_id"])

    def command(self, verification_id: str, action: str) -> str:
        """Publish ``resend``, ``failover`` or ``cancel``; returns the command id."""
        command_id = new_id()
        fields = {"command_id": command_id, "verification_id": verification_id, "action": action}
        self.produce("verification.commands", self.command_schema.write(fields), key=verification_id.encode())
        return command_id

    # --- reading -------------------------------------------------------------------------------------------------

    def outcome(
        self,
        verification_id: str,
        until: Callable[[dict[str, Any]], bool] = lambda outcome: bool(outcome["is_final"]),
        *,
        within_s: float = 20.0,
    ) -> dict[str, Any]:
        """The first outcome for which ``until`` holds, by default the final one."""

        def look() -> dict[str, Any] | None:
            return next((one for one in self.found.outcomes.get(verification_id, ()) if until(one)), None)

        return self._wait(look, within_s, lambda: f"outcomes so far: {shown(self.history(verification_id))}")

    def final(self, ids: Iterable[str], *, within_s: float) -> dict[str, dict[str, Any]]:
        """The final outcomes of all of these."""
        wanted = set(ids)

        def look() -> dict[str, dict[str, Any]] | None:
            last = {one: self.found.outcomes[one][-1] for one in wanted if self.found.outcomes.get(one)}
            done = len(last) == len(wanted) and all(outcome["is_final"] for outcome in last.values())
            return last if done else None

        def missing() -> str:
            open_ = [one for one in wanted if not any(o["is_final"] for o in self.found.outcomes.get(one, ()))]
            return f"{len(open_)} of {len(wanted)} are open, such as {shown(self.history(open_[0]) if open_ else [])}"

        return self._wait(look, within_s, missing)

    def reply(self, request_id: str, *, within_s: float = 15.0) -> dict[str, Any]:
        """The first answer to a check or command."""
        return self.replies(request_id, 1, within_s=within_s)[0]

    def replies(self, request_id: str, count: int, *, within_s: float = 15.0) -> list[dict[str, Any]]:
        """The first ``count`` answers to a check or command."""

        def look() -> list[dict[str, Any]] | None:
            found = self.found.replies.get(request_id, [])
            return list(found[:count]) if len(found) >= count else None

        return self._wait(look, within_s, lambda: f"replies: {self.found.replies.get(request_id, [])}")

    def letter(self, sent: Sent, *, within_s: float = 15.0) -> Letter:
        """The one dead letter of a published record."""
        found = self._wait(lambda: self.letters(sent) or None, within_s, lambda: f"no dead letter for {sent}")
        assert len(found) == 1, found
        return found[0]

    def letters(self, sent: Sent) -> list[Letter]:
        """The dead letters so far that name this record's position."""
        place = (sent.topic, sent.partition, sent.offset)
        with self._changed:
            found = list(self.found.letters)
        return [one for one in found if (one.fields["topic"], one.fields["partition"], one.fields["offset"]) == place]

    def letters_of(self, verification_id: str) -> list[Letter]:
        """The dead letters so far that name this verification."""
        with self._changed:
            return [one for one in self.found.letters if one.fields["verification_id"] == verification_id]

    def history(self, verification_id: str) -> list[dict[str, Any]]:
        """Every outcome of a verification in the order of the log."""
        with self._changed:
            return list(self.found.outcomes.get(verification_id, ()))

    def wait(self, look: Callable[[], Any], *, within_s: float, what: str) -> Any:
        """Wait until ``look``, tried at each new record, returns something true."""
        return self._wait(lambda: look() or None, within_s, lambda: what)

    def read(self, *topics: str, committed: bool = False) -> list[Seen]:
        """Everything that these topics hold now; of aborted transactions too unless ``committed``."""
        return self._reading.read(*topics, committed=committed)

    def topics(self) -> list[str]:
        """All topics of the deployment, without prefix."""
        return self._reading.topics()

    def records(self, name: str, *topics: str) -> list[dict[str, Any]]:
        """All committed records of these topics, which hold ``name`` and nothing else."""
        reader = self._readers.setdefault(name, Schema.of(name))
        return [self._decode(record, reader) for record in self.read(*topics, committed=True)]

    def _wait(self, look: Callable[[], T | None], within_s: float, missing: Callable[[], str]) -> T:
        deadline = time.monotonic() + within_s
        while True:
            with self._changed:
                if self._failure is not None:
                    raise self._failure
                found = look()
                if found is not None:
                    return found
                left_s = deadline - time.monotonic()
                if left_s > 0:
                    self._changed.wait(min(left_s, 0.5))
                    continue
            raise AssertionError(f"not within {within_s:g} s; {missing()}")

    def _follow(self) -> None:
        try:
            consumer = self._reading.consumer(True)
            try:
                doors = ("verification.outcomes", "verification.replies", "verification.dead-letters")
                consumer.assign(self._reading.places(consumer, doors))
                while not self._stopping.is_set():
                    self._take(consumer.consume(1_000, timeout=0.1))
            finally:
                consumer.close()
        except BaseException as failure:
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def _take(self, messages: list[Message]) -> None:
        if not messages:
            return
        with self._changed:
            for message in messages:
                assert message.error() is None, message.error()
                record = Seen.of(message, self._prefix)
                if record.topic == "verification.outcomes":
                    outcome = self._decode(record, self._readers["VerificationOutcome"])
                    self.found.outcomes[outcome["verification_id"]].append(outcome)
                elif record.topic == "verification.replies":
                    reply = self._decode(record, self._readers["Reply"])
                    self.found.replies[reply["request_id"]].append(reply)
                else:
                    self.found.letters.append(Letter(self._decode(record, self._readers["DeadLetter"]), record))
            self._changed.notify_all()

    def _decode(self, record: Seen, reader: Schema) -> dict[str, Any]:
        assert record.value is not None
        return self._writers[record.value[:10]].read(record.value, reader)


def new_id() -> str:
    """A fresh id, as the contract recommends."""
    return str(uuid.uuid4())


def shown(history: Iterable[Fields]) -> str:
    """Outcomes in short, for messages."""
    return " > ".join(f"v{one['version']} {one['state']} {one['reason'] or ''} {attempts(one)}" for one in history)


def attempts(outcome: Fields) -> list[tuple[str, str, str]]:
    """Provider, result and status of each attempt."""
    return [(one["provider"], one["result"], one["status"]) for one in outcome["attempts"]]


def assert_exact(history: list[dict[str, Any]]) -> None:
    """Promise 3: versions 1, 2, 3 ... without gap or repeat, and the one final outcome is the last."""
    assert [one["version"] for one in history] == list(range(1, len(history) + 1)), shown(history)
    assert [one["is_final"] for one in history] == [False] * (len(history) - 1) + [True], shown(history)
