"""`/docs`: the routes for people, in Swagger UI. All that the page loads comes from this server."""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

ASSETS = "docs/assets"
UNASKED = {"validatorUrl": None}
"""Swagger UI sends the document to a service that checks it, unless it is told of none."""


def add_documents(app: FastAPI) -> None:
    """Serves `/docs`, and leads there from the bare address and from `/redoc`."""
    app.mount(f"/{ASSETS}", StaticFiles(directory=str(files("fastapi_swagger") / "resources")))
    app.add_route("/docs", show, include_in_schema=False)
    app.add_route("/redoc", to_the_documents, include_in_schema=False)
    app.add_route("/", to_the_documents, include_in_schema=False)


async def show(request: Request) -> Response:
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="headgate",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon-32x32.png",
        swagger_ui_parameters=UNASKED,
    )


async def to_the_documents(request: Request) -> Response:
    """Whoever opens the bare address in a browser wants to know what is here."""
    return RedirectResponse("/docs")
