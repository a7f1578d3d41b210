"""The Kustomize base and overlays, generated from the chart: `python -m harness.kustomize` (`make kustomize`).

Contract: the same chart gives the same files; a test compares them with the committed ones. They have no hooks and none
of Helm's labels. The CRDs are those of `crds/`. Needs Helm.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from harness.chart import PROJECT, Chart
from localcluster.rest import Object

FOLDER: Final = PROJECT / "gitops" / "kustomize"
IMAGE: Final = "spillway-operator"
"""The name of the image in the base, which an overlay replaces."""
_HEADER: Final = "# Generated from charts/spillway by `make kustomize`. Do not edit.\n"
_HELM_LABELS: Final = ("helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/instance")
_NAMESPACE: Final = "spillway-system"
_READS: Final = frozenset({"get", "list", "watch"})
_KEPT_GROUPS: Final = frozenset(
    {"spillway.dev", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "admissionregistration.k8s.io"}
)
"""API groups of whose objects nothing belongs to users, or which only ask: their rights are the chart's."""
_HEADROOM: Final = frozenset({"deployments", "podtemplates", "capacitybuffers"})
"""What holds headroom in the operator's namespace."""


def files() -> Mapping[str, str]:
    """The text of each file, by its path below `FOLDER`."""
    chart = Chart.render({"image": {"repository": IMAGE}, "crds": {"install": False}}, namespace=_NAMESPACE)
    objects = [_without_helm(item) for item in chart.objects]
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": _NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    wide, own = (_rules(objects, kind) for kind in ("ClusterRole", "Role"))
    return {
        "base/spillway.yaml": _documents(objects),
        "base/kustomization.yaml": _kustomization(resources=["../../../crds", "spillway.yaml"]),
        "overlays/cluster-install/namespace.yaml": _documents([namespace]),
        "overlays/cluster-install/kustomization.yaml": _kustomization(
            resources=["namespace.yaml", "../../base"],
            images=[{"name": IMAGE, "newName": "registry.example.com/spillway-operator"}],
        ),
        "overlays/recommend-only/kustomization.yaml": _kustomization(
            resources=["../cluster-install"],
            patches=[
                _replaced("MutatingWebhookConfiguration", "spillway", "/webhooks", []),
                _replaced("ClusterRole", "spillway", "/rules", list(_reads(wide))),
                _replaced("Role", "spillway", "/rules", list(_without_headroom(own))),
            ],
        ),
    }


def _without_helm(item: Object) -> Object:
    if item["kind"] == "Deployment":
        item["spec"]["template"]["metadata"] = _cleaned(item["spec"]["template"]["metadata"])
    return {**item, "metadata": _cleaned(item["metadata"])}


def _cleaned(metadata: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(metadata)
    found["labels"] = {key: value for key, value in metadata["labels"].items() if key not in _HELM_LABELS}
    return found


def _rules(objects: list[Object], kind: str) -> list[Object]:
    """The rules of the operator's role of this kind."""
    found = next(item for item in objects if item["kind"] == kind and item["metadata"]["name"] == "spillway")
    rules: list[Object] = found["rules"]
    return rules


def _reads(rules: list[Object]) -> Iterator[Object]:
    """The rules without the rights to write what is not Spillway's own."""
    for rule in rules:
        own = _KEPT_GROUPS.intersection(rule["apiGroups"])
        verbs = rule["verbs"] if own else [verb for verb in rule["verbs"] if verb in _READS]
        if verbs:
            yield {**rule, "verbs": verbs}


def _without_headroom(rules: list[Object]) -> Iterator[Object]:
    """The rules in the operator's namespace without the rights to write what holds headroom."""
    for rule in rules:
        if _HEADROOM.isdisjoint(rule["resources"]):
            yield rule
        else:
            yield {**rule, "verbs": [verb for verb in rule["verbs"] if verb in _READS]}


def _replaced(kind: str, name: str, path: str, value: Any) -> Object:  # noqa: ANN401 - any YAML
    change = yaml.safe_dump([{"op": "replace", "path": path, "value": value}], sort_keys=False)
    return {"target": {"kind": kind, "name": name}, "patch": change}


def _kustomization(**fields: Any) -> str:  # noqa: ANN401 - any YAML
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return _documents([{**head, **fields}])


def _documents(objects: list[Object]) -> str:
    return _HEADER + yaml.safe_dump_all(objects, sort_keys=False, width=120, allow_unicode=True)


def main(folder: Path = FOLDER) -> None:
    """Write the files."""
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
