"""Credentials from files that are renewed while the process runs."""

import ssl
from base64 import b64encode
from pathlib import Path

import pytest

from spillway.sources.connection import Connection
from spillway.sources.credentials import SourceCredentials, SourceCredentialsError
from tests.support.certificates import write_certificates

URL = "https://prometheus:9090"


def test_a_token_is_read_for_each_request(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    credentials = SourceCredentials(Connection(url=URL, token_file=str(token), headers={"X-Scope-OrgID": "prod"}))
    assert credentials.headers() == {"X-Scope-OrgID": "prod", "Authorization": "Bearer first"}

    token.write_text("second")

    assert credentials.headers()["Authorization"] == "Bearer second"


def test_basic_authentication_from_the_keys_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "username").write_text("spillway\n")
    (tmp_path / "password").write_text(" ünd:colon \n")
    credentials = SourceCredentials(
        Connection(url=URL, username_file=str(tmp_path / "username"), password_file=str(tmp_path / "password"))
    )

    expected = b64encode("spillway: ünd:colon ".encode()).decode()
    assert credentials.headers() == {"Authorization": f"Basic {expected}"}
    assert credentials.tls() is True, "the system's certificates"


def test_certificates_are_loaded_again_when_they_have_changed(tmp_path: Path) -> None:
    files = write_certificates(tmp_path, "prometheus")
    credentials = SourceCredentials(
        Connection(url=URL, ca_file=str(files.ca), cert_file=str(files.certificate), key_file=str(files.key))
    )
    first = credentials.tls()
    assert isinstance(first, ssl.SSLContext)
    assert credentials.tls() is first

    write_certificates(tmp_path, "prometheus")

    second = credentials.tls()
    assert isinstance(second, ssl.SSLContext)
    assert second.get_ca_certs() != first.get_ca_certs()
    assert second.verify_mode is ssl.CERT_REQUIRED
    assert second.check_hostname


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(SourceCredentialsError, match=f"token file cannot be read: .*{absent}"):
        SourceCredentials(Connection(url=URL, token_file=str(absent))).headers()
    with pytest.raises(SourceCredentialsError, match=f"certificates or the key cannot be loaded from {absent}"):
        SourceCredentials(Connection(url=URL, ca_file=str(absent))).tls()
    text = tmp_path / "text"
    text.write_text("not PEM")
    with pytest.raises(SourceCredentialsError, match=f"cannot be loaded from {text}"):
        SourceCredentials(Connection(url=URL, cert_file=str(text))).tls()
