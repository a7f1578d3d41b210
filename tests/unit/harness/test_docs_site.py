"""The pages of the documentation as a site."""

import pytest

from harness.docs_site import breakable


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("<code>spec.tiers.elastic</code>", "<code>spec.<wbr>tiers.<wbr>elastic</code>"),
        ("<code>workloads[].match</code>", "<code>workloads[].<wbr>match</code>"),
        ("<code>spillway_build_info</code>", "<code>spillway_<wbr>build_<wbr>info</code>"),
        ("<code>spillway.dev/pool</code>", "<code>spillway.<wbr>dev/<wbr>pool</code>"),
        ("<code>0.71</code> of a.b", "<code>0.71</code> of a.b"),
        ('<a href="x.html"><code>a.b</code></a>', '<a href="x.html"><code>a.<wbr>b</code></a>'),
    ],
)
def test_names_in_tables_break_at_their_joints(cell: str, expected: str) -> None:
    assert breakable(f'<td style="text-align: left;">{cell}</td>') == f'<td style="text-align: left;">{expected}</td>'


def test_the_text_around_tables_stays() -> None:
    html = "<p><code>spec.tiers</code></p><pre><code>a.b</code></pre><td>x</td>"

    assert breakable(html) == html
