"""Settings that are read again: what is followed, and what needs a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate.config import Config, load
from headgate.config.reloading import differences, followed
from headgate.errors import ConfigError

BEFORE = """
providers: {one: {base_url: "http://127.0.0.1:1", key: sk-one, headers: {x-team: a}}, two: {base_url: "http://127.0.0.1:2"}}
routes: {r: {targets: [one/m]}}
aliases: {fast: one/m}
"""
AFTER = """
server: {port: 9001, workers: 1}
log: {level: debug}
answer_model: asked
catalogue: {sync_hours: 5, models: {one/m: {context_length: 1000}}}
prefixes: {mine-: one}
providers:
  one: {base_url: "http://127.0.0.1:1", key: sk-new, headers: {x-team: b}, timeouts: {idle_s: 5}, http2: true}
  three: {base_url: "http://127.0.0.1:3"}
routes: {r: {targets: [three/m]}, s: {targets: [one/m]}}
aliases: {fast: three/m}
"""
KEYS = {"API_KEYS": "a-first-key", "HEADGATE_ADMIN_KEY": "an-owner-key"}


def read(folder: Path, text: str, **environ: str) -> Config:
    (folder / "headgate.yaml").write_text(text)
    return load(environ=KEYS | environ, folder=folder)


def test_what_can_be_followed_is_and_the_rest_is_named(tmp_path: Path) -> None:
    now = read(tmp_path, BEFORE)
    said = read(tmp_path, AFTER, API_KEYS="a-second-key", DATABASE_URL="sqlite:///other.db", HEADGATE_HOST="::1")
    config = followed(now, said)
    assert differences(now, config) == [
        "aliases.fast",
        "answer_model",
        "auth.keys",
        "catalogue.models",
        "prefixes",
        "providers.one.headers.x-team",
        "providers.one.key",
        "providers.one.timeouts.idle_s",
        "providers.one.transport.http2",
        "providers.three",
        "providers.two",
        "routes.r.targets",
        "routes.s",
    ]
    assert differences(config, said) == ["catalogue.sync_hours", "database", "log.level", "server.host", "server.port"]
    assert (config.server, config.database_url, config.log) == (now.server, now.database_url, now.log)
    assert (config.providers, config.auth.keys) == (said.providers, said.auth.keys)


def test_the_same_settings_differ_in_nothing(tmp_path: Path) -> None:
    now = read(tmp_path, BEFORE)
    assert differences(now, followed(now, read(tmp_path, BEFORE))) == []


def test_no_difference_shows_a_value(tmp_path: Path) -> None:
    now, said = read(tmp_path, BEFORE), read(tmp_path, AFTER)
    assert not any("sk-" in name for name in differences(now, said))


def test_a_weak_key_is_not_followed_where_a_network_listens(tmp_path: Path) -> None:
    now = read(tmp_path, BEFORE, HEADGATE_HOST="0.0.0.0")
    weak = read(tmp_path, BEFORE, API_KEYS="test-key")
    with pytest.raises(ConfigError, match=r"while 0\.0\.0\.0 is listened on"):
        followed(now, weak)
    on_loopback = followed(read(tmp_path, BEFORE), weak)
    assert on_loopback.loopback_only
    assert not followed(on_loopback, read(tmp_path, BEFORE)).loopback_only


def test_the_mode_needs_a_restart_and_an_open_gateway_stays_on_loopback(tmp_path: Path) -> None:
    now = read(tmp_path, BEFORE, AUTH_MODE="open")
    said = read(tmp_path, BEFORE)
    config = followed(now, said)
    assert (config.auth.mode, config.loopback_only) == ("open", True)
    assert differences(config, said) == ["auth.mode"]
