"""The error tree. Every error names the value that is wrong and says what to do.

SalonError                  code              status   retryable
├── SettingError            setting           400      no       an unknown or contradictory setting
├── DataError               data              422      no       a table, id or value that cannot be used
│   ├── UnknownIdError      unknown_id        404      no       an item or user that the model never met
│   └── MediaError          media             422      no       one medium that cannot be decoded safely
├── NotFittedError          not_fitted        409      no       a call that needs `fit` first
├── ArtifactError           artifact          422      no       a saved folder that is damaged or foreign
│   └── FingerprintError    fingerprint       409      no       vectors of different encoders put together
├── ConflictError           conflict          409      no       something that is there already rules the call out
├── MissingExtraError       missing_extra     501      no       an optional package is not installed
├── StoreError              store             503      yes      the database is locked, full, absent or damaged
├── WeightsError            weights           503      yes      encoder weights are absent or do not match
├── ResourceError           resource          507      no       the work would not fit memory or time
├── BusyError               busy              503      yes      a full queue; ask again later
├── BugError                bug               500      no       what the server did not foresee
└── RequestError            request           400      no       a call of the service that is malformed
    ├── InvalidError        invalid           422      no       a value of a call that has the wrong type or range
    ├── NoRouteError        not_found         404      no       an address that the server does not have
    ├── MethodError         method            405      no       a method that an address does not have
    ├── AuthError           auth              401      no       no key, or one that is not known
    ├── ForbiddenError      forbidden         403      no       a key that may not do this
    ├── TooLargeError       too_large         413      no       a body that is larger than is allowed
    └── RateError           rate              429      yes      more calls than a key may make
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SalonError(Exception):
    """Base of all errors raised by salon.

    Args:
        message: What is wrong, with the value.
        hint: What the reader can do about it.
    """

    code = "error"
    status = 500
    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip() if self.hint else self.message

    def to_dict(self) -> dict[str, object]:
        """The error as plain data, for `--json` and for the server."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "retryable": self.retryable}


class SettingError(SalonError):
    """A setting is unknown, out of range, or contradicts another."""

    code, status = "setting", 400


class DataError(SalonError):
    """A table, an id or a value cannot be used."""

    code, status = "data", 422


class UnknownIdError(DataError):
    """An id names nothing that is known here."""

    code, status = "unknown_id", 404


class MediaError(DataError):
    """A medium is broken, empty, or larger than the limits allow."""

    code, status = "media", 422


class NotFittedError(SalonError):
    """A method was called that needs a fitted object."""

    code, status = "not_fitted", 409

    @classmethod
    def of(cls, thing: object) -> NotFittedError:
        """The error for `thing`, with the call to make."""
        name = type(thing).__name__
        return cls(f"This {name} is not fitted.", hint=f"Call {name}.fit(...) before using it.")


class ArtifactError(SalonError):
    """A saved folder is missing, damaged, or of another kind."""

    code, status = "artifact", 422


class FingerprintError(ArtifactError):
    """Vectors made by different encoders were put together."""

    code, status = "fingerprint", 409


class ConflictError(SalonError):
    """Something that is there already rules the call out."""

    code, status = "conflict", 409


class MissingExtraError(SalonError):
    """A feature needs a package that a plain installation does not bring."""

    code, status = "missing_extra", 501

    @classmethod
    def of(cls, feature: str, extra: str) -> MissingExtraError:
        """The error for `feature`, with the pip line of `extra`."""
        return cls(f"{feature} needs packages that are not installed.", hint=f"Run: pip install 'salon[{extra}]'")


class StoreError(SalonError):
    """The database of the store is locked, full, absent or damaged."""

    code, status, retryable = "store", 503, True


class WeightsError(SalonError):
    """The weights of an encoder are absent or do not match their checksum."""

    code, status, retryable = "weights", 503, True


class ResourceError(SalonError):
    """The work would need more memory or time than is allowed."""

    code, status = "resource", 507


class BusyError(SalonError):
    """More is asked at once than waiting calls are kept for."""

    code, status, retryable = "busy", 503, True


class BugError(SalonError):
    """Something happened that the server did not foresee."""

    code, status = "bug", 500


class RequestError(SalonError):
    """A call of the service is malformed."""

    code, status = "request", 400


class InvalidError(RequestError):
    """A value of a call has the wrong type or is out of range."""

    code, status = "invalid", 422


class NoRouteError(RequestError):
    """An address is none that the server has."""

    code, status = "not_found", 404


class MethodError(RequestError):
    """An address does not have this method."""

    code, status = "method", 405


class AuthError(RequestError):
    """A call came without a key, or with one that is not known, revoked or expired."""

    code, status = "auth", 401


class ForbiddenError(RequestError):
    """The key of a call may not do what was asked."""

    code, status = "forbidden", 403


class TooLargeError(RequestError):
    """The body of a call is larger than is allowed."""

    code, status = "too_large", 413


class RateError(RequestError):
    """A key made more calls than it may.

    Args:
        message: What is wrong.
        hint: What the caller can do about it.
        wait: Seconds until a call is possible again.
    """

    code, status, retryable = "rate", 429, True

    def __init__(self, message: str, *, hint: str = "", wait: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.wait = wait


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the closest known words, or lists them all.

    Args:
        word: What was written.
        known: What could have been meant.

    Returns:
        A sentence such as "Did you mean 'linear'?" or "Known: a, b, c.".
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    if close:
        return "Did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "Known: " + ", ".join(names) + "." if names else "None are known."
