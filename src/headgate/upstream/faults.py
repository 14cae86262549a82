"""The one door through which the system's and other libraries' exceptions become the error family."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping

from headgate.errors import StreamCut, UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable

BY_NAME: Mapping[str, type[UpstreamError]] = {
    "builtins.Exception": UpstreamError,
    "builtins.OSError": UpstreamUnreachable,
    "builtins.ConnectionError": UpstreamUnreachable,
    "builtins.TimeoutError": UpstreamTimeout,
    "socket.gaierror": UpstreamUnreachable,
    "ssl.SSLError": UpstreamUnreachable,
    "ssl.SSLCertVerificationError": UpstreamUnreachable,
    "httptools.parser.errors.HttpParserError": UpstreamProtocolError,
    "httptools.parser.errors.HttpParserCallbackError": UpstreamProtocolError,
    "httptools.parser.errors.HttpParserInvalidStatusError": UpstreamProtocolError,
    "httptools.parser.errors.HttpParserInvalidMethodError": UpstreamProtocolError,
    "httptools.parser.errors.HttpParserInvalidURLError": UpstreamProtocolError,
    "httptools.parser.errors.HttpParserUpgrade": UpstreamProtocolError,
    "pyqwest._errors.ConnectTimeout": UpstreamTimeout,
    "pyqwest._errors.RemoteProtocolError": UpstreamProtocolError,
    "pyqwest._errors.StreamError": UpstreamProtocolError,
    "pyqwest.ReadError": StreamCut,
    "pyqwest.TooManyRedirects": UpstreamProtocolError,
    "pyqwest.WriteError": UpstreamUnreachable,
}
"""Exception classes by qualified name, so that a library that was never imported is not imported here either."""

BY_WORDS: Mapping[str, type[UpstreamError]] = {
    "connection closed before message completed": UpstreamUnreachable,
    "end of file before message length reached": StreamCut,
    "unexpected EOF": StreamCut,
    "closed connection without sending TLS close_notify": UpstreamUnreachable,
}
"""What reqwest tells apart by words alone; all are a `RemoteProtocolError`."""


def fault(error: Exception, peer: str) -> UpstreamError:
    """The family's member for a foreign exception; `peer` (host and port) opens the message.

    An error of the family stays what it is, also inside a parser's callback error. No URL gets into the message: it
    could hold a credential.
    """
    if isinstance(error, UpstreamError):
        return error
    if isinstance(error.__context__, UpstreamError):
        return error.__context__
    words = _words(error)
    return _kind(error, words)(f"{peer}: {words}")


def _kind(error: Exception, words: str) -> type[UpstreamError]:
    for said, kind in BY_WORDS.items():
        if said in words:
            return kind
    names = (f"{base.__module__}.{base.__qualname__}" for base in type(error).__mro__)
    return next(BY_NAME[name] for name in names if name in BY_NAME)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rpartition("): ")[2] or type(error).__name__
