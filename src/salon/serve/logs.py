"""Log lines as JSON, each with the id of the request that it belongs to, and without anything secret.

A library sets up no logging: `configure` is called by the command line alone.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from typing import IO, Any

REQUEST_ID: ContextVar[str] = ContextVar("salon_request_id", default="")
"""The id of the request that is being answered, or ""."""

SECRET = re.compile(r"(salon_[A-Za-z0-9]{4,32}_)[A-Za-z0-9_-]{16,}")
"""A whole API key; its public part may be seen."""


def hide(text: str) -> str:
    """`text` with the secret part of every API key replaced."""
    return SECRET.sub(r"\1...", text)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, request_id, and what `extra={"data": {...}}` gives."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if REQUEST_ID.get():
            line["request_id"] = REQUEST_ID.get()
        line |= getattr(record, "data", {})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return hide(json.dumps(line, ensure_ascii=False, default=str))


def configure(level: str = "INFO", stream: IO[str] | None = None) -> None:
    """Sends everything that is logged to `stream` (standard error by default) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in ("httpx", "httpcore", "alembic"):  # they tell whole addresses, or every migration
        logging.getLogger(name).setLevel(logging.WARNING)
