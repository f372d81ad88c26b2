"""Say what would become of an order by hand if it were placed now, rule by rule, and change nothing."""

import argparse
from decimal import Decimal, InvalidOperation
from typing import Any

from ops.cli import add_json
from ops.desk import ask_desk, data_of, product, who
from ops.exits import Exit, VerbError
from ops.output import print_json, print_table
from ops.why import RULE_COLUMNS, print_changes
from protocol.control import SupposeByHand
from protocol.orders import Side


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `what-if`."""
    parser.add_argument("side", choices=("buy", "sell"))
    parser.add_argument("product", help="for example SOL-USD")
    parser.add_argument("amount", help="in quote currency (250), or in base units with the coin's name (1.5SOL)")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Asks the desk and prints its judgement."""
    name = product(args.product)
    size, quote = amount(args.amount, name.partition("-")[0])
    request = SupposeByHand(by=who(), product_id=name, side=Side(args.side.upper()), size=size, quote=quote)
    told = data_of(ask_desk(args.state, request))
    if args.json:
        print_json(told)
        return Exit.DONE
    show(told)
    return Exit.DONE


def amount(text: str, base: str) -> tuple[Decimal | None, Decimal | None]:
    """Base size and quote size, one of them None. Raises VerbError: neither a number nor one with the coin's name."""
    word = text.strip().upper().replace(" ", "")
    in_base = word.endswith(base)
    try:
        value = Decimal(word.removesuffix(base))
    except InvalidOperation:
        raise VerbError(f"{text}: write an amount like 250, or like 1.5{base}", Exit.USAGE) from None
    if not (value.is_finite() and value > 0):
        raise VerbError(f"{text}: must be above zero", Exit.USAGE)
    return (value, None) if in_base else (None, value)


def show(told: dict[str, Any]) -> None:
    """Prints a decision record for people."""
    side, verdict = told["side"].lower(), told["verdict"]
    code = f": {told['code']}" if told["code"] else f", {told['approved_usd']} USD"
    print(f"{side} {told['product_id']} for {told['requested_usd']} USD would get {verdict}{code}")
    print_changes(told["changes"])
    print_table(RULE_COLUMNS, ([rule.get(c) for c in RULE_COLUMNS] for rule in told["rules"]))
