"""The operator's ServiceAccount, of which the API server is asked what it may."""

import msgspec

from spillway.domain.doctor.rights import Right
from spillway.kube import paths
from spillway.kube.access import ACCESS_REVIEW, Access, User, question
from spillway.kube.client import KubeClient


class Account:
    """The ServiceAccount `name` in the operator's namespace."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.name = name
        self._client = client

    @property
    def key(self) -> str:
        """Its namespace/name."""
        return f"{self.namespace}/{self.name}"

    async def may(self, right: Right) -> bool:
        """Whether it has this right, by a SubjectAccessReview; also of an account that does not exist."""
        access = Access(
            right.verb,
            group=right.group,
            resource=right.resource,
            subresource=right.subresource,
            namespace=self.namespace if right.own_namespace else "",
            name=right.name,
        )
        spec = question(User.of_service_account(self.namespace, self.name), access)
        body = {"apiVersion": paths.ACCESS_REVIEWS.api_version, "kind": ACCESS_REVIEW, "spec": spec}
        answer = msgspec.json.decode(await self._client.request("POST", paths.ACCESS_REVIEWS.everywhere, body=body))
        return bool((answer.get("status") or {}).get("allowed"))
