"""The authority of kube-scheduler's client certificate: that of every client of the API server."""

from collections.abc import Mapping

from spillway.admission.tls import ServingTls
from spillway.aggregated.authentication import AuthenticationFollower
from spillway.kube.protocols import Reader


class ClientAuthorityFollower(AuthenticationFollower):
    """A watch of the authority, which `tls` then trusts on the port of the extender; earlier ones stay trusted."""

    def __init__(self, reader: Reader, tls: ServingTls) -> None:
        super().__init__(reader, tls.trust_scheduler)

    def use(self, data: Mapping[str, str]) -> bool:
        """Trust the authority."""
        authorities = data.get("client-ca-file", "").strip()
        if authorities:
            self.trust_once(authorities)
        return bool(authorities)
