"""The programs of a cluster: built in an order, from modules that share what they compile."""

import re

import pytest

from demo.day import programs
from harness.chart import HELM
from localcluster import binaries
from localcluster.external import BESIDE, CHOICE

USUAL = [binaries.tool(name) for name in binaries.USUAL]


def required(module: str) -> dict[str, str]:
    """The Go modules in a `go.mod`, with their versions."""
    text = (binaries.TOOLS_DIR / module / "go.mod").read_text()
    return dict(re.findall(r"^\t(\S+) (v\S+)", text, re.MULTILINE))


def test_a_library_of_kubernetes_has_one_version_and_is_so_compiled_once() -> None:
    versions: dict[str, set[str]] = {}
    for module in {tool.module for tool in USUAL}:
        for library, version in required(module).items():
            if library.startswith("k8s.io/"):
                versions.setdefault(library, set()).add(version)

    assert {"k8s.io/api", "k8s.io/apimachinery", "k8s.io/client-go"} <= set(versions)
    assert {library: found for library, found in versions.items() if len(found) > 1} == {}


def test_promtool_shares_the_packages_of_prometheus() -> None:
    shared, own = required(binaries.SHARED), required("promtool")

    assert own["github.com/prometheus/prometheus"]
    others = {library for library, version in own.items() if shared.get(library, version) != version}
    assert others == set(), "give the modules of both the same versions"
    assert binaries.tool("promtool").tags == binaries.tool("prometheus").tags


def test_libraries_of_kubernetes_have_the_version_of_the_control_plane() -> None:
    pinned = required(binaries.SHARED)
    control_plane = pinned["k8s.io/kubernetes"].removeprefix("v1.")

    for library in ("api", "apimachinery", "apiserver", "client-go", "component-base", "metrics"):
        assert pinned[f"k8s.io/{library}"] == f"v0.{control_plane}"
    assert f"gitVersion={pinned['k8s.io/kubernetes']}" in binaries.tool("kube-apiserver").ldflags


def test_no_flag_of_a_program_makes_other_variants_of_the_packages_it_shares() -> None:
    own = {"-tags", "-ldflags"}  # tags choose files, and ldflags are for the linker alone
    flags = {
        tuple(arg for arg in tool.build_args()[:-1] if arg not in own | {tool.tags, tool.ldflags}) for tool in USUAL
    }

    assert flags == {("-trimpath",)}


def test_what_the_demo_needs_is_built_first_and_nothing_else_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHOICE, raising=False)
    needed = programs()

    assert set(binaries.USUAL[: len(needed)]) == set(needed)
    assert {"metrics-server", "karpenter-kwok", HELM} <= set(needed)
    assert "prometheus" not in needed
    assert set(programs(foresees=True)) - set(needed) == {"prometheus"}, "forecasts come from its history"


def test_on_another_cluster_the_demo_needs_no_control_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, "external")

    assert programs() == [*BESIDE, HELM]


def test_a_program_is_built_again_when_its_environment_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = binaries.tool("kwok").stamp()

    assert binaries.tool("kwok").stamp() == before
    monkeypatch.setattr(binaries, "BUILD_ENVIRONMENT", {"CGO_ENABLED": "1"})
    assert binaries.tool("kwok").stamp() != before
