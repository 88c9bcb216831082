"""The fan-out bus dies silently: one node of eight is deaf for a day, and nobody knows.

python-socketio #1581 (one of eight workers deaf for 24 h, after Redis had ended its connection
at 32 MB), #143, #281, #826, #1411, #1569; hocuspocus #310, #800, #971; socket.io #950.
"""

import trio
from stage import open_stage


async def test_a_node_that_hears_nothing_delivers_all_the_same_and_says_that_it_is_deaf(
    autojump_clock,
):
    """Every doorbell is lost, without an error anywhere: the store is asked, health shows it."""
    async with open_stage(2) as stage:
        anna, ben = await stage[0].enter("anna"), await stage[1].enter("ben")
        head = await stage.room("tea", anna, ben)
        stage.bus.fate = lambda kind, to: []
        limits = stage[1].limits
        began = trio.current_time()
        for number in range(100):
            await anna.send("tea", str(number))
        while len(ben.seqs("tea")) < 100:
            await trio.sleep(0.1)
            assert trio.current_time() - began <= limits.head_check_s + 1
        assert ben.seqs("tea") == list(range(head + 1, head + 101))
        await trio.sleep(limits.canary_timeout_s)
        assert [scene.engine.ready() for scene in stage] == [False, False]
        stage.bus.fate = None
        await trio.sleep(2 * limits.canary_interval_s)
        assert [scene.engine.ready() for scene in stage] == [True, True]
        await anna.send("tea", "heard again")
        await ben.next("entry", body={"text": "heard again"})
        for person in (anna, ben):
            await person.scene.empty()


async def test_a_node_whose_doorbells_come_twice_and_late_says_each_entry_once(autojump_clock):
    """At-most-once is all that a bus promises; what comes of it is exactly once."""
    async with open_stage(2) as stage:
        anna, ben = await stage[0].enter("anna"), await stage[1].enter("ben")
        head = await stage.room("tea", anna, ben)
        fates = [[0, 0.5], [], [0.3], [0], [2.0, 0.01]]
        turns = iter(range(10**6))
        stage.bus.fate = lambda kind, to: [0] if kind == "Echo" else fates[next(turns) % 5]
        for number in range(200):
            await anna.send("tea", str(number))
            if number % 7 == 0:
                await trio.sleep(0.05)
        await trio.sleep(stage[1].limits.head_check_s + 3)
        assert ben.seqs("tea") == list(range(head + 1, head + 201))
        for person in (anna, ben):
            await person.scene.empty()
