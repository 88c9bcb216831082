"""Triolet as a server: the command line, the settings, and the HTTP layer around the engine.

- `settings`   environment over a TOML file, strict
- `secret`     the token secret: given, or made on the first start
- `logs`       one line an event, secrets masked
- `cli`        the commands, each loaded when it is asked for
- `serve`      the composition root: settings → store → gate → engine → listener
- `http`       the seam to Hypercorn: one port for WebSocket and HTTP; `connection`
- `app`        the HTTP application; `problems` its errors, `page` its front page
"""
