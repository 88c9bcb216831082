"""The contract of scans of documents, and of documents that expire."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...ports.documents import CHANGES_MAX, Change, Documents
from .documents import keys_of, present, put, values
from .home import Contract, Home

# What a pattern, another alphabet, or UTF-16 would put somewhere else.
_CHARACTERS = (
    "aAzZ0/%_*?[]\\'\".- \n\x01\x7f\x80äÄé\u0301߿\u0800\ud7ff\ue000\ufffd\uffff😀\U0010ffff"
)
_names = st.text(st.sampled_from(_CHARACTERS), min_size=1, max_size=4)


async def _fill(documents: Documents, *keys: str) -> None:
    assert await documents.write([Change(key, key.encode()) for key in keys])


async def _walked(documents: Documents, prefix: str, *, limit: int, descending: bool) -> list[str]:
    """Return what a prefix names, a page at a time."""
    found: list[str] = []
    while page := await documents.scan(
        prefix, after=found[-1] if found else "", limit=limit, descending=descending
    ):
        assert len(page) <= limit
        found += keys_of(page)
    return found


class ScanContract(Contract):
    """By key, by code points, both ways, from wherever one stopped."""

    async def test_a_prefix_names_what_begins_with_it(self, home: Home) -> None:
        """Whole documents, by key, and no others."""
        async with self.open_store(home) as store:
            await _fill(store.documents, "ban/b", "ban/a", "ban", "ban/", "bao/c", "Ban/d", "b")
            found = await store.documents.scan("ban/", limit=9)
            assert ["ban/", "ban/a", "ban/b"] == keys_of(found)
            assert found == await store.documents.read(["ban/", "ban/a", "ban/b"])
            back = await store.documents.scan("ban/", limit=9, descending=True)
            assert found[::-1] == back
            assert [] == await store.documents.scan("c", limit=9)

    async def test_a_scan_goes_on_behind_a_key(self, home: Home) -> None:
        """`after` need not be there any more, nor begin with the prefix."""
        async with self.open_store(home) as store:
            await _fill(store.documents, *(f"a/{number}" for number in range(6)), "a", "b")
            scan = store.documents.scan
            assert ["a/3", "a/4"] == keys_of(await scan("a/", after="a/2", limit=2))
            assert ["a/3", "a/4"] == keys_of(await scan("a/", after="a/2x", limit=2))
            assert ["a/0"] == keys_of(await scan("a/", after="A", limit=1))
            assert [] == await scan("a/", after="a/5", limit=1)
            assert [] == await scan("a/", after="b", limit=1)
            back = await scan("a/", after="a/2", limit=2, descending=True)
            assert ["a/1", "a/0"] == keys_of(back)
            assert ["a/5"] == keys_of(await scan("a/", after="b", limit=1, descending=True))
            assert [] == await scan("a/", after="a/0", limit=1, descending=True)
            assert [] == await scan("a/", after="A", limit=1, descending=True)

    async def test_what_cannot_be_scanned_is_refused(self, home: Home) -> None:
        """An empty prefix, a limit out of range, or what can be no key → `ValueError`."""
        async with self.open_store(home) as store:
            for prefix, after, limit in (
                ("", "", 1),
                ("a\0", "", 1),
                ("a", "a\ud800", 1),
                ("a", "", 0),
                ("a", "", CHANGES_MAX + 1),
            ):
                with pytest.raises(ValueError, match=r"."):
                    await store.documents.scan(prefix, after=after, limit=limit)

    async def test_keys_are_in_the_order_of_code_points(self, home: Home) -> None:
        """Whatever they hold, and whatever the prefix is; a page at a time, both ways."""
        async with self.open_store(home) as store:
            keys = [one + other for one in _CHARACTERS for other in ("", "a", "\U0010ffff", "%")]
            await _fill(store.documents, *keys)
            for prefix in _CHARACTERS:
                expected = sorted(key for key in keys if key.startswith(prefix))
                for descending in (False, True):
                    found = await _walked(store.documents, prefix, limit=3, descending=descending)
                    assert expected == (found[::-1] if descending else found)

    @settings(
        max_examples=20,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(_names, min_size=1, max_size=12, unique=True), _names, _names, st.booleans())
    async def test_a_scan_is_what_sorting_says(
        self, home: Home, keys: list[str], prefix: str, after: str, descending: bool
    ) -> None:
        """Keys that begin with the prefix and are behind `after`, sorted."""
        async with self.open_store(home) as store:
            await _fill(store.documents, *keys)
            found = await store.documents.scan(prefix, after=after, limit=99, descending=descending)
            assert keys_of(found) == sorted(
                (
                    key
                    for key in keys
                    if key.startswith(prefix) and (key < after if descending else key > after)
                ),
                reverse=descending,
            )
            # The next example begins with nothing.
            assert await store.documents.write([Change(key, None) for key in keys])


class ExpiryContract(Contract):
    """A document is gone from `expires_at` on, whoever asks, and removed later."""

    async def test_a_document_is_not_seen_from_its_expiry_on(self, home: Home) -> None:
        """By the store's clock, to the millisecond, in reads and in scans."""
        async with self.open_store(home) as store:
            documents = store.documents
            await put(documents, "e/1", b"soon", home.clock.ms + 1)
            last = await put(documents, "e/2", b"later", home.clock.ms + 2)
            await put(documents, "e/3", b"never")
            home.clock.ms += 1
            assert [None, b"later", b"never"] == await values(documents, "e/1", "e/2", "e/3")
            assert ["e/2", "e/3"] == keys_of(await documents.scan("e/", limit=9))
            assert last == await present(documents, "e/2")
            home.clock.ms += 1
            assert [None, None, b"never"] == await values(documents, "e/1", "e/2", "e/3")
            # A page is full of what is there, whatever is not any more.
            assert ["e/3"] == keys_of(await documents.scan("e/", limit=1))
            assert ["e/3"] == keys_of(await documents.scan("e/", limit=9, descending=True))

    async def test_it_is_not_there_for_writers_either(self, home: Home) -> None:
        """Its version is another one now: 0."""
        async with self.open_store(home) as store:
            documents = store.documents
            old = await put(documents, "e", b"old", home.clock.ms + 1)
            assert not await documents.write([Change("e", b"new", 0)])
            home.clock.ms += 1
            assert not await documents.write([Change("e", b"new", old.version)])
            assert not await documents.write([Change("e", None, old.version)])
            assert await documents.write([Change("e", None, 0)])
            assert await documents.write([Change("e", b"new", 0)])
            new = await present(documents, "e")
            assert (b"new", 0) == (new.value, new.expires_at)
            assert new.version > old.version

    async def test_one_may_be_written_that_is_gone_already(self, home: Home) -> None:
        """It takes the place of what was there, and is never seen."""
        async with self.open_store(home) as store:
            await put(store.documents, "e", b"1")
            assert await store.documents.write([Change("e", b"2", expires_at=home.clock.ms)])
            assert [None] == await store.documents.read(["e"])
            assert 1 == await store.documents.prune(now=home.clock.ms, limit=9)

    async def test_what_has_expired_is_removed_a_little_at_a_time(self, home: Home) -> None:
        """At most `limit` a call, those with `expires_at <= now`; then none."""
        async with self.open_store(home) as store:
            documents, now = store.documents, home.clock.ms
            expiring = [Change(f"e/{number}", b"", expires_at=now + number) for number in range(7)]
            assert await documents.write([*expiring, Change("e/never", b"")])
            assert 0 == await documents.prune(now=now - 1, limit=9)
            assert [2, 2, 1, 0] == [await documents.prune(now=now + 4, limit=2) for _ in range(4)]
            assert ["e/5", "e/6", "e/never"] == keys_of(await documents.scan("e/", limit=9))
            home.clock.ms += 99
            assert ["e/never"] == keys_of(await documents.scan("e/", limit=9))
            assert 2 == await documents.prune(now=home.clock.ms, limit=9)
            assert b"" == (await present(documents, "e/never")).value
            await put(documents, "e/0")
            assert ["e/0", "e/never"] == keys_of(await documents.scan("e/", limit=9))
