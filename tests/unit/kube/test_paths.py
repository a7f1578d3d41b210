"""The paths of objects: tables of what is built and what is refused, and that no name leads to another object."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import spillway
from spillway.kube import paths
from spillway.kube.errors import InvalidNameError

TRAVERSALS = (
    "../../victim/deployments/web",
    "../../../../../../api/v1/pods?watch=true",
    "..",
    ".",
    "",
    "web/scale",
    "web%2Fscale",
    "web?watch=true",
    "web#",
    "web;a=b",
    "Web",
    "web.",
    ".web",
    "-web",
    "web-",
    "web..b",
    "web b",
    "web\n",
    "w\N{LATIN SMALL LETTER E WITH ACUTE}b",
    "a" * 254,
)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (paths.NODES.everywhere, "/api/v1/nodes"),
        (paths.NODES.named("n-1.example.com"), "/api/v1/nodes/n-1.example.com"),
        (paths.PODS.everywhere, "/api/v1/pods"),
        (paths.PODS.within("shop"), "/api/v1/namespaces/shop/pods"),
        (paths.PODS.named("web-0", namespace="shop"), "/api/v1/namespaces/shop/pods/web-0"),
        (paths.VOLUMES.named("pv-1"), "/api/v1/persistentvolumes/pv-1"),
        (paths.CLAIMS.named("data", namespace="shop"), "/api/v1/namespaces/shop/persistentvolumeclaims/data"),
        (paths.DEPLOYMENTS.named("web", namespace="shop"), "/apis/apps/v1/namespaces/shop/deployments/web"),
        (paths.JOBS.named("j", namespace="shop"), "/apis/batch/v1/namespaces/shop/jobs/j"),
        (
            paths.AUTOSCALERS.within("shop"),
            "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers",
        ),
        (paths.LEASES.named("l", namespace="s"), "/apis/coordination.k8s.io/v1/namespaces/s/leases/l"),
        (paths.EVENTS.within("default"), "/apis/events.k8s.io/v1/namespaces/default/events"),
        (
            paths.webhook_configurations("mutatingwebhookconfigurations").named("spillway"),
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/spillway",
        ),
        (paths.of_spillway("elasticpolicies").named("day"), "/apis/spillway.dev/v1alpha1/elasticpolicies/day"),
    ],
)
def test_paths_are_those_of_the_api(path: str, wanted: str) -> None:
    assert path == wanted


@pytest.mark.parametrize("name", TRAVERSALS)
def test_a_name_that_no_object_can_have_is_refused_by_its_field(name: str) -> None:
    with pytest.raises(InvalidNameError, match=re.escape("ownerReferences[].name: ")) as caught:
        paths.DEPLOYMENTS.named(name, namespace="shop", field="ownerReferences[].name")
    assert caught.value.value == name
    assert caught.value.not_found


@pytest.mark.parametrize("namespace", [*TRAVERSALS, "a.b", "a" * 64])
def test_a_namespace_is_one_label(namespace: str) -> None:
    with pytest.raises(InvalidNameError, match=r"metadata\.namespace: .* is not a DNS-1123 label"):
        paths.PODS.named("web", namespace=namespace)


def test_an_object_of_a_namespaced_resource_has_a_namespace() -> None:
    with pytest.raises(InvalidNameError):
        paths.PODS.named("web")
    with pytest.raises(ValueError, match="have no namespace"):
        paths.NODES.within("shop")


NAMES = st.text(st.sampled_from("aZ0-./%?#:;@\\ \n~é"), max_size=12) | st.text(max_size=20)


@given(name=NAMES, namespace=NAMES)
@example(name="../pods", namespace="shop")
def test_whatever_is_built_names_exactly_the_object_asked_for(name: str, namespace: str) -> None:
    try:
        path = paths.PODS.named(name, namespace=namespace)
    except InvalidNameError:
        return
    assert path.split("/") == ["", "api", "v1", "namespaces", namespace, "pods", name]
    assert unquote(path) == path
    assert not set(path) & set("?#%;\\ ")


@given(
    name=st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?){0,3}", fullmatch=True)
)
def test_every_dns_1123_subdomain_is_taken(name: str) -> None:
    assert paths.NODES.named(name) == f"/api/v1/nodes/{name}"


def test_no_other_module_writes_a_path() -> None:
    source = Path(spillway.__file__).parent
    written = re.compile(r"""f?["']/apis?/""")
    found = [
        str(file.relative_to(source))
        for file in source.rglob("*.py")
        # The aggregated API serves these paths, and requests none.
        if file.name != "paths.py"
        and "aggregated" not in file.parts
        and written.search(file.read_text(encoding="utf-8"))
    ]
    assert found == []
