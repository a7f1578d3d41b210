"""The chart as Helm renders it."""

import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from localcluster import binaries
from localcluster.rest import Object

PROJECT: Final = Path(__file__).resolve().parent.parent
CHART: Final = PROJECT / "charts" / "spillway"
RELEASE: Final = "spillway"
HOOK: Final = "helm.sh/hook"
IMAGE: Final = {"repository": "registry.example.com/spillway-operator"}
"""The chart has no default image; here none is ever pulled."""
HELM: Final = "helm"
"""The program that renders the chart."""


class ChartError(Exception):
    """Helm refused: the values do not fit the schema, or a template fails."""


@dataclass(frozen=True)
class Chart:
    """The objects that `helm install` would create, hooks among them."""

    objects: tuple[Object, ...]

    @classmethod
    def render(cls, values: Mapping[str, Any] | None = None, *, namespace: str = "spillway-system") -> "Chart":
        """Render with these values and `IMAGE` over the chart's own. Raises `ChartError` with what Helm said."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            given = dict(values or {})
            yaml.safe_dump(given | {"image": IMAGE | given.get("image", {})}, file)
            file.flush()
            text = run_helm("template", RELEASE, str(CHART), "--namespace", namespace, "--values", file.name)
        return cls(tuple(document for document in yaml.safe_load_all(text) if document))

    def kinds(self, *kinds: str) -> list[Object]:
        """The objects of these kinds, hooks left out."""
        return [item for item in self.objects if item["kind"] in kinds and not is_hook(item)]

    def without(self, *kinds: str) -> list[Object]:
        """All objects but those of these kinds, hooks left out."""
        return [item for item in self.objects if item["kind"] not in kinds and not is_hook(item)]

    def hooks(self, event: str, *kinds: str) -> list[Object]:
        """The objects of the hooks of an event (`pre-delete`, `test`), of these kinds if any are named."""
        return [item for item in self.objects if _event(item) == event and (not kinds or item["kind"] in kinds)]

    def one(self, kind: str, name: str | None = None) -> Object:
        """The only object of this kind (and name), hook or not."""
        found = [
            item for item in self.objects if item["kind"] == kind and (name is None or item["metadata"]["name"] == name)
        ]
        if len(found) != 1:
            raise ChartError(f"{len(found)} objects {kind} {name or ''} in the chart, not one")
        return found[0]


def is_hook(item: Object) -> bool:
    return bool(_event(item))


def _event(item: Object) -> str:
    return str((item["metadata"].get("annotations") or {}).get(HOOK, ""))


def names(objects: Iterable[Object]) -> list[str]:
    """`kind/name` of each, for messages."""
    return [f"{item['kind']}/{item['metadata']['name']}" for item in objects]


def run_helm(*args: str, timeout_seconds: float = 60.0) -> str:
    """What Helm prints; its home is an empty one, so that the user's plugins stay out. Raises `ChartError`."""
    with tempfile.TemporaryDirectory(prefix="helm-") as home:
        done = subprocess.run(
            [str(binaries.find(HELM)), *args],
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            env={"HOME": home, "PATH": "/usr/bin:/bin"},
        )
    if done.returncode:
        raise ChartError(done.stderr.strip() or done.stdout.strip())
    return done.stdout
