"""Bodies of the admin routes, read by hand: nobody but an owner can make us read one."""

from __future__ import annotations

from fastapi import Request

from headgate.errors import BodyTooLarge


async def bounded(request: Request, most_bytes: int) -> bytes:
    """The whole body. Raises `BodyTooLarge`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise BodyTooLarge(f"a body may have {most_bytes} bytes here")
    return bytes(body)
