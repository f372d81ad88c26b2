"""Place an order by hand: same risk rules, journal and order actors as the trader's own."""

import argparse
from decimal import Decimal, InvalidOperation

from ops.cli import add_json
from ops.desk import ask_desk, product, say, who
from ops.exits import Exit, VerbError
from protocol.control import PlaceByHand
from protocol.orders import Side


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `order`."""
    parser.add_argument("side", choices=("buy", "sell"))
    parser.add_argument("product", help="for example SOL-USD")
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--size", help="in base units")
    amount.add_argument("--quote", help="in quote currency")
    parser.add_argument("--limit", help="limit price; without it the order is immediate or cancel")
    parser.add_argument("--post-only", action="store_true", help="refuse to take; needs --limit")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Tells the desk and prints risk's answer."""
    if args.post_only and args.limit is None:
        raise VerbError("--post-only needs --limit", Exit.USAGE)
    request = PlaceByHand(
        by=who(),
        product_id=product(args.product),
        side=Side(args.side.upper()),
        size=_amount(args.size, "--size"),
        quote=_amount(args.quote, "--quote"),
        limit=_amount(args.limit, "--limit"),
        post_only=args.post_only,
    )
    return say(ask_desk(args.state, request), as_json=args.json)


def _amount(text: str | None, option: str) -> Decimal | None:
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise VerbError(f"{option} {text}: not a decimal number", Exit.USAGE) from None
    if not (value.is_finite() and value > 0):
        raise VerbError(f"{option} {text}: must be above zero", Exit.USAGE)
    return value
