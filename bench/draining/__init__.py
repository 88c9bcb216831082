"""Drains a queue of jobs: what `jobs` measures, in a process of its own."""
