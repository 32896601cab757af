"""The steps of a turn as a bar chart in the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

STEPS = {
    "speech_end": "end of speech",
    "decision": "decision",
    "transcript": "transcript",
    "first_token": "first token",
    "first_audio": "first audio",
    "first_byte": "first byte",
}
"""What the server calls them, and what people do."""
WIDTH = 40


def chart(ms: Mapping[str, float], width: int = WIDTH, names: Mapping[str, str] = STEPS) -> Table:
    """All steps that have a name on one time axis that begins with the earliest; the answer is prepared ahead, so some
    of them come before the decision that the user has finished."""
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(width=width + 1, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    start, end = min(0.0, *ms.values()), max(*ms.values(), 1.0)
    for step, name in names.items():
        if step not in ms:
            table.add_row(Text(name, "dim"), "", Text("-", "dim"))
            continue
        at = round((ms[step] - start) / (end - start) * width)
        bar = Text("━" * at, "cyan").append("●", "bold cyan")
        table.add_row(name, bar, f"{ms[step]:,.0f} ms")
    return table
