"""Runs of onnxruntime that end when nobody waits for them any more: at the next node of the graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from openlive.engines.runtime.workers import Abort

if TYPE_CHECKING:
    from onnxruntime import RunOptions


@contextmanager
def stopping_on_abort(abort: Abort) -> Iterator[RunOptions]:
    """The options of the runs inside the block; `AbortedError` where the abort comes before its end."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.log_severity_level = 4  # that it was ended is no error
    with abort.calling_on_abort(lambda: setattr(options, "terminate", True)):
        yield options
