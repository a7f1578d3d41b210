"""What a connection to Prometheus accepts, and the matchers as PromQL."""

from typing import Any

import msgspec
import pytest

from spillway.sources.connection import Connection, pairs, quoted

URL = "https://prometheus.monitoring:9090"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"url": "prometheus:9090"}, r"http\(s\) URL", id="no URL"),
        pytest.param({"matchers": {"my-cluster": "a"}}, "'my-cluster' is no name of a label", id="label"),
        pytest.param({"matchers": {"cluster": ""}}, "label cluster needs a value", id="empty value"),
        pytest.param({"headers": {"X Scope": "a"}}, "no name of a header", id="header"),
        pytest.param({"headers": {"X-Scope-OrgID": "a\r\nHost: b"}}, "printable ASCII", id="header with a line end"),
        pytest.param({"headers": {"authorization": "Bearer a"}}, "use a token file", id="token as a value"),
        pytest.param({"username_file": "/u"}, "a username file and a password file", id="no password"),
        pytest.param({"token_file": "/t", "username_file": "/u", "password_file": "/p"}, "give one of", id="both"),
        pytest.param({"url": "https://a:b@c", "token_file": "/t"}, "give one of", id="user in the URL"),
        pytest.param({"key_file": "/k"}, "client certificate", id="key alone"),
        pytest.param({"url": "http://a", "ca_file": "/ca"}, "need an https URL", id="TLS without TLS"),
    ],
)
def test_what_cannot_be_used_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Connection(**{"url": URL, **fields})


def test_it_passes_to_another_process() -> None:
    connection = Connection(
        url=URL, matchers={"cluster": "a"}, headers={"X-Scope-OrgID": "b"}, token_file="/t", server_name="c"
    )

    assert msgspec.json.decode(msgspec.json.encode(connection), type=Connection) == connection


@pytest.mark.parametrize(
    ("matchers", "selected"),
    [
        ({"region": "eu", "cluster": "prod-1"}, 'cluster="prod-1",region="eu"'),
        ({"cluster": 'a"b\\c\nd'}, r'cluster="a\"b\\c\nd"'),
        ({}, 'job=~".*"'),
    ],
)
def test_matchers_as_promql(matchers: dict[str, str], selected: str) -> None:
    assert Connection(url=URL, matchers=matchers).selected == selected


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["cluster"], "write NAME=VALUE, for example c=d"),
        (["=a"], "write NAME=VALUE"),
        (["a=1", "a=2"], "'a' is given twice"),
    ],
)
def test_pairs_of_another_form(texts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pairs(texts, "c=d")


def test_a_value_may_hold_an_equals_sign() -> None:
    assert pairs(["a=b=c", "d="], "") == {"a": "b=c", "d": ""}


def test_a_quoted_text_ends_where_it_ends() -> None:
    assert quoted('"} or vector(1) #') == r'"\"} or vector(1) #"'
