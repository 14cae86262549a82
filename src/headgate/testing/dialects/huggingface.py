"""HuggingFace's router: chat in OpenAI's shape, model ids with a policy, and feature extraction for embeddings."""

from __future__ import annotations

import msgspec

from headgate.testing.answers import Piece, Refused, Reply, count
from headgate.testing.dialects.base import JSON, Call, Object, Route, encode
from headgate.testing.dialects.chat import ChatDialect
from headgate.testing.dialects.vectors import vector
from headgate.types import Usage

WIDTH = 384


class ExtractionBody(msgspec.Struct, frozen=True):
    """A request for feature extraction."""

    inputs: str | list[str]


class HuggingFace(ChatDialect):
    """router.huggingface.co."""

    name = "huggingface"
    prefix = "/hf"
    base = "/v1"
    library = ("meta-llama/Llama-3.3-70B-Instruct", "Qwen/Qwen3-32B", "sentence-transformers/all-MiniLM-L6-v2")

    def routes(self) -> list[Route]:
        path = "/hf-inference/models/{model}/pipeline/feature-extraction"
        return [*super().routes(), Route("POST", path, self.extract)]

    def has(self, model: str) -> bool:
        return model.partition(":")[0] in self.models

    def bad_key(self, key: str) -> Refused:
        return Refused(401, "Invalid username or password.")

    def error_object(self, refused: Refused) -> Object:
        return super().error_object(refused) | {"http_status": refused.status}

    def model_row(self, model: str) -> Object:
        provider = {
            "provider": "fake",
            "status": "live",
            "context_length": 131_072,
            "pricing": {"input": 0.6, "output": 1.2},
            "supports_tools": True,
            "supports_structured_output": False,
        }
        return super().model_row(model) | {"owned_by": model.partition("/")[0], "providers": [provider]}

    def extract(self, call: Call) -> Reply:
        """One vector for a text, a list of vectors for a list; it reports no usage."""
        self.admit(call)
        body = call.read(ExtractionBody)
        self.find(call.in_path)
        listed = [body.inputs] if isinstance(body.inputs, str) else body.inputs
        found = [vector(text, WIDTH) for text in listed]
        usage = Usage(prompt=sum(count(text) for text in listed))
        shown = found[0] if isinstance(body.inputs, str) else found
        return Reply(200, JSON | self.headers(call), [Piece(encode(shown))], usage)
