"""Running strategies one after the other: each alone with its context, its time and its failure. Pure.

What loads them and what ends them when they never end are handed in (`Shelf`): in a simulation neither exists.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from actors.strategy.base import Budget, Explains, Strategy, StrategyContext
from protocol.base import Value
from protocol.ids import ProductId
from protocol.strategy import Passed

MAX_WORDS = 2000
Watch = Callable[[str, float], AbstractContextManager[None]]


class Refused(Value, frozen=True, kw_only=True):
    """A strategy that could not be loaded. `detail` names file and line where there are any."""

    detail: str


class Answer(Value, frozen=True, kw_only=True):
    """What a strategy offered, checked by nobody yet, and what it said about the rest."""

    offered: tuple[object, ...] = ()
    passed: tuple[Passed, ...] = ()


class Raised(Value, frozen=True, kw_only=True):
    """A strategy's failure: the type of what it raised, and the words with file and line."""

    kind: str
    detail: str


def unwatched(_name: str, _budget_s: float) -> AbstractContextManager[None]:
    """Where time is made up, nobody can use too much of it."""
    return nullcontext()


class Shelf:
    """The strategies that are loaded. A refusal stands until the strategy is switched on anew."""

    def __init__(
        self,
        load: Callable[[str], Strategy | Refused],
        watch: Watch = unwatched,
        ticks_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        """Make one.

        Args:
            load: makes a strategy.
            watch: ends the process when the block under it takes too long.
            ticks_ns: a stopwatch.
        """
        self._load = load
        self._watch = watch
        self._ticks_ns = ticks_ns
        self._held: dict[str, Strategy | Refused] = {}

    def get(self, budget: Budget) -> Strategy | Refused:
        """The strategy, loaded when it is wanted first; loading has ten times the time of a decision."""
        if budget.name not in self._held:
            with self._watch(budget.name, budget.time_s * 10):
                self._held[budget.name] = self._load(budget.name)
        return self._held[budget.name]

    def forget(self, name: str) -> None:
        """Load it anew when it is wanted next."""
        self._held.pop(name, None)

    def run(self, budget: Budget, strategy: Strategy, context: StrategyContext) -> tuple[Answer | Raised, int]:
        """One strategy's answer or failure, and how many microseconds it took."""
        begun_ns = self._ticks_ns()
        answer = self._answer(budget, strategy, context)
        return answer, (self._ticks_ns() - begun_ns) // 1000

    def _answer(self, budget: Budget, strategy: Strategy, context: StrategyContext) -> Answer | Raised:
        try:
            with self._watch(budget.name, budget.time_s):
                offered = _list(strategy.generate_proposals(context))
                passed = strategy.passed_over(context) if isinstance(strategy, Explains) else []
                return Answer(offered=tuple(offered), passed=_rows(budget.name, passed))
        except BaseException as error:  # noqa: BLE001 - whatever a strategy raises is its own failure alone
            return Raised(kind=type(error).__name__, detail=_told(error))


def sendable(text: object) -> str:
    """Words that can travel to another process, whatever a strategy put into them."""
    return str(text).encode(errors="replace").decode()[:MAX_WORDS]


def _list(offered: object) -> list[object]:
    if not isinstance(offered, list):
        raise TypeError(f"generate_proposals answers with a list, not {type(offered).__name__}")
    return offered


def _rows(name: str, passed: object) -> tuple[Passed, ...]:
    """Rows about what was passed over, with plain values only: they travel to another process."""
    if not isinstance(passed, list) or not all(type(row) is Passed for row in passed):
        raise TypeError("passed_over answers with a list of Passed")
    return tuple(
        Passed(
            product_id=ProductId(sendable(row.product_id)),
            stage=name,
            code=sendable(row.code),
            value=None if row.value is None else float(row.value),
            limit=None if row.limit is None else float(row.limit),
            detail=sendable(row.detail),
        )
        for row in passed
    )


def _told(error: BaseException) -> str:
    try:
        return sendable(f"{_where(error)}: {type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 - what it raised cannot even be shown
        return f"{_where(error)}: {type(error).__name__}"


def _where(error: BaseException) -> str:
    """File and line of what was raised: the place a strategy's author looks at first."""
    place, traceback = "", error.__traceback__
    while traceback is not None:
        place = f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place
