"""What every page is made of: one frame, one set of colours, escaping in one place.

A page is one file: no script, no font, no picture from elsewhere, and a policy (CSP) that forbids them. Colours keep a
contrast of at least 4.5 (WCAG 2.2, 1.4.3) in light and dark; nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

TONES = {
    "pass": "good", "ok": "good", "fail": "bad", "critical": "bad", "breach": "bad", "broken": "bad",
    "degraded": "warn", "inconclusive": "warn", "unknown": "warn", "undecided": "warn", "offline": "warn",
    "refused": "warn",
}  # fmt: skip
"""Word -> tone; any other word is `none`."""

_COLOURS = {"up": "#176f2c", "degraded": "#855300", "down": "#b3212b", "unknown": "#57606a"}
_WIDE = {"i": 4, "l": 4, "t": 5, "r": 5, "f": 5, " ": 4, "m": 10, "w": 9}

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--card:#f6f8fa;--fg:#1a1f26;--dim:#57606a;--line:#d0d7de;--link:#0550ae;
--good:#176f2c;--warn:#855300;--bad:#b3212b;--none:#57606a;--goodbg:#dcf5e0;--warnbg:#fcefcf;--badbg:#fde3e3;
--nonebg:#eaeef2;--span:#f5c6c9}
@media (prefers-color-scheme:dark){:root{--bg:#0f1419;--card:#171d24;--fg:#e6edf3;--dim:#9aa4af;--line:#333c46;
--link:#79b8ff;--good:#56d37a;--warn:#e8b94a;--bad:#ff8f87;--none:#9aa4af;--goodbg:#12301c;--warnbg:#372a0c;
--badbg:#421a1c;--nonebg:#232b34;--span:#5a2428}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:76rem;background:var(--bg);color:var(--fg);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.45rem;line-height:1.25;margin:.2rem 0}h2{font-size:1.1rem;margin:1.8rem 0 .5rem}
h3{font-size:1rem;margin:1rem 0 .3rem}p{margin:.4rem 0}a{color:var(--link)}
.dim,small{color:var(--dim)}small{font-size:.85rem}
code{font:.9em ui-monospace,"DejaVu Sans Mono",monospace}
.w{display:inline-block;padding:0 .45em;border-radius:.3em;font-weight:600;font-size:.87rem;white-space:nowrap}
.good{color:var(--good);background:var(--goodbg)}.warn{color:var(--warn);background:var(--warnbg)}
.bad{color:var(--bad);background:var(--badbg)}.none{color:var(--none);background:var(--nonebg)}
.facts{display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;margin:.5rem 0;padding:0;list-style:none}
.facts b{font-size:1.15rem}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:.4rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--line)}
tr:last-child>*{border-bottom:0}th{color:var(--dim);font-weight:600;background:var(--card)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td,th{overflow-wrap:break-word}td.k{overflow-wrap:anywhere;min-width:9rem}
details{border:1px solid var(--line);border-radius:.4rem;margin:.4rem 0;background:var(--bg)}
summary{cursor:pointer;padding:.45rem .7rem}details[open]>summary{border-bottom:1px solid var(--line);
background:var(--card)}details>.in{padding:.5rem .7rem}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
ol,ul{margin:.3rem 0;padding-left:1.4rem}li{margin:.15rem 0}
footer{margin:2.5rem 0 1rem;color:var(--dim);font-size:.85rem}
@media(max-width:40rem){.stack thead{display:none}.stack tr{display:block;padding:.4rem .6rem;
border-bottom:1px solid var(--line)}.stack tr:last-child{border-bottom:0}.stack td{display:inline;border:0;padding:0;
margin-right:.5rem}.stack td.k{display:block;font-weight:600;margin:0}}
@media print{details>.in{display:block}body{max-width:none}}
"""


def page(title: str, body: Iterable[str], style: str = "") -> str:
    """A whole document. `title` is text, `body` HTML."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def word(text: str, tone: str = "") -> str:
    """A word on its colour: a verdict, an outcome."""
    return f'<b class="w {tone or TONES.get(text, "none")}">{escape(text)}</b>'


def table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    label: str,
    numbers: Sequence[int] = (),
    *,
    stack: bool = False,
) -> str:
    """A table of HTML cells that scrolls by itself where the window is narrow; `numbers` are columns of figures.

    With `stack` a row is a paragraph on a phone: for what has to be read there at once.
    """
    kinds = [' class="n"' if i in numbers else ' class="k"' if i == 0 else "" for i in range(len(titles))]
    kind = ' class="stack"' if stack else ""
    head = "".join(f'<th scope="col"{k}>{escape(t)}' for t, k in zip(titles, kinds, strict=True))
    body = "".join("<tr>" + "".join(f"<td{k}>{cell}" for cell, k in zip(row, kinds, strict=True)) for row in rows)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(label)}"><table{kind}><thead><tr>{head}'
        f"<tbody>{body}</table></div>"
    )


def facts(given: Iterable[tuple[str, str]]) -> str:
    """Figures with what they are."""
    return '<ul class="facts">' + "".join(f"<li><b>{escape(v)}</b> {escape(n)}" for v, n in given) + "</ul>"


def folded(summary: str, inside: str, *, opened: bool = False, name: str = "") -> str:
    """Something that opens; both are HTML. `name` is its anchor."""
    anchor = f' id="{escape(name)}"' if name else ""
    state = " open" if opened else ""
    return f'<details{anchor}{state}><summary>{summary}</summary><div class="in">{inside}</div></details>'


def seconds(value: float | None) -> str:
    """A span for people."""
    if value is None:
        return "-"
    if value >= 172_800:
        return f"{value / 86_400:.0f} d"
    if value >= 5_400:
        return f"{value / 3_600:.1f} h"
    if value >= 120:
        return f"{value / 60:.0f} min"
    return f"{round(value, 2):g} s"


def moment(at: float) -> str:
    """A time (seconds since 1970) to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def stamp(text: str) -> str:
    """An ISO time for people; as it is where it is none."""
    try:
        return moment(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return text


def cell(text: object) -> str:
    """Text in a cell of a Markdown table: no markup, no line break, nobody is called by name."""
    told = " ".join(str(text).split())
    for mark in "\\`*_[]|~":
        told = told.replace(mark, "\\" + mark)
    return told.replace("<", "&lt;").replace("@", "@\u200b").replace("#", "#\u200b")


def badge(state: str, label: str = "status") -> str:
    """A badge (SVG) that says the state in a word; white on its colour keeps a contrast of 4.5."""
    left, right = _width(label), _width(state)
    wide, colour = left + right, _COLOURS.get(state, _COLOURS["unknown"])
    label, state = escape(label), escape(state)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="20" role="img" aria-label="{label}: {state}">'
        f'<title>{label}: {state}</title><clipPath id="c"><rect width="{wide}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#c)"><rect width="{left}" height="20" fill="#444c56"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{left / 2}" y="14" textLength="{left - 12}">{label}</text>'
        f'<text x="{left + right / 2}" y="14" textLength="{right - 12}">{state}</text></g></svg>\n'
    )


def _width(text: str) -> int:
    return 12 + sum(_WIDE.get(letter, 7) for letter in text)
