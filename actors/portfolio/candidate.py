"""What the books have against another configuration: nobody drops by the way what is held. Pure."""

from actors.portfolio.state import Portfolio
from protocol.control import ConfigJudged, JudgeConfig
from protocol.effects import Tell


def judged(state: Portfolio, asked: JudgeConfig) -> Tell:
    """The portfolio's word, by positions and by what is bought and not booked yet."""
    held = {p.product_id for p in state.ledger.positions} | {o.spec.product_id for o in state.orders.values()}
    reasons = [
        f"{product} is held, or being traded, and the candidate drops it: leave it first"
        for product in sorted(held)
        if product not in asked.products
    ]
    if asked.dropped and not state.reconciled:
        lost = ", ".join(asked.dropped)
        reasons.append(f"not reconciled yet: nobody knows whether {lost}, which the candidate drops, is held")
    answer = ConfigJudged(request_id=asked.request_id, actor="portfolio", reasons=tuple(reasons))
    return Tell(to=asked.reply_to, message=answer)
