"""Serves the exposition and the health document over HTTP on loopback."""

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from actors.metrics.core import Publish
from actors.runtime.role import Port
from protocol.base import Effect

LOOPBACK = "127.0.0.1"


class PortTakenError(Exception):
    """The configured port is somebody else's, and this profile does not move."""


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
        self._gauges: dict[str, Gauge] = {}
        self._health, self._ok = b"{}", False
        self._runners: list[web.AppRunner] = []
        self._task: asyncio.Task[None] | None = None
        self._port: Port | None = None

    def bind(self, port: Port) -> None:
        """Start both servers."""
        self._port = port
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._task.add_done_callback(self._served)

    def perform(self, effect: Effect) -> None:
        """Take the newest values over."""
        if not isinstance(effect, Publish):
            raise TypeError(f"not an effect of metrics: {type(effect).__name__}")
        self._health, self._ok = effect.health, effect.ok
        fresh = {gauge.name for gauge in effect.gauges}
        for name in fresh & self._gauges.keys():
            self._gauges[name].clear()
        for gauge in effect.gauges:
            shown = self._gauge(gauge.name, tuple(label for label, _ in gauge.labels))
            if gauge.labels:
                shown.labels(**dict(gauge.labels)).set(gauge.value)
            else:
                shown.set(gauge.value)

    def close(self) -> None:
        """Stop serving; the gauges leave the registry with this incarnation."""
        if self._task is not None:
            self._task.cancel()
        for gauge in self._gauges.values():
            self._registry.unregister(gauge)
        for runner in self._runners:
            asyncio.get_running_loop().create_task(runner.cleanup())

    def _gauge(self, name: str, labels: tuple[str, ...]) -> Gauge:
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, name.replace("_", " "), labels, registry=self._registry)
        return self._gauges[name]

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
