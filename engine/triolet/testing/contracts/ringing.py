"""The contract of doorbells: who hears what, that loss is told, and that memory is bounded."""

import pytest
import trio

from ..._model.errors import BusUnavailable
from ...ports.bus import FRAME_BYTES_MAX, Bus, Doorbell
from .buses import PATIENCE_S, BusHome, hear, hear_again, hear_by_channel
from .home import Home

END = b"the end"
# More than any adapter may keep of what nobody receives: 96 MiB.
_FLOOD = 96


class RingContract(BusHome):
    """Doorbells are heard by who follows, and what is missed in bulk is told."""

    async def test_followers_hear_and_others_do_not(self, home: Home) -> None:
        """A doorbell is heard by every node that follows, the one that rang included."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await anna.follow(["tea", "end"])
            await ben.follow(["end"])
            await anna.ring([Doorbell("tea", END)])
            assert [Doorbell("tea", END)] == await hear(anna, until=END)
            await anna.ring([Doorbell("end", END)])
            assert [Doorbell("end", END)] == await hear(anna, until=END)
            assert [Doorbell("end", END)] == await hear(ben, until=END)

    async def test_each_channel_belongs_to_one_part(self, home: Home) -> None:
        """The same for all nodes; and each part has channels."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            channels = [f"room {number}" for number in range(1000)]
            found = [anna.part_of(channel) for channel in channels]
            assert list(range(len(anna.parts))) == sorted(set(found))
            assert found == [ben.part_of(channel) for channel in channels]

    async def test_deployments_are_apart(self, home: Home) -> None:
        """Nothing is heard of another deployment's nodes."""
        async with self.open_bus(home) as anna, self.open_bus(home.another()) as ben:
            await anna.follow(["tea"])
            await ben.follow(["tea"])
            await ben.ring([Doorbell("tea", b"theirs")])
            await anna.ring([Doorbell("tea", END)])
            assert [Doorbell("tea", END)] == await hear(anna, until=END)

    async def test_one_node_is_heard_in_order(self, home: Home) -> None:
        """On one channel, and with nothing lost, one node's doorbells come in the order rung."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await ben.follow(["tea"])
            frames = [str(i).encode() for i in range(300)]
            for start in range(0, 300, 30):
                await anna.ring([Doorbell("tea", one) for one in frames[start : start + 30]])
            await anna.ring([Doorbell("tea", END)])
            heard = await hear(ben, until=END)
            assert [*frames, END] == [one.frame for one in heard]

    async def test_frames_are_bytes(self, home: Home) -> None:
        """Any bytes, none, and as many as the port says."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await ben.follow(["tea"])
            long = bytes(range(256)) * (FRAME_BYTES_MAX // 256)
            await anna.ring([Doorbell("tea", b""), Doorbell("tea", long), Doorbell("tea", END)])
            heard = await hear(ben, until=END)
            assert [b"", long, END] == [one.frame for one in heard]

    async def test_too_long_a_frame_is_an_error(self, home: Home) -> None:
        """A frame above the bound is refused, and the others of its batch with it."""
        async with self.open_bus(home) as anna:
            await anna.follow(["tea"])
            long = Doorbell("tea", bytes(FRAME_BYTES_MAX + 1))
            with pytest.raises(ValueError, match="at most"):
                await anna.ring([Doorbell("tea", b"1"), long])
            await anna.ring([Doorbell("tea", END)])
            assert [Doorbell("tea", END)] == await hear(anna, until=END)

    async def test_follow_is_confirmed(self, home: Home) -> None:
        """What is rung after `follow` has returned is heard."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            for number in range(50):
                channel, frame = f"room {number}", str(number).encode()
                await ben.follow([channel])
                await anna.ring([Doorbell(channel, frame)])
                assert [Doorbell(channel, frame)] == await hear(ben, until=frame)

    async def test_many_channels_are_followed_at_once(self, home: Home) -> None:
        """A thousand channels in one call."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            channels = [f"room {number}" for number in range(1000)]
            await ben.follow(channels)
            await anna.ring([Doorbell(channel, END) for channel in channels])
            heard = await hear_by_channel(ben, until=END, times=1000)
            assert {channel: [END] for channel in channels} == heard

    async def test_unfollowed_is_not_heard(self, home: Home) -> None:
        """What is rung after `unfollow` has returned is not heard; what is unknown is no error."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await ben.follow(["tea", "end"])
            await ben.unfollow(["tea", "never followed"])
            await anna.follow(["tea"])
            await anna.ring([Doorbell("tea", END)])
            assert [Doorbell("tea", END)] == await hear(anna, until=END)
            await anna.ring([Doorbell("end", END)])
            assert [Doorbell("end", END)] == await hear(ben, until=END)

    async def test_following_twice_is_following_once(self, home: Home) -> None:
        """A doorbell comes once however often its channel was followed; one `unfollow` ends it."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await ben.follow(["tea", "tea", "end"])
            await ben.follow(["tea"])
            await anna.ring([Doorbell(channel, END) for channel in ("tea", "end")])
            heard = await hear_by_channel(ben, until=END, times=2)
            assert {"tea": [END], "end": [END]} == heard
            await ben.unfollow(["tea"])
            await anna.ring([Doorbell("tea", b"1"), Doorbell("end", END)])
            assert [END] == [one.frame for one in await hear(ben, until=END)]

    async def test_calls_take_effect_in_their_order(self, home: Home) -> None:
        """Of `follow` and `unfollow` begun in one turn, the last one stands."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await ben.follow(["end"])
            async with trio.open_nursery() as nursery:
                for call in (ben.follow, ben.unfollow, ben.follow):
                    nursery.start_soon(call, ["kept"])
                    await trio.lowlevel.checkpoint()
                for call in (ben.follow, ben.unfollow):
                    nursery.start_soon(call, ["left"])
                    await trio.lowlevel.checkpoint()
            await anna.ring([Doorbell(channel, END) for channel in ("left", "kept", "end")])
            heard = await hear_by_channel(ben, until=END, times=2)
            assert {"kept": [END], "end": [END]} == heard

    async def test_a_cancelled_receive_loses_nothing(self, home: Home) -> None:
        """Whoever is cancelled while waiting has not taken what comes in."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await ben.follow(["tea"])
            for number in range(20):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await ben.receive()
                await anna.ring([Doorbell("tea", str(number).encode())])
            await anna.ring([Doorbell("tea", END)])
            assert 21 == len(await hear(ben, until=END))

    async def test_what_nobody_receives_is_bounded(self, home: Home) -> None:
        """Beyond its bound a node forgets, says so, and hears what comes then."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await ben.follow(["tea"])
            for _ in range(_FLOOD):
                await anna.ring([Doorbell("tea", bytes(FRAME_BYTES_MAX))])
            kept = await hear_again(ben)
            assert len(kept) < _FLOOD
            await self._hears(ben, anna)

    async def _hears(self, bus: Bus, other: Bus) -> None:
        """Ring until it is heard: a bus that has just come back may miss some more."""
        with trio.fail_after(PATIENCE_S):
            while True:
                await other.ring([Doorbell("tea", END)])
                with trio.move_on_after(1):
                    if END in [one.frame for one in (await bus.receive()).doorbells]:
                        return

    async def test_a_node_that_is_cut_off_fails_and_comes_back(self, home: Home) -> None:
        """Calls fail; then it is told, and what is followed, also meanwhile, is heard again."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await ben.follow(["tea"])
            await self.cut(ben)
            with trio.fail_after(PATIENCE_S):
                with pytest.raises(BusUnavailable):
                    await ben.ring([Doorbell("tea", b"lost")])
                with pytest.raises(BusUnavailable):
                    await ben.follow(["late"])
                await ben.unfollow(["never"])
            await anna.ring([Doorbell("tea", b"missed")])
            await self.mend(ben)
            assert [] == [one for one in await hear_again(ben) if one.frame == b"lost"]
            await anna.ring([Doorbell(channel, END) for channel in ("late", "tea")])
            heard = await hear_by_channel(ben, until=END, times=2)
            assert {"late": [END], "tea": [END]} == heard
