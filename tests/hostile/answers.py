"""An engine that gives what it should not costs one turn at most."""

from __future__ import annotations

import numpy as np

from tests.hostile.engines import PITCHES, WRITTEN
from tests.hostile.kinds import Attack, kind
from tests.hostile.sockets import TALK, TEXT, spoken, turns
from tests.serving import silence, tone

LONG = ("burst", "one", "code", "digits", "brackets", "letters", "lines", "thoughts", "calls", "deep")
FUNCTIONS = [{"functionDeclarations": [{"name": "f"}]}]


def _register() -> None:
    apart = {name: (name,) for name in LONG}
    typed = {name: tuple(n for n in WRITTEN if n.startswith(name)) for name in ("usage", "no")}
    for title, names in {**apart, **typed, "other": ("half a letter", "nothing", "cancelled")}.items():

        async def written(attack: Attack, names: tuple[str, ...] = names) -> None:
            """The language model gives that, to who reads and to who listens."""
            for name in names:
                await attack.ask({**TEXT, "tools": FUNCTIONS}, turns(f"model: {name}"), 3)
                await attack.ask(TALK, turns(f"model: {name}"), 3)

        kind(f"model: {title}", 4, seconds=8.0)(written)
    sized = {name: (name,) for name in ("odd", "large", "empty", "crumbs")}
    for title, names in {**sized, "values": ("no bytes", "no text", "other text", "words", "cancelled")}.items():

        async def said(attack: Attack, names: tuple[str, ...] = names) -> None:
            """The voice gives that."""
            for name in names:
                await attack.ask(TALK, turns(f"voice: {name}"), 3)

        kind(f"voice: {title}", 4, seconds=8.0)(said)
    for pitch, name in PITCHES.items():
        if name in ("transcript", "gzip"):
            continue

        async def heard(attack: Attack, pitch: int = pitch) -> None:
            """The recogniser gives that."""
            await attack.ask(TALK, spoken(tone(0.6, pitch) + silence(1.5)), 4)

        kind(f"recogniser: {name}", 4, seconds=6.0)(heard)


_register()


@kind("detector: nonsense", 4, seconds=6.0)
async def detector(attack: Attack) -> None:
    """The detector gives probabilities and lengths that are none."""
    loud = np.tile(np.array([32767] * 40 + [-32767] * 40, "<i2"), 100).tobytes()
    await attack.ask(TALK, spoken(loud + silence(1.5)), 3)
