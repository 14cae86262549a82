"""Stored models and the whitelist, on both databases."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from headgate.errors import StorageRefused
from headgate.routing.repository import ModelRepository
from headgate.storage.session import Database
from headgate.types import Allowed, ModelCard

FULL = ModelCard(
    id="openai/gpt-4o",
    provider="openrouter",
    name="OpenAI: GPT-4o",
    created=1_767_225_600,
    context_length=128_000,
    prompt_price_per_1k=0.0025,
    completion_price_per_1k=0.01,
    modality="text+image->text",
    abilities=("tools", "structured_outputs"),
    source="the list of openrouter",
    fetched_us=1_767_225_600_000_000,
)
BARE = ModelCard(id="llama2:latest", provider="ollama")


@pytest.fixture
def models(database: Database) -> ModelRepository:
    return ModelRepository(database)


async def cards(models: ModelRepository) -> list[ModelCard]:
    return [row.card for row in await models.models()]


async def test_a_card_comes_back_as_it_was_kept(models: ModelRepository) -> None:
    assert await models.keep_list("openrouter", [FULL]) == 1
    assert await models.keep_list("ollama", [BARE]) == 1
    assert await cards(models) == [BARE, FULL]


@pytest.mark.parametrize("price", [0.0, 0.00015, 0.0000375, 1e-12, 75.0])
async def test_prices_are_exact(models: ModelRepository, price: float) -> None:
    await models.keep_list("openrouter", [replace(FULL, prompt_price_per_1k=price)])
    assert (await cards(models))[0].prompt_price_per_1k == price


async def test_a_list_replaces_the_one_before_it_and_no_other(models: ModelRepository) -> None:
    await models.keep_list("openrouter", [FULL, replace(FULL, id="gone/soon")])
    await models.keep_list("ollama", [BARE])
    await models.keep_book([replace(FULL, source="a book")])
    await models.keep_list("openrouter", [replace(FULL, context_length=1)])
    found = [(row.card.id, row.card.context_length, row.listed) for row in await models.models()]
    assert sorted(found) == [
        ("llama2:latest", None, True),
        ("openai/gpt-4o", 1, True),
        ("openai/gpt-4o", 128_000, False),
    ]


async def test_an_empty_list_changes_nothing(models: ModelRepository) -> None:
    await models.keep_list("openrouter", [FULL])
    before = await models.versions()
    assert await models.keep_list("openrouter", []) == 0
    assert await cards(models) == [FULL]
    assert await models.versions() == before


async def test_a_book_replaces_the_one_before_it_and_no_list(models: ModelRepository) -> None:
    await models.keep_list("openrouter", [FULL])
    await models.keep_book([BARE, replace(BARE, id="other")])
    assert await models.keep_book([replace(BARE, id="third")]) == 1
    assert sorted((row.card.id, row.listed) for row in await models.models()) == [
        ("openai/gpt-4o", True),
        ("third", False),
    ]


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "x" * 257])
async def test_names_that_nobody_could_ask_for_are_left_out(models: ModelRepository, name: str) -> None:
    assert await models.keep_list("openrouter", [replace(FULL, id=name), FULL, replace(FULL, name="b\0c")]) == 1
    assert (await cards(models))[0].name == "bc"


@pytest.mark.parametrize("absurd", [2**63, 10**30, -1])
async def test_absurd_numbers_are_nobodys(models: ModelRepository, absurd: int) -> None:
    await models.keep_list(
        "openrouter", [replace(FULL, context_length=absurd, created=absurd, prompt_price_per_1k=float(absurd))]
    )
    (card,) = await cards(models)
    assert (card.context_length, card.created, card.prompt_price_per_1k) == (None, 0, None)


async def test_a_whitelist_keeps_its_order_and_is_replaced_as_a_whole(models: ModelRepository) -> None:
    rows = [Allowed("b", "openrouter"), Allowed("a", "openai"), Allowed("b", "openai")]
    await models.set_whitelist(rows)
    assert await models.whitelist() == rows
    await models.set_whitelist(rows[1:])
    assert await models.whitelist() == rows[1:]


async def test_a_refused_whitelist_leaves_the_old_one(models: ModelRepository) -> None:
    await models.set_whitelist([Allowed("a", "openai")])
    before = await models.versions()
    with pytest.raises(StorageRefused):
        await models.set_whitelist([Allowed("b", "openai"), Allowed("c", "x"), Allowed("b", "openai")])
    assert await models.whitelist() == [Allowed("a", "openai")]
    assert await models.versions() == before


async def test_a_whitelist_that_was_emptied_differs_from_one_that_was_never_set(models: ModelRepository) -> None:
    assert "whitelist" not in await models.versions()
    assert await models.changed_us("whitelist") == 0
    await models.set_whitelist([])
    assert (await models.versions())["whitelist"] == 1
    assert await models.changed_us("whitelist") > 0


async def test_every_change_of_a_subject_grows_its_version_alone(models: ModelRepository) -> None:
    await asyncio.gather(*(models.set_whitelist([Allowed(str(number), "")]) for number in range(5)))
    await models.keep_list("openrouter", [FULL])
    assert await models.versions() == {"whitelist": 5, "models": 1}
    assert len(await models.whitelist()) == 1


async def test_a_thousand_rows_fit(models: ModelRepository) -> None:
    many = [replace(FULL, id=f"maker/model-{number}") for number in range(1000)]
    assert await models.keep_list("openrouter", many) == 1000
    await models.set_whitelist([Allowed(card.id, "openrouter") for card in many])
    assert len(await cards(models)) == len(await models.whitelist()) == 1000
