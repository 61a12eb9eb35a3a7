"""Values that an application keeps encrypted, sealed and unsealed by a command of its own.

How an application encrypts what it stores is its affair; its own code does it best. The command reads the value on its
standard input, and prints the other form of it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from dialtone.verdict import Misdeclared

_BOUND = 15.0  # seconds


def through(command: Sequence[str], value: str) -> str:
    """What the command prints for a value, without the line break at its end.

    Raises Misdeclared, with the command's first word alone, when it cannot be run, fails, or prints nothing.
    """
    try:
        done = subprocess.run(command, input=value, capture_output=True, text=True, timeout=_BOUND, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as wrong:
        raise Misdeclared(f"the command {command[0]!r} of tenant did not run: {type(wrong).__name__}") from None
    said = done.stdout.rstrip("\r\n")
    if done.returncode or not said:
        raise Misdeclared(f"the command {command[0]!r} of tenant ended with {done.returncode} and no value")
    return said
