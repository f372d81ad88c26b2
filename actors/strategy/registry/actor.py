"""The registry's role, with what is configured."""

from functools import partial

from actors.runtime.role import Context, Role
from actors.strategy.registry.core import STORE_PREFIX, Configured, Registry, step
from protocol.policy import Policy
from protocol.strategy import (
    AlphaDown,
    AlphaUp,
    HostStarted,
    ShadowDecided,
    StrategiesRan,
    StrategyFailed,
    SwitchStrategy,
)


def configured(policy: Policy) -> tuple[Configured, ...]:
    """Every strategy there is."""
    return tuple(Configured(name=r.name, enabled=r.enabled, shadow=r.shadow) for r in policy.strategy.strategies)


def role(context: Context) -> Role[Registry]:
    """Who may run. It answers the host, which may die, from the desk, which remembers."""
    return Role(
        step=step,
        initial=partial(Registry, rows=configured(context.policy)),
        accepts=(
            *(AlphaUp, AlphaDown, HostStarted, StrategyFailed),
            *(StrategiesRan, ShadowDecided, SwitchStrategy),
        ),
        store_prefixes=(STORE_PREFIX,),
    )
