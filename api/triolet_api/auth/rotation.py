"""`triolet keys`: the keys that sign access tokens, one after another."""

import os
import time
from pathlib import Path

import click

from triolet._model.errors import ConfigurationError
from triolet.adapters.tokens import new_signing_key, read_signing_keys

from ..secret import keep_instead, read_secret
from ..settings import load_settings
from .issuing import KEYS_FILE


@click.command("keys")
@click.option("--rotate", is_flag=True, help="Put a new key beside those that there are.")
@click.option("--data", type=click.Path(path_type=Path), help="The server's data folder.")
@click.option("--config", type=click.Path(path_type=Path), help="The server's TOML file.")
def command(*, rotate: bool, data: Path | None, config: Path | None) -> None:
    """Print the names of the keys that sign access tokens, where not the secret does.

    A new key signs after six minutes, when everybody has had the time to read it; servers need
    not be started again. On several machines, copy the file to all of them.
    """
    settings = load_settings(environ=os.environ, config=config, options={"data": data})
    if settings.auth.algorithm == "HS256":
        raise ConfigurationError("auth.algorithm: it is HS256, and the secret signs")
    path = settings.data / KEYS_FILE
    keys = read_signing_keys(read_secret(path).reveal())
    if rotate:
        now_ms = time.time_ns() // 1_000_000
        added = new_signing_key(settings.auth.algorithm, now_ms=now_ms)
        keys = keys.rotated(added, now_ms=now_ms)
        keep_instead(path, keys.private_set())
    for jwk in keys.public_jwks:
        click.echo(f"{jwk['alg']} {jwk['kid']}")
