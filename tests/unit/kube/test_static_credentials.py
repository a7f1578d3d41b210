"""The credentials that a kubeconfig holds itself: the same as the official client's loader reads."""

import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from spillway.kube.auth import Credentials, CredentialsError
from spillway.kube.static_credentials import StaticCredentials, kubeconfig_path


def pair(name: str) -> tuple[bytes, bytes]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(hours=1))
    signed = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), secret


CERTIFICATE, KEY = pair("user")
AUTHORITY = "# Autorité\n".encode() + pair("authority")[0]
HTTPS = "https://10.0.0.1:6443/"


def data(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in (("ca.crt", AUTHORITY), ("me.crt", CERTIFICATE), ("me.key", KEY)):
        (tmp_path / name).write_bytes(content)
    return tmp_path


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any] | None, **context: Any) -> str:
    path = folder / "config"
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "now",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": user}],
                "contexts": [
                    {"name": "now", "context": {"cluster": "c", "user": "u", **context}},
                    {"name": "other", "context": {"cluster": "c", "user": "u", "namespace": "second"}},
                ],
            }
        )
    )
    return str(path)


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        (
            {"server": HTTPS, "certificate-authority": "ca.crt"},
            {"client-certificate": "me.crt", "client-key": "me.key"},
        ),
        (
            {"server": HTTPS, "certificate-authority-data": data(AUTHORITY)},
            {"client-certificate-data": data(CERTIFICATE), "client-key-data": data(KEY)},
        ),
        ({"server": HTTPS, "certificate-authority": "ca.crt", "tls-server-name": "api"}, {"token": "t0k3n"}),
        ({"server": HTTPS, "insecure-skip-tls-verify": True}, {"username": "ada", "password": "p:w"}),
        ({"server": "http://10.0.0.1:8080", "proxy-url": "http://proxy:3128"}, {}),
        ({"server": HTTPS, "certificate-authority": "ca.crt"}, {"token": "t", "username": "ada", "password": "pw"}),
    ],
)
@pytest.mark.parametrize("context", [None, "other"])
async def test_what_is_read_is_what_the_official_client_reads(
    folder: Path, cluster: dict[str, Any], user: dict[str, Any], context: str | None
) -> None:
    path = kubeconfig(folder, cluster, user, namespace="first")

    static = StaticCredentials.read(path, context)
    official = await Credentials.load(path, context)

    assert static is not None
    facts = ("server", "context", "namespace", "target", "proxy", "server_name")
    assert [getattr(static, one) for one in facts] == [getattr(official, one) for one in facts]
    assert await static.headers() == await official.headers()
    mine, theirs = static.tls(), official.tls()
    if isinstance(mine, ssl.SSLContext) and isinstance(theirs, ssl.SSLContext):
        assert mine.get_ca_certs(binary_form=True) == theirs.get_ca_certs(binary_form=True)
        assert (mine.verify_mode, mine.check_hostname) == (theirs.verify_mode, theirs.check_hostname)
    else:
        assert mine == theirs


def test_the_key_of_the_user_is_loaded_and_left_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    user = {"client-certificate": "me.crt", "client-key-data": data(pair("another")[1])}
    wrong = StaticCredentials.read(kubeconfig(folder, {"server": HTTPS}, user))
    assert wrong is not None
    before = sorted(folder.iterdir())

    with pytest.raises(ssl.SSLError, match="key values mismatch"):
        wrong.tls()

    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "user",
    [
        {"exec": {"command": "aws"}},
        {"auth-provider": {"name": "oidc"}},
        {"tokenFile": "token"},
        {"client-certificate": "absent.crt", "client-key": "me.key"},
        {"client-certificate-data": "?", "client-key-data": "?"},
        {"username": "ada", "password": None},
    ],
)
def test_what_changes_or_lacks_something_is_left_to_the_official_client(folder: Path, user: dict[str, Any]) -> None:
    assert StaticCredentials.read(kubeconfig(folder, {"server": HTTPS}, user)) is None


@pytest.mark.parametrize("content", [b"", "# Autorité".encode()], ids=["empty", "only a comment"])
async def test_an_authority_without_a_certificate_does_not_make_the_systems_count(folder: Path, content: bytes) -> None:
    (folder / "ca.crt").write_bytes(content)
    path = kubeconfig(folder, {"server": HTTPS, "certificate-authority": "ca.crt"}, {"token": "t"})

    assert StaticCredentials.read(path) is None
    with pytest.raises(ssl.SSLError):
        (await Credentials.load(path)).tls()


@pytest.mark.parametrize("key", ["as", "as-uid", "as-groups", "as-user-extra"])
async def test_a_user_who_acts_as_another_one_is_refused(folder: Path, key: str) -> None:
    path = kubeconfig(folder, {"server": HTTPS}, {"token": "t", key: "someone"})

    assert StaticCredentials.read(path) is None
    with pytest.raises(CredentialsError, match=rf"acts as another one \({key}\)"):
        await Credentials.load(path)


@pytest.mark.parametrize("text", ["", "a: [", "clusters: {}", "current-context: gone\ncontexts: []\nclusters: []"])
def test_a_malformed_file_is_left_to_the_official_client(folder: Path, text: str) -> None:
    (folder / "config").write_text(text)
    assert StaticCredentials.read(str(folder / "config")) is None
    assert StaticCredentials.read(f"{folder}/config:{folder}/more") is None
    assert StaticCredentials.read(kubeconfig(folder, {"server": HTTPS}, {"token": "t"}), "absent") is None


@pytest.mark.parametrize(
    ("flag", "context", "variables", "path"),
    [
        ("/a", None, {"KUBECONFIG": "/b", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "/a"),
        (None, None, {"KUBECONFIG": "/b", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "/b"),
        (None, None, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
        (None, "prod", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "/home/me/.kube/config"),
        (None, None, {}, "/home/me/.kube/config"),
    ],
)
def test_which_kubeconfig_is_used(
    monkeypatch: pytest.MonkeyPatch, flag: str | None, context: str | None, variables: dict[str, str], path: str | None
) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    assert kubeconfig_path(flag, context) == path
