"""Routes that search and explain."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request

from salon.serve.auth import Reader
from salon.serve.examples import EXPLANATION, shown
from salon.serve.forms import FORM_OR_SEARCH, SEARCH_FILES, SEARCH_VALUES, Upload, read_form, validated
from salon.serve.media import suffix_of
from salon.serve.problems import declared
from salon.serve.schemas_ask import ExplainBody, FoundOut, FoundsOut, SearchBody, SearchForm, ask_of
from salon.serve.state import Caller
from salon.serve.values import Ask, Found

router = APIRouter(prefix="/v1", tags=["search"], responses=declared(404, 409, 501, 507))


@router.post("/search", openapi_extra=FORM_OR_SEARCH)
async def search(request: Request, caller: Reader) -> FoundsOut:
    """Items that words, a picture, a sound or a film find, with what each channel adds to the score.

    Send JSON with `text`, or a form with one file called `image`, `audio` or `video`.
    """
    sent = await read_form(request, SearchBody, SEARCH_FILES, tuple(SEARCH_VALUES))
    body = validated(sent.values, SearchForm, strict=False) if isinstance(sent, Upload) else sent
    ask = ask_of(body, caller.limits)
    words = {"text": body.text} if body.text.strip() else {}
    if isinstance(sent, Upload):
        found = await caller.run(_by_file, caller, sent, words, ask, body.taste)
    else:
        found = await caller.run(caller.service.search, words, ask, body.taste)
    return FoundsOut(items=[FoundOut.of(one) for one in found])


def _by_file(caller: Caller, upload: Upload, words: Mapping[str, str], ask: Ask, taste: float) -> list[Found]:
    with tempfile.TemporaryDirectory(prefix="salon-") as folder:
        path = Path(folder) / f"query{suffix_of(upload.content)}"
        path.write_bytes(upload.content)
        return caller.service.search({**words, upload.name: path}, ask, taste)


@router.post("/explain", responses=shown(EXPLANATION))
async def explain(body: ExplainBody, caller: Reader) -> dict[str, Any]:
    """Why an item has its score for a person: what each item of the history adds, by kind of information."""
    return dict(await caller.run(caller.service.explain, ask_of(body, caller.limits), body.item))
