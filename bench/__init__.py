"""Benchmarks against real server processes, over loopback. `python -m bench` lists them.

- `cli`        what is asked; `running` does it, round by round
- `scenarios/` what is measured, one file each
- `peers/`     who is measured: how to start it, what to say to it, how to read its answers
- `load/`      the generator: raw non-blocking sockets, every counted byte verified
- `goals`      what the engine is to reach, as data
- `report/`    tables and charts; `python -m bench.report` makes them again from JSON
- `server`     the server's process: its CPU time and memory
- `machine`    what it ran on, and which core runs what
- `errors`     what can go wrong, by whose fault
"""
