"""The paths of the API server: which resources Spillway reads and writes, and the request path of each object.

Contract: pure. Every segment of a path is a valid Kubernetes name and percent-quoted. A name that no object can have
(`../../victim`, `web?watch=true`) is refused with `InvalidNameError`, which names the field that it came from, so that
a reference in a user's object can never direct a request to another object. No other module writes a path.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple, Self
from urllib.parse import quote

from spillway.api.group import GROUP, VERSION
from spillway.kube.errors import InvalidNameError

_LABEL: Final = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_LABEL_BYTES: Final = 63
_SUBDOMAIN_BYTES: Final = 253
_label: Final = re.compile(_LABEL)
_subdomain: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class ApiResource:
    """One resource of the API, as its paths need it."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """As `apiVersion` gives it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def everywhere(self) -> str:
        """The collection of the whole cluster."""
        return f"{self._root}/{self.plural}"

    def within(self, namespace: str, *, field: str = "metadata.namespace") -> str:
        """The collection of one namespace."""
        if not self.namespaced:
            raise ValueError(f"{self.plural} have no namespace")
        return f"{self._root}/namespaces/{_checked_namespace(namespace, field)}/{self.plural}"

    def named(self, name: str, *, namespace: str = "", field: str = "metadata.name") -> str:
        """One object; `field` is where its name was read."""
        collection = self.within(namespace) if self.namespaced else self.everywhere
        return f"{collection}/{_checked_name(name, field)}"

    @property
    def _root(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


class ObjectKey(NamedTuple):
    """An object that is to be read; `field` is where its name was found."""

    resource: ApiResource
    name: str
    namespace: str = ""
    field: str = "metadata.name"

    @classmethod
    def of_owner(cls, resource: ApiResource, name: str, namespace: str) -> Self:
        """An object that an owner reference names."""
        return cls(resource, name, namespace, field="ownerReferences[].name")

    @property
    def path(self) -> str:
        """Its path.

        Raises:
            InvalidNameError: no object can have the name.
        """
        return self.resource.named(self.name, namespace=self.namespace, field=self.field)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class CollectionKey(NamedTuple):
    """All objects of a namespace that are to be read."""

    resource: ApiResource
    namespace: str

    @property
    def path(self) -> str:
        """The path of their list.

        Raises:
            InvalidNameError: no namespace can have the name.
        """
        return self.resource.within(self.namespace)

    @property
    def key(self) -> str:
        return self.namespace


def _checked_name(name: str, field: str) -> str:
    if len(name) > _SUBDOMAIN_BYTES or not _subdomain.fullmatch(name):
        raise InvalidNameError(field, name, "subdomain")
    return quote(name, safe="")


def _checked_namespace(namespace: str, field: str) -> str:
    if len(namespace) > _LABEL_BYTES or not _label.fullmatch(namespace):
        raise InvalidNameError(field, namespace, "label")
    return quote(namespace, safe="")


NAMESPACES: Final = ApiResource("", "v1", "namespaces", namespaced=False)
RESOURCE_QUOTAS: Final = ApiResource("", "v1", "resourcequotas", namespaced=True)
NODES: Final = ApiResource("", "v1", "nodes", namespaced=False)
PODS: Final = ApiResource("", "v1", "pods", namespaced=True)
SERVICES: Final = ApiResource("", "v1", "services", namespaced=True)
SERVICE_ACCOUNTS: Final = ApiResource("", "v1", "serviceaccounts", namespaced=True)
ENDPOINT_SLICES: Final = ApiResource("discovery.k8s.io", "v1", "endpointslices", namespaced=True)
NODE_POOLS: Final = ApiResource("karpenter.sh", "v1", "nodepools", namespaced=False)
CORE_EVENTS: Final = ApiResource("", "v1", "events", namespaced=True)
CONFIG_MAPS: Final = ApiResource("", "v1", "configmaps", namespaced=True)
SECRETS: Final = ApiResource("", "v1", "secrets", namespaced=True)
LIMIT_RANGES: Final = ApiResource("", "v1", "limitranges", namespaced=True)
CLAIMS: Final = ApiResource("", "v1", "persistentvolumeclaims", namespaced=True)
VOLUMES: Final = ApiResource("", "v1", "persistentvolumes", namespaced=False)
STORAGE_CLASSES: Final = ApiResource("storage.k8s.io", "v1", "storageclasses", namespaced=False)
DEPLOYMENTS: Final = ApiResource("apps", "v1", "deployments", namespaced=True)
REPLICASETS: Final = ApiResource("apps", "v1", "replicasets", namespaced=True)
REPLICATION_CONTROLLERS: Final = ApiResource("", "v1", "replicationcontrollers", namespaced=True)
STATEFULSETS: Final = ApiResource("apps", "v1", "statefulsets", namespaced=True)
DAEMONSETS: Final = ApiResource("apps", "v1", "daemonsets", namespaced=True)
CRON_JOBS: Final = ApiResource("batch", "v1", "cronjobs", namespaced=True)
JOBS: Final = ApiResource("batch", "v1", "jobs", namespaced=True)
AUTOSCALERS: Final = ApiResource("autoscaling", "v2", "horizontalpodautoscalers", namespaced=True)
API_SERVICES: Final = ApiResource("apiregistration.k8s.io", "v1", "apiservices", namespaced=False)
POD_TEMPLATES: Final = ApiResource("", "v1", "podtemplates", namespaced=True)
CAPACITY_BUFFERS: Final = ApiResource("autoscaling.x-k8s.io", "v1beta1", "capacitybuffers", namespaced=True)
LEASES: Final = ApiResource("coordination.k8s.io", "v1", "leases", namespaced=True)
EVENTS: Final = ApiResource("events.k8s.io", "v1", "events", namespaced=True)
TOKEN_REVIEWS: Final = ApiResource("authentication.k8s.io", "v1", "tokenreviews", namespaced=False)
ACCESS_REVIEWS: Final = ApiResource("authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False)


def webhook_configurations(plural: str) -> ApiResource:
    """`mutatingwebhookconfigurations` or `validatingwebhookconfigurations`."""
    return ApiResource("admissionregistration.k8s.io", "v1", plural, namespaced=False)


def of_spillway(plural: str) -> ApiResource:
    """One of Spillway's own kinds."""
    return ApiResource(GROUP, VERSION, plural, namespaced=False)
