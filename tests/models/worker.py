"""A process of its own that fetches one entry: `worker.py NAME URL SIZE SHA256`."""

from __future__ import annotations

import sys

from openlive.models import Entry, File, Update, ensure, fetch


def main() -> None:
    name, url, size, sha256 = sys.argv[1:]
    entry = Entry(name, "llm", "for tests", "CC0-1.0", ((File("a.bin", int(size), sha256, (url,)),),))
    setattr(fetch, "catalogue", lambda: {name: entry})  # noqa: B010

    def show(update: Update) -> None:
        print(update.step, update.done, flush=True)

    ensure(name, show)


if __name__ == "__main__":
    main()
