"""The units in which amounts are counted and shown: seconds, bytes.

Contract: whole numbers, so that they are exact also beside `Decimal`.
"""

from typing import Final

HOUR_SECONDS: Final = 3600
DAY_SECONDS: Final = 24 * HOUR_SECONDS
MIB: Final = 1 << 20
GIB: Final = 1 << 30
