"""API keys are kept for all gateways, by name, revoked ones too."""

from __future__ import annotations

from dataclasses import replace

from pipeline.readmodel.ports import StoredKey
from tests.contract.readmodel.support import NOW, ReadModelUnderTest

KEY = StoredKey(name="shop", key_sha256="ab" * 32, tenant="acme", scopes=frozenset({"start", "check"}), created_at=NOW)


async def test_a_key_that_was_added_is_known_to_every_gateway(model: ReadModelUnderTest) -> None:
    assert await model.api_keys.add(KEY)
    other = replace(KEY, name="app", scopes=frozenset({"read"}))
    assert await model.api_keys.add(other)

    assert await (await model.another()).api_keys.all() == [other, KEY]


async def test_a_name_is_given_once_also_after_its_key_was_revoked(model: ReadModelUnderTest) -> None:
    assert await model.api_keys.add(KEY)
    assert not await model.api_keys.add(replace(KEY, key_sha256="cd" * 32))
    await model.api_keys.revoke("shop", at_ms=NOW + 1)
    assert not await model.api_keys.add(replace(KEY, key_sha256="cd" * 32))

    assert [key.key_sha256 for key in await model.api_keys.all()] == [KEY.key_sha256]


async def test_a_key_is_revoked_once_and_stays_listed(model: ReadModelUnderTest) -> None:
    await model.api_keys.add(KEY)

    assert await model.api_keys.revoke("shop", at_ms=NOW + 1)
    assert not await model.api_keys.revoke("shop", at_ms=NOW + 2)
    assert not await model.api_keys.revoke("unknown", at_ms=NOW + 2)
    assert [key.revoked_at for key in await model.api_keys.all()] == [NOW + 1]
