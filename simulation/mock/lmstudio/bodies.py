"""A request's body as LM Studio reads it."""

from __future__ import annotations

from starlette.requests import Request

from ..http import BodyError, read_json
from . import errors
from .fields import Fields

__all__ = ["read_fields"]


async def read_fields(request: Request, *, strict: bool = True) -> Fields:
    """Read the members of the body, which must be a JSON object. Raises Refusal and ClientGoneError."""
    try:
        body = await read_json(request)
    except BodyError as error:
        raise errors.invalid_body(error.status, str(error)) from error
    if not isinstance(body, dict):
        raise errors.invalid_body(400, "the body must be an object")
    return Fields(body, strict=strict)
