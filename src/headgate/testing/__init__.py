"""What users test with: a fake upstream, a fault proxy and a whole gateway on real sockets; the conformance suite."""

from __future__ import annotations

from headgate.testing.answers import Answer, Pacing, ToolCall
from headgate.testing.fake import FakeUpstream
from headgate.testing.faults import Fault
from headgate.testing.journal import Entry, Journal
from headgate.testing.lane import Way
from headgate.testing.proxy import FaultProxy

__all__ = ["Answer", "Entry", "FakeUpstream", "Fault", "FaultProxy", "Journal", "Pacing", "ToolCall", "Way"]
