"""A handler of jobs that writes down what it did, for the tests of them."""

import trio

from triolet.ports.jobs import Job


class Book:
    """A handler that writes down what it did, and when (s since the beginning)."""

    def __init__(self, takes_s=0.0):
        self.takes_s = takes_s
        self.done = []
        self.at = []
        self.begun = 0
        # Raised by the next calls, in their order.
        self.fails = []

    async def __call__(self, job):
        assert isinstance(job, Job)
        self.begun += 1
        await trio.sleep(self.takes_s)
        if self.fails:
            raise self.fails.pop(0)
        self.done.append(job.key)
        self.at.append(trio.current_time())


async def one(jobs, state):
    (job,) = await jobs.listed(state)
    return job
