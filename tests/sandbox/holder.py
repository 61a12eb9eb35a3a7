"""A controller for these tests: starts a sandbox, prints what it is, and waits to be killed.

python holder.py PART [MISBEHAVIOUR]
"""

import json
import signal
import sys

from dialtone.sandbox import Sandbox


def _main() -> None:
    part = [sys.executable, *sys.argv[1:]]
    sandbox = Sandbox.begin(part, standins=part[:2])
    print(sandbox.state_file, flush=True)
    sandbox.wait()
    print(json.dumps(sandbox._state), flush=True)
    signal.pause()


if __name__ == "__main__":
    _main()
