"""`spillway doctor` beside a Deployment of cluster-autoscaler, whose pods are simulated: it reads only the flags."""

from typing import Any

from harness import install
from localcluster import ClusterApi
from tests.support.command_line import doctor_findings
from tests.support.installed import applied, deployment

POOL = "flags"
ELASTIC = {"pool": POOL}
NO_WEBHOOKS = {"webhook": {"enabled": False}}
DNS_PODS = "/api/v1/namespaces/kube-system/pods"
STATUS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "cluster-autoscaler-status", "namespace": "kube-system"},
}


def policy(namespace: str) -> dict[str, Any]:
    match = {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ElasticPolicy",
        "metadata": {"name": POOL},
        "spec": {
            "tiers": {"elastic": {"nodeSelector": {"matchLabels": ELASTIC}}},
            "workloads": [{"name": "default", "match": match}],
            "headroom": {"from": "Fixed", "unit": {"cpu": "1", "memory": "1Gi"}, "min": {"pods": 1}},
        },
    }


def cluster_autoscaler(namespace: str, *flags: str) -> dict[str, Any]:
    made = deployment(namespace, "cluster-autoscaler", 1)
    made["metadata"]["labels"] = {"app.kubernetes.io/name": "aws-cluster-autoscaler"}
    [container] = made["spec"]["template"]["spec"]["containers"]
    container["command"] = ["./cluster-autoscaler", "--cloud-provider=aws", *flags]
    return made


def rolled_out(cluster: ClusterApi, namespace: str, name: str) -> None:
    cluster.kubectl("-n", namespace, "rollout", "status", f"deployment/{name}", "--timeout=60s")


def test_doctor_reads_the_flags_of_cluster_autoscaler(cluster: ClusterApi, namespace: str) -> None:
    cluster.add_nodes(POOL, 2, labels=ELASTIC)
    system = deployment("kube-system", "dns", 1, nodeSelector=ELASTIC)
    about = f"Deployment/{namespace}/cluster-autoscaler"
    its_status = STATUS | {"metadata": {"name": "cluster-autoscaler-status", "namespace": namespace}}
    good = ("--scale-down-utilization-threshold=0.01", "--ignore-daemonsets-utilization=true")
    bad = ("--scale-down-unneeded-time=1h", "--expendable-pods-priority-cutoff=0", "--balance-similar-node-groups")
    with install(cluster, NO_WEBHOOKS, replicas=0) as made:
        try:
            with applied(cluster, policy(namespace)):
                absent = doctor_findings(cluster, "autoscaler")
                with applied(cluster, STATUS):
                    hidden = doctor_findings(cluster, "autoscaler")
                with applied(cluster, cluster_autoscaler(namespace, *bad), its_status, system):
                    rolled_out(cluster, "kube-system", "dns")
                    hindering = doctor_findings(cluster, "autoscaler")
                cluster.wait_until(lambda: not cluster.rest.items(DNS_PODS, labelSelector="app=dns"), "no pod of dns")
                with applied(cluster, cluster_autoscaler(namespace, *good, "--balance-similar-node-groups")):
                    cluster.kubectl(
                        "-n", namespace, "rollout", "status", "deployment/cluster-autoscaler", "--timeout=60s"
                    )
                    fine = doctor_findings(cluster, "autoscaler")
        finally:
            made.uninstall()

    assert absent == fine == []
    assert [one[:2] for one in hidden] == [("info", "ConfigMap/kube-system/cluster-autoscaler-status")]
    assert {one[:2] for one in hindering} == {("warning", about)}
    said = " | ".join(message for _, _, message in hindering)
    for words in ("threshold is 0.5", "unneeded-time is 1h", "kube-system/dns-", "priority-cutoff is 0"):
        assert words in said
    assert len(hindering) == 4
