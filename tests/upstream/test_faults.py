"""The map of foreign exceptions is complete, and says what it should."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from types import ModuleType

import httptools
import pyqwest
import pytest

from headgate.errors import (
    StreamCut,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from headgate.upstream.faults import BY_NAME, fault


def exceptions_of(library: ModuleType) -> list[type[Exception]]:
    found = [getattr(library, name) for name in dir(library)]
    return [thing for thing in found if isinstance(thing, type) and issubclass(thing, Exception)]


@pytest.mark.parametrize("library", [httptools, pyqwest])
def test_every_exception_of_a_library_has_its_row(library: ModuleType) -> None:
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in exceptions_of(library)}
    assert names
    assert names <= BY_NAME.keys()


def test_every_row_names_a_class_that_exists() -> None:
    for name in BY_NAME:
        module, _, kind = name.rpartition(".")
        __import__(module)
        assert issubclass(getattr(sys.modules[module], kind), Exception), name


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), UpstreamTimeout),
        (ConnectionRefusedError(111, "Connection refused"), UpstreamUnreachable),
        (ConnectionResetError(104, "Connection reset by peer"), UpstreamUnreachable),
        (BrokenPipeError(32, "Broken pipe"), UpstreamUnreachable),
        (OSError(113, "No route to host"), UpstreamUnreachable),
        (socket.gaierror(-2, "Name or service not known"), UpstreamUnreachable),
        (ssl.SSLError(1, "[SSL] wrong version number"), UpstreamUnreachable),
        (ssl.SSLEOFError(8, "EOF"), UpstreamUnreachable),
        (httptools.HttpParserInvalidStatusError("Invalid status code"), UpstreamProtocolError),
        (httptools.HttpParserUpgrade(3), UpstreamProtocolError),
        (pyqwest.ConnectTimeout("late"), UpstreamTimeout),
        (pyqwest.ReadError("reset"), StreamCut),
        (pyqwest.WriteError("pipe"), UpstreamUnreachable),
        (pyqwest.StreamError("stream", 2), UpstreamProtocolError),
        (pyqwest.RemoteProtocolError("a: connection closed before message completed"), UpstreamUnreachable),
        (pyqwest.RemoteProtocolError("b: end of file before message length reached"), StreamCut),
        (pyqwest.RemoteProtocolError("c: unexpected EOF during chunk size line"), StreamCut),
        (RuntimeError("what is this"), UpstreamError),
    ],
    ids=repr,
)
def test_maps(error: Exception, kind: type[UpstreamError]) -> None:
    mapped = fault(error, "api.example:443")
    assert type(mapped) is kind
    assert mapped.message.startswith("api.example:443: ")


def test_our_own_errors_stay_what_they_are() -> None:
    ours = StreamCut("cut")
    assert fault(ours, "peer") is ours
    wrapped = httptools.HttpParserCallbackError("`on_body` callback error")
    wrapped.__context__ = ours
    assert fault(wrapped, "peer") is ours


def test_no_url_gets_into_a_message() -> None:
    said = "Request failed: error sending request for url (http://h/?key=secret): client error (Connect): refused"
    assert fault(ConnectionError(said), "h:80").message == "h:80: refused"


def test_an_untrusted_certificate_says_why() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    assert fault(error, "h:443").message == "h:443: its certificate is not trusted: self-signed certificate"


def test_the_lean_client_does_not_load_the_other_library() -> None:
    code = "import sys, headgate.upstream.lean; sys.exit('pyqwest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
