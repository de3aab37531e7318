"""API keys and sign-ins: what is made, what is stored of it, and how a caller is recognised.

A key is `salon_<prefix>_<secret>`: the prefix finds it, the secret is 256 random bits of which the store keeps the
SHA-256 alone (a slow hash guards passwords that can be guessed; these cannot). A sign-in on the pages is a cookie that
names the prefix and an end, signed with a secret that is no part of the store.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Literal

from salon.errors import AuthError, SettingError, did_you_mean
from salon.store.values import StoredKey

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")
"""Each allows what those before it allow."""

REMEMBERED_SECONDS = 5.0
"""How long a revocation by another process may go unnoticed."""
MOST_REMEMBERED = 1000


def make_key(
    name: str, scopes: Sequence[str], *, tenant: str = "default", now: float | None = None
) -> tuple[str, StoredKey]:
    """A new key: the text for its owner, and what the store keeps.

    Args:
        name: What it is for.
        scopes: Of "read", "write", "admin".
        tenant: Whose store and models it opens.
        now: Seconds since 1970.

    Raises:
        SettingError: A scope is unknown, or there is none.
    """
    for scope in scopes:
        if scope not in SCOPES:
            raise SettingError(f"There is no scope {scope!r}.", hint=did_you_mean(scope, SCOPES))
    if not scopes:
        raise SettingError("A key without a scope opens nothing.", hint="Give read, write or admin.")
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    created = time.time() if now is None else now
    return f"salon_{prefix}_{secret}", StoredKey(prefix, _digest(secret), name, tuple(scopes), tenant, created)


def allows(key: StoredKey, scope: str) -> bool:
    """Whether a key may do what needs `scope`."""
    return any(SCOPES.index(given) >= SCOPES.index(scope) for given in key.scopes if given in SCOPES)


def parts_of(text: str) -> tuple[str, str, str]:
    """The word "salon", the prefix and the secret of the text of a key; "" for what is missing."""
    head, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    return head, prefix, secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class Keyring:
    """Finds the key behind what a caller sends, with a short memory.

    Args:
        find: Gives what the store keeps under a prefix, or None; it may block.
        clock: Seconds from anywhere.
    """

    def __init__(self, find: Callable[[str], StoredKey | None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._find, self._clock = find, clock
        self._known: OrderedDict[str, tuple[float, StoredKey]] = OrderedDict()
        self._lock = Lock()

    def by_text(self, text: str) -> StoredKey:
        """The key whose whole text was sent.

        Raises:
            AuthError: It is no key, not known, or revoked.
        """
        head, prefix, secret = parts_of(text)
        if head != "salon" or not secret or len(text) > 200:
            raise AuthError("What was sent is no key of salon.", hint="Keys look like salon_<prefix>_<secret>.")
        key = self.by_prefix(prefix)
        given = _digest(secret)
        if key is None or not hmac.compare_digest(given, key.digest):
            raise AuthError(
                "The key is not known here.", hint="Look for a typing error, or make a key: salon keys add."
            )
        return key

    def by_prefix(self, prefix: str) -> StoredKey | None:
        """The key with this public part, unless it is revoked."""
        known = self._remembered(prefix)
        if known is not None:
            return known
        key = self._find(prefix)
        if key is None or key.revoked is not None:
            self._known.pop(prefix, None)
            return None
        with self._lock:
            self._known[prefix] = (self._clock(), key)
            self._known.move_to_end(prefix)
            if len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        return key

    def remembers(self, prefix: str) -> bool:
        """Whether `by_prefix` answers without asking the store."""
        return self._remembered(prefix) is not None

    def _remembered(self, prefix: str) -> StoredKey | None:
        found = self._known.get(prefix)
        return found[1] if found is not None and self._clock() - found[0] < REMEMBERED_SECONDS else None

    def forget(self, prefix: str) -> None:
        """Lets a revocation count at once."""
        self._known.pop(prefix, None)


class Sessions:
    """Signs and reads the cookies of the pages.

    Args:
        secret: At least 32 random bytes, the same in every process that shares the pages.
        seconds: How long a sign-in lasts.
        clock: Seconds since 1970.
    """

    COOKIE = "salon_session"

    def __init__(self, secret: bytes, seconds: float, *, clock: Callable[[], float] = time.time) -> None:
        self._secret, self.seconds, self._clock = secret, seconds, clock

    def sign(self, key: StoredKey) -> str:
        """The cookie of a fresh sign-in."""
        body = f"{key.prefix}.{int(self._clock() + self.seconds)}"
        return f"{body}.{self._mark(body)}"

    def read(self, cookie: str) -> str:
        """The prefix of the key that signed in.

        Raises:
            AuthError: The cookie was not made here, or has expired.
        """
        body, _, mark = cookie.rpartition(".")
        prefix, _, end = body.partition(".")
        if not hmac.compare_digest(mark.encode("utf-8", "replace"), self._mark(body).encode()):
            raise AuthError("The sign-in is not valid.", hint="Sign in again.")
        if float(end) < self._clock():
            raise AuthError("The sign-in has expired.", hint="Sign in again.")
        return prefix

    def _mark(self, body: str) -> str:
        mark = hmac.digest(self._secret, body.encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(mark).decode().rstrip("=")


def session_secret(path: Path) -> bytes:
    """The secret in a file, which is made, readable by its owner alone, where it is absent.

    Raises:
        SettingError: The file holds less than 32 bytes.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        secret = path.read_bytes()
    else:
        secret = secrets.token_bytes(32)
        with os.fdopen(handle, "wb") as stream:
            stream.write(secret)
    if len(secret) < 32:
        raise SettingError(f"{str(path)!r} is too short for a secret.", hint="Delete it: a new one is made.")
    return secret
