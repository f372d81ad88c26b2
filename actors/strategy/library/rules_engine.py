"""The rules strategy: triggers to sized, targeted purchases (pipeline.md §6)."""

from decimal import Decimal

from actors.strategy.base import StrategyContext
from actors.strategy.library.canary import TAG, CanaryRules, in_window, miss
from actors.strategy.library.conviction import Conviction, Weights, conviction, signs
from actors.strategy.library.entries import EntryRules, Shape, passed, shape
from actors.strategy.library.sizes import SizeRules, is_wild, size_pct
from protocol.base import Value
from protocol.money import ONE
from protocol.orders import Side
from protocol.strategy import Asset, Passed, Regime, TradeProposal, Trigger

UNCONFIRMED = "reversal_unconfirmed"
WILD = "high_volatility"
_DIGITS = 12


class RulesSettings(Value, frozen=True, kw_only=True):
    """What the strategy is given. Multipliers by regime (one table, U3); `signs`: how many a reversal needs.

    A trigger of less than `min_score` is left alone.
    """

    entries: EntryRules
    sizes: SizeRules
    weights: Weights
    canary: CanaryRules
    signs: int
    multipliers: dict[str, Decimal]
    min_score: float = 0.0


class Draft(Value, frozen=True, kw_only=True):
    """A trigger that has an entry, before its conviction is held against anything."""

    trigger: Trigger
    asset: Asset
    row: Shape
    conviction: Conviction
    unconfirmed: bool


class RulesEngine:
    """The shipped strategy."""

    def __init__(self, settings: RulesSettings) -> None:
        self._settings = settings

    def generate_proposals(self, context: StrategyContext) -> list[TradeProposal]:
        """One proposal per trigger whose product is eligible and whose conviction suffices."""
        return [answer for answer in self._judged(context) if isinstance(answer, TradeProposal)]

    def passed_over(self, context: StrategyContext) -> list[Passed]:
        """Why the other triggers led to nothing."""
        return [answer for answer in self._judged(context) if isinstance(answer, Passed)]

    def _judged(self, context: StrategyContext) -> list[TradeProposal | Passed]:
        drafts = [self._draft(trigger, context) for trigger in context.triggers]
        return [d if isinstance(d, Passed) else self._decided(d, context) for d in drafts]

    def _draft(self, trigger: Trigger, context: StrategyContext) -> Draft | Passed:
        asset = context.asset(trigger.product_id)
        if asset is None:
            return passed(trigger, "not_eligible")
        if round(trigger.score, _DIGITS) < self._settings.min_score:
            return passed(trigger, "min_score", trigger.score, self._settings.min_score)
        row = shape(trigger, context.regime, self._settings.entries)
        if isinstance(row, Passed):
            return row
        return Draft(
            trigger=trigger,
            asset=asset,
            row=row,
            conviction=conviction(trigger, asset, self._settings.weights),
            unconfirmed=trigger.kind == "reversal" and signs(trigger) < self._settings.signs,
        )

    def _decided(self, draft: Draft, context: StrategyContext) -> TradeProposal | Passed:
        """In the window a canary is tried first; what is unconfirmed, or below the threshold, ends here."""
        sure, threshold = draft.conviction.value, context.bounds.min_conviction
        why = ""
        if in_window(sure, threshold, self._settings.canary.policy):
            missed = miss(context, draft.asset, self._settings.canary)
            if missed is None:
                return self._proposal(draft, context, canary=True)
            why = f"{missed.code} {missed.value:g} against {missed.limit:g}"
        if draft.unconfirmed:
            need = float(self._settings.signs)
            return passed(draft.trigger, "reversal_confirmations", float(signs(draft.trigger)), need, why)
        if sure < threshold:
            return passed(draft.trigger, "min_conviction", sure, threshold, why or _told(draft.conviction))
        return self._proposal(draft, context, canary=False)

    def size_pct(self, trigger: Trigger, asset: Asset, row: Shape, regime: Regime) -> Decimal:
        """Per cent of NAV, in a market that is not wild."""
        multiplier = self._settings.multipliers[regime.value]
        return size_pct(trigger, asset, row, self._settings.sizes, multiplier)

    def _proposal(self, draft: Draft, context: StrategyContext, *, canary: bool) -> TradeProposal | Passed:
        trigger, rules = draft.trigger, self._settings.sizes
        size = self.size_pct(trigger, draft.asset, draft.row, context.regime)
        if size <= 0:
            return passed(trigger, "regime_size_zero", 0.0)
        wild = is_wild(context.window(trigger.product_id), rules.wild)
        share = (rules.wild.size_mult if wild else ONE) * (self._settings.canary.policy.size_mult if canary else ONE)
        tags = (
            (TAG, canary),
            (UNCONFIRMED, draft.unconfirmed),
            (WILD, wild),
            (draft.row.tag, bool(draft.row.tag)),
        )
        return self._bought(draft, context, (size, share), tuple(tag for tag, holds in tags if holds))

    def _bought(
        self, draft: Draft, context: StrategyContext, wanted: tuple[Decimal, Decimal], tags: tuple[str, ...]
    ) -> TradeProposal | Passed:
        trigger, row, (size, share) = draft.trigger, draft.row, wanted
        stop = min(row.stop_pct, self._settings.sizes.max_stop_pct)
        if row.target_pct <= stop:
            return passed(trigger, "target_within_stop", float(row.target_pct), float(stop))
        return TradeProposal(
            correlation="",
            product_id=trigger.product_id,
            side=Side.BUY,
            notional_pct=size * share,
            size_share=share,
            stop_loss_pct=stop,
            take_profit_pct=row.target_pct,
            max_hold_s=row.hold_s,
            conviction=draft.conviction.value,
            strategy="",
            tier=draft.asset.tier,
            theme=draft.asset.theme,
            regime=context.regime,
            trigger=trigger,
            reason=f"{trigger.kind} {trigger.change_pct:+.2f} %",
            tags=tags,
            created_ns=context.now_ns,
            metadata=(*draft.conviction.parts, ("threshold", context.bounds.min_conviction)),
        )


def _told(sure: Conviction) -> str:
    """The sum in short, for the record of what was passed over."""
    return " ".join(f"{name}={value:g}" for name, value in sure.parts)
