"""`make hostile`: every kind of hostile input against a server, while neighbours talk to it.

Of each kind: the longest callback of the server's loop in CPU time, its memory before, at its peak and after, how long
neighbours wait for their answers (against those of an idle server), who could not come in, and what the attacker was
told. Ten minutes at most.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.hostile.kinds import Kind, all_kinds
from tests.hostile.measure import Bench, Result
from tests.hostile.report import chart, headline, line, table

BUDGET = 570.0
"""Seconds for all of it."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make hostile", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", action="append", default=[], help="kinds whose name has this in it, or a section: 3")
    parser.add_argument("--seconds", type=float, default=BUDGET, help="for all of it; what does not fit is left out")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each attack")
    parser.add_argument("--neighbours", type=int, default=8)
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--before", type=Path, help="figures of another run (--json), for a column of their own")
    parser.add_argument("--plot", type=Path, help="write a chart there (SVG)")
    parser.add_argument("--markdown", type=Path, help="write the table there")
    options = parser.parse_args()
    kinds = [kind for kind in all_kinds().values() if wanted(kind, options.only)]
    before = json.loads(options.before.read_text()) if options.before else {}
    results = asyncio.run(attacked(kinds, options))
    earlier = {name: Result.read(found) for name, found in before.get("results", {}).items()}
    if options.plot:
        options.plot.write_text(chart(results, earlier))
    if options.markdown:
        options.markdown.write_text(table(results, earlier))
    print(headline(results, len(kinds)))
    sys.exit(any(result.failures for result in results) or len(results) < len(kinds))


def write(file: Path | None, results: list[Result]) -> None:
    if file is not None:
        file.write_text(json.dumps({"results": {result.name: result.told_all() for result in results}}, indent=1))


def wanted(kind: Kind, only: list[str]) -> bool:
    return not only or any(word in kind.name if not word.isdigit() else int(word) == kind.section for word in only)


async def attacked(kinds: list[Kind], options: Any) -> list[Result]:
    cores = sorted(os.sched_getaffinity(0))
    bench = Bench(options.neighbours, options.scale, cores[-1] if len(cores) > 1 else None)
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[:-1]))
    until = time.monotonic() + options.seconds
    results: list[Result] = []
    try:
        for number, kind in enumerate(kinds, 1):
            if time.monotonic() > until:
                print(f"No time left for {len(kinds) - number + 1} more.", flush=True)
                break
            result = await bench.measure(kind)
            if result.noisy and time.monotonic() < until:
                result = min(result, await bench.measure(kind), key=lambda found: found.p95)
            results.append(result)
            write(options.json, results)
            print(f"{number:>3}/{len(kinds)} {line(result)}", flush=True)
    finally:
        await bench.close()
    return results


if __name__ == "__main__":
    main()
