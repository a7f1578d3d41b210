"""`spillway check-admission`: whether the API server reaches the webhooks and gets their answers."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from spillway.cli import live

if TYPE_CHECKING:
    from spillway.app.check_admission import AdmissionAnswers
    from spillway.kube.client import KubeClient


def check_admission(
    *,
    namespace: Annotated[
        str, typer.Option(help="Namespace whose pods an ElasticPolicy in mode Enforce places.", show_default=False)
    ],
    policy: Annotated[
        str | None,
        typer.Option(
            help="Name of that policy. If its condition Ready says Conflict, because an older policy governs the "
            "namespace, a pod without an answer is no error."
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Maximum seconds to wait for the answers.", min=0)] = 60.0,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
) -> None:
    """Test admission: create a VirtualNodeBudget and a pod as server-side dry runs, and check that the webhooks answer.

    Creates nothing. Needs the permission to create virtualnodebudgets and pods in the namespace, and with --policy to
    get elasticpolicies. `helm test` runs it. Exit codes: 0 the webhooks answered, 1 one of them did not, 2 wrong usage,
    3 the cluster could not be read.
    """

    async def work(client: "KubeClient") -> "AdmissionAnswers":
        from spillway.app.check_admission import check_admission as check  # noqa: PLC0415  # `--help` need not wait for it

        return await check(client, namespace, policy=policy, timeout_seconds=timeout)

    answers = live.read(kubeconfig, context, work)
    for line in described(answers, namespace):
        typer.echo(line)
    sys.exit(0 if answers.complete else live.NEGATIVE)


def described(answers: "AdmissionAnswers", namespace: str) -> list[str]:
    """One line for each webhook."""
    validating = (
        f"the validating webhook answered: {answers.refusal}"
        if answers.refusal
        else "the validating webhook did not answer: see `kubectl spillway doctor`"
    )
    if answers.placement:
        mutating = (
            f"answered: a pod in {namespace} is placed on {answers.placement} nodes by the policy {answers.policy}"
        )
    elif answers.overruled:
        mutating = f"was not checked, because another policy governs {namespace}: {answers.overruled}"
    else:
        mutating = (
            f"did not answer for a pod in {namespace}: no policy in mode Enforce places its pods, or the API server "
            "does not reach the operator; see `kubectl spillway doctor`"
        )
    return [validating, f"the mutating webhook {mutating}"]
