"""Bodies that are JSON or a form with a file: read by hand, after it is known who is calling."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from salon.errors import RequestError, did_you_mean
from salon.serve.schemas import MediaBody
from salon.serve.schemas_ask import SearchBody, SearchForm

B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True)
class Upload:
    """A file of a form, with the other values of the form."""

    name: str
    content: bytes
    values: dict[str, str] = field(default_factory=dict)


def _body(schema: type[BaseModel], files: tuple[str, ...], values: dict[str, Any]) -> dict[str, Any]:
    """The description of a body that is JSON by `schema`, or a form with one of `files` and `values`."""
    binary = {name: {"type": "string", "format": "binary", "description": f"A file ({name})."} for name in files}
    form: dict[str, Any] = {"type": "object", "properties": binary | values, "additionalProperties": False}
    form |= {"required": list(files)} if len(files) == 1 else {"minProperties": 1}
    reference = {"$ref": f"#/components/schemas/{schema.__name__}"}
    content = {"application/json": {"schema": reference}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


def _words(schema: type[BaseModel]) -> dict[str, Any]:
    """The properties of a model that one word of a form can give."""
    properties = schema.model_json_schema()["properties"]
    return {
        name: one for name, one in properties.items() if one.get("type") in ("string", "number", "integer", "boolean")
    }


FORM_OR_URL = _body(MediaBody, ("file",), {})
SEARCH_FILES = ("image", "audio", "video")
SEARCH_VALUES = _words(SearchForm) | {"user": {"type": "string", "description": "A person, whose taste counts."}}
FORM_OR_SEARCH = _body(SearchBody, SEARCH_FILES, SEARCH_VALUES)
BY_HAND = (MediaBody, SearchBody)
"""Models that no route declares, so that the description of the API must be given them."""


async def read_form(
    request: Request, schema: type[B], files: tuple[str, ...], values: tuple[str, ...] = ()
) -> B | Upload:
    """The body of a call: JSON by `schema`, or a form with one file.

    Args:
        request: The call.
        schema: Of the JSON.
        files: Names that the file may have.
        values: Names of further values of the form.

    Raises:
        RequestError: It is neither, or a form with another number of files.
        RequestValidationError: The JSON is not as it should be.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_upload(request, files, values)
    if kind != "application/json":
        raise RequestError(f"A body of type {kind!r} is not read here.", hint="Send JSON, or a form with a file.")
    return validated(_parsed(await request.body()), schema)


def validated(values: Any, schema: type[B], *, strict: bool = True) -> B:
    """Values as a model, with the errors that FastAPI would raise.

    Args:
        values: Plain values.
        schema: The model.
        strict: Whether "3" is no number; in a form it is one.
    """
    try:
        return schema.model_validate(values, strict=strict)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in found]) from None


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise RequestError("The body is no JSON.", hint="Send UTF-8 text with one JSON value.") from None


async def _read_upload(request: Request, files: tuple[str, ...], values: tuple[str, ...]) -> Upload:
    given: dict[str, str] = {}
    found: list[Upload] = []
    async with request.form(max_files=2, max_fields=20) as form:
        for name, value in form.multi_items():
            known = files if isinstance(value, UploadFile) else values
            if name not in known:
                raise RequestError(f"The form has an unknown part {name!r}.", hint=did_you_mean(name, files + values))
            if isinstance(value, UploadFile):
                found.append(Upload(name, await value.read()))
            else:
                given[name] = value
    if len(found) != 1 or not found[0].content:
        raise RequestError(f"The form has {len(found)} files.", hint=f"Send one, called {' or '.join(files)}.")
    return Upload(found[0].name, found[0].content, given)
