"""Implementations of the ports, proved by `triolet.testing.contracts`."""
