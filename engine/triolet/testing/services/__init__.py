"""Servers of others, started for tests and runs: each with its own folder, and ended with it."""
