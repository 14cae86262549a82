"""The providers' dialects as the fake upstream speaks them: one file a service."""

from __future__ import annotations

from headgate.testing.dialects.anthropic import Anthropic
from headgate.testing.dialects.base import Dialect
from headgate.testing.dialects.deepseek import DeepSeek
from headgate.testing.dialects.huggingface import HuggingFace
from headgate.testing.dialects.ollama import Ollama
from headgate.testing.dialects.openai import OpenAI
from headgate.testing.dialects.openrouter import OpenRouter

DIALECTS: dict[str, type[Dialect]] = {
    dialect.name: dialect for dialect in (OpenAI, Anthropic, DeepSeek, OpenRouter, HuggingFace, Ollama)
}
