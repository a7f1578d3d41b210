"""The registration of an aggregated API, an APIService: where it leads, and whether kube-apiserver reaches it.

Contract: pure; the object is the JSON of the API server.
"""

from typing import Any

from spillway.domain.model.documents import Json


def service_of(registered: Json) -> tuple[str, str]:
    """The namespace and name of the Service that serves the API; both empty where kube-apiserver serves it itself."""
    service = registered["spec"].get("service") or {}
    return service.get("namespace", ""), service.get("name", "")


def unavailable(registered: Json) -> str | None:
    """Why kube-apiserver does not reach the API; None while it does, or has not tried yet."""
    conditions: list[dict[str, Any]] = (registered.get("status") or {}).get("conditions") or []
    available = next((one for one in conditions if one.get("type") == "Available"), None)
    if available is None or available.get("status") == "True":
        return None
    return str(available.get("message") or available.get("reason") or "")
