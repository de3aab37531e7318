"""Routes of the catalogue: items and their media."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, Response

from salon.errors import DataError, SettingError, UnknownIdError
from salon.serve.auth import Reader, Writer
from salon.serve.fetch import fetch
from salon.serve.forms import FORM_OR_URL, Upload, read_form
from salon.serve.media import TYPES, WIDTHS, SmallPictures, suffix_of
from salon.serve.once import IdempotencyKey, OnceRoute
from salon.serve.problems import declared
from salon.serve.receipts import receipts
from salon.serve.schemas import DeletedOut, JobOut, MediaBody, ReceiptsOut
from salon.serve.schemas_shop import ItemBody, ItemOut, ItemPatch, ItemsBody, ItemsOut, job_out
from salon.serve.state import Caller
from salon.store.values import StoredItem

router = APIRouter(prefix="/v1", tags=["items"], responses=declared(404, 409, 507), route_class=OnceRoute)

ItemId = Annotated[
    str, InPath(min_length=1, max_length=300, pattern=r"^[^\x00]+$", description="An item; slashes are part of the id.")
]
ItemQuery = Annotated[str, Query(min_length=1, max_length=300, pattern=r"^[^\x00]+$", description="An item.")]
FieldQuery = Annotated[str, Query(min_length=1, max_length=300, pattern=r"^[^\x00]+$", description="A media field.")]
Cursor = Annotated[str, Query(max_length=1000, pattern=r"^[^\x00]*$", description="From the page before.")]

_small = SmallPictures()


def page_size(n: int, caller: Caller) -> int:
    """`n`, if a page may be so long.

    Raises:
        SettingError: It may not.
    """
    if n > caller.limits.page:
        raise SettingError(f"A page of {n} rows was asked for.", hint=f"At most {caller.limits.page} may be.")
    return n


@router.post("/items", dependencies=[IdempotencyKey])
async def put_items(body: ItemsBody, caller: Writer) -> ReceiptsOut:
    """Store items whole: what was there under their ids is replaced. Each part has a result of its own."""

    def store(parts: list[Any]) -> list[Any]:
        return caller.service.put_items([StoredItem(p.id, p.fields, p.hidden, p.created) for p in parts])

    return await receipts(body.items, store, caller)


@router.get("/items")
async def get_items(
    caller: Reader,
    n: Annotated[int, Query(ge=1, le=10_000, description="Rows of a page.")] = 100,
    cursor: Cursor = "",
    filter: Annotated[str, Query(max_length=10_000, description="Only items for which it holds.")] = "",
) -> ItemsOut:
    """Items in the order of their ids."""
    page = await caller.run(caller.service.items, cursor, page_size(n, caller), filter)
    media = await caller.run(caller.tenant.media_fields)
    return ItemsOut(items=[ItemOut.of(item, media) for item in page.rows], cursor=page.cursor)


@router.get("/items/{id:path}")
async def get_item(id: ItemId, caller: Reader) -> ItemOut:
    """One item."""
    return await _item_out(caller, await caller.run(caller.service.item, id))


@router.put("/items/{id:path}")
async def put_item(id: ItemId, body: ItemBody, caller: Writer) -> ItemOut:
    """Store one item whole; its media are encoded in the background, and then it is recommended."""
    await caller.run(_put_one, caller, StoredItem(id, body.fields, body.hidden, body.created))
    return await _item_out(caller, await caller.run(caller.service.item, id))


@router.patch("/items/{id:path}")
async def patch_item(id: ItemId, body: ItemPatch, caller: Writer) -> ItemOut:
    """Change some fields of an item, or hide it."""
    return await _item_out(caller, await caller.run(caller.service.patch_item, id, body.fields, body.hidden))


@router.delete("/items/{id:path}")
async def delete_item(id: ItemId, caller: Writer) -> DeletedOut:
    """Remove an item for good: it is in no answer from now on."""
    deleted = await caller.run(caller.service.delete_items, [id])
    await caller.audit("delete item", id)
    return DeletedOut(deleted=deleted)


async def _item_out(caller: Caller, item: StoredItem) -> ItemOut:
    return ItemOut.of(item, await caller.run(caller.tenant.media_fields))


def _put_one(caller: Caller, item: StoredItem) -> None:
    (receipt,) = caller.service.put_items([item])
    if receipt.error is not None:
        raise DataError(str(receipt.error.get("message", "")), hint=str(receipt.error.get("hint", "")))


@router.put("/media", openapi_extra=FORM_OR_URL)
async def put_medium(request: Request, item: ItemQuery, field: FieldQuery, caller: Writer) -> JobOut:
    """Give an item a picture, a sound or a film: as a form with one `file`, or as JSON with its `url`.

    What the file is, is told by its content. It is decoded within limits before it is kept, and encoded in the
    background.
    """
    sent = await read_form(request, MediaBody, ("file",))
    if isinstance(sent, MediaBody):
        limits = caller.limits
        private = caller.state.settings.private_media
        content = await fetch(sent.url, most=limits.media_bytes, seconds=limits.fetch_seconds, private=private)
        sent = Upload("file", content)
    return job_out(await caller.run(caller.service.put_medium, item, field, sent.content, suffix_of(sent.content)))


@router.get(
    "/media",
    response_class=FileResponse,
    responses={200: {"content": {"*/*": {}}, "description": "The medium."}, 206: {"description": "A part of it."}},
)
async def get_medium(
    item: ItemQuery,
    field: FieldQuery,
    caller: Reader,
    width: Annotated[int | None, Query(ge=WIDTHS[0], le=WIDTHS[1], description="Of a small picture, as JPEG.")] = None,
) -> Response:
    """A medium of an item; with `width`, a picture made small."""
    path: Path = await caller.run(caller.service.medium, item, field)
    if not path.is_file():
        raise UnknownIdError(f"The medium {field!r} of {item!r} is not on the disk.", hint="Upload it again.")
    headers = {"Cache-Control": "private, max-age=3600"}
    if width is not None:
        small = await caller.run(_small.get, path, width)
        return Response(small, headers=headers, media_type="image/jpeg")
    kind = TYPES.get(path.suffix.lower(), "application/octet-stream")
    return FileResponse(path, headers=headers, media_type=kind)
