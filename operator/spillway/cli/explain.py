"""`spillway explain`: where a pod, workload, node or pool is and why, its rank and price, and what would change it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from spillway.cli import live

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from spillway.domain.explain.answers import Answer
    from spillway.domain.explain.served import ExplainQuestion
    from spillway.kube.client import KubeClient

ReadCluster = Annotated[
    bool,
    typer.Option("--read-cluster", help="Read the cluster, and do not ask the operator, which may serve the answer."),
]

_EXPLAINING: Final = "spillway.cli.explaining"
_VIEW: Final = "spillway.cli.explain_view"

explain = typer.Typer(
    help="Explain one pod, workload, node or pool: where it is and why, its rank in the next scale-down, its price, "
    "and what would change it. Writes nothing.",
    no_args_is_help=True,
)

Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", help="Namespace of the object. Default: that of the kubeconfig's context, else default."
    ),
]

_RIGHTS = """
    The operator answers if it serves the API explain.spillway.dev to the user; otherwise the command reads the cluster.
    Needs the permission to list pods, nodes, namespaces, replicasets, replicationcontrollers, statefulsets and
    Spillway's kinds in the whole cluster. Exit codes: 0 explained, 1 there is no such object, 2 wrong usage, 3 the
    cluster could not be read.
"""


@explain.callback()
def _explain() -> None:
    """Explain one pod, workload, node or pool. Writes nothing."""


@explain.command(
    help="Explain a pod: where it is and why, its rank in the next scale-down, and its price. Of a pod that is gone: "
    f"what the Events of its namespace say about its end (needs the permission to list Events).\n{_RIGHTS}"
)
def pod(
    name: Annotated[str, typer.Argument(help="Name of the pod.", show_default=False)],
    *,
    namespace: Namespace = None,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    operator_namespace: live.OperatorNamespace = "spillway-system",
    read_cluster: ReadCluster = False,
    output: live.FormatFlag = live.Format.TABLE,
) -> None:
    _show("pod", name, namespace, kubeconfig, context, operator_namespace, output, ask=not read_cluster)


@explain.command(
    help=f"Explain a workload: its threshold, where its next pod would go, and the ranks of its pods.\n{_RIGHTS}"
)
def workload(
    name: Annotated[
        str,
        typer.Argument(metavar="[KIND/]NAME", help="For example cart, deployment/cart or sts/db.", show_default=False),
    ],
    *,
    namespace: Namespace = None,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    operator_namespace: live.OperatorNamespace = "spillway-system",
    read_cluster: ReadCluster = False,
    output: live.FormatFlag = live.Format.TABLE,
) -> None:
    _show("workload", name, namespace, kubeconfig, context, operator_namespace, output, ask=not read_cluster)


@explain.command(help=f"Explain a node: its tier in each policy, when scale-downs empty it, and its price.\n{_RIGHTS}")
def node(
    name: Annotated[str, typer.Argument(help="Name of the node.", show_default=False)],
    *,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    operator_namespace: live.OperatorNamespace = "spillway-system",
    read_cluster: ReadCluster = False,
    output: live.FormatFlag = live.Format.TABLE,
) -> None:
    _show("node", name, None, kubeconfig, context, operator_namespace, output, ask=not read_cluster)


@explain.command(help=f"Explain a pool: whether it takes pods and why not, who uses it, and its price.\n{_RIGHTS}")
def pool(
    name: Annotated[str, typer.Argument(help="Name of the VirtualNodeBudget.", show_default=False)],
    *,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    operator_namespace: live.OperatorNamespace = "spillway-system",
    read_cluster: ReadCluster = False,
    output: live.FormatFlag = live.Format.TABLE,
) -> None:
    _show("pool", name, None, kubeconfig, context, operator_namespace, output, ask=not read_cluster)


def _show(  # noqa: PLR0917 - the flags of the four commands, in their order
    what: str,
    name: str,
    namespace: str | None,
    kubeconfig: Path | None,
    context: str | None,
    operator_namespace: str,
    output: live.Format,
    *,
    ask: bool,
) -> None:
    async def work(client: "KubeClient") -> "Answer":
        from spillway.domain.explain.served import RESOURCES, ExplainQuestion  # noqa: PLC0415  # `--help` need not wait for it

        within = (namespace or client.credentials.namespace) if RESOURCES[what].namespaced else ""
        question = ExplainQuestion(what, name, within)
        return (await _asked(client, question) if ask else None) or await _read(
            client, question, operator_namespace, output
        )

    live.show(live.read(kubeconfig, context, work, modules=() if ask else (live.READING,)), output, _view)


async def _asked(client: "KubeClient", question: "ExplainQuestion") -> "Answer | None":
    from spillway.cli.asking import asked  # noqa: PLC0415

    return await asked(client, question)


async def _read(
    client: "KubeClient", question: "ExplainQuestion", operator_namespace: str, output: live.Format
) -> "Answer":
    from spillway.cli.reading import read_world  # noqa: PLC0415

    modules = (_EXPLAINING, _VIEW) if output in live.TABLES else (_EXPLAINING,)
    world = await read_world(client, own_namespace=operator_namespace, modules=modules)
    from spillway.cli.explaining import explained  # noqa: PLC0415

    return await explained(client, world, question)


def _view(found: "Answer", /, *, wide: bool) -> "Sequence[RenderableType]":
    from spillway.cli.explain_view import answer_view  # noqa: PLC0415  # JSON and YAML need no tables

    return answer_view(found, wide=wide)
