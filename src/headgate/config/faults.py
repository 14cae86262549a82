"""Every fault of the settings in one go: what is wrong is taken out, and the rest is read again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headgate.config.resolve import Reading, read
from headgate.config.settings import Keys
from headgate.errors import ConfigError


def find(
    flags: Mapping[str, object], environ: Mapping[str, str], folder: Path
) -> tuple[Reading | None, list[ConfigError]]:
    """What is left without the wrong settings, and what is wrong with those.

    What cannot be taken out, such as a file that is no YAML, ends the search: then there is no reading.
    """
    found: dict[str, ConfigError] = {}
    without: list[Keys] = []
    while True:
        try:
            return read(flags, environ, folder, without), list(found.values())
        except ConfigError as error:
            stays = error.message in found and not error.keys[-1].startswith("[")
            found.setdefault(error.message, error)
            if stays or not error.keys:
                return None, list(found.values())
            without.append(error.keys)
