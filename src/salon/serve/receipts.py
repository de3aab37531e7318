"""Batches with a result for each part: what is wrong with one part does not touch the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from salon.errors import SettingError
from salon.serve.schemas import ErrorOut, ReceiptOut, ReceiptsOut
from salon.serve.schemas_shop import Rejected
from salon.serve.state import Caller
from salon.serve.values import Receipt


async def receipts(parts: Sequence[Any], store: Callable[[list[Any]], list[Receipt]], caller: Caller) -> ReceiptsOut:
    """Stores the parts that are sound; the others are told as rejected in their places.

    Args:
        parts: As they were read, some of them `Rejected`.
        store: Stores parts, and gives a receipt for each.
        caller: Who sends them.

    Raises:
        SettingError: There are more parts than one call may have.
    """
    if len(parts) > caller.limits.batch:
        raise SettingError(f"{len(parts)} parts were sent.", hint=f"At most {caller.limits.batch} may be in one call.")
    sound = [part for part in parts if not isinstance(part, Rejected)]
    stored = iter(await caller.run(store, sound) if sound else [])
    return ReceiptsOut(results=[_rejected(p) if isinstance(p, Rejected) else receipt_out(next(stored)) for p in parts])


def receipt_out(receipt: Receipt) -> ReceiptOut:
    """A receipt of the service."""
    error = None
    if receipt.error is not None:
        error = ErrorOut(**{name: receipt.error[name] for name in ErrorOut.model_fields if name in receipt.error})
    return ReceiptOut(id=receipt.id, status=receipt.status, error=error)


def _rejected(part: Rejected) -> ReceiptOut:
    return ReceiptOut(id=part.id, status="rejected", error=ErrorOut(code="invalid", message=part.message))
