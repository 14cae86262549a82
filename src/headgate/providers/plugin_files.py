"""The plug-in folder: its files are run once, at start, and what they register becomes providers. No other code is."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec

from headgate.config import Prefix, ProviderSettings, Timeouts
from headgate.providers.found import NAME
from headgate.providers.plugin import Plugin
from headgate.types import Secret

if TYPE_CHECKING:
    from headgate.plugins import LLMProvider

Report = Callable[[str], None]
Variable = Callable[[str], str | None]


class Loaded(msgspec.Struct, frozen=True):
    """What the plug-in folder gave. `notices` say, with file and line, what could not be used; nothing is fatal."""

    providers: dict[str, Plugin]
    prefixes: tuple[Prefix, ...]
    notices: tuple[str, ...]


Settle = Callable[[ModuleType, "Entry"], ProviderSettings]


class Entry(msgspec.Struct, frozen=True):
    """An entry of `PROVIDER_CONFIGS`; `api_key` and `api_base` are names of variables."""

    provider: str
    api_key: str = ""
    api_base: str = ""


def load(folder: Path, variable: Variable, timeouts: Timeouts, taken: Collection[str] = ()) -> Loaded:
    """Runs every `*.py` of the folder but those that begin with `_`, in the order of their names.

    `variable` reads an environment variable; where it knows none, the file's own constant of that name counts.
    `taken` are names of providers that a plug-in may not have.
    """
    notices: list[str] = []
    files = list(_files(folder, notices.append))
    if not files:
        return Loaded({}, (), tuple(notices))
    modules, registered = _run_all(files, notices.append)
    classes = {name: cls for name, cls in registered.items() if _may_be_named(name, cls, taken, notices.append)}
    settings, prefixes = _configured(modules, classes, partial(_settings, variable, timeouts), notices.append)
    bare = {name: ProviderSettings(name, "plugin", "", timeouts=timeouts) for name in classes}
    providers = dict(_made(classes, bare | settings, notices.append))
    return Loaded(providers, tuple(row for row in prefixes if row.provider in providers), tuple(notices))


def _files(folder: Path, report: Report) -> Iterator[Path]:
    for path in sorted(folder.glob("*.py")):
        if path.resolve().parent != folder.resolve():
            report(f"{path}: not run, because it lies outside the plug-in folder")
        elif not path.name.startswith("_"):
            yield path


def _run_all(files: list[Path], report: Report) -> tuple[list[ModuleType], dict[str, type[LLMProvider]]]:
    """Runs the files; returns their modules and what they registered, now and not before."""
    from headgate.plugins import LLMProviderFactory

    LLMProviderFactory.registered.clear()
    modules = [module for path in files for module in _run(path, report)]
    return modules, dict(LLMProviderFactory.registered)


def _run(path: Path, report: Report) -> Iterator[ModuleType]:
    spec = spec_from_file_location(f"headgate_plugin_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        report(f"{path}:{_line(path, error)}: the plug-in cannot be used: {type(error).__name__}: {error}")
    else:
        yield module


def _line(path: Path, error: BaseException) -> int:
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return (lines and lines[-1]) or 1


def _may_be_named(name: str, cls: type[LLMProvider], taken: Collection[str], report: Report) -> bool:
    if name in taken:
        report(
            f"{_file(cls)}: {name!r} is the name of another provider; register {cls.__name__} under a name of its own"
        )
    elif not NAME.fullmatch(name):
        report(f"{_file(cls)}: {name!r} is no name for a provider: use lower-case letters, digits, '-', '_' and '.'")
    else:
        return True
    return False


def _file(cls: type) -> str:
    return sys.modules[cls.__module__].__file__ or cls.__module__


def _configured(
    modules: list[ModuleType], classes: Collection[str], settle: Settle, report: Report
) -> tuple[dict[str, ProviderSettings], list[Prefix]]:
    """What all `PROVIDER_CONFIGS` together say of each registered provider, and the prefixes that lead to it."""
    settings: dict[str, ProviderSettings] = {}
    prefixes = []
    for module, prefix, entry in _entries(modules, report):
        wished = settle(module, entry)
        if entry.provider not in classes:
            report(f"{module.__file__}: PROVIDER_CONFIGS: nothing is registered as {entry.provider!r}")
        elif settings.setdefault(entry.provider, wished) != wished:
            report(f"{module.__file__}: PROVIDER_CONFIGS: {entry.provider!r} has two keys or addresses")
        else:
            prefixes.append(Prefix(prefix, entry.provider))
    return settings, prefixes


def _entries(modules: list[ModuleType], report: Report) -> Iterator[tuple[ModuleType, str, Entry]]:
    for module in modules:
        stated = getattr(module, "PROVIDER_CONFIGS", {})
        try:
            entries = msgspec.convert(stated, dict[str, Entry])
        except msgspec.ValidationError as error:
            report(f"{module.__file__}: PROVIDER_CONFIGS: {error}")
            continue
        yield from ((module, prefix, entry) for prefix, entry in entries.items())


def _settings(variable: Variable, timeouts: Timeouts, module: ModuleType, entry: Entry) -> ProviderSettings:
    def value(name: str) -> str:
        return variable(name) or str(getattr(module, name, ""))

    key, base = value(entry.api_key), value(entry.api_base)
    return ProviderSettings(entry.provider, "plugin", base, key=Secret(key), key_env=entry.api_key, timeouts=timeouts)


def _made(
    classes: Mapping[str, type[LLMProvider]], settings: Mapping[str, ProviderSettings], report: Report
) -> Iterator[tuple[str, Plugin]]:
    for name, cls in classes.items():
        key = settings[name].key
        try:
            plugin = cls(api_key=key.reveal() if key else "", api_base=settings[name].base_url)
        except Exception as error:
            report(f"{_file(cls)}: {cls.__name__}: {type(error).__name__}: {error}")
        else:
            yield name, Plugin(settings[name], plugin)
