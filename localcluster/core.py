"""Command lines of the core: etcd, the API server, the controller-manager, the scheduler and kwok."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from localcluster.layout import ADMINS, LOOPBACK, SCHEDULER, Layout
from localcluster.options import Options
from localcluster.processes import Process

Find = Callable[[str], Path]
"""Where the binary of that name is."""

MANIFESTS = Path(__file__).with_name("manifests")

# Heartbeats of a thousand pretended kubelets must not decide a test on a busy machine.
_NODE_LEASE_SECONDS = 1200
_NODE_GRACE = "1h0m0s"

_READS = ("get", "list", "watch")


def audit_policy() -> dict[str, Any]:
    """Every write; with its body where tests judge what was written. Reads, leases and events are left out."""
    quiet: dict[str, Any] = {"level": "None"}
    core, apps = {"group": ""}, {"group": "apps"}
    bodies = [
        core
        | {"resources": ["pods", "pods/binding", "pods/eviction", "nodes", "nodes/status", "replicationcontrollers"]},
        apps | {"resources": ["replicasets", "replicasets/scale", "deployments", "deployments/scale", "statefulsets"]},
        {"group": "policy"},
        {"group": "autoscaling"},
        {"group": "spillway.dev"},
    ]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            quiet | {"verbs": list(_READS)},
            quiet | {"resources": [core | {"resources": ["events"]}, {"group": "events.k8s.io"}]},
            quiet | {"resources": [{"group": "coordination.k8s.io"}]},
            # The kubelets' part is load, not something that is judged.
            {"level": "Metadata", "users": ["localcluster:kwok"]},
            {"level": "Request", "resources": bodies},
            {"level": "Metadata"},
        ],
    }


def etcd(layout: Layout, find: Find) -> Process:
    client = f"http://{LOOPBACK}:{layout.ports.etcd}"
    peer = f"http://{LOOPBACK}:{layout.ports.etcd_peer}"
    return Process(
        "etcd",
        [
            str(find("etcd")),
            f"--data-dir={layout.data / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # A local cluster may lose its data in a power cut, not in a kill.
            "--unsafe-no-fsync",
            "--quota-backend-bytes=8589934592",
            "--auto-compaction-retention=0",
            "--log-level=warn",
        ],
    )


def api_server(layout: Layout, options: Options, find: Find) -> Process:
    argv = [
        str(find("kube-apiserver")),
        f"--etcd-servers=http://{LOOPBACK}:{layout.ports.etcd}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={layout.ports.api_server}",
        # A loopback address cannot be an endpoint of the `kubernetes` Service.
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction,MutatingAdmissionWebhook,ValidatingAdmissionWebhook",
        "--anonymous-auth=true",
        f"--client-ca-file={layout.path('ca.crt')}",
        f"--tls-cert-file={layout.path('api-server.crt')}",
        f"--tls-private-key-file={layout.path('api-server.key')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={layout.path('service-account.pub')}",
        f"--service-account-signing-key-file={layout.path('service-account.key')}",
        f"--requestheader-client-ca-file={layout.path('front-proxy-ca.crt')}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={layout.path('front-proxy-client.crt')}",
        f"--proxy-client-key-file={layout.path('front-proxy-client.key')}",
        "--profiling=false",
        "--shutdown-delay-duration=0s",
    ]
    if options.audit:
        policy = layout.write_config("audit-policy.yaml", audit_policy())
        argv += [f"--audit-policy-file={policy}", f"--audit-log-path={layout.audit_log}", "--audit-log-mode=blocking"]
    # It collects its garbage less often, for more memory: a whole control plane shares few cores here, and with
    # tens of thousands of pods each collection would take one of them for a second.
    argv += [*_feature_gates(options), *options.api_server_args]
    return Process("kube-apiserver", argv, env={"GOGC": "400"})


def _feature_gates(options: Options) -> list[str]:
    return [f"--feature-gates={gate}" for gate in options.release.feature_gates]


def controller_manager(layout: Layout, options: Options, find: Find) -> Process:
    kubeconfig = layout.write_kubeconfig("controller-manager", "system:kube-controller-manager")
    return Process(
        "kube-controller-manager",
        [
            str(find("kube-controller-manager")),
            *client_of(kubeconfig),
            f"--bind-address={LOOPBACK}",
            f"--secure-port={layout.ports.controller_manager}",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={layout.path('service-account.key')}",
            f"--root-ca-file={layout.path('ca.crt')}",
            f"--cluster-signing-cert-file={layout.path('ca.crt')}",
            f"--cluster-signing-key-file={layout.path('ca.key')}",
            f"--horizontal-pod-autoscaler-sync-period={options.hpa_sync_seconds}s",
            f"--horizontal-pod-autoscaler-downscale-stabilization={options.hpa_downscale_stabilization_seconds}s",
            "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
            "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
            f"--node-monitor-grace-period={_NODE_GRACE}",
            "--profiling=false",
            "--kube-api-qps=5000",
            "--kube-api-burst=10000",
            *_feature_gates(options),
            *options.controller_manager_args,
        ],
    )


def scheduler(layout: Layout, options: Options, find: Find) -> Process:
    kubeconfig = layout.write_kubeconfig("scheduler", SCHEDULER)
    configuration: dict[str, Any] = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 5000, "burst": 10000},
        "enableProfiling": False,
    }
    if options.scheduler_profiles:
        configuration["profiles"] = [dict(profile) for profile in options.scheduler_profiles]
    if options.scheduler_extenders:
        configuration["extenders"] = [_with_certificate(layout, one) for one in options.scheduler_extenders]
    return Process(
        "kube-scheduler",
        [
            str(find("kube-scheduler")),
            f"--config={layout.write_config('scheduler.yaml', configuration)}",
            *(flag for flag in client_of(kubeconfig) if not flag.startswith("--kubeconfig")),
            f"--bind-address={LOOPBACK}",
            f"--secure-port={layout.ports.scheduler}",
            *options.scheduler_args,
        ],
    )


def _with_certificate(layout: Layout, extender: Mapping[str, Any]) -> dict[str, Any]:
    """The extender, which is shown the certificate by which the API server knows the scheduler."""
    if not extender.get("enableHTTPS"):
        return dict(extender)
    own = {"certFile": layout.path("scheduler-client.crt"), "keyFile": layout.path("scheduler-client.key")}
    return {**extender, "tlsConfig": {**own, **extender.get("tlsConfig", {})}}


def client_of(kubeconfig: Path) -> list[str]:
    """Flags of a server that asks the API server who its callers are."""
    return [f"--{use}kubeconfig={kubeconfig}" for use in ("", "authentication-", "authorization-")]


def kwok(layout: Layout, options: Options, find: Find) -> Process:
    kubeconfig = layout.write_kubeconfig("kwok", "localcluster:kwok", (ADMINS,))
    common = _kwok_argv(kubeconfig, layout.ports.kwok, find)
    return Process(
        "kwok",
        [
            *common,
            "--manage-all-nodes=true",
            f"--cidr={options.node_cidr}",
            f"--node-lease-duration-seconds={_NODE_LEASE_SECONDS}",
            f"--tls-cert-file={layout.path('kwok.crt')}",
            f"--tls-private-key-file={layout.path('kwok.key')}",
        ],
    )


def kwok_beside(kubeconfig: Path, port: int, find: Find) -> Process:
    """Pretend nodes beside a cluster's own ones: kwok minds only those that are marked so."""
    common = _kwok_argv(kubeconfig, port, find)
    selector = "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake"
    return Process("kwok", [*common, selector, "--node-lease-duration-seconds=40"])


def _kwok_argv(kubeconfig: Path, port: int, find: Find) -> list[str]:
    return [
        str(find("kwok")),
        f"--kubeconfig={kubeconfig}",
        f"--node-ip={LOOPBACK}",
        f"--node-port={port}",
        f"--server-address={LOOPBACK}:{port}",
        # Objects of a kind given by file replace kwok's built-in ones; a CRD would as well.
        f"--config={MANIFESTS / 'kwok-stages.yaml'}",
        f"--config={MANIFESTS / 'kwok-usage.yaml'}",
        # At INFO it tells of every patch.
        "-v=WARN",
    ]
