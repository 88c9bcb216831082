"""Law: so many passwords are hashed at once, so many wait, and the rest is told to come back."""

import threading

import pytest
import trio

from triolet._model.errors import ErrorCode, Refusal
from triolet_api.auth.hashing import Argon2, Hashing, Verdict
from triolet_api.auth.settings import AuthSettings

# The least that argon2 is worth asking for, so that a test takes a millisecond.
FAST = AuthSettings(hash_memory_kib=8192, hash_passes=1)


# In which a thread has begun, on a machine that is busy with other things.
PATIENCE_S = 60


class Held:
    """Hashes that wait until they may go on, and count."""

    def __init__(self):
        self.go_on = threading.Event()
        self.at_once = self.most = 0
        self._lock = threading.Lock()

    def hash(self, password):
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        assert self.go_on.wait(PATIENCE_S)
        with self._lock:
            self.at_once -= 1
        return password

    async def working(self, count):
        """Wait until so many are at it: a thread begins when the system lets it."""
        with trio.fail_after(PATIENCE_S):
            while self.at_once < count:  # noqa: ASYNC110 - threads tell nothing
                await trio.sleep(0.001)

    def verify(self, hashed, password):
        return hashed == password

    def is_outdated(self, hashed):
        return False


class TestArgon2:
    def test_a_hash_is_its_passwords_alone(self):
        hashes = Argon2(FAST)
        hashed = hashes.hash("correct horse")
        assert hashed.startswith("$argon2id$v=19$m=8192,t=1,p=1$")
        assert hashed != hashes.hash("correct horse")
        assert hashes.verify(hashed, "correct horse")
        assert not hashes.verify(hashed, "wrong horse")

    @pytest.mark.parametrize("hashed", ["", "plain", "$argon2id$v=19$m=8192,t=1,p=1$x$y"])
    def test_what_is_no_hash_is_nobodys(self, hashed):
        assert not Argon2(FAST).verify(hashed, "x")

    def test_what_is_stored_by_default(self):
        """OWASP's first choice for argon2id."""
        assert "$m=19456,t=2,p=1$" in Argon2(AuthSettings()).hash("x")


class TestHashing:
    async def test_right_and_wrong(self):
        hashing = Hashing(FAST)
        hashed = await hashing.hash("\N{FULLWIDTH LATIN SMALL LETTER C}orrect horse")
        assert await hashing.verify(hashed, "correct horse") == Verdict(is_right=True)
        assert await hashing.verify(hashed, "wrong horse") == Verdict(is_right=False)

    async def test_other_parameters_give_another_hash(self):
        hashed = await Hashing(FAST).hash("correct horse")
        harder = Hashing(AuthSettings(hash_memory_kib=8192, hash_passes=2))
        found = await harder.verify(hashed, "correct horse")
        assert found.is_right
        assert found.renewed is not None
        assert await harder.verify(found.renewed, "correct horse") == Verdict(is_right=True)
        assert await harder.verify(hashed, "wrong horse") == Verdict(is_right=False)

    async def test_nobodys_password_is_never_right(self):
        """Not even the one that nobody's hash was made of."""
        assert not (await Hashing(FAST).verify(None, "nobody's password")).is_right

    async def test_so_many_at_once_and_so_many_wait(self):
        hashes = Held()
        settings = AuthSettings(hash_concurrency=2, hash_queue_max=3)
        hashing, done = Hashing(settings, hashes), []

        async def ask():
            done.append(await hashing.hash("x"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
            await hashes.working(2)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(Refusal) as refused:
                await hashing.hash("one too many")
            hashes.go_on.set()
        assert refused.value.code == ErrorCode.RATE_LIMITED
        assert refused.value.retry_after_ms > 0
        assert (len(done), hashes.most) == (5, 2)
        assert await hashing.hash("later") == "later"

    async def test_who_leaves_the_queue_makes_room(self):
        hashes = Held()
        hashing = Hashing(AuthSettings(hash_concurrency=1, hash_queue_max=1), hashes)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hashing.hash, "first")
            await hashes.working(1)
            with trio.move_on_after(0.01) as left:
                await hashing.hash("left")
            assert left.cancelled_caught
            nursery.start_soon(hashing.hash, "second")
            await trio.testing.wait_all_tasks_blocked()
            hashes.go_on.set()

    async def test_whether_there_is_an_account_cannot_be_told_by_the_work(self):
        """One comparison either way, and none more where the hash of nobody is made first."""
        counted = Counted()
        hashing = Hashing(FAST, counted)
        await hashing.prepare()
        hashed = await hashing.hash("correct horse")
        work = []
        for known in (hashed, None):
            before = (counted.hashes, counted.compared)
            await hashing.verify(known, "wrong horse")
            work.append((counted.hashes - before[0], counted.compared - before[1]))
        assert work == [(0, 1), (0, 1)]


class Counted(Held):
    """Hashes that are counted."""

    def __init__(self):
        super().__init__()
        self.go_on.set()
        self.hashes = self.compared = 0

    def hash(self, password):
        self.hashes += 1
        return super().hash(password)

    def verify(self, hashed, password):
        self.compared += 1
        return super().verify(hashed, password)
