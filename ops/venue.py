"""Run the embedded venue by itself: a Coinbase-faithful server on this machine, for any client.

Prints one JSON line `{"rest", "ws", "key_file", "admin"}` when it is ready (with `--tls` also `ca`, the authority that
clients must trust) and serves until Ctrl-C or SIGTERM. Nothing it is told reaches Coinbase.
"""

import argparse

from actors.venue.server_options import add_options, options
from ops.exits import Exit, VerbError


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `venue`."""
    add_options(parser)


def main(args: argparse.Namespace) -> int:
    """Serves until it is told to end."""
    from actors.venue import server  # noqa: PLC0415 - the web server is loaded only where it serves

    try:
        return server.run(options(args))
    except (ValueError, OSError) as error:
        raise VerbError(f"the venue cannot start: {error}", Exit.REFUSED) from error
