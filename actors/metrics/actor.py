"""The metrics actor's role."""

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry

from actors.metrics.core import Metrics, Settings, step
from actors.metrics.edge import MetricsEdge
from actors.runtime.role import Context, Role
from protocol.instants import SECOND_NS
from protocol.portfolio import PortfolioView
from protocol.risk import RiskView
from protocol.strategy import CycleRecord, CycleView


def role(
    context: Context, registry: CollectorRegistry, told: Callable[[str, str], None], *, move_ports: bool
) -> Role[Metrics]:
    """Exposition and health. `told` hears where they are served."""
    policy = context.policy
    settings = Settings(
        mode=policy.mode.value,
        config_hash=policy.config_hash,
        risk_profile=policy.risk.risk_profile,
        interval_ns=int(policy.loop.interval_s * SECOND_NS),
        pace_ns=context.run.pace_ns,
    )
    ports = (policy.monitoring.metrics_port, policy.monitoring.health_port)
    return Role(
        step=step,
        initial=partial(Metrics, settings=settings),
        accepts=(PortfolioView, RiskView, CycleView, CycleRecord),
        journaled=False,
        edge=lambda: MetricsEdge(registry, ports, told, move=move_ports),
    )
