"""The aggregated API by which a cluster's operator answers `spillway explain`: its group, and one resource a question.

Contract: pure, and light to import, because the command asks by these names too. What is asked for is the name of the
object; for a workload, its kind may be in the query parameter `KIND`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from spillway.domain.model.served_resource import ServedResource

GROUP: Final = "explain.spillway.dev"
VERSION: Final = "v1alpha1"
GROUP_VERSION: Final = f"{GROUP}/{VERSION}"
API_SERVICE: Final = f"{VERSION}.{GROUP}"
"""The name of the APIService."""
KIND: Final = "kind"
ANSWER: Final = "answer"
"""The key of the answer in the document, which is what the command prints."""


RESOURCES: Final[Mapping[str, ServedResource]] = {
    "pod": ServedResource("podexplanations", "PodExplanation", namespaced=True),
    "workload": ServedResource("workloadexplanations", "WorkloadExplanation", namespaced=True),
    "node": ServedResource("nodeexplanations", "NodeExplanation", namespaced=False),
    "pool": ServedResource("poolexplanations", "PoolExplanation", namespaced=False),
}
"""By what the command calls them."""


class ExplainQuestion(NamedTuple):
    """What is to be explained. `name` is as a user writes it: of a workload with or without a kind before a slash."""

    what: str
    name: str
    namespace: str = ""
    """Empty for a node and a pool."""
