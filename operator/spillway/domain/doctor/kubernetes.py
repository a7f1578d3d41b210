"""The check of the API server's version. Contract: pure; `OLDEST` is also the chart's `kubeVersion`."""

import re
from collections.abc import Iterator
from typing import Final

from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.model.documents import Json
from spillway.domain.overview.attention import Severity

OLDEST: Final = (1, 30)
"""The oldest supported version: the tests run on it and on the newest one."""
_NUMBER: Final = re.compile(r"\d+")


def check_version(version: Json) -> Iterator[Finding]:
    """A finding if the API server is too old; `version` is its answer on `/version`, where `minor` may be `29+`."""
    parts = [_NUMBER.match(str(version.get(key))) for key in ("major", "minor")]
    numbers = tuple(int(part[0]) for part in parts if part)
    if len(numbers) == len(parts) and numbers < OLDEST:
        yield Finding(
            Severity.ERROR,
            Check.KUBERNETES,
            "Cluster",
            f"the API server has version {_text(numbers)}, and Spillway needs {_text(OLDEST)} or newer: before, match "
            "conditions of webhooks and ValidatingAdmissionPolicies were not stable",
            "Upgrade the control plane, or uninstall Spillway.",
        )


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
