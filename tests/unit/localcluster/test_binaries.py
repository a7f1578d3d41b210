"""The programs of a cluster, and the order in which they are built."""

import pytest

from demo.day import programs
from harness.chart import HELM
from localcluster import binaries
from localcluster.external import BESIDE, CHOICE


def test_what_the_demo_needs_is_built_first_and_nothing_else_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHOICE, raising=False)
    needed = programs()

    assert set(binaries.USUAL[: len(needed)]) == set(needed)
    assert {"metrics-server", "karpenter-kwok", HELM} <= set(needed)
    assert "prometheus" not in needed


def test_on_another_cluster_the_demo_needs_no_control_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, "external")

    assert programs() == [*BESIDE, HELM]
