"""What the order desk has against another configuration: an outcome in doubt, work on a product it drops. Pure."""

from collections.abc import Iterable

from actors.order.run import Run
from protocol.control import ConfigJudged, JudgeConfig
from protocol.effects import Tell
from protocol.orders import Status


def judged(runs: Iterable[Run], asked: JudgeConfig) -> Tell:
    """The order desk's word."""
    reasons = tuple(reason for run in runs for reason in _against(run, asked))
    return Tell(to=asked.reply_to, message=ConfigJudged(request_id=asked.request_id, actor="orders", reasons=reasons))


def _against(run: Run, asked: JudgeConfig) -> Iterable[str]:
    if run.order is not None and run.order.status is Status.UNRESOLVED:
        yield f"nobody knows yet whether {run.order.client_order_id} rests: try again when it is resolved"
    product = run.intent.product_id
    if product not in asked.products:
        yield f"an order in {product} is under way, and the candidate drops it"
