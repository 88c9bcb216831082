"""Benchmarks against a real server process, over loopback. `python -m bench` lists them.

- `__main__`   the command line
- `scenarios/` what is measured: `direct`, `fanout`, `idle`
- `load/`      the generator: raw non-blocking sockets, every counted byte verified
- `peers/`     who is measured: how to start it, what to say to it, how to read its answers
- `server`     the server's process: its CPU time and memory
- `machine`    what it ran on, and which core runs what
- `report`     medians, goals, JSON
"""
