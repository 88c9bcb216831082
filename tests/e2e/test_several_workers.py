"""`triolet serve --workers 2` as an operator has it: one port, and nobody left behind."""

import os
import re
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import trio
from e2e_scene import TIMEOUT_S, Server, token

import triolet
from triolet import Entry, Message

KEY = "a key of twenty-two bytes or more"
SETTINGS = {
    "TRIOLET_LIMIT_DRAIN_WINDOW_S": "0.2",
    "TRIOLET_LIMIT_GRACE_S": "1",
    "TRIOLET_ADMIN_METRICS_TOKEN": KEY,
}


def workers_of(pid):
    """Return the children of a process that live, whichever of its threads started them.

    One that has ended is a child until it is waited for, which a busy machine does later.
    """
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    children = sorted(int(child) for one in lists for child in one.read_text().split())
    return [child for child in children if is_there(child)]


def is_there(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait(is_so):
    until = time.monotonic() + TIMEOUT_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


@contextmanager
def two_workers(tmp_path, url):
    server = Server(tmp_path / "data", TRIOLET_STORE=url, TRIOLET_WORKERS="2", **SETTINGS)
    children = []
    try:
        wait(lambda: server.said.count("is ready, process") == 2)
        children += workers_of(server.pid)
        yield server, children
    finally:
        server.kill()
        wait(lambda: not any(map(is_there, children)))
    assert "Traceback" not in server.said


def test_they_are_one_server_and_one_that_dies_is_there_again(tmp_path, postgres_url):
    with two_workers(tmp_path, postgres_url) as (server, children):
        people = trio.run(all_talk_to_all, server, children)
        # Whichever is asked; one that is kept from its work for a second is not waited for.
        wait(lambda: opened(server).keys() == {"1", "2"})
        assert all(opened(server).values())
        # Who comes again, as on a busy machine, is counted again.
        wait(lambda: sum(opened(server).values()) >= people)
        killed, other = children
        os.kill(killed, signal.SIGKILL)
        wait(lambda: server.said.count("is ready, process") == 3)
        assert other in workers_of(server.pid)
        trio.run(all_talk_to_all, server, workers_of(server.pid))
        children.extend(workers_of(server.pid))

        assert server.stop() == 0
        assert not any(map(is_there, children))

    assert "was ended by signal 9 (Killed); another one starts in" in server.said
    assert "INFO [2] triolet.serve SIGTERM: draining" in server.said


def opened(server):
    """Return how many have come to each worker, by one look at `/metrics`."""
    url = f"http://127.0.0.1:{server.port}/metrics"
    asked = Request(url, headers={"Authorization": f"Bearer {KEY}"})
    with urlopen(asked, timeout=TIMEOUT_S) as answer:
        text = answer.read().decode()
    found = re.findall(r'^triolet_opened_total\{worker="(.+?)"\} (\d+)$', text, re.MULTILINE)
    return {worker: int(count) for worker, count in found}


async def all_talk_to_all(server, workers):
    """Connect people until each worker has some; what one says, all of them see.

    Returns how many came.
    """
    async with trio.open_nursery() as nursery:
        people = []
        while not all(any_connected(pid, server.port) for pid in workers):
            assert len(people) < 40, "one of them has nobody"
            user = f"user{len(people)}"
            people.append(await nursery.start(live, server, user))
        first = people[0]
        room = (
            await first.create("group", members=[f"user{n}" for n in range(1, len(people))])
        ).room
        for person in people:
            await person.subscribe(room)
        for number, person in enumerate(people):
            await person.send(room, f"hello {number}")
        with trio.fail_after(TIMEOUT_S):
            for person in people:
                await saw(person, room, [f"hello {number}" for number in range(len(people))])
        nursery.cancel_scope.cancel()
    return len(people)


async def live(server, user, *, task_status):
    async with triolet.connect(server.url, token=token(user)) as client:
        task_status.started(client)
        await trio.sleep_forever()


async def saw(person, room, texts):
    seen = []
    async for event in person.events():
        if isinstance(event, Entry) and event.room == room and isinstance(event.fact, Message):
            seen.append(event.fact.body["text"])
            if len(seen) == len(texts):
                break
    assert seen == texts


def any_connected(pid, port):
    """Whether a process has an established connection on its port."""
    inodes = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, state, inode = fields[1], fields[3], fields[9]
        if local.endswith(f":{port:04X}") and state == "01" and f"socket:[{inode}]" in inodes:
            return True
    return False


def test_no_worker_outlives_its_supervisor(tmp_path, postgres_url):
    """Nobody can tell them when it is killed, and they know; also those that came later."""
    with two_workers(tmp_path, postgres_url) as (server, children):
        before = list(children)
        os.kill(server.pid, signal.SIGHUP)
        wait(lambda: server.said.count("is ready, process") == 4)
        wait(lambda: not any(map(is_there, before)))
        children.extend(workers_of(server.pid))
        assert len(children) == 4

        os.kill(server.pid, signal.SIGKILL)

        wait(lambda: not any(map(is_there, children)))

    assert server.said.count("the supervisor is gone: leaving") == 2
