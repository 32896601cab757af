"""`python -m openlive` is `openlive`."""

from __future__ import annotations

from openlive.cli import main

if __name__ == "__main__":
    main(prog_name="openlive")
