"""Serves the exposition and the health document over HTTP on loopback."""

import asyncio
from collections.abc import Callable, Iterator
from typing import cast

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from actors.metrics.core import Gauge, Publish
from actors.runtime.role import Port
from protocol.base import Effect

LOOPBACK = "127.0.0.1"


class PortTakenError(Exception):
    """The configured port is somebody else's, and this profile does not move."""


class Shown(Collector):
    """The gauges last published, and no others: what is unknown now has no sample, whatever it was before."""

    def __init__(self) -> None:
        self.gauges: tuple[Gauge, ...] = ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family per name."""
        families: dict[str, GaugeMetricFamily] = {}
        for gauge in self.gauges:
            names = [label for label, _ in gauge.labels]
            fresh = GaugeMetricFamily(gauge.name, gauge.name.replace("_", " "), labels=names)
            families.setdefault(gauge.name, fresh).add_metric([value for _, value in gauge.labels], gauge.value)
        yield from families.values()


class MetricsEdge:
    """Two small servers: `/metrics` on one port, `/`, `/health` and `/healthz` on another."""

    def __init__(
        self,
        registry: CollectorRegistry,
        ports: tuple[int, int],
        told: Callable[[str, str], None],
        *,
        move: bool,
    ) -> None:
        """`ports`: metrics and health; `move`: a taken one becomes any free one; `told` hears both URLs."""
        self._registry = registry
        self._ports = ports
        self._told = told
        self._move = move
        self._shown = Shown()
        self._health, self._ok = b"{}", False
        self._runners: list[web.AppRunner] = []
        self._task: asyncio.Task[None] | None = None
        self._port: Port | None = None

    def bind(self, port: Port) -> None:
        """Start both servers."""
        self._registry.register(self._shown)
        self._port = port
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._task.add_done_callback(self._served)

    def perform(self, effect: Effect) -> None:
        """Take the newest values over."""
        if not isinstance(effect, Publish):
            raise TypeError(f"not an effect of metrics: {type(effect).__name__}")
        self._health, self._ok, self._shown.gauges = effect.health, effect.ok, effect.gauges

    def close(self) -> None:
        """Stop serving; the gauges leave the registry with this incarnation."""
        if self._task is not None:
            self._task.cancel()
        self._registry.unregister(self._shown)
        for runner in self._runners:
            asyncio.get_running_loop().create_task(runner.cleanup())

    def _served(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self._port is not None:
            self._port.failed(error)

    async def _serve(self) -> None:
        metrics = await self._open(self._ports[0], {"/metrics": self._metrics})
        health = await self._open(self._ports[1], dict.fromkeys(("/", "/health", "/healthz"), self._healthz))
        self._told(f"http://{LOOPBACK}:{metrics}/metrics", f"http://{LOOPBACK}:{health}/health")

    async def _open(self, port: int, routes: dict[str, Callable[[web.Request], web.Response]]) -> int:
        app = web.Application()
        for path, handler in routes.items():
            app.router.add_get(path, _awaited(handler))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, LOOPBACK, port).start()
        except OSError:
            if not self._move:
                raise PortTakenError(f"port {port} is taken") from None
            await web.TCPSite(runner, LOOPBACK, 0).start()
        return cast("int", runner.addresses[0][1])

    def _metrics(self, _request: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _healthz(self, _request: web.Request) -> web.Response:
        status = 200 if self._ok else 503
        return web.Response(body=self._health, status=status, content_type="application/json")


def _awaited(handler: Callable[[web.Request], web.Response]) -> Callable[[web.Request], "asyncio.Future[web.Response]"]:
    async def call(request: web.Request) -> web.Response:
        return handler(request)

    return cast("Callable[[web.Request], asyncio.Future[web.Response]]", call)
