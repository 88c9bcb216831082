"""Settings: command line over `TRIOLET_*` environment variables over a TOML file, strict.

Every setting has one key (`port`, `limits.grace_s`) and is spelled `TRIOLET_PORT` and
`TRIOLET_LIMIT_GRACE_S` in the environment, `port` and `grace_s` under `[limits]` in the file.
What is not a setting is an error that names the nearest one: a typing mistake in a limit must
not pass in silence. Relative paths start at the working directory, wherever they are written.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, final

import msgspec
from msgspec import Meta, Struct

from triolet._model.errors import ConfigurationError
from triolet._model.limits import Limits
from triolet.adapters.tokens import check_secret
from triolet.adapters.urls import bus_of, check_bus, check_store, is_shared

from .address import Address
from .secret import Secret, read_secret

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Workers: TypeAlias = Annotated[int, Meta(ge=1, le=256)]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
Origin: TypeAlias = Annotated[str, Meta(pattern=r"^(null|[a-z][a-z0-9+.-]*://[^/\s]+)\Z")]

PREFIX: Final = "TRIOLET_"
_LIMIT_PREFIX: Final = "TRIOLET_LIMIT_"
# Limits an operator looks for among the settings: how long things are kept.
_KEEPING: Final = ("retention_days", "retention_entries", "dedupe_days")
# What may also be given as the path of a file, `TRIOLET_SECRET_FILE` or `secret_file`.
_SECRETS: Final = ("secret", "store", "store_password", "bus", "bus_password")
# Not settings of the server: where `triolet chat` goes and who it is, and our own file.
_NOT_OURS: Final = ("TRIOLET_CONFIG", "TRIOLET_URL", "TRIOLET_TOKEN")
# Kubernetes gives every pod such variables for a Service called `triolet`.
_is_kubernetes = re.compile(r"TRIOLET_(SERVICE_(HOST|PORT)\w*|PORT_\d+_(TCP|UDP)\w*)").fullmatch
# Off, or without a bound; everything else that is 0 would be a server that does nothing.
_MAY_BE_ZERO: Final = (
    *_KEEPING,
    "drain_window_s",
    "entry_joins_members_max",
    "feed_members_max",
    "gap_wait_s",
    "grace_s",
    "hello_wait_s",
    "idle_rooms_max",
    "idle_seats_max",
    "lb_delay_s",
    "receipts_members_max",
    "token_leeway_s",
    "token_notice_s",
    "typing_subscribers_max",
    "watched_max",
)


@final
class Settings(Struct, frozen=True, kw_only=True):
    """What an operator decides.

    Attributes:
        host: the address to listen on.
        port: the port; 0: the system chooses.
        workers: processes that share the port, each a node of its own; more than one needs a
            store on PostgreSQL.
        data: the folder for what is kept: the secret, and the database by default.
        store: `sqlite:PATH`, `postgresql://…` or `memory:`; empty: SQLite in `data`.
        store_password: of a store whose URL has none.
        bus: what joins several nodes on PostgreSQL: `redis://…` (several: comma separated),
            `postgresql:` (the store's database) or `memory:` (one node); empty: `postgresql:`
            where the store is PostgreSQL.
        bus_password: of each server of a bus whose URL has none.
        origins: web origins that may connect, besides the server's own.
        secret: signs and verifies HS256 tokens.
        keys: PEM files of public keys for RS256, ES256 and EdDSA.
        jwks: a JWK set's file.
        issuer: what a token's `iss` must be; empty: anything.
        audience: what a token's `aud` must name one of; empty: a token must have none.
        log_level: what is told on stderr.
        limits: the engine's bounds.
    """

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8000
    workers: Workers = 1
    data: Path = Path("triolet-data")
    store: Address = Address("")
    store_password: Secret | None = None
    bus: Address = Address("")
    bus_password: Secret | None = None
    origins: tuple[Origin, ...] = ()
    secret: Secret | None = None
    keys: tuple[Path, ...] = ()
    jwks: Path | None = None
    issuer: str = ""
    audience: tuple[str, ...] = ()
    log_level: LogLevel = "info"
    limits: Limits = Limits()

    @property
    def store_url(self) -> Address:
        """Where everything is kept: `store`, or the database in `data`."""
        if not self.store.reveal():
            return Address(f"sqlite:{self.data / 'triolet.db'}")
        return _whole(self.store, self.store_password)

    @property
    def bus_url(self) -> Address:
        """What joins several nodes; empty: what the store has."""
        return _whole(self.bus, self.bus_password)

    @property
    def makes_its_secret(self) -> bool:
        """Whether tokens are ours to sign, with a secret that is made on the first start."""
        return self.secret is None and not self.keys and self.jwks is None


def _whole(address: Address, password: Secret | None) -> Address:
    return address if password is None else address.with_password(password)


@final
class _Found(Struct, frozen=True):
    """A value and how its setting was spelled; `lax`: it is text, to be read as what it means."""

    value: object
    label: str
    lax: bool


_Layer: TypeAlias = dict[str, _Found]

_SETTINGS: Final = {field.name: field for field in msgspec.structs.fields(Settings)}
_LIMITS: Final = {field.name: field for field in msgspec.structs.fields(Limits)}


def _spellings() -> tuple[dict[str, str], dict[str, str]]:
    """Return `{how it is spelled: key}` for the environment and for the file."""
    environment, file = {}, {}
    plain = [name for name in _SETTINGS if name != "limits"]
    for name in (*plain, *(f"{secret}_file" for secret in _SECRETS)):
        environment[PREFIX + name.upper()] = file[name] = name
    for name in _LIMITS:
        environment[_LIMIT_PREFIX + name.upper()] = file[f"limits.{name}"] = f"limits.{name}"
    for name in _KEEPING:
        environment[PREFIX + name.upper()] = file[name] = f"limits.{name}"
    return environment, file


_ENVIRONMENT, _FILE = _spellings()


def load_settings(
    *,
    environ: Mapping[str, str],
    config: Path | None = None,
    options: Mapping[str, object] | None = None,
) -> Settings:
    """Put the settings together.

    Args:
        environ: the environment's variables.
        config: the TOML file; None: the one that `TRIOLET_CONFIG` names, or none.
        options: what the command line said, by key; None values were not said.

    Raises:
        ConfigurationError: an unknown name, a value that cannot be, a file that cannot be
            read; its text begins with the setting as it was spelled, and holds no secret.

    >>> load_settings(environ={"TRIOLET_PORT": "9000"}).port
    9000
    """
    named = environ.get("TRIOLET_CONFIG")
    if config is None and named:
        config = Path(named)
    layers = [
        {} if config is None else _read_file(config),
        _read_environment(environ),
        _read_options(options or {}),
    ]
    found: _Layer = {}
    for layer in layers:
        for secret in _SECRETS:
            _one_of(layer, found, secret)
        found |= layer
    values = {key: _read(key, one) for key, one in found.items()}
    for name in _SECRETS:
        file = values.pop(f"{name}_file", None)
        if isinstance(file, Path):
            values[name] = _from_file(found[f"{name}_file"].label, name, file)
    limits = {key.removeprefix("limits."): values.pop(key) for key in list(values) if "." in key}
    settings = msgspec.convert(values | {"limits": limits}, Settings, dec_hook=_build)
    _check(settings, found)
    return settings


def _read_file(path: Path) -> _Layer:
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from None
    limits = content.pop("limits", {})
    if not isinstance(limits, dict):
        raise ConfigurationError(f"limits in {path}: this is a table, [limits]")
    flat = content | {f"limits.{name}": value for name, value in limits.items()}
    layer: _Layer = {}
    for spelled, value in flat.items():
        _add(layer, _FILE, spelled, _Found(value, f"{spelled} in {path}", lax=False))
    return layer


def _read_environment(environ: Mapping[str, str]) -> _Layer:
    layer: _Layer = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name in _NOT_OURS or _is_kubernetes(name):
            continue
        if name == "TRIOLET_PORT" and value.startswith("tcp://"):
            continue  # Kubernetes again
        _add(layer, _ENVIRONMENT, name, _Found(value, name, lax=True))
    return layer


def _read_options(options: Mapping[str, object]) -> _Layer:
    said = {key: value for key, value in options.items() if value is not None}
    return {key: _Found(value, f"--{key}", lax=False) for key, value in said.items()}


def _add(layer: _Layer, spellings: Mapping[str, str], spelled: str, found: _Found) -> None:
    key = spellings.get(spelled)
    if key is None:
        (nearest,) = get_close_matches(spelled, spellings, n=1, cutoff=0)
        raise ConfigurationError(f"{found.label}: no such setting; the nearest is {nearest}")
    if key in layer:
        raise ConfigurationError(f"{found.label}: set twice, the other is {layer[key].label}")
    layer[key] = found


def _one_of(layer: _Layer, below: _Layer, name: str) -> None:
    """A secret and its file are one setting: both at once is a mistake, either hides the lower."""
    given = [layer[key].label for key in (name, f"{name}_file") if key in layer]
    if len(given) == 2:
        raise ConfigurationError(f"{given[0]}: set twice, the other is {given[1]}")
    if given:
        below.pop(name, None)
        below.pop(f"{name}_file", None)


def _read(key: str, found: _Found) -> object:
    value, kind = found.value, _type_of(key)
    if found.lax and isinstance(value, str) and key in ("origins", "keys", "audience"):
        value = [item.strip() for item in value.split(",") if item.strip()]
    try:
        return msgspec.convert(value, kind, strict=not found.lax, dec_hook=_build)
    except msgspec.ValidationError as error:
        # msgspec names what was expected, never the value.
        raise ConfigurationError(f"{found.label}: {_plain(str(error))}") from None


def _type_of(key: str) -> object:
    if key.endswith("_file"):
        return Path
    section, _, name = key.rpartition(".")
    return (_LIMITS if section else _SETTINGS)[name].type


def _build(kind: type, value: object) -> object:
    """Make what msgspec does not know of a string: a path, an address, a secret."""
    if isinstance(value, kind):
        return value
    # An empty variable is a mistake, not a wish for SQLite.
    if not isinstance(value, str) or not value:
        raise ValueError("Expected a `str` that is not empty")
    if kind is Address:
        return Address(value.strip())
    return Path(value) if kind is Path else Secret(value.encode())


def _plain(message: str) -> str:
    return re.sub(r" - at `\$.*`$", "", message).replace("Expected", "expected", 1)


def _from_file(label: str, name: str, path: Path) -> Secret | Address:
    try:
        secret = read_secret(path)
    except ConfigurationError as error:
        raise ConfigurationError(f"{label}: {error}") from None
    if _SETTINGS[name].type is not Address:
        return secret
    try:
        return Address(secret.reveal().decode().strip())
    except UnicodeDecodeError:
        raise ConfigurationError(f"{label}: {path} is no text") from None


def _check(settings: Settings, found: _Layer) -> None:
    """Refuse what is well-formed and cannot work."""

    def refuse(key: str, why: object) -> ConfigurationError:
        spelled = next((one for one in (key, f"{key}_file") if one in found), None)
        label = key if spelled is None else found[spelled].label
        return ConfigurationError(f"{label}: {why}")

    if settings.secret is not None:
        try:
            check_secret(settings.secret.reveal())
        except ConfigurationError as error:
            raise refuse("secret", error) from None
    _check_addresses(settings, refuse)
    limits = settings.limits
    for name in _LIMITS:
        value: float = getattr(limits, name)
        if not isfinite(value) or value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
            raise refuse(f"limits.{name}", f"{value} is out of range")
    if limits.outbox_bytes_low > limits.outbox_bytes_high:
        raise refuse("limits.outbox_bytes_low", "it must not exceed outbox_bytes_high")
    if limits.body_bytes_max > limits.message_bytes_max:
        raise refuse("limits.body_bytes_max", "it must not exceed message_bytes_max")


def _check_addresses(settings: Settings, refuse: Callable[[str, object], Exception]) -> None:
    """Refuse a store or a bus that is none, and a bus that is of no use with the store."""
    for name, address in (("store", settings.store), ("bus", settings.bus)):
        try:
            _whole(address, getattr(settings, f"{name}_password"))
        except ConfigurationError as error:
            raise refuse(f"{name}_password", error) from None
    store = settings.store_url.reveal()
    try:
        check_store(store)
    except ConfigurationError as error:
        raise refuse("store", error) from None
    bus = settings.bus_url.reveal()
    try:
        check_bus(bus, store)
    except ConfigurationError as error:
        raise refuse("bus", error) from None
    if settings.workers > 1 and not is_shared(store):
        raise refuse(
            "workers",
            f"several processes cannot write to {settings.store_url} without breaking the order "
            "of its rooms; use one worker, or a store on PostgreSQL",
        )
    if settings.workers > 1 and bus_of(bus, store) == "memory:":
        raise refuse("bus", "workers hear each other by `redis://…` or `postgresql:`")
