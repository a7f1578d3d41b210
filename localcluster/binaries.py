"""The programs of a cluster, their Go modules, and the place of each binary.

A binary comes, in this order, from ``SPILLWAY_BIN_<NAME>`` (a path), from ``SPILLWAY_BIN_DIR`` (a folder; what is
missing or too old there is built), or from the cache, where
``localcluster.build`` puts it.
"""

import functools
import hashlib
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from localcluster.errors import ClusterError

PROJECT = Path(__file__).resolve().parent.parent
TOOLS_DIR = Path(__file__).resolve().parent / "tools"
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.\d+")


@dataclass(frozen=True)
class Tool:
    """One program: its Go module in ``tools/``, its package there, and how it is built."""

    module: str
    package: str
    ldflags: str = "-s -w"
    tags: str = ""
    version_args: tuple[str, ...] = ()
    minimum: tuple[int, int] | None = None
    """The oldest version of a binary from elsewhere that will do; None where it does not tell its version."""
    data: tuple[tuple[str, str], ...] = ()
    """(Go module, glob in it) of files that belong to the program, kept in ``share_dir``."""
    on_demand: bool = False
    """Built only where somebody asks for it by name: it takes minutes, and few tests need it."""

    @property
    def folder(self) -> Path:
        return TOOLS_DIR / self.module

    def build_args(self) -> tuple[str, ...]:
        """Arguments of ``go build`` but for the output."""
        tags = ("-tags", self.tags) if self.tags else ()
        return ("-trimpath", *tags, "-ldflags", self.ldflags, self.package)

    def sources(self) -> list[Path]:
        """The files of a program of our own, whose package is a path in the module's folder."""
        own = self.package.startswith("./")
        return sorted(path for path in (self.folder / self.package).iterdir() if path.is_file()) if own else []

    def stamp(self) -> str:
        """Changes when a rebuild is needed: with the pinned modules, the flags, or sources of our own."""
        digest = hashlib.sha256()
        for name in ("go.mod", "go.sum"):
            digest.update((self.folder / name).read_bytes())
        for source in self.sources():
            digest.update(source.read_bytes())
        digest.update(repr((self.build_args(), sorted(BUILD_ENVIRONMENT.items()), self.data)).encode())
        return digest.hexdigest()


BUILD_ENVIRONMENT: Final = {"CGO_ENABLED": "0"}
"""Of every build, so that each package is compiled once: cgo would make of many standard packages a second variant."""

SHARED: Final = "kubernetes"
"""The module of all programs that are built on the Kubernetes libraries: one version of each, compiled once."""


@dataclass(frozen=True)
class Release:
    """One version of the control plane: its Go module in `tools/`, and its exact version."""

    module: str
    version: str
    feature_gates: tuple[str, ...] = ()
    """What has to be switched on, and is on by default in newer versions."""


RELEASE_CHOICE: Final = "KUBERNETES"
"""The environment variable that names the version of the control plane, one of `RELEASES`."""
RELEASES: Final = {
    "1.37": Release(SHARED, "v1.37.2"),
    "1.30": Release("kubernetes-1.30", "v1.30.14", feature_gates=("HPAScaleToZero=true",)),
}
"""The versions of the control plane, from the newest, which is the default, to the oldest that Spillway supports."""
NEWEST, *_, OLDEST = RELEASES

_PROMETHEUS_TAGS: Final = "remove_all_sd,enable_kubernetes_sd,enable_file_sd"


def _kubernetes(name: str, *version_args: str, release: str = NEWEST) -> Tool:
    built = RELEASES[release]
    return Tool(
        built.module,
        f"k8s.io/kubernetes/cmd/{name}",
        # Without its version compiled in, clients cannot parse the server's.
        ldflags=f"-s -w -X k8s.io/component-base/version.gitVersion={built.version}",
        version_args=version_args,
        minimum=(1, 30),
        on_demand=release != NEWEST,
    )


_CONTROL_PLANE: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def of_release(name: str, release: str) -> str:
    """The name in `TOOLS` of a cluster's program whose control plane has this version."""
    return f"{release}/{name}" if name in _CONTROL_PLANE and release != NEWEST else name


def chosen_release() -> str:
    """The version of the control plane that the environment names, or the newest."""
    return os.environ.get(RELEASE_CHOICE) or NEWEST


def release_of(name: str) -> Release:
    """The version of this name. Raises `ClusterError` if there is none."""
    if name not in RELEASES:
        raise ClusterError(f"{RELEASE_CHOICE}={name}: there are {', '.join(RELEASES)}")
    return RELEASES[name]


TOOLS: Mapping[str, Tool] = {
    "etcd": Tool("etcd", "go.etcd.io/etcd/server/v3", version_args=("--version",), minimum=(3, 5)),
    **{name: _kubernetes(name, "--version") for name in _CONTROL_PLANE},
    "kubectl": _kubernetes("kubectl", "version", "--client"),
    "kwok": Tool(SHARED, "sigs.k8s.io/kwok/cmd/kwok", version_args=("--version",), minimum=(0, 7)),
    "metrics-server": Tool(
        SHARED, "sigs.k8s.io/metrics-server/cmd/metrics-server", version_args=("--version",), minimum=(0, 7)
    ),
    "karpenter-kwok": Tool(
        SHARED,
        "sigs.k8s.io/karpenter/kwok",
        data=(
            ("sigs.k8s.io/karpenter", "pkg/apis/crds/*.yaml"),
            ("sigs.k8s.io/karpenter", "kwok/apis/crds/*.yaml"),
        ),
    ),
    "helm": Tool(SHARED, "helm.sh/helm/v4/cmd/helm", version_args=("version", "--short"), minimum=(3, 14)),
    "deletion-order": Tool(SHARED, "./deletionorder"),
    "pod-requests": Tool(SHARED, "./podrequests"),
    "prometheus": Tool(
        SHARED,
        "github.com/prometheus/prometheus/cmd/prometheus",
        tags=_PROMETHEUS_TAGS,
        version_args=("--version",),
        minimum=(2, 45),
    ),
    # In a module of its own, so that the others are not built again; with the same versions little is compiled for it.
    "promtool": Tool(
        "promtool",
        "github.com/prometheus/prometheus/cmd/promtool",
        tags=_PROMETHEUS_TAGS,
        version_args=("--version",),
        minimum=(2, 45),
    ),
    # The status of objects as Flux computes it.
    "kstatus": Tool("kstatus", "./."),
    "noop-webhook": Tool("kubernetes", "./noopwebhook", on_demand=True),
    # Of its providers of machines, the one with simulated machines alone.
    "cluster-autoscaler": Tool(
        "cluster-autoscaler", "k8s.io/autoscaler/cluster-autoscaler", tags="kwok", on_demand=True
    ),
    "argo-rollouts": Tool(
        "argo-rollouts",
        "github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
        data=(("github.com/argoproj/argo-rollouts", "manifests/crds/*-crd.yaml"),),
        on_demand=True,
    ),
    "keda-operator": Tool(
        "keda",
        "github.com/kedacore/keda/v2/cmd/operator",
        data=(("github.com/kedacore/keda/v2", "config/crd/bases/*.yaml"),),
        on_demand=True,
    ),
    "keda-adapter": Tool("keda", "github.com/kedacore/keda/v2/cmd/adapter", on_demand=True),
    "descheduler": Tool("descheduler", "sigs.k8s.io/descheduler/cmd/descheduler", on_demand=True),
    **{
        of_release(name, release): _kubernetes(name, "--version", release=release)
        for release in RELEASES
        if release != NEWEST
        for name in _CONTROL_PLANE
    },
}
"""In the order in which they are built: first what the demo and every cluster need."""
USUAL = tuple(name for name, one in TOOLS.items() if not one.on_demand)
"""What is built where nothing is named."""
CORE: Final = ("etcd", *_CONTROL_PLANE, "kubectl", "kwok")
"""What every cluster needs."""


def cache_dir() -> Path:
    """``LOCALCLUSTER_CACHE``, or ``.cache/localcluster`` in the project."""
    return Path(os.environ.get("LOCALCLUSTER_CACHE") or PROJECT / ".cache" / "localcluster")


def bin_dir() -> Path:
    return cache_dir() / "bin"


def share_dir(name: str) -> Path:
    """Files that came with a program (its CRDs)."""
    return cache_dir() / "share" / name


def custom_resource_definitions(name: str) -> list[dict[str, Any]]:
    """The kinds of a program, as shipped in its Go module."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    files = sorted(share_dir(name).glob("*.yaml"))
    return [yaml.load(file.read_text(), loader) for file in files]  # noqa: S506  both loaders are safe


def stamp_file(name: str) -> Path:
    return cache_dir() / "stamps" / name


def tool(name: str) -> Tool:
    if name not in TOOLS:
        raise ClusterError(f"there is no component {name}; there are {', '.join(TOOLS)}")
    return TOOLS[name]


def is_built(name: str) -> bool:
    """Whether the cache has the binary of just these pins and flags."""
    wanted, stamp = tool(name).stamp(), stamp_file(name)
    return (bin_dir() / name).exists() and stamp.exists() and stamp.read_text() == wanted


@functools.cache
def _fits(path: Path, name: str) -> bool:
    """Whether a binary from elsewhere is new enough; one that does not tell its version is believed."""
    wanted = tool(name)
    if not path.exists():
        return False
    if wanted.minimum is None:
        return True
    done = subprocess.run([str(path), *wanted.version_args], capture_output=True, text=True, timeout=30, check=False)
    found = _VERSION.search(done.stdout + done.stderr)
    return found is not None and (int(found[1]), int(found[2])) >= wanted.minimum


def given(name: str) -> Path | None:
    """The binary that the environment names, if it fits; raises if one named by its own variable does not."""
    variable = f"SPILLWAY_BIN_{name.upper().replace('-', '_')}"
    if one := os.environ.get(variable):
        if not _fits(Path(one), name):
            minimum = ".".join(map(str, tool(name).minimum or ()))
            raise ClusterError(f"{variable}={one}: not found, or older than {minimum}")
        return Path(one)
    if folder := os.environ.get("SPILLWAY_BIN_DIR"):
        path = Path(folder) / name
        return path if _fits(path, name) else None
    return None


def find(name: str) -> Path:
    """The binary of a component; raises ``ClusterError`` that says how to get it."""
    if path := given(name):
        return path
    if is_built(name):
        return bin_dir() / name
    raise ClusterError(f"{name} is not built yet; run: python -m localcluster build {name}")
