from __future__ import annotations

import pytest

from openlive.server.net import tls


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tls.Certificates:
    return tls.ensure((), tmp_path_factory.mktemp("tls"))
