"""Settings: command line over `TRIOLET_*` environment variables over a TOML file, strict.

Every setting has one key (`port`, `limits.grace_s`) and is spelled `TRIOLET_PORT` and
`TRIOLET_LIMIT_GRACE_S` in the environment, `port` and `grace_s` under `[limits]` in the file.
What is not a setting is an error that names the nearest one: a typing mistake in a limit must
not pass in silence. Relative paths start at the working directory, wherever they are written.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, final, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, structs

from triolet._model.errors import ConfigurationError
from triolet._model.limits import Limits
from triolet.adapters.tokens import check_secret
from triolet.adapters.urls import bus_of, check_bus, check_store, is_shared

from .address import Address
from .admin.settings import AdminSettings
from .auth.settings import AuthSettings
from .guard.settings import GuardSettings
from .notifications.settings import MailSettings, PushSettings, WebhookSettings
from .pages.settings import WebSettings
from .secret import Secret, read_secret

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Workers: TypeAlias = Annotated[int, Meta(ge=1, le=256)]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
Origin: TypeAlias = Annotated[str, Meta(pattern=r"^(null|[a-z][a-z0-9+.-]*://[^/\s]+)\Z")]

PREFIX: Final = "TRIOLET_"
# Tables of the file, and how their names begin in the environment.
_SECTIONS: Final[dict[str, tuple[str, type[Struct]]]] = {
    "limits": ("TRIOLET_LIMIT_", Limits),
    "auth": ("TRIOLET_AUTH_", AuthSettings),
    "guard": ("TRIOLET_GUARD_", GuardSettings),
    "push": ("TRIOLET_PUSH_", PushSettings),
    "mail": ("TRIOLET_MAIL_", MailSettings),
    "webhook": ("TRIOLET_WEBHOOK_", WebhookSettings),
    "admin": ("TRIOLET_ADMIN_", AdminSettings),
    "web": ("TRIOLET_WEB_", WebSettings),
}
# Limits an operator looks for among the settings: how long things are kept.
_KEEPING: Final = ("retention_days", "retention_entries", "dedupe_days")
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
    "service_factor",
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
        auth, guard, push, mail, webhook, admin, web: see each.
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
    auth: AuthSettings = AuthSettings()
    guard: GuardSettings = GuardSettings()
    push: PushSettings = PushSettings()
    mail: MailSettings = MailSettings()
    webhook: WebhookSettings = WebhookSettings()
    admin: AdminSettings = AdminSettings()
    web: WebSettings = WebSettings()

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

# The type of each setting by its key, `port` or `limits.grace_s`.
_TYPES: Final[dict[str, Any]] = {
    field.name: field.type for field in structs.fields(Settings) if field.name not in _SECTIONS
} | {
    f"{section}.{field.name}": field.type
    for section, (_, kind) in _SECTIONS.items()
    for field in structs.fields(kind)
}
# What may also be given as the path of a file, `TRIOLET_SECRET_FILE` or `secret_file`.
_SECRETS: Final = tuple(
    key for key, kind in _TYPES.items() if {Secret, Address} & {kind, *get_args(kind)}
)


def _spellings() -> tuple[dict[str, str], dict[str, str]]:
    """Return `{how it is spelled: key}` for the environment and for the file."""
    environment, file = {}, {}
    for key in (*_TYPES, *(f"{secret}_file" for secret in _SECRETS)):
        section, _, name = key.rpartition(".")
        prefix = _SECTIONS[section][0] if section else PREFIX
        environment[prefix + name.upper()] = file[key] = key
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
    settings = msgspec.convert(_nested(values), Settings, dec_hook=_build)
    _check(settings, found)
    return settings


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    """Return `{"auth.x": 1}` as `{"auth": {"x": 1}}`."""
    nested: dict[str, Any] = {section: {} for section in _SECTIONS}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (nested[section] if section else nested)[name] = value
    return nested


def _read_file(path: Path) -> _Layer:
    # Here: it is 20 ms of a start, and most servers have no such file.
    import tomllib  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from None
    tables = {section: content.pop(section, {}) for section in _SECTIONS}
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigurationError(f"{section} in {path}: this is a table, [{section}]")
        content |= {f"{section}.{name}": value for name, value in table.items()}
    layer: _Layer = {}
    for spelled, value in content.items():
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
    if found.lax and isinstance(value, str) and get_origin(kind) is tuple:
        value = [item.strip() for item in value.split(",") if item.strip()]
    try:
        return msgspec.convert(value, kind, strict=not found.lax, dec_hook=_build)
    except msgspec.ValidationError as error:
        # msgspec names what was expected, never the value.
        raise ConfigurationError(f"{found.label}: {_plain(str(error))}") from None


def _type_of(key: str) -> object:
    if key.endswith("_file"):
        return Path
    return _TYPES[key]


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
    if _TYPES[name] is not Address:
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
    for section, chosen in (("guard", settings.guard), ("admin", settings.admin)):
        for name, why in chosen.mistakes():
            raise refuse(f"{section}.{name}", why)
    _check_addresses(settings, refuse)
    limits = settings.limits
    for name in Limits.__struct_fields__:
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
