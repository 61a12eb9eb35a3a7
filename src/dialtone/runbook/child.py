"""The process that looks: reads a request from stdin, writes one JSON line for each part of the diagnosis.

It is a process of its own, so that nothing it does, waits for or dies of reaches the run whose checks are red; it ends
by itself when its time is over, also when nobody waits for it any more.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any


def _tell(part: Any) -> None:
    sys.stdout.write(json.dumps(part, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Look, and tell of it. The exit code is 0, also when single looks failed."""
    request = json.load(sys.stdin)
    signal.setitimer(signal.ITIMER_REAL, float(request["limit"]) + 1)
    from dialtone.runbook.diagnosis import facts_of, known, steps
    from dialtone.runbook.items import ItemsError
    from dialtone.target import ProfileError, load

    try:
        if not request.get("facts"):
            _tell(known(request))  # first what needs no target: what is red names most causes by itself
        target = load(Path(request["config"]), request["target"])
        if request.get("facts"):
            _tell({"facts": facts_of(target, [Path(folder) for folder in request["folders"]])})
            return 0
        for part in steps(target, request):
            _tell(part)
    except (ItemsError, ProfileError) as wrong:
        _tell({"wrong": str(wrong)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
