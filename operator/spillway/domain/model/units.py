"""The units in which amounts are counted and shown: seconds, bytes, and quantities of Kubernetes.

Contract: whole numbers, so that they are exact also beside `Decimal`.
"""

from typing import Final

HOUR_SECONDS: Final = 3600
DAY_SECONDS: Final = 24 * HOUR_SECONDS
MIB: Final = 1 << 20
GIB: Final = 1 << 30


def quantity(resource: str, amount: int) -> str:
    """An amount as Kubernetes writes it: of thousandths of a core for `cpu`, of bytes for everything else."""
    if resource == "cpu":
        return str(amount // 1000) if amount % 1000 == 0 else f"{amount}m"
    return f"{amount // MIB}Mi" if amount and amount % MIB == 0 else str(amount)
