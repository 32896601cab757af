from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from openlive import models
from openlive.config.model import Config
from openlive.server.engines import load_engines
from tests.serving import Server, serving


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The embedded default, as `openlive serve` has it."""
    begun = time.monotonic()
    config = Config()
    engines = load_engines(config, models.ensure, lambda _: None, models.computed())
    print(f"\nloaded in {time.monotonic() - begun:.1f} s")
    with serving(engines, config=config) as running:
        yield running


@pytest.fixture(scope="session")
def whisper() -> Any:
    """A listener that is none of the server's: it knows neither the text nor the conversation."""
    from faster_whisper import WhisperModel

    return WhisperModel(str(models.ensure("whisper-base")), device="cpu", compute_type="int8", cpu_threads=2)
