"""`python -m actors.venue`: the embedded venue by itself."""

import argparse
import sys

from actors.venue.server import run
from actors.venue.server_options import add_options, options


def main() -> int:
    """Parse, serve, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m actors.venue", description=__doc__, allow_abbrev=False)
    add_options(parser)
    return run(options(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
