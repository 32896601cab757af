"""What is computed once, with a runtime that keeps tokens in the place of a cache, and its real files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from openlive.engines.llm.llamacpp.prefix_cache import AT_MOST, PromptPrefix
from openlive.engines.llm.llamacpp.server import CompletionChunk
from openlive.engines.llm.prompt.conversation import LLMError

TOKENS = list(range(100, 200))
PROMPT = [*TOKENS, 1, 2, 3]


class Runtime:
    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.held: dict[int, list[int]] = {}
        self.computed = 0
        self.restored: list[int] = []

    def run_completion(
        self, prompt: Sequence[int], slot: int, options: dict[str, Any], on: Callable[[CompletionChunk], bool]
    ) -> None:
        assert options == {"n_predict": 0}
        held = self.held.setdefault(slot, [])
        if held != prompt[: len(held)]:
            held.clear()
        while len(held) < len(prompt):
            held += prompt[len(held) :][:32]
            self.computed += 1
            if on(CompletionChunk(cached=0)):
                return
        on(CompletionChunk(" a", (7,), finished=True))

    def save_slot(self, slot: int, name: str) -> None:
        assert self.folder
        (self.folder / name).write_text(json.dumps(self.held[slot]))

    def restore_slot(self, slot: int, name: str) -> None:
        assert self.folder
        self.held[slot] = json.loads((self.folder / name).read_text())
        self.restored.append(slot)


def on(_: CompletionChunk) -> bool:
    return False


def beginning(runtime: Runtime, name: str = "weights") -> PromptPrefix:
    return PromptPrefix(runtime, TOKENS, name)  # type: ignore[arg-type]


def test_it_is_computed_once_and_read_after_that(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path)
    one = beginning(runtime)
    assert one.ensure_in_slot(0, PROMPT, on)
    assert runtime.computed == 4
    assert one.ensure_in_slot(0, PROMPT, on)
    assert one.ensure_in_slot(1, PROMPT, on)
    assert (runtime.computed, runtime.restored) == (4, [1])
    assert runtime.held[1] == TOKENS


def test_the_next_start_reads_it(tmp_path: Path) -> None:
    beginning(Runtime(tmp_path)).ensure_in_slot(0, PROMPT, on)
    later = Runtime(tmp_path)
    assert beginning(later).ensure_in_slot(3, PROMPT, on)
    assert (later.computed, later.restored) == (0, [3])


def test_other_weights_read_nothing_of_it(tmp_path: Path) -> None:
    beginning(Runtime(tmp_path)).ensure_in_slot(0, PROMPT, on)
    later = Runtime(tmp_path)
    beginning(later, "others").ensure_in_slot(0, PROMPT, on)
    assert later.restored == []


def test_prompts_that_begin_otherwise_are_left_alone(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path)
    assert beginning(runtime).ensure_in_slot(0, TOKENS[:-1], on)
    assert beginning(runtime).ensure_in_slot(0, [], on)
    assert (runtime.computed, list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize("how", ["another prompt", "emptied"])
def test_a_slot_that_has_lost_it_gets_it_again(tmp_path: Path, how: str) -> None:
    runtime = Runtime(tmp_path)
    one = beginning(runtime)
    one.ensure_in_slot(0, PROMPT, on)
    if how == "emptied":
        one.forget_slot(0)
    else:
        one.ensure_in_slot(0, [1, 2, 3], on)
    one.ensure_in_slot(0, PROMPT, on)
    assert runtime.restored == [0]


@pytest.mark.parametrize("damage", [b"", b"[100, 101", b'["what is none of ours"]'])
def test_a_damaged_file_is_not_read_but_replaced(tmp_path: Path, damage: bytes) -> None:
    beginning(Runtime(tmp_path)).ensure_in_slot(0, PROMPT, on)
    [file] = tmp_path.glob("*.kv")
    whole = file.read_bytes()
    file.write_bytes(damage)
    later = Runtime(tmp_path)
    assert beginning(later).ensure_in_slot(0, PROMPT, on)
    assert (later.computed, later.restored) == (4, [])
    assert file.read_bytes() == whole


def test_what_was_stopped_is_not_kept_and_goes_on_later(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path)
    one = beginning(runtime)
    assert not one.ensure_in_slot(0, PROMPT, lambda _: runtime.computed == 2)
    assert not list(tmp_path.iterdir())
    assert one.ensure_in_slot(0, PROMPT, on)
    assert runtime.computed == 4


def test_the_reader_sees_progress_and_no_words() -> None:
    seen: list[CompletionChunk] = []

    def look(chunk: CompletionChunk) -> bool:
        seen.append(chunk)
        return False

    beginning(Runtime(None)).ensure_in_slot(0, PROMPT, look)
    assert len(seen) == 5
    assert set(seen) == {CompletionChunk(cached=0)}


def test_without_a_folder_every_slot_computes_it() -> None:
    runtime = Runtime(None)
    one = beginning(runtime)
    one.ensure_in_slot(0, PROMPT, on)
    one.ensure_in_slot(1, PROMPT, on)
    assert runtime.computed == 8


def test_a_folder_that_takes_nothing_costs_a_line_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = Runtime(tmp_path)

    def full(slot: int, name: str) -> None:
        raise LLMError("No space left on device")

    monkeypatch.setattr(runtime, "save_slot", full)
    one = beginning(runtime)
    assert one.ensure_in_slot(0, PROMPT, on)
    assert one.ensure_in_slot(1, PROMPT, on)
    assert [record.getMessage() for record in caplog.records] == [
        f"What prompts begin with cannot be kept in {tmp_path}: No space left on device"
    ]
    assert not list(tmp_path.iterdir())


def test_few_files_stay(tmp_path: Path) -> None:
    for i in range(AT_MOST + 3):
        beginning(Runtime(tmp_path), f"weights {i}").ensure_in_slot(0, PROMPT, on)
    assert len(list(tmp_path.glob("*.kv"))) == len(list(tmp_path.glob("*.sha256"))) == AT_MOST
