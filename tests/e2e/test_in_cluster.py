"""As in its container: in-cluster credentials, and not one place on any file system where it could write."""

import base64
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from harness import Installation
from harness.chart import PROJECT
from localcluster import ClusterApi
from localcluster.ports import free_ports

# In a mount namespace of its own: the service account where the kubelet puts it, the rest read-only, /tmp included
# (not hidden: the project itself may be there).
_CONTAINER = """
set -e
mount -t tmpfs none /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
cp "$1"/* /run/secrets/kubernetes.io/serviceaccount/
mount -o remount,ro /run
mount --bind / /
mount -o remount,bind,ro /
mount --bind /tmp /tmp
mount -o remount,bind,ro /tmp
if touch /written /tmp/written 2>/dev/null; then echo "not read-only" >&2; exit 9; fi
cd /
shift
exec "$@"
"""


def _namespaces_allowed() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None or Path("/var/run").resolve() != Path("/run"):
        return False
    probe = [unshare, "--mount", "sh", "-c", "mount -t tmpfs none /run && mount --bind / /"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _namespaces_allowed(), reason="needs the right to make a mount namespace")
def test_it_runs_on_in_cluster_credentials_and_a_read_only_file_system(
    installation: Installation, cluster: ClusterApi, tmp_path: Path
) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = (
        base64.b64decode(config["certificate-authority-data"])
        if "certificate-authority-data" in config
        else (cluster.kubeconfig.parent / config["certificate-authority"]).read_bytes()
    )
    (tmp_path / "ca.crt").write_bytes(authority)
    (tmp_path / "token").write_text(cluster.service_account_token("spillway-system", "spillway"))
    (tmp_path / "namespace").write_text("spillway-system")
    server = urlsplit(config["server"])
    metrics_port = free_ports(1)[0]
    env = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/nonexistent",
        "PYTHONPATH": str(PROJECT / "operator"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "POD_NAME": "spillway-in-cluster",
        "POD_NAMESPACE": "spillway-system",
    }
    command = [
        sys.executable,
        "-m",
        "spillway",
        "run",
        f"--webhook-port={installation.webhook_port}",
        f"--metrics-port={metrics_port}",
    ]
    log = tmp_path.parent / f"{tmp_path.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _CONTAINER, "sh", str(tmp_path), *command],
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:

            def leads() -> bool:
                assert process.poll() is None, log.read_text()
                lease = cluster.rest.get("/apis/coordination.k8s.io/v1/namespaces/spillway-system/leases/spillway")
                return str(lease["spec"].get("holderIdentity")).startswith("spillway-in-cluster_")

            cluster.wait_until(leads, "it to lead")
        finally:
            process.terminate()
            code = process.wait(120)
    assert code == 0, log.read_text()
