"""``Idempotency-Key``: which keys are taken, what makes a request the same, and which answers are kept."""

from __future__ import annotations

from http import HTTPStatus

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response
from structlog.testing import capture_logs

from pipeline.errors import ReadModelUnavailable
from pipeline.gateway.caller import Caller
from pipeline.gateway.idempotency import IdempotencyKey, Once, read_key, retry_after_s
from pipeline.gateway.problems import HttpProblem, problem
from pipeline.model.fields import VERIFICATION_ID
from pipeline.model.keys import KeyRing
from pipeline.model.reasons import ProblemReason, ReplyReason
from pipeline.readmodel.ports import Begun
from pipeline.readmodel.view import rfc3339
from pipeline.testing.clock import ManualClock
from pipeline.testing.readmodel import MemoryReadModel

RING = KeyRing.for_tests()
CHECK = "/v1/verifications/v1/check"


def request(*keys: bytes, path: str = CHECK, method: str = "POST") -> Request:
    headers = [(b"idempotency-key", key) for key in keys]
    return Request({"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers})


def caller(tenant: str = "default") -> Caller:
    return Caller(name="shop", tenant=tenant, scopes=frozenset())


def key_of(key: str = "order-7", *, tenant: str = "default", path: str = CHECK, method: str = "POST") -> IdempotencyKey:
    found = read_key(request(key.encode(), path=path, method=method), caller(tenant), RING)
    assert found is not None
    return found


def test_without_the_header_there_is_no_key() -> None:
    assert read_key(request(), caller(), RING) is None


@pytest.mark.parametrize(
    "key",
    ["a", "order-7", "8e03978e-40d5-43dd-bc93-6894a57f9324", '"quoted"', "two words", "~" * 128, "4915112345678"],
)
def test_a_key_is_taken_as_it_is_and_becomes_the_id_of_a_check_or_command(key: str) -> None:
    assert key_of(key).key == key


def test_spaces_around_it_are_no_part_of_it() -> None:
    assert key_of("  order-7\t").key == "order-7"


@pytest.mark.parametrize(
    "keys",
    [
        (b"",),
        (b"   ",),
        (b"k" * 129,),
        (b"k" * 30_000,),
        ("schlüssel".encode(),),
        (b"\xff",),
        (b"a\x00b",),
        (b"a\tb",),
        (b"a\nb",),
        (b"a\x7fb",),
        (b"first", b"second"),
        (b"same", b"same"),
        (b"", b"same"),
        (b"+4915112345678",),
        (b"login +49 151 1234 5678",),
        (b"anna@example.org",),
    ],
)
def test_what_cannot_be_published_as_an_id_is_422_and_names_the_header(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(HttpProblem) as refused:
        read_key(request(*keys), caller(), RING)
    answer = refused.value.response()
    document = orjson.loads(bytes(answer.body))
    assert (answer.status_code, document["reason"]) == (422, "invalid_field")
    assert [error["field"] for error in document["errors"]] == ["Idempotency-Key"]
    for key in keys:
        assert not key.strip() or key.decode("latin-1").strip() not in document["errors"][0]["detail"]


def test_the_verification_id_is_the_same_each_time_and_another_for_another_key_or_tenant() -> None:
    ids = {key_of().verification_id, key_of(path="/v1/verifications").verification_id}
    assert len(ids) == 1
    ids |= {key_of("order-8").verification_id, key_of(tenant="other").verification_id}
    assert len(ids) == 3
    assert all(VERIFICATION_ID.fullmatch(each) for each in ids)


def test_no_hash_tells_the_key_or_is_the_verifications_id() -> None:
    begun = key_of().begun(b"{}")
    assert len({begun.key_hash, begun.body_hash, key_of().verification_id}) == 3
    assert "order-7" not in repr(begun)


SAME = [
    (b'{"code":"1234"}', b' { "code" : "1234" } \n'),
    (b'{"a":1,"b":{"c":2,"d":3}}', b'{"b":{"d":3,"c":2},"a":1}'),
    ('{"brand":"Café"}'.encode(), b'{"brand":"Caf\\u00e9"}'),
    (b"", b"{}"),
    (b" \n", b"{}"),
]
OTHER = [
    (b'{"code":"1234"}', b'{"code":"1235"}'),
    (b'{"code":"1234"}', b'{"code":1234}'),
    (b'{"step_index":0}', b"{}"),
    (b'{"steps":[1,2]}', b'{"steps":[2,1]}'),
    (b'{"a":null}', b"{}"),
]


@pytest.mark.parametrize(("first", "again"), SAME)
def test_the_same_json_written_otherwise_is_the_same_request(first: bytes, again: bytes) -> None:
    assert key_of().begun(first) == key_of().begun(again)


@pytest.mark.parametrize(("first", "again"), OTHER)
def test_other_json_is_another_request_with_the_same_key(first: bytes, again: bytes) -> None:
    one, two = key_of().begun(first), key_of().begun(again)
    assert one.key_hash == two.key_hash
    assert one.body_hash != two.body_hash


def test_the_same_body_elsewhere_is_another_request_and_at_another_tenant_another_key() -> None:
    here = key_of().begun(b"{}")
    for elsewhere in (key_of(path="/v1/verifications/v2/check"), key_of(method="PUT")):
        assert elsewhere.begun(b"{}").key_hash == here.key_hash
        assert elsewhere.begun(b"{}").body_hash != here.body_hash
    assert key_of(tenant="other").begun(b"{}").key_hash != here.key_hash


@pytest.mark.parametrize("body", [b"{", b"\xff", b"{'a':1}", b'{"a":1}{}', b'"\xed\xa0\x80"'])
def test_what_is_no_json_is_400(body: bytes) -> None:
    with pytest.raises(HttpProblem) as refused:
        key_of().begun(body)
    assert (refused.value.status, refused.value.reason) == (400, ProblemReason.MALFORMED_JSON)


class Bench:
    """Work that counts how often it was done, behind a ledger in memory."""

    def __init__(self) -> None:
        self.model = MemoryReadModel()
        self.clock = ManualClock()
        self.done = 0
        self.answers: list[Response | Exception] = []

    async def ask(self, begun: Begun | None) -> Response:
        """At any gateway: each time at one that knows nothing but the ledger."""
        return await Once(ledger=self.model.ledger, clock=self.clock).run(begun, self.work)

    async def work(self) -> Response:
        self.done += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def ok(body: bytes = b'{"valid":true}', status: int = 200) -> Response:
    return Response(body, status_code=status, media_type="application/json")


BEGUN = key_of().begun(b'{"code":"1234"}')


@pytest.mark.parametrize("status", [200, 202])
async def test_the_same_request_gets_the_same_answer_and_is_carried_out_once(status: int) -> None:
    bench = Bench()
    bench.answers = [ok(status=status), ok(b'{"valid":false}')]
    first, again = await bench.ask(BEGUN), await bench.ask(BEGUN)
    assert bench.done == 1
    assert (again.status_code, again.body, again.media_type) == (status, first.body, "application/json")


@pytest.mark.parametrize("raised", [True, False])
async def test_a_definite_refusal_is_kept_as_the_problem_it_was(raised: bool) -> None:
    bench = Bench()
    refusal = HttpProblem(HTTPStatus.NOT_FOUND, ReplyReason.UNKNOWN_VERIFICATION)
    bench.answers = [refusal if raised else refusal.response(), ok()]
    first, again = await bench.ask(BEGUN), await bench.ask(BEGUN)
    assert bench.done == 1
    assert (again.status_code, again.body) == (first.status_code, first.body)
    assert again.headers["Content-Type"] == "application/problem+json"


async def test_when_to_come_again_is_counted_anew_for_a_kept_refusal() -> None:
    bench = Bench()
    retry_at = bench.clock.now_ms() + 30_000
    members = {"retry_at": rfc3339(retry_at)}
    headers = {"Retry-After": str(retry_after_s(retry_at, bench.clock.now_ms()))}
    bench.answers = [problem(HTTPStatus.CONFLICT, ReplyReason.RESEND_TOO_SOON, members=members, headers=headers)]
    assert (await bench.ask(BEGUN)).headers["Retry-After"] == "30"
    bench.clock.advance(20_500)
    again = await bench.ask(BEGUN)
    assert (again.status_code, again.headers["Retry-After"]) == (409, "10")
    bench.clock.advance(60_000)
    assert (await bench.ask(BEGUN)).headers["Retry-After"] == "1"


async def test_a_kept_refusal_without_a_time_tells_none() -> None:
    bench = Bench()
    bench.answers = [problem(HTTPStatus.CONFLICT, ReplyReason.ALREADY_FINAL, members={"retry_at": None})]
    await bench.ask(BEGUN)
    assert "Retry-After" not in (await bench.ask(BEGUN)).headers


@pytest.mark.parametrize("status", [400, 401, 403, 408, 413, 415, 422, 429, 500, 503, 504])
async def test_an_answer_of_the_moment_is_not_kept(status: int) -> None:
    bench = Bench()
    bench.answers = [problem(HTTPStatus(status), ProblemReason.REPLY_TIMEOUT), ok()]
    assert (await bench.ask(BEGUN)).status_code == status
    assert (await bench.ask(BEGUN)).status_code == 200
    assert bench.done == 2


async def test_work_that_fails_is_carried_out_again() -> None:
    bench = Bench()
    bench.answers = [ZeroDivisionError(), ok()]
    with pytest.raises(ZeroDivisionError):
        await bench.ask(BEGUN)
    assert (await bench.ask(BEGUN)).status_code == 200


async def test_another_request_with_this_key_is_422_and_not_carried_out() -> None:
    bench = Bench()
    bench.answers = [ok()]
    await bench.ask(BEGUN)
    with pytest.raises(HttpProblem) as refused:
        await bench.ask(key_of().begun(b'{"code":"9999"}'))
    assert (refused.value.status, refused.value.reason) == (422, ProblemReason.IDEMPOTENCY_KEY_REUSED)
    assert bench.done == 1


async def test_without_a_key_each_request_is_carried_out() -> None:
    bench = Bench()
    bench.answers = [ok(), ok()]
    await bench.ask(None)
    await bench.ask(None)
    assert bench.done == 2


async def test_nothing_is_carried_out_that_could_not_be_remembered() -> None:
    bench = Bench()
    bench.model.away = True
    with pytest.raises(ReadModelUnavailable):
        await bench.ask(BEGUN)
    assert bench.done == 0


async def test_an_answer_that_could_not_be_kept_is_given_all_the_same() -> None:
    bench = Bench()

    async def work() -> Response:
        bench.model.away = True
        return ok()

    with capture_logs() as lines:
        answer = await Once(ledger=bench.model.ledger, clock=bench.clock).run(BEGUN, work)
    assert (answer.status_code, answer.body) == (200, b'{"valid":true}')
    assert [line["event"] for line in lines] == ["answer_not_kept"]
