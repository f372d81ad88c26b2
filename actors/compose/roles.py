"""The desk's rooms, put together once: the live process and the kernel lend the outside, the rooms are the same."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from actors.control import actor as control
from actors.control.state import Settings as ControlSettings
from actors.cycle import actor as cycle
from actors.feed import actor as feed
from actors.feed.connection import Route, feed_name, share_out
from actors.gateway import actor as gateway
from actors.gateway.core import Settings as GatewaySettings
from actors.metrics import actor as metrics
from actors.order import actor as order
from actors.portfolio import actor as portfolio
from actors.recorder import actor as recorder
from actors.recorder.store import Store
from actors.risk import actor as risk
from actors.runtime.restarts import Child
from actors.runtime.role import Context, Edge, Role
from actors.runtime.stream_socket import Budget, Signer
from actors.runtime.tree import Member
from actors.strategy.registry import actor as registry
from actors.universe import actor as universe
from actors.user_feed import actor as user_feed
from protocol.coinbase.keys import SigningKey
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.launch import Launch, fixed
from protocol.policy import LaneRate

BTC = "BTC-USD"

Rows = Iterable[tuple[Child, str]]
Roles = dict[str, Callable[[str], Role[Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a world lends the rooms. `control` makes the control actor's edge; `background`: snapshots in a thread."""

    launch: Launch
    context: Context
    store: Store
    key: SigningKey | None
    sign: Signer | None
    registry: CollectorRegistry
    told: Callable[[str, str], None]
    control: Callable[[], Edge]
    background: bool = True


def members(actors: Rows, outside: Outside) -> Iterable[Member]:
    """The desk's members, one per connection and product where the row stands for several."""
    roles = _roles(outside)
    products = outside.launch.policy.universe.products
    for child, pump in actors:
        match child.name:
            case "order":
                yield Member(child=child, role=roles["order"], pump=pump, kind=True)
            case "market":
                for name in connections(products):
                    yield Member(child=_named(child, name), role=roles["market"], pump=pump)
            case "feed":
                for product in products:
                    yield Member(child=_named(child, feed_name(product)), role=roles["feed"], pump=pump)
            case _:
                yield Member(child=child, role=roles[child.name], pump=pump)


def connections(products: tuple[ProductId, ...]) -> dict[str, tuple[Route, ...]]:
    """The market connections by name, and what each carries."""
    shared = share_out(dict.fromkeys(products, ProductId("")))
    return {f"market:{number}": routes for number, routes in enumerate(shared)}


def _roles(outside: Outside) -> Roles:
    launch, context = outside.launch, outside.context
    budget = Budget()
    routes_of = connections(launch.policy.universe.products)
    behind = {p: name for name, routes in routes_of.items() for route in routes for p in route.product_ids}
    settings = _gateway_settings(launch, context.run.epoch)
    life_s = launch.policy.auth.order_token_life_s
    return {
        "recorder": lambda _: recorder.role(outside.store, background=outside.background),
        "portfolio": lambda _: portfolio.role(context),
        "risk": lambda _: risk.role(context),
        "orders": lambda _: order.desk_role(context),
        "order": partial(order.order_role, context),
        "cycle": lambda _: cycle.role(context),
        "control": lambda _: control.role(_control_settings(launch, context.run.epoch), outside.control),
        "gateway": lambda _: gateway.role(context, settings, outside.key, life_s),
        "user_feed": lambda _: user_feed.role(context, budget, outside.sign),
        "market": lambda name: feed.connection_role(context, routes_of[name], budget),
        "feed": lambda name: _feed_role(context, name, behind),
        "universe": lambda _: universe.role(context),
        "strategies": lambda _: registry.role(context),
        "metrics": lambda _: metrics.role(context, outside.registry, outside.told, move_ports=launch.move_ports),
    }


def _feed_role(context: Context, name: str, behind: dict[ProductId, str]) -> Role[Any]:
    product = ProductId(name.partition(":")[2])
    return feed.role(context, product, behind[product], leader=product == BTC)


def _gateway_settings(launch: Launch, epoch: int) -> GatewaySettings:
    limits = launch.policy.rate_limits
    return GatewaySettings(
        public=_rate(limits.public),
        private=_rate(limits.private),
        exit_cancel=_rate(limits.exit_cancel),
        rate_limit_pause_ns=launch.policy.breakers.rate_limit_cooldown_s * SECOND_NS,
        epoch=epoch,
    )


def _control_settings(launch: Launch, epoch: int) -> ControlSettings:
    return ControlSettings(
        bot=launch.bot,
        mode=launch.mode,
        venue=launch.venue,
        profile=launch.profile,
        epoch=epoch,
        config_hash=launch.policy.config_hash,
        products=launch.policy.universe.traded,
        fed_only=launch.policy.universe.fed_only,
        found=launch.policy.universe.found,
        fixed=fixed(launch.policy),
        market=launch.market,
        cycle_s=launch.policy.loop.interval_s,
        versions=(("python", sys.version.split()[0]), ("trader", launch.version)),
    )


def _named(child: Child, name: str) -> Child:
    return replace(child, name=name)


def _rate(lane: LaneRate) -> tuple[float, float]:
    return float(lane.rate_per_s), float(lane.burst)
