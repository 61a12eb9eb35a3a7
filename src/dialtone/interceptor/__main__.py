"""`python -m dialtone.interceptor SETTINGS`: what `dialtone faults serve` starts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dialtone.interceptor.run import run
from dialtone.interceptor.settings import BadSettingsError, read


def main() -> int:
    parser = argparse.ArgumentParser(prog="dialtone.interceptor", description=__doc__)
    parser.add_argument("settings", type=Path, help="TOML or JSON")
    parser.add_argument(
        "--open", action="store_true", help="listen where a network reaches it; the settings say so too"
    )
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    args = parser.parse_args()
    try:
        run(read(args.settings), allow_open=args.open, until_eof=args.until_eof)
    except BadSettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
