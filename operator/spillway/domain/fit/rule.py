"""The form of a rule: one of the scheduler's filters, as a function of the pod that gives a test of nodes.

Contract: a rule is given the pod's spec as JSON (a pod's, or a template's) and returns None where the pod asks nothing
of the kind. The test returns a clause that completes "has no node …" for a node that is refused, and an empty string
for one that is not. Rules are pure and stand in a file each; `node_fit.RULES` lists them.
"""

from collections.abc import Callable

from spillway.domain.model.documents import Json
from spillway.domain.model.records import NodeRecord

NodeTest = Callable[[NodeRecord], str]
Rule = Callable[[Json], NodeTest | None]
