"""Fingerprints are the CRC-64-AVRO of the Parsing Canonical Form that every other Avro library computes."""

from __future__ import annotations

import json

import avro.schema
import pytest

from pipeline.records.catalogue import RECORDS
from pipeline.records.framing import single_object
from pipeline.records.schemas import fingerprint_key, fingerprint_of, parse
from pipeline.records.store import current
from pipeline.records.types import AvroRecord

# From share/test/data/schema-tests.txt of Apache Avro, which prints them as signed numbers.
PUBLISHED = {
    '"null"': 7195948357588979594,
    '"boolean"': -6970731678124411036,
    '"int"': 8247732601305521295,
    '"long"': -3434872931120570953,
    '"float"': 5583340709985441680,
    '"double"': -8181574048448539266,
    '"bytes"': 5746618253357095269,
    '"string"': -8142146995180207161,
    "[]": -1241056759729112623,
    '["int"]': -5232228896498058493,
    '["int","boolean"]': 5392556393470105090,
    '{"name":"foo","type":"record","fields":[]}': -4824392279771201922,
    '{"name":"x.y.foo","type":"record","fields":[]}': 5916914534497305771,
    '{"name":"a.b.foo","type":"record","fields":[]}': -4616218487480524110,
    '{"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"}]}': 7843277075252814651,
    '{"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"},{"name":"f2","type":"int"}]}': (
        -4860222112080293046
    ),
    '{"name":"foo","type":"enum","symbols":["A1"]}': -6342190197741309591,
    '{"name":"x.y.z.foo","type":"enum","symbols":["A1","A2"]}': -4448647247586288245,
    '{"name":"foo","type":"fixed","size":15}': 1756455273707447556,
    '{"name":"x.y.z.foo","type":"fixed","size":32}': -3064184465700546786,
    '{"type":"array","items":"null"}': -589620603366471059,
    '{"type":"map","values":"string"}': -8732877298790414990,
    '{"name":"PigValue","type":"record","fields":[{"name":"value","type":["null","int","long","PigValue"]}]}': (
        -1759257747318642341
    ),
}


@pytest.mark.parametrize("canonical", PUBLISHED)
def test_a_fingerprint_is_the_published_one(canonical: str) -> None:
    assert fingerprint_of(canonical) == PUBLISHED[canonical] % 2**64


def test_the_key_is_the_unsigned_number_most_significant_digit_first() -> None:
    assert fingerprint_key(fingerprint_of('"int"')) == "7275d51a3f395c8f"
    assert fingerprint_key(fingerprint_of('"null"')) == "63dd24e7cc258f8a"
    assert fingerprint_key(1) == "0000000000000001"


def test_single_object_encoding_has_the_fingerprint_little_endian() -> None:
    assert single_object(fingerprint_of('"int"')).hex() == "c301" + "8f5c393f1ad57572"


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_apache_avro_computes_the_same_fingerprint_for_each_record(kind: type[AvroRecord]) -> None:
    ours = current(kind).schema
    theirs = avro.schema.parse(ours.text)
    assert ours.canonical == theirs.canonical_form
    assert single_object(ours.fingerprint)[2:] == theirs.fingerprint()


def test_documentation_defaults_aliases_and_logical_types_do_not_change_the_fingerprint() -> None:
    plain = {"type": "record", "name": "R", "namespace": "n", "fields": [{"name": "at", "type": "long"}]}
    rich = {
        "type": "record",
        "name": "n.R",
        "doc": "about",
        "aliases": ["Old"],
        "fields": [
            {
                "name": "at",
                "type": {"type": "long", "logicalType": "timestamp-millis"},
                "default": 0,
                "order": "ignore",
                "doc": "when",
            }
        ],
    }
    assert parse(json.dumps(plain)).fingerprint == parse(json.dumps(rich)).fingerprint
    assert parse(json.dumps(rich)).linked["fields"][0]["type"] == "long"
