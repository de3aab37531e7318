"""Requests to a server of models: https or this machine, no redirects, bounded answers, patient with a busy server."""

from __future__ import annotations

import email.utils
import http.client
import ipaddress
import json
import os
import time
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from salon.errors import SettingError, WeightsError

MAX_BYTES = 256 << 20
"""Largest answer that is read."""
MAX_WAIT = 60.0
"""Longest pause between two tries, in seconds, whatever the server asks for."""
BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which it is worth trying again."""


class Server:
    """A server that takes JSON and gives JSON.

    Args:
        base_url: Its address, without key, query or fragment.
        key_env: Environment variable with the key, sent as a bearer token; empty for none.
        timeout: Seconds to wait for an answer.
        retries: Further tries.
        allow_http: Whether http is allowed to other machines.

    Raises:
        SettingError: The address is of another kind, or not safe.
    """

    def __init__(self, base_url: str, key_env: str, timeout: float, retries: int, *, allow_http: bool) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            hint = "Write it like https://api.example.org/v1."
            raise SettingError(f"base_url = {_without_secrets(base_url)!r} is no address of a server.", hint=hint)
        if parts.username or parts.password:
            hint = "Put the key into an environment variable and name it in key_env."
            raise SettingError("base_url holds a name or password.", hint=hint)
        local = _is_loopback(parts.hostname)
        if parts.scheme == "http" and not local and not allow_http:
            hint = "Use https, or set allow_http = true if you trust the network between."
            raise SettingError(f"base_url = {base_url!r} would send texts in the clear.", hint=hint)
        self.url = base_url.rstrip("/")
        self._key_env, self._timeout, self._retries = key_env, timeout, retries
        self._local = local

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer to `body` at `path`, tried again while the server is busy.

        Raises:
            SettingError: The key is missing or refused, or the request is.
            WeightsError: The server cannot be reached, stays busy, or answers with something else than JSON.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json", **self._key()}
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        opener = _opener(self._local)
        for attempt in range(self._retries + 1):
            request = Request(f"{self.url}/{path}", data, headers, method="POST")  # noqa: S310  # scheme is checked
            try:
                with opener.open(request, timeout=self._timeout) as answer:
                    return self._read(answer)
            except HTTPError as error:
                with error:
                    if error.code not in BUSY or attempt == self._retries:
                        raise self._refused(error) from None
                    pause = _pause(error.headers.get("Retry-After"), attempt)
            except (URLError, OSError, http.client.HTTPException) as error:
                if attempt == self._retries:
                    reason = getattr(error, "reason", None) or error or type(error).__name__
                    hint = "Is the server running, and the address right?"
                    raise WeightsError(
                        f"{self.url} cannot be reached: {self._clean(str(reason))}.", hint=hint
                    ) from None
                pause = _pause(None, attempt)
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _key(self) -> dict[str, str]:
        """The header with the key."""
        if not self._key_env:
            return {}
        if not (key := os.environ.get(self._key_env, "").strip()):
            hint = f"Run: export {self._key_env}=..."
            raise SettingError(f"The environment variable {self._key_env!r} (key_env) is not set.", hint=hint)
        return {"Authorization": f"Bearer {key}"}

    def _read(self, answer: Any) -> Any:
        raw = answer.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            hint = "Set a smaller batch_size."
            raise WeightsError(f"{self.url} answers with more than {MAX_BYTES >> 20} MiB.", hint=hint)
        try:
            return json.loads(raw)
        except ValueError:
            raise WeightsError(f"{self.url} answers with something else than JSON.", hint="Check base_url.") from None

    def _refused(self, error: HTTPError) -> SettingError | WeightsError:
        """The error for an answer that is no success, with what the server says of it."""
        says = self._clean(error.read(2000).decode("utf-8", "replace"))
        if error.code in (401, 403):
            hint = f"Check the key in {self._key_env!r}." if self._key_env else "Name the variable of a key in key_env."
            return SettingError(f"{self.url} refuses access ({error.code}): {says}", hint=hint)
        if error.code == 404:
            return SettingError(f"{self.url} has no such model or path (404): {says}", hint="base_url ends in /v1.")
        if error.code in BUSY:
            hint = "Try later; finished batches are kept."
            return WeightsError(f"{self.url} failed {self._retries + 1} times ({error.code}): {says}", hint=hint)
        if 300 <= error.code < 400:
            return SettingError(
                f"{self.url} wants to send us elsewhere ({error.code}).", hint="Give the final address."
            )
        return SettingError(f"{self.url} refuses the request ({error.code}): {says}")

    def _clean(self, text: str) -> str:
        """A short text of the server, without the key, should it be repeated there."""
        key = os.environ.get(self._key_env, "").strip() if self._key_env else ""
        return " ".join((text.replace(key, "***") if key else text).split())[:300]


class _NoRedirects(HTTPRedirectHandler):
    """Answers that send elsewhere are errors: the key would go along."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """None, so that the answer itself is raised."""


def _opener(local: bool) -> OpenerDirector:
    """Opens http and https alone; what is on this machine never through a proxy."""
    return build_opener(_NoRedirects(), *([ProxyHandler({})] if local else []))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _pause(asked: str | None, attempt: int) -> float:
    """Seconds to wait: as the server asks for (seconds or a date), or half a second doubled with every try."""
    if asked is not None:
        try:
            wanted = float(asked)
        except ValueError:
            date = email.utils.parsedate_to_datetime(asked) if email.utils.parsedate(asked) else None
            wanted = date.timestamp() - time.time() if date else 0.5 * 2**attempt
        return min(max(wanted, 0.0), MAX_WAIT)
    return min(0.5 * 2**attempt, MAX_WAIT)


def _without_secrets(url: str) -> str:
    return url.rpartition("@")[2]
