"""A strategy that looks at one product after the other: its first missed condition, or the purchase it has in mind."""

from abc import ABC, abstractmethod
from typing import ClassVar

from actors.strategy.base import StrategyContext, Thought, purchase
from protocol.base import Value
from protocol.ids import ProductId
from protocol.market import Bar
from protocol.strategy import Passed, Regime, TradeProposal


class Miss(Value, frozen=True, kw_only=True):
    """A condition that is not met: value against the nearest that would have passed; None where it is no number."""

    code: str
    value: float | None = None
    limit: float | None = None


class OneByOne(ABC):
    """What such strategies share. `stage` names the strategy in the rows about what it passed over."""

    stage: ClassVar[str]

    @abstractmethod
    def miss(self, hours: tuple[Bar, ...], regime: Regime) -> Miss | None:
        """The first condition that a product misses, given its closed hours; None: it qualifies."""

    @abstractmethod
    def thought(self, product: ProductId, hours: tuple[Bar, ...]) -> Thought:
        """The purchase of a product that qualifies."""

    def generate_proposals(self, context: StrategyContext) -> list[TradeProposal]:
        """One purchase for each product that qualifies."""
        good = (w for w in context.windows if self.miss(w.hours, context.regime) is None)
        found = (purchase(context, self.thought(w.product_id, w.hours)) for w in good)
        return [proposal for proposal in found if proposal is not None]

    def passed_over(self, context: StrategyContext) -> list[Passed]:
        """The first condition that each other product misses."""
        missed = ((w.product_id, self.miss(w.hours, context.regime)) for w in context.windows)
        return [
            Passed(product_id=product, stage=self.stage, code=miss.code, value=miss.value, limit=miss.limit)
            for product, miss in missed
            if miss is not None
        ]
