"""The settings of the server: one class, read from a TOML file and from the options of `salon serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from salon.config import Settings, build, read_toml
from salon.errors import SettingError
from salon.serve.options import LiveOptions

Positive = Annotated[int, Field(gt=0)]


class Limits(Settings):
    """How much one call, and one key, may ask for."""

    body_bytes: Positive = 4 << 20
    """Size of a body in bytes, media apart."""
    media_bytes: Positive = 64 << 20
    """Size of one uploaded or fetched medium in bytes."""
    batch: Positive = 1000
    """Events, items or users in one call."""
    asks: Positive = 64
    """Questions in one batch of recommendations."""
    k: Positive = 500
    """Items in one answer."""
    page: Positive = 1000
    """Rows in one page of a list."""
    ids: Positive = 10_000
    """Ids in one list of a question: history, exclude, candidates."""
    expression: Positive = 2000
    """Characters of a filter or a booster."""
    rate: float = Field(default=500.0, ge=0)
    """Calls per second that one key may make for long; 0 sets no limit."""
    burst: Positive = 1000
    """Calls that one key may make at once."""
    waiting: Positive = 512
    """Calls that wait for a thread; more are answered with 503."""
    threads: Positive = 16
    """Threads for calls of the store and for slow work."""
    fetch_seconds: float = Field(default=20.0, gt=0)
    """Seconds that fetching a medium from its address may take."""


class GorseNames(Settings):
    """How the facade for Gorse's clients names things."""

    categories: str = "categories"
    """Item field that holds `Categories`."""
    labels: str = "labels"
    """Field of items and users that holds `Labels`, unless those are a table, which becomes fields of its own."""
    comment: str = "comment"
    """Field of items and users that holds `Comment`."""
    item_to_item: tuple[str, ...] = ("neighbors", "similar")
    """Names of recommenders in `/api/item-to-item/{name}/{item}`; all answer with the similar items of salon."""
    user_to_user: tuple[str, ...] = ("neighbors", "similar")
    """Names of recommenders in `/api/user-to-user/{name}/{user}`."""
    non_personalized: tuple[str, ...] = ("popular",)
    """Names in `/api/non-personalized/{name}` that answer with popular items; `latest` is known besides."""
    insert_users: bool = True
    """Whether feedback of an unknown person makes them known."""
    insert_items: bool = True
    """Whether feedback on an unknown item makes it known."""


class TenantSettings(Settings):
    """One tenant: a store and a folder of models of its own."""

    model: str
    """The folder that `salon fit` wrote."""
    home: str = ""
    """Folder for the store, the media and the models that are learned later; beside the model by default."""
    store: str = ""
    """Address of the store, such as "postgresql+psycopg://...", if it is not a file in `home`."""


class ServeSettings(Settings):
    """The server."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    tls_cert: str = ""
    """Certificate for TLS in PEM; with `tls_key`, the server speaks https."""
    tls_key: str = ""
    """Private key of the certificate in PEM."""
    behind_tls: bool = False
    """Whether a proxy before the server speaks https, so that cookies are marked Secure."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call the API from a browser; none by default."""
    open_metrics: bool = False
    """Whether /metrics answers without a key."""
    session_hours: float = Field(default=12.0, gt=0)
    """How long a sign-in on the pages lasts."""
    private_media: bool = False
    """Whether media may be fetched from private addresses; only for tests and closed networks."""
    shutdown_seconds: float = Field(default=10.0, gt=0)
    """How long calls in progress may take to end when the server is stopped."""
    limits: Limits = Limits()
    """How much one call, and one key, may ask for."""
    gorse: GorseNames = GorseNames()
    """How the facade for Gorse's clients names things."""
    live: LiveOptions = LiveOptions()
    """How the services remember, learn and answer."""
    tenants: dict[str, TenantSettings] = Field(default_factory=dict)
    """Further tenants by name; the one that `salon serve` is given is "default"."""

    @property
    def tls(self) -> bool:
        """Whether callers reach the server by https."""
        return bool(self.tls_cert) or self.behind_tls

    def check(self) -> None:
        """Refuses what can be seen to be wrong before anything is started.

        Raises:
            SettingError: One of the two TLS files is missing, an origin is none, or a tenant is called "default".
        """
        if bool(self.tls_cert) != bool(self.tls_key):
            raise SettingError("TLS needs both tls_cert and tls_key.", hint="Give both, or neither.")
        for name in (self.tls_cert, self.tls_key):
            if name and not Path(name).is_file():
                raise SettingError(f"There is no file {name!r} for TLS.", hint="Check tls_cert and tls_key.")
        for origin in self.cors:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                hint = "Write it as https://shop.example, without a path; '*' is not allowed."
                raise SettingError(f"The origin {origin!r} in cors is none.", hint=hint)
        if "default" in self.tenants:
            raise SettingError("A tenant cannot be called 'default'.", hint="That is the one given to `salon serve`.")


def read_settings(path: Path | None, **given: object) -> ServeSettings:
    """The settings of a TOML file, with options laid over them.

    Args:
        path: A file whose top level, or whose table [serve], holds the settings; None for the defaults.
        given: Options by name; None leaves what the file says.

    Raises:
        SettingError: A key is unknown or a value is out of range.
    """
    values = read_toml(path) if path is not None else {}
    values = dict(values.get("serve", values))
    values |= {name: value for name, value in given.items() if value is not None}
    settings = build(ServeSettings, values, where=str(path) if path is not None else "the options")
    settings.check()
    return settings
