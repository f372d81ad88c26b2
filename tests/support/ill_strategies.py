"""Strategies as users write them on a bad day. They are loaded as a user's file is, by class name."""

from decimal import Decimal

from actors.strategy.base import Thought, purchase


class NoNumber:
    """Proposes a target that is no number."""

    def generate_proposals(self, context):
        asset = context.assets[0]
        thought = Thought(
            product_id=asset.product_id,
            conviction=0.5,
            stop_loss_pct=Decimal(6),
            take_profit_pct=Decimal("NaN"),
            max_hold_h=24,
            reason="hope",
        )
        return [purchase(context, thought)]


class Raises:
    """Divides by what is not there."""

    def generate_proposals(self, context):
        return [1 / len(context.held)]
