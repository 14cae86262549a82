"""Every figure that is measured, with its unit and its target: the rows of the report before there are values."""

from __future__ import annotations

from report import Row


def figures() -> dict[str, Row]:
    """Key → row without a value, in the order of the report."""
    return {
        "nginx": Row("nginx as reverse proxy, c=32", "requests/s"),
        "gateway": Row("gateway, c=32", "requests/s", aim="at least", target=9_000),
        "ratio": Row("gateway ÷ nginx", "", aim="at least", target=0.2),
        "cpu": Row("gateway, CPU a request", "µs", aim="at most", target=110),
        "direct_p50": Row("direct, c=1, p50", "ms"),
        "direct_p99": Row("direct, c=1, p99", "ms"),
        "nginx_p50": Row("added by nginx, c=1, p50", "ms"),
        "nginx_p99": Row("added by nginx, c=1, p99", "ms"),
        "gateway_p50": Row("added by the gateway, c=1, p50", "ms", aim="at most", target=0.3),
        "gateway_p99": Row("added by the gateway, c=1, p99", "ms", aim="at most", target=1.5),
        "translated": Row("translated chat ↔ messages, c=32", "requests/s"),
        "translated_ratio": Row("translated ÷ passed, whole answers", "", aim="at least", target=0.5),
        "cached": Row("a kept answer given again, c=32", "requests/s"),
        "cached_ratio": Row("kept ÷ passed, whole answers", "", aim="at least", target=1.5),
        "choosing": Row("choosing among 20 targets, the dearest strategy", "µs a request", aim="at most", target=10),
        "alone": Row("the same for a route of one target", "µs a request"),
        "direct_events": Row("direct, streams", "events/s"),
        "passed_events": Row("passed streams", "events/s", aim="at least", target=50_000),
        "direct_messages": Row("direct, streams of messages", "events/s"),
        "translated_events": Row("streams translated messages → chat", "events/s", aim="at least", target=25_000),
        "first_answer": Row("`headgate serve` to the first answer", "s", aim="at most", target=1.5),
        "help": Row("`headgate --help`", "s", aim="at most", target=0.3),
        "resident": Row("resident after the start", "MB", aim="at most", target=90),
        "grown": Row("resident, growth by the end", "MB", aim="at most", target=10),
        "requests": Row("requests until then", ""),
        "installed": Row("installed, all dependencies of the server", "MB", aim="at most", target=120),
    }
