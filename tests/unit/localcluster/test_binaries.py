"""The programs of a cluster: built in an order, from modules that share what they compile."""

import re

import pytest

from demo.day import programs
from harness.chart import HELM
from localcluster import ClusterError, Options, binaries
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


@pytest.mark.parametrize("release", binaries.RELEASES)
def test_a_control_plane_is_built_from_the_modules_of_its_version_alone(release: str) -> None:
    module, version = binaries.RELEASES[release].module, binaries.RELEASES[release].version
    text = (binaries.TOOLS_DIR / module / "go.mod").read_text()
    replaced = dict(re.findall(r"^\t(k8s\.io/\S+) => \1 (v\S+)", text, re.MULTILINE))

    assert version.startswith(f"v{release}.")
    assert required(module)["k8s.io/kubernetes"] == version
    assert {"k8s.io/api", "k8s.io/apiserver", "k8s.io/kube-scheduler"} <= set(replaced)
    assert set(replaced.values()) == {version.replace("v1.", "v0.")}
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        tool = binaries.tool(binaries.of_release(name, release))
        assert tool.module == module
        assert f"gitVersion={version}" in tool.ldflags


def test_only_the_control_plane_has_an_older_version_and_it_is_built_on_demand() -> None:
    newest, oldest = Options(kubernetes=binaries.NEWEST).programs, Options(kubernetes=binaries.OLDEST).programs

    assert newest == binaries.CORE
    assert set(newest) & set(oldest) == {"etcd", "kubectl", "kwok"}
    assert not set(oldest) - set(newest) & set(binaries.USUAL)
    assert {name.rpartition("/")[2] for name in oldest} == set(newest)


def test_the_environment_chooses_the_version_of_the_control_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(binaries.RELEASE_CHOICE, raising=False)
    assert Options().kubernetes == binaries.NEWEST

    monkeypatch.setenv(binaries.RELEASE_CHOICE, binaries.OLDEST)
    assert Options().kubernetes == binaries.OLDEST

    monkeypatch.setenv(binaries.RELEASE_CHOICE, "1.1")
    with pytest.raises(ClusterError, match=r"KUBERNETES=1\.1: there are 1\.37, 1\.30"):
        Options()


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
