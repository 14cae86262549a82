"""The documents that describe both planes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from headgate.edge.endpoints import ENDPOINTS, MODELS
from headgate.testing.gateway import RunningGateway

Document = dict[str, Any]


@pytest.fixture(scope="session")
def document(one_gateway: RunningGateway) -> Document:
    found: Document = httpx.get(f"{one_gateway.url}/openapi.json").raise_for_status().json()
    return found


def inside(value: object) -> Iterator[Document]:
    """Every object of a document, at any depth."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from inside(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from inside(inner)


def operations(document: Document) -> dict[str, Document]:
    return {
        f"{method.upper()} {path}": described
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    }


def test_every_route_is_described(document: Document) -> None:
    expected = {f"POST {endpoint.path}" for endpoint in ENDPOINTS}
    expected |= {f"GET {path}{one}" for path in MODELS for one in ("", "/{model}")}
    expected |= {"GET /health", "GET /health/live", "GET /health/ready", "GET /api/v1/health", "GET /metrics"}
    expected |= {f"GET /api/v1/{page}" for page in ("models_complete", "models/update", "models/whitelist")}
    expected |= {"PUT /api/v1/models/update_whitelist"}
    admin = {f"GET /api/v1/admin/{subject}" for subject in ("usage", "targets", "explain", "routes", "routes/versions")}
    admin |= {f"{method} /api/v1/admin/routes/{{name}}" for method in ("GET", "PUT", "DELETE")}
    admin |= {"POST /api/v1/admin/routes/rollback", "POST /api/v1/admin/reload"}
    assert expected | admin == set(operations(document))


def test_the_body_that_is_read_by_hand_is_described(document: Document) -> None:
    described = document["paths"]["/api/v1/models/update_whitelist"]["put"]
    assert described["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/WhitelistRows")


def test_inference_routes_have_schemas_of_what_they_take_and_give(document: Document) -> None:
    for endpoint in ENDPOINTS:
        described = document["paths"][endpoint.path]["post"]
        asked = described["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        given = described["responses"]["200"]["content"]
        assert asked.endswith(f"/{endpoint.request.__name__}")
        assert given["application/json"]["schema"]["$ref"].endswith(f"/{endpoint.reply.__name__}")
        assert ("text/event-stream" in given) == (endpoint.chunk is not None)
        assert {"400", "401", "404", "409", "413", "422", "429", "502", "503", "504"} <= set(described["responses"])


def test_every_reference_leads_to_a_schema(document: Document) -> None:
    references = {found["$ref"] for found in inside(document) if isinstance(found.get("$ref"), str)}
    assert len(references) > 20
    for reference in references:
        folder, _, name = reference.rpartition("/")
        assert folder == "#/components/schemas"
        assert name in document["components"]["schemas"]


def test_operations_have_ids_of_their_own_tags_and_summaries(document: Document) -> None:
    found = operations(document).values()
    assert len({described["operationId"] for described in found if "operationId" in described}) >= 10
    assert len([described["operationId"] for described in found if "operationId" in described]) == len(
        {described["operationId"] for described in found if "operationId" in described}
    )
    assert all(described["tags"] and described["summary"] for described in found)
    assert all("200" in described["responses"] for described in found)


def test_every_placeholder_of_a_path_is_a_parameter(document: Document) -> None:
    for name, described in operations(document).items():
        declared = {row["name"] for row in described.get("parameters", ()) if row["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", name)), name


def test_keys_are_asked_for_where_they_are_needed(document: Document) -> None:
    schemes = set(document["components"]["securitySchemes"])
    for endpoint in ENDPOINTS:
        asked = document["paths"][endpoint.path]["post"]["security"]
        assert {name for row in asked for name in row} == schemes == {"bearer", "x-api-key"}


def test_the_document_is_of_a_version_that_tools_read(document: Document) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "headgate"


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc"])
def test_the_page_for_people_loads_everything_from_here(gateway: RunningGateway, path: str) -> None:
    answer = httpx.get(gateway.url + path, follow_redirects=True)
    assert answer.status_code == 200
    assert answer.url.path == "/docs"
    loaded = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", answer.text)
    addresses = [one or other for one, other in loaded]
    assert len(addresses) == 4
    for address in addresses:
        asset = httpx.get(answer.url.join(address))
        assert (asset.status_code, asset.url.host) == (200, answer.url.host)
    assert not re.search(r"https?://", answer.text)
    assert '"validatorUrl": null' in answer.text


@pytest.mark.parametrize("path", ["/docs/assets/../../api.py", "/docs/assets/%2e%2e/main.py", "/docs/assets/"])
def test_nothing_but_assets_is_served_beside_the_page(gateway: RunningGateway, path: str) -> None:
    assert httpx.get(gateway.url + path).status_code == 404
