import ssl
from datetime import UTC, datetime
from typing import Any

import pytest
from multidict import CIMultiDict

from spillway.admission.authority import Lifetimes, begin
from spillway.admission.tls import ServingTls
from spillway.aggregated.front_proxy import FrontProxy, FrontProxyFollower
from spillway.kube.access import Access, User, question
from spillway.kube.errors import ApiError
from tests.support.fake_reader import FakeReader

CA = begin(("front",), Lifetimes(), datetime.now(UTC)).bundle.decode()
DATA = {
    "client-ca-file": "another",
    "requestheader-client-ca-file": CA,
    "requestheader-allowed-names": '["front-proxy-client"]',
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
}
CERTIFICATE = {"subject": ((("commonName", "front-proxy-client"),),)}
HEADERS: CIMultiDict[str] = CIMultiDict(
    [
        ("x-remote-user", "system:serviceaccount:kube-system:horizontal-pod-autoscaler"),
        ("X-Remote-Group", "system:serviceaccounts"),
        ("X-Remote-Group", "system:authenticated"),
        ("X-Remote-Extra-Scopes%2Fa", "read"),
    ]
)


def _proxy() -> FrontProxy:
    proxy = FrontProxy.of(DATA)
    assert proxy is not None
    return proxy


def test_the_user_with_groups_and_extra_is_read_from_the_headers() -> None:
    assert _proxy().user(HEADERS, CERTIFICATE) == User(
        "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
        "",
        ("system:serviceaccounts", "system:authenticated"),
        (("scopes/a", ("read",)),),
    )


@pytest.mark.parametrize(("named", "uid"), [({"requestheader-uid-headers": '["X-Remote-Uid"]'}, "u-1"), ({}, "")])
def test_a_uid_counts_if_the_api_server_names_its_header(named: dict[str, str], uid: str) -> None:
    proxy = FrontProxy.of(DATA | named)
    assert proxy is not None
    headers = CIMultiDict([*HEADERS.items(), ("X-Remote-Uid", "u-1")])
    user = proxy.user(headers, CERTIFICATE)
    assert user is not None
    assert user.uid == uid
    assert question(user, Access("get", "/"))["uid"] == uid


@pytest.mark.parametrize("certificate", [None, {}, {"subject": ((("commonName", "mallory"),),)}])
def test_headers_mean_nothing_without_the_certificate(certificate: Any) -> None:
    assert _proxy().user(HEADERS, certificate) is None


def test_a_request_without_a_user_has_none() -> None:
    assert _proxy().user(CIMultiDict({"X-Remote-Group": "system:masters"}), CERTIFICATE) is None


def test_without_an_authority_nobody_is_named() -> None:
    assert FrontProxy.of({"client-ca-file": "x"}) is None


PATH = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"


async def test_the_follower_trusts_each_authority_once_and_keeps_the_last_answer() -> None:
    tls = ServingTls()
    garbled = {**DATA, "requestheader-allowed-names": "{"}
    answers = iter([ApiError(403, "Forbidden", "no"), {"data": DATA}, {"data": DATA}, {"data": garbled}])
    reader = FakeReader(lambda _: next(answers))
    follower = FrontProxyFollower(reader, tls)
    assert [await follower.turn() for _ in range(4)] == [False, True, True, False]
    assert set(reader.read) == {PATH}
    assert follower.present == _proxy()
    assert len(tls.front_context.get_ca_certs()) == 1
    assert tls.front_context.verify_mode is ssl.CERT_OPTIONAL


async def test_an_authority_that_is_no_certificate_is_not_trusted() -> None:
    answer = {"data": {**DATA, "requestheader-client-ca-file": "nonsense"}}
    follower = FrontProxyFollower(FakeReader(lambda _: answer), ServingTls())
    assert not await follower.turn()
    assert follower.present is None
