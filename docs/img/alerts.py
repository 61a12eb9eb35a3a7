"""Takes pictures of one incident as Slack and a mail client show it: the blocks and the HTML that really leave.

    .venv/bin/python docs/img/alerts.py --out docs/img

The page that draws Slack's blocks is our own and knows the kinds that we send. Needs chromium (or what CHROMIUM names);
nothing of the suite depends on this.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from dialtone.incidents.channels.blocks import blocks
from dialtone.incidents.channels.letter import html as mail_html
from dialtone.incidents.message import Line, Message

MESSAGE = Message(
    incident="3f9a1b2c4d",
    seq=1,
    told="opened",
    at=1_780_315_320,
    target="production",
    cause="health_endpoint_answers_ok",
    severity="P0",
    state="open",
    first_bad=1_780_315_200,
    lines=(
        Line("health_endpoint_answers_ok", "P0", "critical", "GET /api/health answers 503; promised is 200"),
        Line("stripe_webhook_accepts", "P0", "critical", "a signed event is answered 500 <html>&amp; \u202eflipped"),
        Line(
            "login_works",
            "P1",
            "breach",
            "POST /login answers 503 \u0645\u0631\u062d\u0628\u0627 *bold* `code`",
        ),
        Line("error_rate", "P1", "critical", "62 % of 240 requests failed; critical is 10 %"),
    ),
    more=26,
    measured="503, from 1 sample, checks/test_site_down.py:14",
    likely="the deployment of 11:58 UTC (a1b2c3d) began with it. Promote the last good deployment",
    broken="Site down (P0): Pages answer 5xx or not at all, the health endpoint is red",
    first_step="Look at the deployment: did it begin with the last one? Promote the last good deployment.",
    links=(("runbook", "https://example.com/runbook#site-down"), ("run", "https://example.com/run/1")),
    names=("ada", "bo"),
    mentions=("U0ADA",),
).cleaned()
_DOT = '<i style="display:inline-block;width:14px;height:14px;border-radius:7px;background:#dd2e44"></i>'
_STYLE = """
body { margin: 0; padding: 14px 18px; width: 640px; font: 15px/1.46 "Lato", "DejaVu Sans", sans-serif; color: #1d1c1d }
h2 { font-size: 18px; margin: 4px 0 8px } section { margin: 0 0 8px } code { background: #f2f2f2; color: #c01343;
padding: 1px 3px; border: 1px solid #ddd; border-radius: 3px; font-size: 12px } a { color: #1264a3 }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px } footer { color: #616061; font-size: 12px }
footer span { margin-right: 10px } .app { color: #616061; font-size: 12px; margin-bottom: 6px }
.who { background: #e8f5fa; color: #1264a3 }
"""


def drawn(text: str) -> str:
    """mrkdwn as Slack shows it; its three entities are HTML's own."""
    text = re.sub(r"<(https?://[^|>]+)\|([^>]+)>", r'<a href="\1">\2</a>', text)
    text = re.sub(r"<@(\w+)>", r'<span class="who">@\1</span>', text)
    text = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", text)
    text = re.sub(r"(^|\s)\*([^*\n]+)\*", r"\1<b>\2</b>", text)
    return text.replace("\n", "<br>")


def block(one: dict[str, Any]) -> str:
    """One block."""
    if one["type"] == "header":
        text = html.escape(one["text"]["text"])
        return f"<h2>{text.replace(':red_circle:', _DOT)}</h2>"
    if one["type"] == "context":
        return "<footer>" + "".join(f"<span>{drawn(e['text'])}</span>" for e in one["elements"]) + "</footer>"
    fields = "".join(f"<div>{drawn(field['text'])}</div>" for field in one.get("fields", []))
    return f"<section>{drawn(one['text']['text']) if 'text' in one else ''}<div class=fields>{fields}</div></section>"


def picture(page: str, path: Path, height: int) -> None:
    """Have chromium draw a page."""
    named = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-headless-shell"))))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(page)
        size = f"--window-size=680,{height}"
        command = [named, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size]
        subprocess.run([*command, f"--screenshot={path}", source.as_uri()], check=True, capture_output=True, timeout=60)


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/img"))
    out = parser.parse_args().out.resolve()
    body = "".join(block(one) for one in blocks(MESSAGE))
    page = f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style><div class=app><b>Dialtone</b> APP</div>{body}"
    picture(page, out / "alert-slack.png", 590)
    picture(mail_html(MESSAGE).replace("<body", "<meta charset=utf-8><body"), out / "alert-mail.png", 590)
    return 0


if __name__ == "__main__":
    raise SystemExit(_main())
