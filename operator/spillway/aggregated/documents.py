"""The documents of an aggregated API: what kube-apiserver and kubectl read to know its resources, and refusals.

Contract: pure. A group has one version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from spillway.domain.model.served_resource import ServedResource

_VERSIONS: Final = ("v2", "v2beta1")
_LIST: Final = "APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class ApiGroup:
    """An API group of one version."""

    name: str
    version: str
    resources: Sequence[ServedResource]

    @property
    def group_version(self) -> str:
        """As `apiVersion` gives it."""
        return f"{self.name}/{self.version}"

    @property
    def root(self) -> str:
        """The path below which its resources are."""
        return f"/apis/{self.group_version}"

    @property
    def groups(self) -> Mapping[str, Any]:
        """The document at `/apis`."""
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group]}

    @property
    def one_group(self) -> Mapping[str, Any]:
        """The document at `/apis/{name}`."""
        return {"kind": "APIGroup", "apiVersion": "v1", **self._group}

    @property
    def resource_list(self) -> Mapping[str, Any]:
        """The document at `root`."""
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": self.group_version,
            "resources": [
                {
                    "name": one.plural,
                    "singularName": "",
                    "namespaced": one.namespaced,
                    "kind": one.kind,
                    "verbs": ["get"],
                }
                for one in self.resources
            ],
        }

    def discovery(self, accept: str) -> tuple[str, Mapping[str, Any]] | None:
        """The content type and the document of aggregated discovery, by which kube-apiserver reads `/apis`.

        None if the header `Accept` asks for none of its versions: then `groups` is the answer.
        """
        asked = accept.replace(" ", "")
        version = next((one for one in _VERSIONS if f"g=apidiscovery.k8s.io;v={one};" in asked), None)
        if version is None:
            return None
        resources = [
            {
                "resource": one.plural,
                "responseKind": {"group": self.name, "version": self.version, "kind": one.kind},
                "scope": "Namespaced" if one.namespaced else "Cluster",
                "singularResource": "",
                "verbs": ["get"],
            }
            for one in self.resources
        ]
        item = {
            "metadata": {"name": self.name},
            "versions": [{"version": self.version, "freshness": "Current", "resources": resources}],
        }
        return (
            f"application/json;g=apidiscovery.k8s.io;v={version};as={_LIST}",
            {"kind": _LIST, "apiVersion": f"apidiscovery.k8s.io/{version}", "metadata": {}, "items": [item]},
        )

    @property
    def _group(self) -> Mapping[str, Any]:
        entry = {"groupVersion": self.group_version, "version": self.version}
        return {"name": self.name, "versions": [entry], "preferredVersion": entry}


def refusal(status: HTTPStatus, message: str) -> dict[str, Any]:
    """The Status of a request that is not answered."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": status.phrase.title().replace(" ", ""),
        "code": status.value,
    }
