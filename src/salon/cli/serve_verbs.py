"""Verbs of the service: serve, load, keys, backup, restore."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from salon.cli.show import Json, bars, emit, say, table
from salon.errors import MissingExtraError, SettingError, UnknownIdError

HomePath = Annotated[
    str, typer.Argument(metavar="HOME", help="The folder that `salon serve` made, or the URL of a database.")
]
KeyFile = Annotated[Path | None, typer.Option(help="File with a key.")]


def serve(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A folder that `salon fit` wrote.")],
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 8080 by default.")] = None,
    home: Annotated[str, typer.Option(help="Folder for the store, uploads and later models [MODEL.live].")] = "",
    store: Annotated[
        str, typer.Option(envvar="SALON_STORE", help="URL of a PostgreSQL database, instead of a file in HOME.")
    ] = "",
    config: Annotated[Path | None, typer.Option(help="TOML file with all other settings.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="Write the first key to this file, not to the screen.")] = None,
    tls_cert: Annotated[str | None, typer.Option(help="Certificate in PEM, to speak https.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="Private key of the certificate in PEM.")] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="Of the JSON lines on standard error.")
    ] = "info",
) -> None:
    """Serve a model: recommendations by HTTP, and pages to look at.

    The first start makes a key and shows it once. Stop it with Ctrl-C: calls in progress are answered first.

    Example: salon serve model/

    Example: salon serve model/ --host 0.0.0.0 --port 443 --tls-cert cert.pem --tls-key key.pem
    """
    given = {"host": host, "port": port, "tls_cert": tls_cert, "tls_key": tls_key}
    serve_model(model, config, home=home, store=store, key_file=key_file, level=log_level, **given)


def serve_model(
    model: Path,
    config: Path | None = None,
    *,
    home: str = "",
    store: str = "",
    key_file: Path | None = None,
    level: str = "info",
    **given: Any,
) -> None:
    """Serves a model with the settings of a file and those given; see `salon.cli.serve_run.run`."""
    settings = _part("salon.serve.settings").read_settings(config, **given)
    _part("salon.cli.serve_run").run(model, settings, home=home, store=store, key_file=key_file, level=level)


def _part(module: str) -> Any:
    """A module of the service, which is imported only when it is asked for.

    Raises:
        MissingExtraError: Its packages are not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "salon":
            raise
        raise MissingExtraError.of("The server", "serve") from error


def load(
    home: Annotated[
        str, typer.Argument(metavar="HOME|URL", help="The folder of a service, a database, or http://host:port.")
    ],
    items: Annotated[Path | None, typer.Option(help="Items: a column id, the others are fields.")] = None,
    users: Annotated[Path | None, typer.Option(help="People: a column id, the others are attributes.")] = None,
    events: Annotated[Path | None, typer.Option(help="Events: user, item, and if known kind, time, value.")] = None,
    key_file: KeyFile = None,
    json: Json = "",
) -> None:
    """Load items, people and events from files (csv, tsv, jsonl, parquet) into a service.

    Into a folder or a database, the rows are stored directly and a running server takes them over by itself; into a
    URL of http, they go through the API. Loading a file twice is the same as once.

    Example: salon load model.live --items items.csv --events events.parquet
    """
    files = {kind: path for kind, path in (("items", items), ("users", users), ("events", events)) if path}
    if not files:
        raise SettingError("There is nothing to load.", hint="Give --items, --users or --events.")
    loading = _part("salon.serve.loading")
    with bars(quiet=bool(json)) as progress:
        if home.startswith(("http://", "https://")):
            if key_file is None:
                raise SettingError("A server needs a key.", hint="Give the file that holds it: --key-file key.txt")
            send = loading.to_server(home, key_file.read_text(encoding="utf-8").strip())
            found = {kind: loading.load_file(path, kind, send, progress) for kind, path in files.items()}
        else:
            with _open(home) as store:
                send = loading.to_store(store)
                found = {kind: loading.load_file(path, kind, send, progress) for kind, path in files.items()}
    if emit(found, json):
        return
    rows = [(kind, one.stored, one.known, one.rejected) for kind, one in found.items()]
    table("", ["", "stored", "known", "rejected"], rows, right=(1, 2, 3))
    for kind, one in found.items():
        for row, why in one.reasons:
            say(f"{files[kind]} row {row}: {why}")


def keys(
    action: Annotated[Literal["add", "list", "revoke"], typer.Argument(metavar="ACTION", help="add, list or revoke.")],
    home: HomePath,
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="Of the key to revoke, as listed.")] = "",
    name: Annotated[str, typer.Option(help="What the new key is for.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="read, write or admin; each allows those before it.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose store and models the new key opens.")] = "default",
    json: Json = "",
) -> None:
    """Make, list or revoke the keys of a service.

    Example: salon keys add model.live --name "shop front" --scope write

    Example: salon keys revoke model.live 5f1c0a9be2d7
    """
    with _open(home) as store:
        if action == "add":
            text, key = _part("salon.serve.keys").make_key(name, scope or ["read"], tenant=tenant)
            store.keys.add(key)
            if not emit({"key": text, "prefix": key.prefix, "scopes": list(key.scopes), "tenant": tenant}, json):
                say(f"Key:  {text}")
                say("This key is shown once: keep it.")
            return
        if action == "revoke":
            if store.keys.find(prefix) is None:
                raise UnknownIdError(f"There is no key {prefix!r}.", hint="See: salon keys list HOME")
            store.keys.revoke(prefix)
        found = store.keys.all()
    plain = [{name: value for name, value in vars(key).items() if name != "digest"} for key in found]
    if not emit(plain, json):
        rows = [
            (k.prefix, k.name, " ".join(k.scopes), k.tenant, _day(k.created), _day(k.last_used), _day(k.revoked))
            for k in found
        ]
        table("", ["prefix", "name", "scopes", "tenant", "made", "last used", "revoked"], rows)


def backup(
    home: Annotated[Path, typer.Argument(metavar="HOME", help="The folder that `salon serve` made.")],
    out: Annotated[Path, typer.Argument(metavar="BACKUP", help="Folder to write; an older backup there is replaced.")],
    store: Annotated[str, typer.Option(envvar="SALON_STORE", help="URL of the store, if it is not in HOME.")] = "",
    json: Json = "",
) -> None:
    """Write a backup of a service, which may go on running: its store, its live model, its media.

    Example: salon backup model.live backup/
    """
    _counts(_part("salon.serve.backups").back_up(home, out, store), json, f"Saved to {out}.")


def restore(
    saved: Annotated[Path, typer.Argument(metavar="BACKUP", help="A folder that `salon backup` wrote.")],
    home: Annotated[Path, typer.Argument(metavar="HOME", help="The folder of the service, made if needed.")],
    store: Annotated[
        str, typer.Option(envvar="SALON_STORE", help="URL of the store, if it is not to be in HOME.")
    ] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Drop what is there.")] = False,
    json: Json = "",
) -> None:
    """Put a backup back, with every checksum compared; the service must not be running.

    Example: salon restore backup/ model.live
    """
    _counts(_part("salon.serve.backups").put_back(saved, home, store, replace=replace), json, f"Restored to {home}.")


def _counts(rows: dict[str, int], json: str, words: str) -> None:
    if not emit(rows, json):
        table("", ["", "rows"], list(rows.items()), right=(1,))
        say(words)


def _day(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _open(home: str) -> Any:
    """The store of a service, which must be there."""
    place = _part("salon.serve.homes").store_of(home)
    return _part("salon.store").open_store(place, create=False)
