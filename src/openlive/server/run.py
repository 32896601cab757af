"""One server from its configuration: certificates, listener, application, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from msgspec import Struct

from openlive.config.model import Config
from openlive.server.app import App
from openlive.server.auth import Keyring, require_keys_or_loopback
from openlive.server.engines import Engines
from openlive.server.lag import LoopWatch
from openlive.server.net import listener, pending, tls
from openlive.server.store import PURGE, Store, StoreError, configured_bounds, open_store

GRACE = 5.0
"""Seconds that sessions may take to close after the core has ended them."""
RENEWAL = 3600.0
"""Seconds between two looks at how long our certificate still holds."""
_LOG = logging.getLogger(__name__)


class Running(Struct, frozen=True):
    """Where a server can be reached. `ca` is the root to trust, `bundle` the public roots and that one."""

    url: str
    port: int
    ca: Path | None
    bundle: Path | None


def certificates(config: Config) -> tls.Certificates | None:
    """Those made here; None where the operator has one of their own. Raises `TLSError`."""
    if config.server.certificate:
        return None
    names = [*config.server.names, *([] if listener.is_loopback(config.server.host) else [config.server.host])]
    return tls.ensure([name for name in names if name not in ("0.0.0.0", "::")])  # noqa: S104 - no name at all


async def run(
    config: Config,
    engines: Engines,
    *,
    shutdown: listener.Waitable,
    ready: Callable[[Running], None],
    keys: Keyring | None = None,
) -> None:
    """Serves until `shutdown` is set, and closes the engines. `keys` are those of the configuration, unless others are
    given. Raises `KeysError`, `TLSError`, `ListenError`."""
    try:
        await _serve(config, engines, shutdown, ready, keys)
    finally:
        with anyio.CancelScope(shield=True):
            await engines.close()


async def _serve(
    config: Config,
    engines: Engines,
    shutdown: listener.Waitable,
    ready: Callable[[Running], None],
    keys: Keyring | None,
) -> None:
    server = config.server
    require_keys_or_loopback(server.host, server.keys)
    own = certificates(config)
    if own is not None:
        context = tls.server_context(own.server)
    else:
        context = tls.server_context(Path(server.certificate), Path(server.certificate_key or server.certificate))
    limits = pending.Limits(
        first_byte=config.limits.first_byte_seconds,
        setup=config.limits.setup_seconds,
        sockets=config.limits.unauthenticated_sockets,
        begun=config.limits.connections_per_second,
        setup_bytes=config.limits.setup_bytes,
        message_bytes=config.limits.message_bytes,
        message_fragments=config.limits.message_fragments,
        control_frames=config.limits.control_frames,
        keepalive=server.keepalive_seconds,
        ping=server.ping_seconds,
        silence=server.silence_seconds,
    )

    def started(at: listener.Listener) -> None:
        host = "localhost" if listener.is_loopback(server.host) else server.host
        ca, bundle = (own.ca, own.bundle) if own is not None else (None, None)
        ready(Running(f"https://{host}:{at.port}", at.port, ca, bundle))

    asyncio.get_running_loop().set_exception_handler(_loop_failed)
    store = open_store(config.store.location, configured_bounds(config.store))
    app = App(config, engines, keys, store)
    try:
        with LoopWatch(app.metrics.lag):
            async with anyio.create_task_group() as beside:
                beside.start_soon(_purging, store)
                beside.start_soon(app.prepare)
                if own is not None:
                    beside.start_soon(_renewing, config)
                await listener.serve(
                    app.asgi,
                    shutdown=shutdown,
                    host=server.host,
                    port=server.port,
                    ssl_context=context,
                    limits=limits,
                    on_started=started,
                    drain=partial(app.live.drain, server.drain_seconds),
                    drain_timeout=server.drain_seconds + GRACE,
                )
                beside.cancel_scope.cancel()
    finally:
        app.live.close()
        with anyio.CancelScope(shield=True):
            await store.close()


async def _renewing(config: Config) -> None:
    """Makes our certificate anew before it expires; the context follows its file."""
    while True:
        await anyio.sleep(RENEWAL)
        try:
            await anyio.to_thread.run_sync(certificates, config)
        except tls.TLSError as error:
            _LOG.error("The certificate cannot be renewed: %s", error)


def _loop_failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncio's own words show the arguments of what failed, and with them what was said."""
    what = re.split("[(<\n]", str(context.get("message", "")))[0].strip()
    _LOG.error("In the event loop: %s", what, exc_info=context.get("exception"))


async def _purging(store: Store) -> None:
    """What has expired goes, whether anybody stores anything or not."""
    while True:
        await anyio.sleep(PURGE)
        try:
            await store.purge()
        except StoreError:
            _LOG.exception("What has expired could not be deleted from the store")
