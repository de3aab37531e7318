"""Running the server: the one file of the command line that needs the extra `serve` to be imported."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from salon.cli.show import say
from salon.errors import SettingError
from salon.serve.app import create_app
from salon.serve.homes import home_of
from salon.serve.keys import session_secret
from salon.serve.logs import configure
from salon.serve.settings import ServeSettings
from salon.serve.tenants import first_key, open_tenants
from salon.store import Store

BACKLOG = 2048
"""Connections that may wait to be taken."""
SESSION_FILE = "session.key"
"""Beside the store: what signs the cookies of the pages."""


def run(
    model: Path,
    settings: ServeSettings,
    *,
    home: str = "",
    store: str = "",
    key_file: Path | None = None,
    level: str = "info",
) -> None:
    """Serves a model until the process is told to stop; calls in progress are answered first.

    Args:
        model: Folder that `salon fit` wrote.
        settings: Of the server.
        home: Folder of the store; "" for the one beside the model.
        store: URL of the store; "" for a file in `home`.
        key_file: Where the first key is written instead of being printed.
        level: Of the log lines on standard error.
    """
    listening = _listen(settings.host, settings.port)
    with listening:
        configure(level.upper())
        tenants = open_tenants(settings, model, home, store)
        try:
            secret = session_secret((Path(home) if home else home_of(model)) / SESSION_FILE)
            app = create_app(tenants, settings, secret)
            _tell(settings, listening.getsockname()[1])
            _tell_key(tenants["default"].store, key_file)
        except BaseException:
            for tenant in tenants.values():
                tenant.service.close()
            raise
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            ssl_certfile=settings.tls_cert or None,
            ssl_keyfile=settings.tls_key or None,
            timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
        )
        signal.signal(signal.SIGTERM, _end)
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:  # Ctrl-C, told again by uvicorn after it has ended well
            say("Stopped.")


def _end(number: int, frame: FrameType | None) -> None:
    """uvicorn tells a signal again once it has ended well: the process then ends without an error."""
    sys.exit(0)


def _listen(host: str, port: int) -> socket.socket:
    """A socket, opened before anything else is: a port that is taken is told at once.

    Raises:
        SettingError: The address cannot be listened on.
    """
    found: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError as error:
        if found is not None:
            found.close()
        hint = "Choose another with --host and --port, or end the program that has it."
        raise SettingError(f"{host}:{port} cannot be listened on: {error.strerror}.", hint=hint) from None
    return found


def _tell(settings: ServeSettings, port: int) -> None:
    """Says where the pages and the API are."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    address = f"{'https' if settings.tls_cert else 'http'}://{host}:{port}"
    say(f"Window:  {address}/")
    say(f"Studio:  {address}/studio")
    say(f"API:     {address}/openapi.json")


def _tell_key(store: Store, key_file: Path | None) -> None:
    """Makes the first key where there is none, and shows it once."""
    if store.keys.all():
        say("Sign in with a key of yours; make another one with: salon keys add")
    elif key_file is not None:
        with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(first_key(store) + "\n")
        say(f"The first key is in {key_file}.")
    else:
        say(f"Key:     {first_key(store)}")
        say("This key is shown once: keep it. The pages ask for it; programs send it as a Bearer token.")
    sys.stdout.flush()
