"""What a Prometheus server may scrape: counts and times, by session never, and never what was said."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from openlive.core.commands import CallMark, SpeculationOutcome
from openlive.core.events import StageFailed

TURN_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
LAG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CALL_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
__all__ = ["CONTENT_TYPE", "Metrics"]


class Metrics:
    """Of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.sessions = Gauge("openlive_sessions", "Sessions that are open", registry=self._registry)
        self._ended = Counter(
            "openlive_sessions_ended", "Sessions that have ended, by close code", ["code"], registry=self._registry
        )
        self._steps = Histogram(
            "openlive_turn_seconds",
            "From the end of the user's speech to a step of the answer",
            ["step"],
            buckets=TURN_SECONDS,
            registry=self._registry,
        )
        self._calls = Counter(
            "openlive_calls",
            "Function calls, by what has become of them; waiting: not answered within 30 s",
            ["step"],
            registry=self._registry,
        )
        self._call_seconds = Histogram(
            "openlive_call_seconds", "Until a call was answered", buckets=CALL_SECONDS, registry=self._registry
        )
        self._prepared = Counter(
            "openlive_prepared_replies",
            "Replies that were prepared before the user's turn was decided, by what became of them",
            ["outcome"],
            registry=self._registry,
        )
        self._prepared_seconds = Counter(
            "openlive_prepared_seconds", "Work on them until then", ["outcome"], registry=self._registry
        )
        self._failures = Counter(
            "openlive_failures", "Failures of engines, by stage", ["stage"], registry=self._registry
        )
        self._lag = Histogram(
            "openlive_event_loop_lag_seconds",
            "How late a heartbeat of the event loop came, ten times a second",
            buckets=LAG_SECONDS,
            registry=self._registry,
        )

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def lag(self, seconds: float) -> None:
        self._lag.observe(seconds)

    def ended(self, code: int) -> None:
        self._ended.labels(code).inc()

    def step(self, name: str, seconds: float) -> None:
        self._steps.labels(name).observe(seconds)

    def call(self, mark: CallMark) -> None:
        self._calls.labels(mark.step).inc()
        if mark.step == "answered":
            self._call_seconds.observe(mark.after)

    def prepared(self, prepared: SpeculationOutcome) -> None:
        outcome = "used" if prepared.used else "dropped"
        self._prepared.labels(outcome).inc()
        self._prepared_seconds.labels(outcome).inc(prepared.seconds)

    def failed(self, failure: StageFailed) -> None:
        self._failures.labels(failure.stage).inc()
