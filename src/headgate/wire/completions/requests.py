"""Completions requests, read into the neutral conversation and written out of it."""

from __future__ import annotations

import msgspec

from headgate.errors import BadRequest, WireNotServed
from headgate.wire.base import Written, encode
from headgate.wire.completions.shapes import CompletionRequest, Prompt
from headgate.wire.conversation import Conversation, Message, Settings, Text
from headgate.wire.openai import open_body, read_body, unread

_decode = msgspec.json.Decoder(CompletionRequest).decode
_CARRIED = frozenset(CompletionRequest.__struct_fields__) - {"logit_bias", "logprobs", "echo", "best_of"}


def read(body: bytes) -> Conversation:
    asked = read_body(_decode, body)
    return Conversation(
        model=asked.model,
        messages=(Message("user", (Text(_read_prompt(asked.prompt)),)),),
        settings=_read_settings(asked),
        stream=bool(asked.stream),
        suffix=asked.suffix or "",
        unread=unread(body, _CARRIED | _idle(asked)),
    )


def write(conversation: Conversation) -> Written:
    settings = conversation.settings
    request = CompletionRequest(
        model=conversation.model,
        prompt=_write_prompt(conversation),
        suffix=conversation.suffix or None,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        n=settings.choices,
        stop=list(settings.stop) or None,
        seed=settings.seed,
        presence_penalty=settings.presence_penalty,
        frequency_penalty=settings.frequency_penalty,
        stream=conversation.stream or None,
        user=settings.user,
    )
    return Written(open_body(encode(request)), _dropped(conversation))


def _read_prompt(prompt: Prompt) -> str:
    match prompt:
        case (str() as text) | [str() as text]:
            return text
        case []:
            raise BadRequest("`prompt`: an empty list has nothing to complete", param="prompt")
        case [str(), *_]:
            raise WireNotServed("`prompt`: this model is served by chat, which takes one text a call", param="prompt")
    raise WireNotServed("`prompt`: this model is served by chat, which takes a text, not token ids", param="prompt")


def _read_settings(asked: CompletionRequest) -> Settings:
    return Settings(
        max_tokens=asked.max_tokens if asked.max_tokens and asked.max_tokens > 0 else None,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        choices=asked.n,
        user=asked.user,
    )


def _idle(asked: CompletionRequest) -> set[str]:
    """Fields without a counterpart that ask for nothing: there is no loss to name."""
    idle = {"echo": not asked.echo, "best_of": asked.best_of == (asked.n or 1)}
    return {name for name, nothing in idle.items() if nothing}


def _write_prompt(conversation: Conversation) -> str:
    match conversation:
        case Conversation(messages=(Message(role="user", parts=parts),), tools=(), settings=Settings(format=None)):
            texts = [part.text for part in parts if isinstance(part, Text)]
            if len(texts) == len(parts):
                return "\n".join(texts)
    raise WireNotServed(
        "`messages`: this model continues one text: give a single user message, without tools or an output format",
        param="messages",
    )


def _dropped(conversation: Conversation) -> tuple[str, ...]:
    settings = conversation.settings
    gone = {
        "top_k": settings.top_k is not None,
        "logprobs": settings.logprobs is not None,
        "top_logprobs": settings.top_logprobs is not None,
        "reasoning_effort": settings.effort is not None,
        "thinking": settings.thinking_tokens is not None,
        "parallel_tool_calls": settings.parallel_tools is not None,
        "metadata": settings.metadata is not None,
        "name": any(message.name for message in conversation.messages),
    }
    return tuple(name for name, went in gone.items() if went)
