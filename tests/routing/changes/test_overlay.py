"""What was changed at run time, over the settings."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from headgate.config.routes import RouteSettings, RouteTarget
from headgate.errors import ConfigError
from headgate.routing.changes.overlay import Overlay, Written, lay, merged

PLAIN = RouteSettings(("one/m",))
LOST = RouteSettings(("gone/m",))


def test_an_overlay_adds_replaces_and_removes(written: Written) -> None:
    laid = lay({"new": PLAIN, "long": PLAIN, "short": None}, written)
    assert laid.routes == {"new": PLAIN, "long": PLAIN}
    assert [laid.changed(name) for name in ("new", "long", "short")] == [True, True, True]
    assert lay({}, written).routes == written.routes
    assert not lay({}, written).changed("long")


@pytest.mark.parametrize(
    ("overlay", "field", "said"),
    [
        ({"new": LOST}, "routes.new.targets[0]", "at run time: routes.new.targets[0] is 'gone/m'; expected"),
        ({"new": RouteSettings((RouteTarget("two", "m", credential="blue"),))}, "routes.new.targets[0].credential", ""),
        ({"new": RouteSettings()}, "routes.new", "expected at least one target"),
        ({"new": RouteSettings(("one/m",), content_filter="lnog")}, "routes.new.content_filter", "mean long?"),
        ({"long": RouteSettings(("one/m",), content_filter="short")}, "routes.long.content_filter", "short → long"),
        ({"long": None}, "routes.short.context_length", "the settings: routes.short.context_length is 'long'"),
        ({"nick": PLAIN}, "routes.nick", "not an alias"),
    ],
)
def test_what_cannot_be_followed_is_named_with_its_field(
    written: Written, overlay: Overlay, field: str, said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        merged(overlay, written)
    assert raised.value.param == field
    assert said in raised.value.message


def test_only_what_does_not_fit_is_left_out(written: Written) -> None:
    overlay = {
        "uses-lost": RouteSettings(("one/m",), context_length="lost"),
        "uses-good": RouteSettings(("one/m",), context_length="good"),
        "lost": LOST,
        "good": PLAIN,
        "long": None,
    }
    laid = lay(overlay, written)
    assert set(laid.routes) == {"short", "long", "uses-good", "good"}
    assert set(laid.left_out) == {"uses-lost", "lost", "long"}
    assert laid.left_out["lost"].param == "routes.lost.targets[0]"
    assert (laid.changed("good"), laid.changed("lost"), laid.changed("long")) == (True, False, False)


def test_changes_that_only_fit_together_are_followed_beside_one_that_does_not(written: Written) -> None:
    overlay = {"long": None, "short": RouteSettings(("one/m",)), "lost": LOST}
    laid = lay(overlay, written)
    assert set(laid.routes) == {"short"}
    assert set(laid.left_out) == {"lost"}


def test_what_was_left_out_is_followed_where_the_settings_have_room_for_it(written: Written) -> None:
    credentials = {**written.credentials, "gone": ("default",)}
    assert lay({"lost": LOST}, replace(written, credentials=credentials)).left_out == {}
