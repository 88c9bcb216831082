"""Settings: who overrides whom, and how mistakes are told."""

from pathlib import Path

import msgspec
import pytest

from triolet._model.errors import ConfigurationError
from triolet._model.limits import Limits
from triolet.adapters.urls import BUSES, STORES
from triolet_api.address import Address
from triolet_api.secret import Secret
from triolet_api.settings import Settings, load_settings

SECRET = "a secret of thirty-two bytes and more"
POSTGRES = {"TRIOLET_STORE": "postgresql://h/d"}


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "triolet.toml"

    def write(text):
        path.write_text(text)
        return path

    return write


def load(environ=None, config=None, **options):
    return load_settings(environ=environ or {}, config=config, options=options)


def complaint(environ=None, config=None, **options):
    with pytest.raises(ConfigurationError) as caught:
        load(environ, config, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


class TestSources:
    def test_nothing_is_needed(self):
        settings = load({"PATH": "/bin", "HOME": "/"})

        assert settings == Settings()
        assert (settings.host, settings.port) == ("127.0.0.1", 8000)
        assert str(settings.store_url) == "sqlite:triolet-data/triolet.db"
        assert settings.makes_its_secret

    def test_every_setting_can_be_written_in_the_file(self, toml):
        settings = load(
            config=toml(
                f"""
                host = "::"
                port = 0
                workers = 1
                data = "d"
                store = "sqlite:x/y.db"
                bus = "memory:"
                origins = ["https://chat.example", "null"]
                secret = "{SECRET}"
                keys = ["one.pem", "two.pem"]
                jwks = "jwks.json"
                issuer = "https://id.example"
                audience = ["chat"]
                log_level = "debug"
                retention_days = 30
                [limits]
                grace_s = 2
                inflight_max = 8
                """
            )
        )

        assert settings == Settings(
            host="::",
            port=0,
            data=Path("d"),
            store=Address("sqlite:x/y.db"),
            bus=Address("memory:"),
            origins=("https://chat.example", "null"),
            secret=Secret(SECRET.encode()),
            keys=(Path("one.pem"), Path("two.pem")),
            jwks=Path("jwks.json"),
            issuer="https://id.example",
            audience=("chat",),
            log_level="debug",
            limits=Limits(retention_days=30, grace_s=2, inflight_max=8),
        )
        assert str(settings.store_url) == "sqlite:x/y.db"
        assert not settings.makes_its_secret

    def test_every_setting_can_be_written_in_the_environment(self):
        settings = load(
            {
                "TRIOLET_HOST": "0.0.0.0",
                "TRIOLET_PORT": "8080",
                "TRIOLET_DATA": "d",
                "TRIOLET_STORE": "memory:",
                "TRIOLET_BUS": "memory:",
                "TRIOLET_ORIGINS": "https://a.example, https://b.example:8443,",
                "TRIOLET_SECRET": SECRET,
                "TRIOLET_KEYS": "one.pem",
                "TRIOLET_JWKS": "jwks.json",
                "TRIOLET_ISSUER": "i",
                "TRIOLET_AUDIENCE": "chat,beta",
                "TRIOLET_LOG_LEVEL": "error",
                "TRIOLET_DEDUPE_DAYS": "7",
                "TRIOLET_RETENTION_DAYS": "8",
                "TRIOLET_RETENTION_ENTRIES": "9",
                "TRIOLET_LIMIT_GRACE_S": "0.5",
            }
        )

        assert settings == Settings(
            host="0.0.0.0",
            port=8080,
            data=Path("d"),
            store=Address("memory:"),
            bus=Address("memory:"),
            origins=("https://a.example", "https://b.example:8443"),
            secret=Secret(SECRET.encode()),
            keys=(Path("one.pem"),),
            jwks=Path("jwks.json"),
            issuer="i",
            audience=("chat", "beta"),
            log_level="error",
            limits=Limits(dedupe_days=7, retention_days=8, retention_entries=9, grace_s=0.5),
        )
        assert str(settings.store_url) == "memory:"

    def test_every_limit_has_a_name_in_the_environment(self):
        for field in msgspec.structs.fields(Limits):
            value = getattr(Limits(), field.name)

            assert load({f"TRIOLET_LIMIT_{field.name.upper()}": str(value)}) == Settings()

    def test_the_nearer_source_wins(self, toml):
        """Command line over environment over file."""
        path = toml('port = 1\nhost = "file"\nissuer = "file"')

        settings = load({"TRIOLET_PORT": "2", "TRIOLET_HOST": "env"}, path, port=3, data=None)

        assert (settings.port, settings.host, settings.issuer) == (3, "env", "file")
        assert settings.data == Path("triolet-data")

    def test_the_environment_may_name_the_file(self, toml):
        path = toml("port = 1")

        assert load({"TRIOLET_CONFIG": str(path)}).port == 1

    def test_a_secret_in_a_file_overrides_one_below_it(self, tmp_path, toml):
        """A secret and its file are one setting, in two spellings."""
        file = tmp_path / "secret"
        file.write_text(f"{SECRET}\r\n")

        settings = load({"TRIOLET_SECRET_FILE": str(file)}, toml(f'secret = "{"x" * 32}"'))

        assert settings.secret == Secret(SECRET.encode())
        assert not settings.makes_its_secret

    def test_an_address_may_be_a_file_as_a_whole(self, tmp_path):
        """And each of a store and a bus overrides what stands below it."""
        (tmp_path / "store").write_text("postgresql://anna:hunter2@db/chat\n")
        (tmp_path / "bus").write_text("redis://:hunter2@one,redis://two\n")

        settings = load(
            {
                "TRIOLET_STORE_FILE": str(tmp_path / "store"),
                "TRIOLET_BUS_FILE": str(tmp_path / "bus"),
            }
        )

        assert settings.store_url.reveal() == "postgresql://anna:hunter2@db/chat"
        assert settings.bus_url.reveal() == "redis://:hunter2@one,redis://two"
        assert "hunter2" not in repr(settings)

    def test_a_password_may_be_a_file_of_its_own(self, tmp_path):
        """The database and its clients are given the same file."""
        (tmp_path / "password").write_text("a/b@c\n")

        settings = load(
            {
                "TRIOLET_STORE": "postgresql://anna@db/chat?sslmode=require",
                "TRIOLET_STORE_PASSWORD_FILE": str(tmp_path / "password"),
                "TRIOLET_BUS": "redis://one:1, rediss://ben@two",
                "TRIOLET_BUS_PASSWORD": "hunter2",
            }
        )

        store, bus = settings.store_url, settings.bus_url
        assert store.reveal() == "postgresql://anna:a%2Fb%40c@db/chat?sslmode=require"
        assert bus.reveal() == "redis://:hunter2@one:1,rediss://ben:hunter2@two"
        assert str(bus) == "redis://:***@one:1,rediss://ben:***@two"
        assert "hunter2" not in repr(settings)

    def test_what_kubernetes_adds_is_not_ours(self):
        """A Service called `triolet` gives each pod TRIOLET_PORT=tcp://… and more."""
        settings = load(
            {
                "TRIOLET_SERVICE_HOST": "10.0.0.1",
                "TRIOLET_SERVICE_PORT": "8000",
                "TRIOLET_SERVICE_PORT_HTTP": "8000",
                "TRIOLET_PORT": "tcp://10.0.0.1:8000",
                "TRIOLET_PORT_8000_TCP": "tcp://10.0.0.1:8000",
                "TRIOLET_PORT_8000_TCP_ADDR": "10.0.0.1",
            }
        )

        assert settings == Settings()

    def test_the_chat_client_has_names_of_its_own(self):
        assert load({"TRIOLET_URL": "ws://x", "TRIOLET_TOKEN": "t"}) == Settings()


class TestMistakes:
    @pytest.mark.parametrize(
        ("environ", "text"),
        [
            (
                {"TRIOLET_PROT": "1"},
                "TRIOLET_PROT: no such setting; the nearest is TRIOLET_PORT",
            ),
            (
                {"TRIOLET_LIMIT_GRACE": "1"},
                "TRIOLET_LIMIT_GRACE: no such setting; the nearest is TRIOLET_LIMIT_GRACE_S",
            ),
            ({"TRIOLET_PORT": "http"}, "TRIOLET_PORT: expected `int`, got `str`"),
            ({"TRIOLET_PORT": "65536"}, "TRIOLET_PORT: expected `int` <= 65535"),
            ({"TRIOLET_PORT": ""}, "TRIOLET_PORT: expected `int`, got `str`"),
            ({"TRIOLET_HOST": ""}, "TRIOLET_HOST: expected `str` of length >= 1"),
            ({"TRIOLET_DATA": ""}, "TRIOLET_DATA: expected a `str` that is not empty"),
            ({"TRIOLET_LOG_LEVEL": "loud"}, "TRIOLET_LOG_LEVEL: invalid enum value 'loud'"),
            (
                {"TRIOLET_STORE": "mysql://u:pass@h/d"},
                f"TRIOLET_STORE: 'mysql://u:***@h/d' is no store: those are {STORES}",
            ),
            (
                {"TRIOLET_STORE": "sqlite:"},
                f"TRIOLET_STORE: 'sqlite:' is no store: those are {STORES}",
            ),
            (
                POSTGRES | {"TRIOLET_BUS": "amqp://u:pass@h"},
                f"TRIOLET_BUS: 'amqp://u:***@h' is no bus: those are {BUSES}",
            ),
            (
                {"TRIOLET_BUS": "redis://h"},
                (
                    "TRIOLET_BUS: nodes that a bus joins need one store on PostgreSQL, or each "
                    "would number a log of its own: 'sqlite:triolet-data/triolet.db' is for one "
                    "node, with the bus `memory:`"
                ),
            ),
            (
                {"TRIOLET_WORKERS": "2"},
                (
                    "TRIOLET_WORKERS: several processes cannot write to "
                    "sqlite:triolet-data/triolet.db without breaking the order of its rooms; "
                    "use one worker, or a store on PostgreSQL"
                ),
            ),
            (
                POSTGRES | {"TRIOLET_WORKERS": "2", "TRIOLET_BUS": "memory:"},
                "TRIOLET_BUS: workers hear each other by `redis://…` or `postgresql:`",
            ),
            ({"TRIOLET_STORE": ""}, "TRIOLET_STORE: expected a `str` that is not empty"),
            ({"TRIOLET_WORKERS": "0"}, "TRIOLET_WORKERS: expected `int` >= 1"),
            (
                {"TRIOLET_STORE_PASSWORD": "pass"},
                "TRIOLET_STORE_PASSWORD: what it is by default asks for no password",
            ),
            (
                {"TRIOLET_STORE": "postgresql://u:pass@h/d", "TRIOLET_STORE_PASSWORD": "p"},
                "TRIOLET_STORE_PASSWORD: postgresql://u:***@h/d has a password in it already",
            ),
            (
                POSTGRES | {"TRIOLET_STORE_FILE": "f"},
                "TRIOLET_STORE: set twice, the other is TRIOLET_STORE_FILE",
            ),
            ({"TRIOLET_LIMIT_GRACE_S": "-1"}, "TRIOLET_LIMIT_GRACE_S: -1.0 is out of range"),
            ({"TRIOLET_LIMIT_STALL_S": "nan"}, "TRIOLET_LIMIT_STALL_S: nan is out of range"),
            ({"TRIOLET_LIMIT_STALL_S": "inf"}, "TRIOLET_LIMIT_STALL_S: inf is out of range"),
            ({"TRIOLET_LIMIT_INFLIGHT_MAX": "0"}, "TRIOLET_LIMIT_INFLIGHT_MAX: 0 is out of range"),
            (
                {"TRIOLET_LIMIT_OUTBOX_BYTES_LOW": "1000000"},
                "TRIOLET_LIMIT_OUTBOX_BYTES_LOW: it must not exceed outbox_bytes_high",
            ),
            (
                {"TRIOLET_LIMIT_MESSAGE_BYTES_MAX": "1000"},
                "limits.body_bytes_max: it must not exceed message_bytes_max",
            ),
            (
                {"TRIOLET_RETENTION_DAYS": "1", "TRIOLET_LIMIT_RETENTION_DAYS": "2"},
                "TRIOLET_LIMIT_RETENTION_DAYS: set twice, the other is TRIOLET_RETENTION_DAYS",
            ),
            (
                {"TRIOLET_SECRET": SECRET, "TRIOLET_SECRET_FILE": "f"},
                "TRIOLET_SECRET: set twice, the other is TRIOLET_SECRET_FILE",
            ),
            (
                {"TRIOLET_SECRET": "short"},
                "TRIOLET_SECRET: the token secret is 5 bytes long; it needs 32 at least",
            ),
            ({"TRIOLET_CONFIG": "nowhere"}, "nowhere cannot be read: No such file or directory"),
        ],
    )
    def test_the_setting_is_named_as_it_was_spelled(self, environ, text):
        assert complaint(environ).lower() == text.lower()

    @pytest.mark.parametrize("origin", ["chat.example", "https://chat.example/", "*", "https://"])
    def test_an_origin_is_a_scheme_and_a_host(self, origin):
        assert complaint({"TRIOLET_ORIGINS": origin}).startswith("TRIOLET_ORIGINS: expected `str`")

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            ("prot = 1", "prot in {}: no such setting; the nearest is port"),
            ("port = '1'", "port in {}: expected `int`, got `str`"),
            ("port = true", "port in {}: expected `int`, got `bool`"),
            ("keys = 'one.pem'", "keys in {}: expected `array`, got `str`"),
            ("keys = ['']", "keys in {}: expected a `str` that is not empty"),
            ("data = 1", "data in {}: expected a `str` that is not empty"),
            (
                "[limits]\ngrace = 1",
                "limits.grace in {}: no such setting; the nearest is limits.grace_s",
            ),
            ("[limits.grace_s]", "limits.grace_s in {}: expected `float`, got `object`"),
            ("limits = 1", "limits in {}: this is a table, [limits]"),
            ("[limit]", "limit in {}: no such setting; the nearest is "),
            (
                "retention_days = 1\n[limits]\nretention_days = 1",
                "limits.retention_days in {}: set twice",
            ),
            ("port = ", "{}: "),
        ],
    )
    def test_the_file_is_named_too(self, toml, content, text):
        path = toml(content)

        assert complaint(config=path).startswith(text.format(path))

    def test_bytes_that_are_no_text(self, tmp_path):
        path = tmp_path / "x.toml"
        path.write_bytes(b"\xff\xfe")

        assert complaint(config=path).startswith(str(path))

    def test_an_option_is_named_as_an_option(self):
        assert complaint(port=70_000) == "--port: expected `int` <= 65535"

    @pytest.mark.parametrize("content", ["", "\n", "short", "x" * 9000])
    def test_a_secret_file_must_hold_a_secret(self, tmp_path, content):
        file = tmp_path / "secret"
        file.write_text(content)

        text = complaint({"TRIOLET_SECRET_FILE": str(file)})

        assert text.startswith("TRIOLET_SECRET_FILE: ")
        assert "short" not in text

    def test_a_secret_file_must_be_there(self, tmp_path):
        text = complaint({"TRIOLET_SECRET_FILE": str(tmp_path / "none")})

        assert text.startswith("TRIOLET_SECRET_FILE: ")


def test_settings_never_show_the_secret():
    settings = load({"TRIOLET_SECRET": SECRET})

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert settings.secret is not None
    assert settings.secret.reveal() == SECRET.encode()
