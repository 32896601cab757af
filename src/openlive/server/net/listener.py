"""One port for TLS and plain text.

The Python SDK always dials `wss://`, JavaScript with an `http:` base URL dials `ws://`
(docs/protocol.md#tls-and-base-urls); both get the same port. An accept loop of ours looks at the first byte without
taking it (0x16 begins a TLS handshake and no HTTP request) and hands the socket to uvicorn's HTTP protocol, with TLS or
without. uvicorn's own server is not used: it closes every socket before the app hears of a shutdown, and a drain has to
come first.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, cast

import anyio
from uvicorn.config import Config
from uvicorn.server import ServerState

from openlive.server.net.http import App, Door, HTTPProtocol
from openlive.server.net.pending import Limits, Pace, Pending, PendingSockets
from openlive.server.net.websocket import WebSocketProtocol

KEEP_ALIVE = 5
"""Seconds that an idle HTTP connection is kept."""
UNSENT = 16 * 1024
"""Bytes that the kernel takes beyond what the line takes: what it has, an interruption can't call back. A quarter of a
second of an answer; megabytes by default."""
TLS_SHUTDOWN = 2.0
"""Seconds for the client to answer the end of a TLS stream."""
_BACKLOG = 1024
_ACCEPT_AT_ONCE = 32
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_TLS_HANDSHAKE = b"\x16"
_LOOPBACK = ("127.0.0.1", "::1")

_LOG = logging.getLogger(__name__)


class ListenError(Exception):
    """The server cannot listen; the message says where and why."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


class StartupError(Exception):
    """The app refused to start (its lifespan failed)."""


class Waitable(Protocol):
    """An event, asyncio's or anyio's."""

    async def wait(self) -> object: ...


# --- sockets ----------------------------------------------------------------------------------------------------------


def is_loopback(host: str) -> bool:
    """Whether a host to listen on can be reached from this machine alone."""
    name = host.lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return False


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets; port 0 takes a free one, the same for all of them. Raises `ListenError`.

    `localhost` means both 127.0.0.1 and ::1, and so does either of them: Node resolves it to ::1 first. `::` listens on
    IPv4 too.
    """
    addresses = _addresses(host)
    for _ in range(20):
        made: list[socket.socket] = []
        try:
            for family, address in addresses:
                wanted = made[0].getsockname()[1] if made else port
                made.append(_listen(family, address, wanted))
        except OSError as error:
            if made and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                return made  # no IPv6 here
            for sock in made:
                sock.close()
            if port == 0 and error.errno == errno.EADDRINUSE:
                continue  # free on IPv4, taken on IPv6
            raise ListenError(_why(error, host, address, port)) from error
        return made
    raise ListenError(f"No port is free on all addresses of {host}.")


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if host.lower() == "localhost" or host in _LOOPBACK:
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ListenError(f"The host {host!r} to listen on is unknown: {error}") from error
    return list(dict.fromkeys((info[0], str(info[4][0])) for info in found))


def _listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != "::"))
        sock.setblocking(False)
        sock.bind((address, port))
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _why(error: OSError, host: str, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {address} is in use by another program. Stop it, or choose another port (0 = any free)."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user; ports from 1024 on may."
    return f"Cannot listen on {host}, port {port}: {error.strerror or error}."


async def _first_byte(sock: socket.socket) -> bytes:
    """The first byte, left where it is; b'' if the client hung up."""
    loop = asyncio.get_running_loop()
    while True:
        with suppress(BlockingIOError, InterruptedError):
            return sock.recv(1, socket.MSG_PEEK)
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(sock, _wake, readable)
        try:
            await readable
        finally:
            loop.remove_reader(sock)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _keep_alive(sock: socket.socket, seconds: float) -> None:
    """Has the system cut a connection whose other end has acknowledged nothing for so long; 0: leaves that to it. What
    is idle is probed, what was sent and not acknowledged has a time of its own (else some 15 minutes on Linux)."""
    if not seconds:
        return
    third = max(1, round(seconds / 3))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": third, "TCP_KEEPALIVE": third, "TCP_KEEPINTVL": max(1, third // 2), "TCP_KEEPCNT": 4}
    options["TCP_USER_TIMEOUT"] = round(1000 * seconds)
    for name, value in options.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


# --- the listener -----------------------------------------------------------------------------------------------------


class Listener:
    """A running server. Made by `listening`."""

    def __init__(self, app: App, sockets: Sequence[socket.socket], context: ssl.SSLContext | None, limits: Limits):
        self.sockets = PendingSockets(limits)
        """Every open socket, and which of them wait for their admission."""
        self.addresses: tuple[tuple[str, int], ...] = tuple(s.getsockname()[:2] for s in sockets)
        self._listening = list(sockets)
        self._context = context
        self._limits = limits
        self._pace = Pace(limits.begun, limits.sockets)
        self._config = _config(app)
        self._state = ServerState()
        self._lifespan = self._config.lifespan_class(self._config)
        self._welcoming: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        return self.addresses[0][1]

    async def start(self) -> None:
        """Starts the app, then lets clients in. Raises `StartupError`."""
        await self._lifespan.startup()
        if self._lifespan.should_exit:
            raise StartupError("The app could not start; its own log says why.")
        for sock in self._listening:
            self._watch(sock)

    def stop_accepting(self) -> None:
        """Closes the port. Connections that are open stay."""
        loop = asyncio.get_running_loop()
        for sock in self._listening:
            loop.remove_reader(sock)
            sock.close()
        self._listening.clear()

    async def close(self, seconds: float) -> None:
        """Closes the port and every connection: a close frame for each, and what is still open after `seconds` is cut.
        Then stops the app."""
        self.stop_accepting()
        for task in list(self._welcoming):
            task.cancel()
        for connection in list(self._state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.sockets.empty.wait()
                while self._state.tasks:
                    await asyncio.wait(list(self._state.tasks))
        for task in list(self._state.tasks):
            task.cancel()
        for pending in list(self.sockets.open):
            pending.cut()
        if self._state.tasks or self._welcoming:
            await asyncio.wait([*self._state.tasks, *self._welcoming], timeout=seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.sockets.empty.wait()
        await self._lifespan.shutdown()

    # --- accepting ---

    def _watch(self, listener: socket.socket) -> None:
        if listener in self._listening:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._cannot_accept(listener, error)
                return
            sock.setblocking(False)
            self._begin(sock, self.sockets.arrived(address[0]))

    def _begin(self, sock: socket.socket, pending: Pending) -> None:
        task = asyncio.get_running_loop().create_task(self._welcome(sock, pending))
        pending.cut = task.cancel
        self._welcoming.add(task)

        def done(task: asyncio.Task[None]) -> None:  # runs even where the task was cancelled before its first step
            self._welcoming.discard(task)
            if not pending.handed_over:
                sock.close()
            if not pending.connected:
                pending.left()

        task.add_done_callback(done)

    def _cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        """Out of file descriptors, mostly: somebody makes room, and a pause keeps the loop from spinning."""
        _LOG.warning("A connection could not be accepted: %s", error)
        if error.errno in _OUT_OF_RESOURCES:
            self.sockets.make_room()
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        loop.call_later(0.1, self._watch, listener)

    async def _welcome(self, sock: socket.socket, pending: Pending) -> None:
        limits = self._limits
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(sock, limits.keepalive)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
            async with asyncio.timeout(limits.first_byte):
                first = await _first_byte(sock)
            secure = first == _TLS_HANDSHAKE
            if not first or (secure and self._context is None):
                return
            await self._pace.turn(pending.origin)
            pending.handed_over = True
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(pending),
                sock,
                ssl=self._context if secure else None,
                ssl_handshake_timeout=limits.handshake if secure else None,
                ssl_shutdown_timeout=TLS_SHUTDOWN if secure else None,
            )
        except (OSError, TimeoutError) as error:
            _LOG.debug("A connection ended before its first request: %s", type(error).__name__)

    def _protocol(self, pending: Pending) -> asyncio.Protocol:
        state = {**self._lifespan.state, "pending": pending}
        return HTTPProtocol(self._config, self._state, state, asyncio.get_running_loop())


def _config(app: App) -> Config:
    door = cast("Any", Door(app))
    config = Config(
        door,
        http=HTTPProtocol,
        ws=WebSocketProtocol,
        lifespan="auto",
        interface="asgi3",
        log_config=None,
        proxy_headers=False,  # nothing of ours trusts an address that a header claims
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
    )
    config.load()
    config.loaded_app = door  # without the wrapper that logs request lines where everything is logged
    return config


@asynccontextmanager
async def listening(
    app: App,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    sockets: Sequence[socket.socket] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    close_timeout: float = 5.0,
) -> AsyncIterator[Listener]:
    """A server for as long as the block lasts. Raises `ListenError`, `StartupError`.

    `sockets` are listening sockets (of `bind`) to use in the place of `host` and `port`; they are closed in the end.
    """
    listener = Listener(app, sockets or bind(host, port), ssl_context, limits or Limits())
    try:
        await listener.start()
        yield listener
    finally:
        with anyio.CancelScope(shield=True):
            await listener.close(close_timeout)


async def serve(
    app: App,
    *,
    shutdown: Waitable,
    host: str = "127.0.0.1",
    port: int = 0,
    sockets: Sequence[socket.socket] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    on_started: Callable[[Listener], None] | None = None,
    drain: Callable[[], Awaitable[None]] | None = None,
    drain_timeout: float = 30.0,
    close_timeout: float = 5.0,
) -> None:
    """Serves until `shutdown` is set: closes the port, lets `drain` end the sessions for at most `drain_timeout`
    seconds, then closes what is left. Signals are the caller's. Raises `ListenError`, `StartupError`."""
    async with listening(
        app,
        host=host,
        port=port,
        sockets=sockets,
        ssl_context=ssl_context,
        limits=limits,
        close_timeout=close_timeout,
    ) as listener:
        if on_started is not None:
            on_started(listener)
        await shutdown.wait()
        listener.stop_accepting()
        if drain is not None:
            try:
                async with asyncio.timeout(drain_timeout):
                    await drain()
            except TimeoutError:
                _LOG.warning("Sessions were still open %s s after the drain began; they are cut.", drain_timeout)
