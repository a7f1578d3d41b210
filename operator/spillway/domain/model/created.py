"""The objects that Spillway creates for an ElasticPolicy: their metadata, with a digest of what is wanted.

Contract: pure. Each object names its policy in an annotation and as its owner, so that Kubernetes deletes it with the
policy, also while no operator runs. The digest covers the body and the owner, so an object is written again if its
policy was deleted and created again under the same name.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from spillway.api.group import API_VERSION
from spillway.domain.model.documents import Json
from spillway.domain.model.names import APPLIED, FIELD_MANAGER, POLICY


@dataclass(frozen=True, slots=True)
class Created:
    """One object of an ElasticPolicy."""

    namespace: str
    name: str
    policy: str
    policy_uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """Its labels besides the one that says who manages it."""

    def manifest(self, api_version: str, kind: str, body: Json) -> dict[str, Any]:
        """The object as it is applied; `body` is all of it except its metadata."""
        owner = {"apiVersion": API_VERSION, "kind": "ElasticPolicy", "name": self.policy, "uid": self.policy_uid}
        digest = hashlib.sha256(msgspec.json.encode((body, owner), order="sorted")).hexdigest()[:16]
        return {
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {**self.labels, "app.kubernetes.io/managed-by": FIELD_MANAGER},
                "annotations": {POLICY: self.policy, APPLIED: digest},
                "ownerReferences": [owner],
            },
            **body,
        }
