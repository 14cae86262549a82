"""How the property tests of the wires run: a busy machine is not a failure."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("wires", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wires")
