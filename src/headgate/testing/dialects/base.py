"""What a dialect of the fake is: routes, the checks of the real service, and its own way to say an answer or a no."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, TypeVar

import msgspec

from headgate.testing.answers import Answer, Piece, Refused, Reply
from headgate.testing.http1 import Request

CREATED = 1_767_225_600
"""Every answer and model of the fake is from 2026-01-01, so that two runs give the same bytes."""

JSON = {"content-type": "application/json"}

encode = msgspec.json.Encoder().encode
Object = dict[str, object]
Body = TypeVar("Body")


class Call(msgspec.Struct, frozen=True):
    """A request on its way to a dialect. `script` gives the scripted answer for a model, else the default passed."""

    request: Request
    number: int
    script: Callable[[str, Answer], Answer]
    in_path: str = ""
    """What stood in the path where the route says `{model}`."""

    @property
    def headers(self) -> dict[str, str]:
        return self.request.headers

    def read(self, shape: type[Body]) -> Body:
        """The JSON body in a shape. Raises `Refused` with the path of the field at fault."""
        try:
            return msgspec.json.decode(self.request.body, type=shape)
        except msgspec.ValidationError as error:
            said, _, path = str(error).partition(" - at `$")
            raise Refused(400, said, param=path.strip("`.")) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused(400, "We could not parse the JSON body of your request.") from None


class Route(msgspec.Struct, frozen=True):
    """A method and a path, in which `{model}` stands for anything, and what answers there."""

    method: str
    path: str
    answer: Callable[[Call], Reply]

    def match(self, method: str, path: str) -> str | None:
        """What stands for `{model}` (or the empty string) where this is the route, else None."""
        if method != self.method:
            return None
        before, _, after = self.path.partition("{model}")
        found = re.fullmatch(re.escape(before) + ("(.+)" if "{model}" in self.path else "()") + re.escape(after), path)
        return found[1] if found else None


class Dialect(ABC):
    """One provider's API. `prefix` is where a fake of all dialects serves it; `base` what a client's base URL adds."""

    name: ClassVar[str]
    prefix: ClassVar[str]
    base: ClassVar[str] = ""
    library: ClassVar[tuple[str, ...]]
    """The models that it lists."""
    closed: ClassVar[bool] = False
    """A model that is not listed is refused even where nobody gave a list."""

    def __init__(self, models: Iterable[str] | None = None, key: str | None = None) -> None:
        self.models = self.library if models is None else tuple(models)
        self._closed = self.closed or models is not None
        self._key = key

    @abstractmethod
    def routes(self) -> list[Route]: ...

    @abstractmethod
    def error(self, refused: Refused) -> bytes:
        """The body that says no."""

    @abstractmethod
    def error_event(self, call: Call, refused: Refused) -> bytes:
        """A failure in the middle of a stream."""

    def credential(self, headers: dict[str, str]) -> str:
        """The key that the request carries, or the empty string."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return key if scheme.lower() == "bearer" else ""

    def headers(self, call: Call) -> dict[str, str]:
        """Headers of every answer, refusals included."""
        return {"x-request-id": f"req_fake{call.number}"}

    def refusal(self, call: Call, refused: Refused) -> Reply:
        return Reply(refused.status, JSON | self.headers(call), [Piece(self.error(refused))])

    def whole(self, call: Call, body: object) -> Reply:
        """A JSON answer that costs nothing."""
        return Reply(200, JSON | self.headers(call), [Piece(encode(body))])

    def admit(self, call: Call) -> None:
        """Raises `Refused` for a missing or wrong key."""
        key = self.credential(call.headers)
        if not key or (self._key is not None and key != self._key):
            raise self.bad_key(key)

    def bad_key(self, key: str) -> Refused:
        said = "Incorrect API key provided." if key else "You did not provide an API key."
        return Refused(401, said, kind="invalid_request_error", code="invalid_api_key")

    def find(self, model: str) -> None:
        """Raises `Refused` where the service has no such model. Names that choose a fault are known everywhere."""
        chosen = model.rpartition("/")[2].startswith("fake-")
        if not model or (self._closed and not chosen and not self.has(model)):
            raise self.no_model(model)

    def has(self, model: str) -> bool:
        return model in self.models

    def no_model(self, model: str) -> Refused:
        if not model:
            return Refused(400, "you must provide a model parameter", kind="invalid_request_error")
        said = f"The model `{model}` does not exist or you do not have access to it."
        return Refused(404, said, kind="invalid_request_error", code="model_not_found")
