"""`python -m dialtone.sandbox ACTION`: the sandbox's commands without the rest of the command line."""

from __future__ import annotations

import argparse

from dialtone.sandbox.commands import add_parser

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m dialtone.sandbox")
    add_parser(parser.add_subparsers(required=True, metavar="COMMAND"))
    arguments = parser.parse_args()
    try:
        raise SystemExit(arguments.run(arguments))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
