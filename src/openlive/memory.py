"""How much memory there is, and which language model that is enough for."""

from __future__ import annotations

from pathlib import Path

import psutil
from msgspec import Struct

COMFORTABLE_MEMORY = 3_500_000_000
"""Bytes that the embedded default needs with the 1.5B model (2.5 GB measured) and with room for sessions."""
LARGE_LLM, SMALL_LLM = "qwen2.5-1.5b", "qwen2.5-0.5b"


class LLMChoice(Struct, frozen=True):
    """An engine that was chosen, and why, in words for the log."""

    spec: str
    reason: str


def choose_llm(memory: int) -> LLMChoice:
    """What `llm = "auto"` stands for: the 1.5B model where at least 3.5 GB may be used, else the 0.5B one."""
    gigabytes, needed = memory // 100_000_000 / 10, COMFORTABLE_MEMORY / 1e9  # rounded down: 3.49 are not 3.5
    if memory >= COMFORTABLE_MEMORY:
        return LLMChoice(
            LARGE_LLM, f"{LARGE_LLM}: {gigabytes:.1f} GB of memory may be used, {needed:.1f} GB are enough"
        )
    return LLMChoice(
        SMALL_LLM,
        f"{SMALL_LLM}: only {gigabytes:.1f} GB of memory may be used, {LARGE_LLM} wants {needed:.1f} GB "
        f'(engines.llm = "{LARGE_LLM}" takes it all the same)',
    )


def usable_memory(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may still fill: what the system has available, or what is left of its cgroup's limit."""
    available = int(psutil.virtual_memory().available)
    left = _cgroup_left(root)
    return available if left is None else min(available, left)


def _cgroup_left(root: Path) -> int | None:
    """What a cgroup (version 2, else 1) leaves; cached files, which give way, do not count as used."""
    for limit_file, used_file, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            limit = int((root / limit_file).read_text())
            used = int((root / used_file).read_text())
            stat = (root / used_file).with_name("memory.stat").read_text()
        except (OSError, ValueError):
            continue  # "max" is no number: no limit
        cached = dict(line.split() for line in stat.splitlines()).get(cache, "0")
        return max(0, limit - used + int(cached))
    return None
