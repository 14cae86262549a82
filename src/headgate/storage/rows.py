"""What every table shares: one `MetaData` with named constraints, and column types that both databases keep alike."""

from __future__ import annotations

from sqlalchemy import BigInteger, LargeBinary, MetaData, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Name = Text
"""Text without a length: callers' and providers' words are bounded where they come in, not here."""

Whole = BigInteger
"""A count, or microseconds since the epoch, or nanodollars: 64 bits on both databases."""

Digest = LargeBinary
"""A SHA-256 digest: 32 bytes."""

WHOLE_MAX = 2**63 - 1
"""The largest number that a `Whole` keeps."""
