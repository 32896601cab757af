"""Attacks in a process of its own, so that their load is in nobody's figures: `python -m tests.hostile.attack`.

A line of standard input is an attack, `PORT SCALE NAME`; its answer is what the attacker was told, a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from typing import Any

from tests.hostile.kinds import Attack, Kind, all_kinds

GRACE = 5.0
"""Seconds beyond its own that an attack gets to come to its end."""


async def run(kind: Kind, port: int, scale: float = 1.0) -> Attack:
    """Never longer than the kind's seconds and `GRACE`."""
    attack = Attack(port, kind.key, scale, asyncio.get_running_loop().time() + kind.seconds)
    try:
        async with asyncio.timeout(kind.seconds + GRACE):
            await kind.attack(attack)
    except TimeoutError:
        attack.told["not done in time"] += 1
    except ConnectionError as error:
        attack.told[str(error) or type(error).__name__] += 1
    except Exception:
        attack.faults.append(traceback.format_exc(limit=-3))
    return attack


def result(attack: Attack) -> dict[str, Any]:
    return {"told": dict(attack.told), "faults": attack.faults}


def main() -> None:
    kinds = all_kinds()
    for line in sys.stdin:
        port, scale, name = line.strip().split(" ", 2)
        attack = asyncio.run(run(kinds[name], int(port), float(scale)))
        print(json.dumps(result(attack)), flush=True)


if __name__ == "__main__":
    main()
