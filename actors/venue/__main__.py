"""`python -m actors.venue`: the embedded venue by itself."""

import argparse
import sys

from actors.venue.server import run
from actors.venue.server_options import add_options, options

REFUSED = 4


def main() -> int:
    """Parse, serve, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m actors.venue", description=__doc__, allow_abbrev=False)
    add_options(parser)
    try:
        return run(options(parser.parse_args()))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"the venue cannot start: {error}\n")
        return REFUSED


if __name__ == "__main__":
    sys.exit(main())
