"""A self-contained HTML page with charts: its style, the legends, and the form of a chart.

Contract: plotly is inside the page, so that it needs no network. Only plotly and `_SCRIPT` run: the page's own
Content-Security-Policy names them by their hashes, and a chart is data. A legend is HTML above its chart, so that it
wraps on a narrow screen and never covers what is drawn. Colours are the Okabe-Ito set, told apart with any colour
vision; lines also differ by their dashes.
"""

import base64
import hashlib
import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

FONT: Final = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
INK: Final = "#1b1b1b"
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
PURPLE: Final = "#CC79A7"
GREEN: Final = "#009E73"
RED: Final = "#D55E00"
SKY: Final = "#56B4E9"
DARK: Final = "#555555"
GREY: Final = "#999999"
_DASHES: Final = {"dot": "2 3", "dash": "7 4", "dashdot": "7 3 2 3", "longdash": "11 3"}
_CONFIG: Final = {"displayModeBar": False, "responsive": True}

_STYLE: Final = f"""
body {{ font-family: {FONT}; margin: 2rem auto; max-width: 74rem; padding: 0 1rem; color: {INK};
 background: #fff; }}
h1 {{ font-size: 1.5rem; margin-bottom: .3rem; }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .2rem; }}
h3 {{ font-size: .95rem; font-weight: 600; margin: .6rem 0 0; }}
p {{ line-height: 1.5; max-width: 60rem; margin: .3rem 0 .8rem; color: #444; }}
p.headline {{ font-size: 1.25rem; font-weight: 600; margin: .8rem 0; }}
div.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: .5rem 0 1rem; }}
th, td {{ padding: .35rem .9rem; border-bottom: 1px solid #ddd; text-align: right;
 font-variant-numeric: tabular-nums; }}
th:first-child, td:first-child {{ text-align: left; }} th {{ border-bottom: 2px solid #999; }}
tr.strong {{ font-weight: 600; }}
ul.legend {{ display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .4rem 0 0; padding: 0;
 font-size: .85rem; }}
ul.legend svg {{ vertical-align: middle; margin-right: .4rem; }}
td:not(:first-child) {{ white-space: nowrap; }}
div.charts {{ display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 0 1rem; }}
section {{ break-inside: avoid; }}
@media (max-width: 40rem) {{
 body {{ margin: 1rem auto; padding: 0 .7rem; font-size: .9rem; }} th, td {{ padding: .3rem .4rem; }}
 p.headline {{ font-size: 1.1rem; }} div.charts {{ grid-template-columns: minmax(0, 1fr); }}
}}
"""

_PRINTED_PIXELS: Final = 680
"""The width of the body on paper: A4 and Letter with their usual margins."""
_SCRIPT: Final = f"""
addEventListener('DOMContentLoaded', () => {{
 for (const chart of document.querySelectorAll('.chart')) {{
  const drawn = JSON.parse(chart.firstElementChild.textContent);
  Plotly.newPlot(chart, drawn.data, drawn.layout, drawn.config);
 }}
}});
const fit = width => {{
 document.body.style.width = width;
 for (const chart of document.querySelectorAll('.js-plotly-plot'))
  Plotly.relayout(chart, width ? {{width: chart.parentElement.clientWidth}} : {{width: null, autosize: true}});
}};
addEventListener('beforeprint', () => fit('{_PRINTED_PIXELS}px'));
addEventListener('afterprint', () => fit(''));
"""
"""Charts are drawn for the width of the window, so they are drawn again for that of the paper."""
_POLICY: Final = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
"""plotly sets the style of what it draws."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chapter of a page; `drawn` has its pictures, which stand beside each other where there is room.

    Without a picture it is the title and the text, which says why there is none.
    """

    title: str
    text: str
    legend: str
    drawn: tuple[str, ...]


def document(title: str, body: str, charts: Iterable[Chart], *, style: str = "") -> str:
    """The whole file: `body`, which is HTML, and the charts below it; `style` is added to that of every page."""
    scripts = get_plotlyjs(), _SCRIPT
    policy = html.escape(_POLICY.format(scripts=" ".join(map(_source, scripts))))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}{style}</style>{''.join(f'<script>{one}</script>' for one in scripts)}</head><body>"
        f"{body}{''.join(map(_chapter, charts))}</body></html>\n"
    )


def _source(script: str) -> str:
    """The script as a Content-Security-Policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _chapter(chart: Chart) -> str:
    head = f"<h2>{chart.title}</h2><p>{html.escape(chart.text)}</p>"
    if not chart.drawn:
        return f"<section>{head}</section>"
    return (
        f'<section>{head}<ul class="legend">{chart.legend}</ul>'
        f'<div class="charts" style="--columns: {len(chart.drawn)}">{"".join(chart.drawn)}</div></section>'
    )


def drawn(figure: go.Figure, *, height: int = 320, closest: bool = False) -> str:
    """A chart as HTML; `closest` shows the value of one thing at a time, and not of all at the same x."""
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 15, "b": 50},
        font={"family": FONT, "size": 13},
        showlegend=False,
        hovermode="closest" if closest else "x unified",
    )
    # Its < and > are escaped, so that no text ends the element.
    text = to_json_plotly({**figure.to_plotly_json(), "config": _CONFIG})
    return f'<div><div class="chart"><script type="application/json">{text}</script></div></div>'


def titled(name: str, chart: str) -> str:
    """A chart that is one of several, with its name above it."""
    return f"<div><h3>{html.escape(name)}</h3>{chart}</div>"


def swatch(inside: str, words: str) -> str:
    """An entry of a legend; `inside` is SVG of 26 by 12."""
    return f'<li><svg width="26" height="12" aria-hidden="true">{inside}</svg>{html.escape(words)}</li>'


def box(colour: str, words: str) -> str:
    """The entry of an area or a bar."""
    return swatch(f'<rect width="26" height="12" fill="{colour}"/>', words)


def mark(colour: str, words: str) -> str:
    """The entry of a mark across a bar."""
    return swatch(f'<path d="M13 0V12" stroke="{colour}" stroke-width="2"/>', words)


def stroke(colour: str, dash: str, words: str) -> str:
    """The entry of a line, with one of plotly's dashes."""
    pattern = _DASHES.get(dash, "")
    line = f'<path d="M0 6H26" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{pattern}"/>'
    return swatch(line, words)
