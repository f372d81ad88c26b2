"""`app.yaml`: mode, rhythm, logs and ports."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import field

from config.schema import Section, key
from protocol.policy import Mode


class App(Section, frozen=True, kw_only=True):
    """What a run may do."""

    mode: Annotated[Mode, key("DRY_RUN, PAPER or LIVE", "missing must mean the mode that can place nothing")] = (
        Mode.DRY_RUN
    )


class Exchange(Section, frozen=True, kw_only=True):
    """The real venue."""

    read_only: Annotated[bool, key("switch", "only a person who writes false lets orders reach the real venue")] = True


class Auth(Section, frozen=True, kw_only=True):
    """Signed requests."""

    order_token_life_s: Annotated[
        int, key("s", "how long a lost order request may still be accepted, and so stays undecided", "10", "120")
    ] = 120


class Interval(Section, frozen=True, kw_only=True):
    """The decision cycle's rhythm."""

    seconds: Annotated[Decimal, key("s", "time from one decision to the next", "1", "3600")] = Decimal(60)
    jitter_pct: Annotated[
        Decimal, key("% of the interval", "added at random, so that cycles do not beat with others' clocks", "0", "20")
    ] = Decimal(10)


class Backoff(Section, frozen=True, kw_only=True):
    """What happens when a cycle uses too much of its interval."""

    target_util_pct: Annotated[Decimal, key("% of the interval", "above it the next cycle waits", "1", "100")] = (
        Decimal(70)
    )
    backoff_seconds: Annotated[Decimal, key("s", "how long it waits in addition", "0", "600")] = Decimal(15)


class Loop(Section, frozen=True, kw_only=True):
    """The decision cycle."""

    interval: Interval = field(default_factory=Interval)
    skip_weekends: Annotated[bool, key("switch", "Saturday and Sunday: nothing is proposed; exits go on")] = False
    timezone: Annotated[
        str,
        key(
            "UTC, UTC+h or UTC-h",
            "when a weekend begins and ends; all else is UTC",
            pattern="UTC([+-](0?[0-9]|1[0-4]))?",
        ),
    ] = "UTC"
    universe_cache_seconds: Annotated[
        int,
        key(
            "s",
            "how long the product list is believed; of it and universe.products_cache_minutes the shorter",
            "10",
            "3600",
        ),
    ] = 300
    utilization_autobackoff: Backoff = field(default_factory=Backoff)


class Logging(Section, frozen=True, kw_only=True):
    """Logs; that secrets are taken out has no switch."""

    level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], key("severity", "the least severe line kept")
    ] = "INFO"


class Monitoring(Section, frozen=True, kw_only=True):
    """Ports on the loopback address; 0 takes any free one."""

    healthcheck_port: Annotated[int, key("port", "where health is asked for", "0", "65535")] = 8080
    metrics_port: Annotated[int, key("port", "where metrics are read", "0", "65535")] = 9090


class Loosening(Section, frozen=True, kw_only=True):
    """How far thresholds give way."""

    pct_change_15m_delta: Annotated[Decimal, key("% points", "of chop's 15-minute move", "-10", "0")] = Decimal("-0.2")
    pct_change_60m_delta: Annotated[Decimal, key("% points", "of chop's 60-minute move", "-10", "0")] = Decimal("-0.3")
    min_conviction_delta: Annotated[Decimal, key("0 to 1, negative", "of the least conviction", "-1", "0")] = Decimal(
        "-0.02"
    )


class LooseningFloors(Section, frozen=True, kw_only=True):
    """Where they stop."""

    pct_change_15m: Annotated[Decimal, key("%", "a smaller move is noise in any drought", "0", "100", over=True)] = (
        Decimal("1.2")
    )
    pct_change_60m: Annotated[Decimal, key("%", "a smaller move is noise in any drought", "0", "100", over=True)] = (
        Decimal("2.5")
    )
    min_conviction: Annotated[Decimal, key("0 to 1", "below it nothing is proposed, whatever happens", "0", "1")] = (
        Decimal("0.30")
    )


class AutoTune(Section, frozen=True, kw_only=True):
    """Loosening in a drought of triggers, in memory and once; it ends when a trigger comes back (pipeline.md §9)."""

    zero_trigger_cycles: Annotated[int, key("cycles", "so many without a trigger are a drought", "1", "10000")] = 12
    allow_in_live: Annotated[
        bool, key("switch", "real money waits for real signals unless a person says otherwise")
    ] = False
    loosen: Loosening = field(default_factory=Loosening)
    floors: LooseningFloors = field(default_factory=LooseningFloors)


class AppFile(Section, frozen=True, kw_only=True):
    """`app.yaml`. What is missing here has its safest value."""

    app: App = field(default_factory=App)
    exchange: Exchange = field(default_factory=Exchange)
    auth: Auth = field(default_factory=Auth)
    loop: Loop = field(default_factory=Loop)
    auto_tune: AutoTune = field(default_factory=AutoTune)
    logging: Logging = field(default_factory=Logging)
    monitoring: Monitoring = field(default_factory=Monitoring)
