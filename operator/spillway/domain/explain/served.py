"""The aggregated API by which a cluster's operator answers `spillway explain`: its group, and one resource a question.

Contract: pure, and light to import, because the command asks by these names too. What is asked for is the name of the
object; for a workload, its kind may be in the query parameter `KIND`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

GROUP: Final = "explain.spillway.dev"
VERSION: Final = "v1alpha1"
GROUP_VERSION: Final = f"{GROUP}/{VERSION}"
API_SERVICE: Final = f"{VERSION}.{GROUP}"
"""The name of the APIService."""
KIND: Final = "kind"
ANSWER: Final = "answer"
"""The key of the answer in the document, which is what the command prints."""


class Explained(NamedTuple):
    """A resource of that API: the answers about one kind of thing."""

    plural: str
    kind: str
    namespaced: bool


RESOURCES: Final[Mapping[str, Explained]] = {
    "pod": Explained("podexplanations", "PodExplanation", namespaced=True),
    "workload": Explained("workloadexplanations", "WorkloadExplanation", namespaced=True),
    "node": Explained("nodeexplanations", "NodeExplanation", namespaced=False),
    "pool": Explained("poolexplanations", "PoolExplanation", namespaced=False),
}
"""By what the command calls them."""


class ExplainQuestion(NamedTuple):
    """What is to be explained. `name` is as a user writes it: of a workload with or without a kind before a slash."""

    what: str
    name: str
    namespace: str = ""
    """Empty for a node and a pool."""
