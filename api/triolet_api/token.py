"""`triolet token`: a token for a user, signed with the server's secret."""

import os
import time
from pathlib import Path
from typing import Final

import click

from triolet._model.errors import ConfigurationError
from triolet.adapters.tokens import mint

from .secret import Secret, kept_secret
from .settings import Settings, load_settings

_DAY_S: Final = 86_400.0


@click.command("token")
@click.argument("user")
@click.option(
    "--ttl", type=float, default=_DAY_S, show_default=True, help="Seconds it is good for."
)
@click.option("--tier", default="", help="`service` is exempt from rate limits.")
@click.option("--role", "roles", multiple=True, help="A role, such as `admin`; may be repeated.")
@click.option("--device", default="", help="The device it belongs to.")
@click.option("--data", type=click.Path(path_type=Path), help="The server's data folder.")
@click.option("--config", type=click.Path(path_type=Path), help="The server's TOML file.")
def command(
    user: str,
    *,
    ttl: float,
    tier: str,
    roles: tuple[str, ...],
    device: str,
    data: Path | None,
    config: Path | None,
) -> None:
    """Print a token for USER, signed with the server's secret."""
    settings = load_settings(environ=os.environ, config=config, options={"data": data})
    try:
        token = mint(
            secret_of(settings).reveal(),
            user,
            ttl_s=ttl,
            now_ms=time.time_ns() // 1_000_000,
            tier=tier,
            roles=roles,
            device=device,
            issuer=settings.issuer,
            audience=settings.audience[0] if settings.audience else "",
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    click.echo(token)


def secret_of(settings: Settings) -> Secret:
    """Return the secret that signs tokens: the one set, or the one the server keeps.

    Raises:
        ConfigurationError: there is none here.
    """
    if settings.secret is not None:
        return settings.secret
    if not settings.makes_its_secret:
        raise ConfigurationError("secret: none is set; tokens come from whoever holds the keys")
    kept = kept_secret(settings.data)
    if kept is None:
        raise ConfigurationError(
            f"data: there is no secret in {settings.data}; start `triolet serve` first, "
            "or name its folder by --data"
        )
    return kept
