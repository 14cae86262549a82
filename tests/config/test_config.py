"""What all settings together decide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from headgate import config
from headgate.config import Config, Prefix, load
from headgate.config.settings import rows
from headgate.errors import ConfigError
from headgate.types import Secret

STRONG = "a-strong-key-0123456789"
NOTHING: Mapping[str, str] = {}


def refusal(folder: Path, *, yaml: str = "", env: str = "", **environ: str) -> str:
    (folder / "headgate.yaml").write_text(yaml, "utf-8")
    (folder / ".env").write_text(env, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load({}, environ, folder)
    return caught.value.message.removeprefix(f"{folder}/")


def written(folder: Path, yaml: str, **environ: str) -> Config:
    (folder / "headgate.yaml").write_text(yaml, "utf-8")
    return load({}, environ, folder)


def test_nothing_written_gives_a_working_server(tmp_path: Path) -> None:
    made = load({}, NOTHING, tmp_path)
    assert (made.server.host, made.server.port, made.auth.mode) == ("127.0.0.1", 8000, "keys")
    assert made.home == tmp_path / ".headgate"
    assert made.database_url == Secret(f"sqlite+aiosqlite:///{tmp_path}/.headgate/headgate.db")
    assert made.plugins == tmp_path / ".headgate/plugins"
    assert made.redis_url is None
    assert made.notices == ()


def test_known_providers_are_there_without_a_key_and_name_its_variable(tmp_path: Path) -> None:
    made = load({}, NOTHING, tmp_path).providers
    assert {name: (provider.kind, provider.key_env, provider.key) for name, provider in made.items()} == {
        "openai": ("openai", "OPENAI_API_KEY", None),
        "anthropic": ("anthropic", "ANTHROPIC_API_KEY", None),
        "deepseek": ("deepseek", "DEEPSEEK_API_KEY", None),
        "openrouter": ("openrouter", "OPENROUTER_API_KEY", None),
        "huggingface": ("huggingface", "HUGGINGFACE_API_TOKEN", None),
        "ollama": ("ollama", "OLLAMA_API_KEY", None),
        "echo": ("echo", "", None),
    }


def test_flag_beats_environment_beats_dotenv_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text("server: {port: 1, host: 127.0.0.2, drain_s: 5}\nlog: {level: error}\n")
    (tmp_path / ".env").write_text("HEADGATE_PORT=2\nHEADGATE_HOST=127.0.0.3\nLOG_LEVEL=debug\n")
    made = load({"port": 4, "host": None}, {"HEADGATE_PORT": "3", "HEADGATE_HOST": "127.0.0.4"}, tmp_path)
    assert (made.server.port, made.server.host, made.log.level, made.server.drain_s) == (4, "127.0.0.4", "debug", 5.0)
    assert made.server.body_limit == 32 * 1024 * 1024


def test_an_environment_synonym_beats_the_other_name_in_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=https://weak.example/v1\n")
    made = load({}, {"OPENAI_API_BASE": "https://strong.example/v1"}, tmp_path)
    assert made.providers["openai"].base_url == "https://strong.example/v1"
    assert made.notices == ()


def test_two_names_for_one_setting_are_noticed(tmp_path: Path) -> None:
    made = load({}, {"HF_TOKEN": "hf_b", "HUGGINGFACE_API_TOKEN": "hf_a"}, tmp_path)
    assert made.providers["huggingface"].key == Secret("hf_a")
    assert made.notices == ("HF_TOKEN is ignored, because HUGGINGFACE_API_TOKEN says the same setting.",)


def test_an_empty_variable_was_not_set(tmp_path: Path) -> None:
    made = load({}, {"OPENAI_API_KEY": "", "HEADGATE_PORT": "", "REDIS_URL": ""}, tmp_path)
    assert (made.providers["openai"].key, made.server.port, made.redis_url) == (None, 8000, None)


@pytest.mark.parametrize("keys", [f"{STRONG}, other-{STRONG}", f'["{STRONG}", "other-{STRONG}"]'])
def test_api_keys_take_a_comma_list_or_json(keys: str, tmp_path: Path) -> None:
    assert load({}, {"API_KEYS": keys}, tmp_path).auth.keys == (Secret(STRONG), Secret(f"other-{STRONG}"))


def test_every_variable_changes_its_setting(tmp_path: Path) -> None:
    """Each row of the table alone, with a value of its kind, is seen in what was decided."""
    samples = {
        "server.host": "127.0.0.9",
        "server.port": "8123",
        "server.workers": "1",
        "auth.keys": STRONG,
        "auth.mode": "open",
        "auth.allow_open_network": "true",
        "database.url": "sqlite:///x.db",
        "database.port": "5555",
        "redis.url": "redis://x",
        "redis.port": "6666",
        "otlp_endpoint": "http://127.0.0.1:4318",
        "log.level": "error",
    }
    for variable in config.VARIABLES:
        if not variable.setting:
            continue
        sample = "true" if variable.name == "DEBUG" else samples.get(variable.setting, "https://sample.example/v1")
        beside = {"DATABASE_NAME": "n"} if variable.setting.startswith("database.") else {}
        read = config.reading({}, {**beside, variable.name: sample}, tmp_path)
        sources = {name: source for name, _, source in rows(read.file, read.root)}
        assert sources[variable.setting] == variable.name


def test_home_and_config_are_variables_too(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("server: {port: 4321}")
    made = load({}, {"HEADGATE_HOME": "state", "HEADGATE_CONFIG": "other.yaml"}, tmp_path)
    assert (made.home, made.server.port) == (tmp_path / "state", 4321)


def test_the_home_folder_may_hold_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / ".headgate").mkdir()
    (tmp_path / ".headgate/headgate.yaml").write_text("server: {port: 4321}")
    assert load({}, NOTHING, tmp_path).server.port == 4321


def test_openai_orgs_make_providers(tmp_path: Path) -> None:
    made = load(
        {},
        {
            "OPENAI_ORGS": '["OPENAI","DEEPSEEK","QWEN"]',
            "OPENAI_MODELS": '["gpt-4o"]',
            "DEEPSEEK_BASE_URL": "https://ds.example/v1",
            "QWEN_API_KEY": "sk-q",
            "QWEN_BASE_URL": "https://qwen.example/v1/",
            "QWEN_MODELS": "qwen-max, qwen-turbo",
        },
        tmp_path,
    ).providers
    assert (made["openai"].kind, made["openai"].models) == ("openai", ("gpt-4o",))
    assert made["deepseek"].base_url == "https://ds.example/v1"
    qwen = made["qwen"]
    assert (qwen.kind, qwen.base_url, qwen.key) == ("compatible", "https://qwen.example/v1", Secret("sk-q"))
    assert (qwen.key_env, qwen.models) == ("QWEN_API_KEY", ("qwen-max", "qwen-turbo"))


def test_a_written_service_without_a_key_needs_none_but_its_variable_is_read(tmp_path: Path) -> None:
    yaml = "providers:\n  local-llm: {base_url: http://127.0.0.1:9/v1}\n  groq:\n"
    made = written(tmp_path, yaml, GROQ_API_KEY="gsk")
    assert (made.providers["local-llm"].key_env, made.providers["groq"].key) == ("", Secret("gsk"))


def test_key_env_names_the_variable_that_holds_the_key(tmp_path: Path) -> None:
    yaml = "providers:\n  openai: {key_env: TEAM_KEY}\n"
    openai = written(tmp_path, yaml, TEAM_KEY="sk-team", OPENAI_API_KEY="sk-own").providers["openai"]
    assert (openai.key, openai.key_env) == (Secret("sk-team"), "TEAM_KEY")
    openai = written(tmp_path, yaml).providers["openai"]
    assert (openai.key, openai.key_env) == (None, "TEAM_KEY")


def test_a_provider_keeps_all_that_was_written(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    yaml = """
timeouts: {connect_s: 2, idle_s: 7}
providers:
  house:
    kind: compatible
    base_url: https://llm.example/v1
    key: ${HOUSE}
    wires: [chat, embeddings]
    headers: {X-Team: blue}
    models: [a, b]
    timeouts: {idle_s: 9}
    proxy: http://me:secret@proxy.example:3128
    http2: true
    ca_file: ca.pem
"""
    made = written(tmp_path, yaml, HOUSE="sk-house")
    house = made.providers["house"]
    assert (house.key, house.wires, house.models) == (Secret("sk-house"), ("chat", "embeddings"), ("a", "b"))
    assert house.headers == {"x-team": "blue"}
    assert (house.timeouts.connect_s, house.timeouts.idle_s) == (2.0, 9.0)
    assert made.providers["openai"].timeouts.idle_s == 7.0
    assert (house.transport.proxy, house.transport.http2) == ("http://me:secret@proxy.example:3128", True)
    assert house.transport.ca_file == tmp_path / "ca.pem"


def test_prefixes_are_merged_longest_first(tmp_path: Path) -> None:
    made = written(tmp_path, "prefixes:\n  gpt-: deepseek\n  my-own-gpt-: {provider: openai, strip: true}\n").prefixes
    assert Prefix("my-own-gpt-", "openai", strip=True) in made
    assert Prefix("gpt-", "deepseek") in made
    assert Prefix("anthropic-", "anthropic", strip=True) in made
    assert [len(row.prefix) for row in made] == sorted((len(row.prefix) for row in made), reverse=True)


def test_aliases_lead_to_targets_through_other_aliases(tmp_path: Path) -> None:
    made = written(
        tmp_path,
        "aliases:\n  fast: openai/gpt-4o-mini\n  any: [fast, anthropic/claude-x, openai/gpt-4o-mini]\n"
        "  openai/gpt-4o: [openai/gpt-4o, fast]\n",
    )
    assert made.aliases == {
        "fast": ("openai/gpt-4o-mini",),
        "any": ("openai/gpt-4o-mini", "anthropic/claude-x"),
        "openai/gpt-4o": ("openai/gpt-4o", "openai/gpt-4o-mini"),
    }


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("aliases:\n  a: b\n  b: [a]\n", "headgate.yaml:3: aliases.b[0]: expected no circle: a → b → a."),
        (
            "aliases:\n  a:\n    - openai/x\n    - opnai/x\n",
            "headgate.yaml:4: aliases.a[1] is 'opnai/x'; expected provider/model",
        ),
        ("aliases:\n  a:\n", "headgate.yaml:2: aliases.a is empty; expected text or a list."),
        ("aliases:\n  a: []\n", "headgate.yaml:2: aliases.a: expected at least one target."),
        (
            "prefixes:\n  x-: {provider: nobody}\n",
            "headgate.yaml:2: prefixes.x-: expected a known provider, not 'nobody'.",
        ),
        ("providers:\n  opnai: {key: k}\n", "headgate.yaml:2: providers.opnai: expected a base URL"),
        ("providers:\n  A/b: {kind: echo}\n", "headgate.yaml:2: providers.A/b: expected a name"),
        ("providers:\n  x:\n    base_url: ftp://x\n", "headgate.yaml:3: providers.x.base_url: expected a URL"),
        (
            "providers:\n  openai:\n    key: a\n    key_env: B\n",
            "headgate.yaml:4: providers.openai.key_env: expected key",
        ),
        ("providers:\n  openai:\n    key: 'a b'\n", "headgate.yaml:3: providers.openai.key: expected printable"),
        ("providers:\n  openai:\n    headers:\n      Host: x\n", "headgate.yaml:4: providers.openai.headers.Host"),
        ('providers:\n  openai:\n    headers:\n      x: "a\\nb"\n', "headgate.yaml:4: providers.openai.headers.x"),
        (
            "providers:\n  openai:\n    ca_file: no.pem\n",
            "headgate.yaml:3: providers.openai.ca_file is 'no.pem'; expected a file",
        ),
        ("providers:\n  openai:\n    client_cert: x\n", "headgate.yaml:2: providers.openai: expected client_cert and"),
        ("server:\n  workers: 2\n", "headgate.yaml:2: server.workers is '2'; expected 1, or REDIS_URL as well"),
        ("server:\n  port: 70000\n", "headgate.yaml:2: server.port is '70000'; expected a port from 0 to 65535."),
        ("timeouts:\n  idle_s: -1\n", "headgate.yaml:2: timeouts.idle_s is '-1'; expected a number of seconds"),
        ("timeouts:\n  idle_s: nan\n", "headgate.yaml:2: timeouts.idle_s is 'nan'; expected a number of seconds"),
        (
            "auth:\n  mode: mixed\n",
            "headgate.yaml:2: auth.mode is 'mixed'; expected keys or open (jwt and mixed are not",
        ),
        ("answer_model: both\n", "headgate.yaml:1: answer_model is 'both'; expected served or asked."),
        ("otlp_endpoint: nowhere\n", "headgate.yaml:1: otlp_endpoint: expected a URL"),
        ("plugins: nowhere\n", "headgate.yaml:1: plugins is 'nowhere'; expected a file or folder that is there."),
        ("database: {host: db}\n", "headgate.yaml:1: database: expected DATABASE_NAME"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line(yaml: str, message: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, yaml=yaml).startswith(message)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("HEADGATE_PORT", "abc", "HEADGATE_PORT: server.port is 'abc'; expected a port from 0 to 65535."),
        ("API_KEYS", '["a"', "API_KEYS: expected a comma list, or a JSON list of texts."),
        ("DEBUG", "perhaps", "DEBUG: expected true or false."),
        ("AUTH_MODE", "jwt", "AUTH_MODE: auth.mode is 'jwt'; expected keys or open"),
        ("OPENAI_ORGS", "a b", "OPENAI_ORGS: expected names"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL: database.url: expected sqlite:///"),
        ("OPENAI_API_KEY", "sk\nx", "OPENAI_API_KEY: providers.openai.key: expected printable"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, expected: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, **{variable: value}).startswith(expected)


def test_a_wrong_line_of_dotenv_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, env="# mine\n\nHEADGATE_PORT=abc\n")
    assert message.startswith(".env:3 HEADGATE_PORT: server.port is 'abc'; expected a port")


@pytest.mark.parametrize("key", ["test-key", "changeme", "short", "ChangeMe"])
def test_a_weak_key_serves_on_loopback_only(key: str, tmp_path: Path) -> None:
    for variable in ("API_KEYS", "HEADGATE_ADMIN_KEY"):
        made = load({}, {variable: key}, tmp_path)
        assert made.notices == (f"{variable}: a weak key is accepted, because only 127.0.0.1 is listened on.",)
        message = refusal(tmp_path, **{variable: key, "API_HOST": "0.0.0.0"})
        assert key not in message
        assert "0.0.0.0 is no loopback address" in message
    assert load({}, {"API_KEYS": STRONG, "API_HOST": "0.0.0.0"}, tmp_path).notices == ()


def test_a_callers_key_is_not_the_admins(tmp_path: Path) -> None:
    assert "auth.admin_key" in refusal(tmp_path, API_KEYS=STRONG, HEADGATE_ADMIN_KEY=STRONG)


def test_open_to_the_network_must_be_said_twice(tmp_path: Path) -> None:
    environ = {"AUTH_MODE": "open", "HEADGATE_HOST": "0.0.0.0"}
    assert "ALLOW_OPEN_NETWORK=true" in refusal(tmp_path, **environ)
    assert load({}, {**environ, "ALLOW_OPEN_NETWORK": "true"}, tmp_path).auth.mode == "open"
    assert load({}, {"AUTH_MODE": "open"}, tmp_path).auth.mode == "open"


def test_workers_need_redis(tmp_path: Path) -> None:
    assert "every process at once" in refusal(tmp_path, HEADGATE_WORKERS="2")
    assert load({}, {"HEADGATE_WORKERS": "2", "REDIS_HOST": "cache"}, tmp_path).server.workers == 2


def test_database_parts_make_a_url(tmp_path: Path) -> None:
    parts = {"HOST": "db", "PORT": "5433", "NAME": "gate", "USER": "me", "PASSWORD": "p@ss"}
    environ = {f"DATABASE_{part}": value for part, value in parts.items()}
    assert load({}, environ, tmp_path).database_url == Secret("postgresql+asyncpg://me:p%40ss@db:5433/gate")


def test_of_url_and_parts_the_stronger_layer_wins(tmp_path: Path) -> None:
    made = written(tmp_path, "redis: {url: 'redis://file'}", REDIS_HOST="env")
    assert made.redis_url == Secret("redis://env:6379/0")
    assert made.notices == (f"{tmp_path}/headgate.yaml:1 is ignored, because REDIS_HOST says where redis is.",)
    made = load({}, {"REDIS_HOST": "env", "REDIS_URL": "redis://url"}, tmp_path)
    assert made.redis_url == Secret("redis://url")


def test_ports_that_kubernetes_writes_say_nothing(tmp_path: Path) -> None:
    made = load({}, {"HEADGATE_PORT": "tcp://10.0.0.1:8000", "REDIS_PORT": "tcp://10.0.0.2:6379"}, tmp_path)
    assert (made.server.port, made.redis_url) == (8000, None)


def test_an_unknown_variable_of_ours_is_noticed(tmp_path: Path) -> None:
    made = load({}, {"HEADGATE_WORKES": "2"}, tmp_path)
    assert made.notices == ("HEADGATE_WORKES is not a setting of headgate. Did you mean HEADGATE_WORKERS?",)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    canary = "CANARY" * 7
    yaml = f"""
database: {{url: 'postgresql://u:{canary}@db/x'}}
redis: {{url: 'redis://:{canary}@cache'}}
auth: {{keys: ['{canary}'], admin_key: 'admin-{canary}'}}
providers:
  openai: {{key: '{canary}', headers: {{x-team: '{canary}'}}, proxy: 'http://u:{canary}@p.example'}}
  other: {{base_url: 'https://o.example', models: ['${{CANARY}}']}}
"""
    (tmp_path / "headgate.yaml").write_text(yaml, "utf-8")
    read = config.reading({}, {"CANARY": canary, "OTHER_API_KEY": canary}, tmp_path)
    assert canary not in str(list(rows(read.file, read.root)))
    assert canary not in repr(read.config)
    assert canary not in repr([provider.transport for provider in read.config.providers.values()])


def test_settings_know_their_source(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text("server:\n  drain_s: 5\n")
    read = config.reading({"port": 1}, {"API_HOST": "::1"}, tmp_path)
    sources = {name: source for name, _, source in rows(read.file, read.root)}
    assert sources["server.drain_s"] == f"{tmp_path}/headgate.yaml:2"
    assert (sources["server.port"], sources["server.host"]) == ("--port", "API_HOST")
    assert sources["journal.ship_ms"] == "default"


def test_answers_are_kept_where_the_settings_say_so(tmp_path: Path) -> None:
    plain = load({}, NOTHING, tmp_path)
    assert (plain.cache.ttl_s, plain.idempotency.ttl_s) == (0, 86400)
    made = written(tmp_path, "cache: {ttl_s: 300, max_size: 1MiB, max_entries: 5}\nidempotency: {ttl_s: 60}\n")
    assert (made.cache.ttl_s, made.cache.max_size, made.cache.max_entries) == (300, 1024 * 1024, 5)
    assert made.idempotency.ttl_s == 60


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        (
            "cache:\n  ttl_s: -1",
            "headgate.yaml:2: cache.ttl_s is '-1'; expected a number of seconds from 0 to 31536000.",
        ),
        ("cache:\n  max_size: much", "headgate.yaml:2: cache.max_size is 'much'; expected a size such as 33554432"),
        ("cache:\n  max_entries: 0", "headgate.yaml:2: cache.max_entries is '0'; expected a whole number from 1"),
        ("cache:\n  ttl: 5", "headgate.yaml:2: cache has no setting 'ttl'. Did you mean ttl_s?"),
        ("idempotency:\n  ttl_s: 0", "headgate.yaml:2: idempotency.ttl_s is '0'; expected a number of seconds above 0"),
    ],
)
def test_wrong_settings_for_kept_answers_are_refused(tmp_path: Path, yaml: str, said: str) -> None:
    assert refusal(tmp_path, yaml=yaml).startswith(said)


def test_what_an_operator_knows_of_models_is_read(tmp_path: Path) -> None:
    made = written(
        tmp_path,
        """
catalogue:
  sync_hours: 24
  models:
    openai/gpt-4o: {context_length: 1000, prompt_price_per_1k: 0, abilities: [tools]}
    openrouter/a/b: {completion_price_per_1k: 0.5, modality: text->text}
""",
    ).catalogue
    assert made.sync_hours == 24
    assert made.models["openai/gpt-4o"] == config.ModelFacts(1000, 0.0, None, "", ("tools",))
    assert made.models["openrouter/a/b"] == config.ModelFacts(None, None, 0.5, "text->text")
    assert load({}, NOTHING, tmp_path.parent).catalogue.sync_hours == 0


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("sync_hours: -1", "catalogue.sync_hours is '-1'; expected a number of hours"),
        ("models: {opnai/gpt: {context_length: 1}}", "a known provider. Did you mean openai?"),
        ("models: {gpt-4o: {context_length: 1}}", "expected provider/model with a known provider"),
        ("models: {openai/x: {context_length: 0}}", "expected a whole number of tokens above 0"),
        ("models: {openai/x: {prompt_price_per_1k: -1}}", "expected US dollars for 1,000 tokens"),
        ("models: {openai/x: {price: 1}}", "has no setting 'price'"),
    ],
)
def test_a_wrong_word_of_the_catalogue_is_named_with_its_line(tmp_path: Path, yaml: str, said: str) -> None:
    message = refusal(tmp_path, yaml=f"catalogue:\n  {yaml}")
    assert message.startswith("headgate.yaml:2: ")
    assert said in message
