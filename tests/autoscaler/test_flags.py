"""What `spillway doctor` says of the flags of cluster-autoscaler, compared with the real program."""

import json
import re
import subprocess
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from localcluster import Cluster, binaries, cluster_autoscaler
from spillway.cli.commands import application
from spillway.domain.doctor.cluster_autoscaler import ElasticFacts, check_cluster_autoscaler
from tests.support.installed import applied, deployment, elastic, eventually, policy
from tests.support.node_autoscaler import EMPTY_ONLY, NodeAutoscaler

KNOWN: Final = (
    "scale-down-enabled",
    "scale-down-utilization-threshold",
    "ignore-daemonsets-utilization",
    "scale-down-unneeded-time",
    "skip-nodes-with-system-pods",
    "skip-nodes-with-local-storage",
    "expendable-pods-priority-cutoff",
    "balance-similar-node-groups",
)
"""The flags that doctor reads."""
EVERYTHING: Final = ElasticFacts(zones=2, kept={"node": "kube-system/dns"}, headroom=True)


def deployed(*flags: str) -> dict[str, Any]:
    made = deployment("kube-system", cluster_autoscaler.NAME, 0)
    made["metadata"]["labels"] = {"app": cluster_autoscaler.NAME}
    [container] = made["spec"]["template"]["spec"]["containers"]
    container["command"] = [f"./{cluster_autoscaler.NAME}", *flags]
    return made


@pytest.fixture(scope="session")
def defaults() -> dict[str, str]:
    """Of the flags that doctor reads, as the real program tells them."""
    done = subprocess.run(
        [binaries.find(cluster_autoscaler.NAME), "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    lines = {
        found[1]: line
        for line in (done.stdout + done.stderr).splitlines()
        if (found := re.match(r" +--([\w-]+)", line))
    }
    assert set(KNOWN) <= set(lines)
    return {name: found[1] if (found := re.search(r"\(default ([^)]*)\)", lines[name])) else "false" for name in KNOWN}


def test_a_flag_that_is_not_given_has_the_default_of_the_program(defaults: dict[str, str]) -> None:
    explicit = deployed(*(f"--{name}={value}" for name, value in defaults.items()))

    assert list(check_cluster_autoscaler(explicit, EVERYTHING)) == list(
        check_cluster_autoscaler(deployed(), EVERYTHING)
    )


def findings(cluster: Cluster) -> list[tuple[str, str, str]]:
    done = CliRunner().invoke(application(), ["doctor", f"--kubeconfig={cluster.kubeconfig}", "-o", "json"])
    assert done.exit_code in {0, 1}, done.output
    found = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "autoscaler"]
    return [(one["severity"], one["object"], one["message"]) for one in found]


@pytest.mark.usefixtures("installation")
def test_doctor_finds_the_program_by_its_status_and_its_flags_in_a_deployment(
    cluster: Cluster, autoscaler: NodeAutoscaler, namespace: str
) -> None:
    autoscaler.wait_loops(1)
    eventually(lambda: cluster.exists(cluster_autoscaler.STATUS), "its ConfigMap")
    with applied(cluster, policy(namespace, namespace_label=namespace, elastic=elastic("elastic-a"))):
        [(severity, about, _)] = findings(cluster)
        assert (severity, about) == ("info", "ConfigMap/kube-system/cluster-autoscaler-status")
        with applied(cluster, deployed(*EMPTY_ONLY)):
            assert findings(cluster) == []
        with applied(cluster, deployed()):
            [(severity, about, message)] = findings(cluster)
        assert (severity, about) == ("warning", "Deployment/kube-system/cluster-autoscaler")
        assert "threshold is 0.5" in message
