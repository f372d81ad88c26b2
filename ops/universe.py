"""Show who may be traded in which regime, who not and why, and which products are banned."""

import argparse
from typing import Any

from ops.cli import add_json
from ops.desk import view
from ops.exits import Exit
from ops.output import note, print_json, print_table

COLUMNS = ("symbol", "tier", "eligible", "exclusion_reason", "value", "limit", "spread_bps", "overrides")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `universe`."""
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Shows the last decision cycle's universe."""
    found = view(args, "universe")
    if args.json:
        print_json(found)
        return Exit.DONE
    note(f"regime {found['regime'] or 'not known yet'}, {len(found['eligible'])} eligible")
    print_table(COLUMNS, [*map(_eligible, found["eligible"]), *map(_excluded, found["excluded"])], title="universe")
    for flag in found["flags"]:
        note(f"banned: {flag['product_id']} for {flag['reason']} until {flag['expires_at']}, by {flag['by']}")
    return Exit.DONE


def _eligible(row: dict[str, Any]) -> tuple[object, ...]:
    spread = f"{row['spread_bps']:.2f}"
    return row["product_id"], row["tier"], "yes", None, None, None, spread, ",".join(row["overrides"]) or None


def _excluded(row: dict[str, Any]) -> tuple[object, ...]:
    return row["product_id"], row["tier"], "no", row["reason"], row["value"], row["limit"], None, None
