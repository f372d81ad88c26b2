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
    _discovered(found["discovery"])
    for flag in found["flags"]:
        note(f"banned: {flag['product_id']} for {flag['reason']} until {flag['expires_at']}, by {flag['by']}")
    return Exit.DONE


def _discovered(found: dict[str, Any] | None) -> None:
    """What the start has found, where products are not configured; every left-out product stands in the JSON."""
    if found is None:
        return
    count = sum(len(products) for products in found["tiers"].values())
    because = f" ({found['detail']})" if found["detail"] else ""
    note(
        f"{count} products found at {found['at']}, source {found['source']}{because}; {len(found['left_out'])} left out"
    )


def _eligible(row: dict[str, Any]) -> tuple[object, ...]:
    spread = f"{row['spread_bps']:.2f}"
    return row["product_id"], row["tier"], "yes", None, None, None, spread, ",".join(row["overrides"]) or None


def _excluded(row: dict[str, Any]) -> tuple[object, ...]:
    return row["product_id"], row["tier"], "no", row["reason"], row["value"], row["limit"], None, None
