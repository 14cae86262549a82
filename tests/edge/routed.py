"""A gateway with routes of every kind in front of the fake upstream."""

from __future__ import annotations

from headgate.testing import FakeUpstream

SETTINGS = """
providers:
  one:
    kind: compatible
    base_url: {base}
    credentials: {{blue: {{key: canary-blue-0123456789}}, green: {{key: canary-green-0123456789}}}}
  two: {{kind: compatible, base_url: "{base}", key: sk-two-canary-0123456789}}
  nobody: {{kind: compatible, base_url: "http://127.0.0.1:9", key: sk-nobody}}
  nowhere: {{kind: compatible, base_url: "http://nowhere.invalid/v1", key: sk-nowhere}}
  stranger: {{kind: compatible, base_url: "https://127.0.0.1:{stranger}/v1", key: sk-stranger}}
routes:
  keys: {{targets: [one/keyed]}}
  pair: {{targets: [two/first, two/second]}}
  turns: {{strategy: round_robin, targets: [two/first, two/second]}}
  refused: {{targets: [nobody/x, two/second]}}
  unknown: {{targets: [nowhere/x, two/second]}}
  untrusted: {{targets: [stranger/x, two/second]}}
  away: {{targets: [nobody/x, nowhere/x, stranger/x, two/second]}}
  five: {{targets: [two/a, two/b, two/c, two/d, two/e]}}
  short: {{targets: [two/short, two/also-short], context_length: long, content_filter: free}}
  long: {{targets: [two/long], content_filter: free}}
  free: {{targets: [two/free]}}
  sticky: {{strategy: sticky, targets: [two/s1, two/s2, two/s3]}}
"""


def settings(fake: FakeUpstream, stranger: int) -> str:
    """`stranger` is the port of a TLS server that is not trusted."""
    return SETTINGS.format(base=fake.base_url("openai"), stranger=stranger)
