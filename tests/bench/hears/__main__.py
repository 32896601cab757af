"""What a session makes of what it hears: `python -m tests.bench.hears`, or a part of it, as `sounds` or `words`.

Sounds without words give no turn; recordings with words give theirs. Single words come out as they were said, with
nothing known of the language, in a conversation in it, and where the client names it. A model answers to its name.
Half of each set was set aside before any rule was chosen; `--aside` scores that half too. `rare` are words in no list.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from openlive.audio import read_wav
from openlive.core.listening.utterance import normalise_words
from openlive.core.setup.profile import ModelProfile
from openlive.types import INPUT_RATE
from tests.bench.hears import names, words
from tests.bench.hears.remembered import ears
from tests.bench.hears.session import Engines, Listening
from tests.bench.hears.sounds import sounds
from tests.bench.hears.words import Speaker
from tests.core.world import MODEL, TALK

SPEECH = Path(__file__).parents[2] / "speech"
BEFORE, AFTER = bytes(INPUT_RATE), bytes(3 * INPUT_RATE)
"""Half a second of silence before a sound, one and a half after it."""


class Outcome(Struct, frozen=True):
    """One clip in one condition: whether it came out right, and what is to be told of it."""

    group: str
    condition: str
    aside: bool
    right: bool
    told: str


def plain(text: str) -> str:
    """Words without case, punctuation and accents."""
    apart = unicodedata.normalize("NFD", normalise_words(text.replace("-", " ")).casefold())
    return "".join(c for c in apart if not unicodedata.combining(c)).strip("“”\"'")


# --- the parts --------------------------------------------------------------------------------------------------------


def of_sounds(engines: Engines, *, aside: bool) -> Iterator[Outcome]:
    for sound in sounds():
        if sound.aside and not aside:
            continue
        for condition, manual in (("detected", False), ("told by the client", True)):
            said = Listening(engines, BEFORE + sound.audio + AFTER, manual=manual).said
            yield Outcome("sounds", condition, sound.aside, said is None, f"{sound.name}: {said}")


def of_speech(engines: Engines) -> Iterator[Outcome]:
    """Recordings that have words must keep them."""
    for group in json.loads((SPEECH / "transcripts.json").read_bytes()).values():
        for clip in group:
            for condition, manual in (("detected", False), ("told by the client", True)):
                said = Listening(engines, BEFORE + read_wav(SPEECH / clip["file"]) + AFTER, manual=manual).said
                yield Outcome("speech", condition, False, bool(said), f"{clip['file']}: {said}")


def of_words(engines: Engines, speaker: Speaker, parts: Collection[str], *, only: str) -> Iterator[Outcome]:
    for clip in words.clips(speaker, parts):
        if only and clip.language != only:
            continue
        for condition, spoken, codes in (
            ("nothing known", "", []),
            ("in a conversation", clip.language, []),
            ("language named", "", [clip.language]),
        ):
            setup: dict[str, Any] = {**TALK, "inputAudioTranscription": {"languageCodes": codes}}
            heard = Listening(engines, clip.audio, setup, spoken=spoken)
            right = heard.said is not None and plain(heard.said) in {plain(each) for each in clip.spellings}
            yield Outcome(
                clip.language, condition, clip.part == "aside", right, f"{clip.name}: {heard.said} [{heard.language}]"
            )


def of_names(engines: Engines, speaker: Speaker, *, aside: bool) -> Iterator[Outcome]:
    named = "Gemini Live 2.5 Flash Preview"
    profile = ModelProfile(MODEL, display_name=named, turn_detector=True, addressee=True, proactive=True)
    for line, voice, audio in names.spoken(speaker):
        if line.aside and not aside:
            continue
        heard = Listening(engines, BEFORE + audio + AFTER, line.setup, version="v1alpha", profile=profile)
        group = "meant for the model" if line.meant else "not meant for it"
        told = f"{line.said} ({voice}): {heard.transcript} {'answered' if heard.said else 'not answered'}"
        yield Outcome(group, "answered", line.aside, (heard.said is not None) == line.meant, told)
        if line.meant:
            there = plain(line.name) in plain(heard.transcript)
            yield Outcome("the name is heard", "transcript", line.aside, there, told)


# --- the table --------------------------------------------------------------------------------------------------------


def table(outcomes: Iterable[Outcome]) -> Table:
    counts: dict[tuple[str, str], dict[bool, list[bool]]] = {}
    for outcome in outcomes:
        halves = counts.setdefault((outcome.group, outcome.condition), {False: [], True: []})
        halves[outcome.aside].append(outcome.right)
    made = Table("", "", "right", "of those set aside", box=None, pad_edge=False)
    for (group, condition), halves in counts.items():
        made.add_row(group, condition, *(share(halves[half]) for half in (False, True)))
    for condition in dict.fromkeys(condition for _, condition in counts):
        chosen = [halves for (_, each), halves in counts.items() if each == condition]
        if len(chosen) > 1:
            made.add_row(
                "all",
                condition,
                *(share([right for halves in chosen for right in halves[half]]) for half in (False, True)),
            )
    return made


def share(right: list[bool]) -> str:
    return f"{sum(right)} of {len(right)} ({sum(right) / len(right):.0%})" if right else ""


@click.command()
@click.argument("part", default="all", type=click.Choice(["all", "sounds", "speech", "words", "rare", "names"]))
@click.option("--aside", is_flag=True, help="Score the half that was set aside, too.")
@click.option("--verbose", is_flag=True, help="Tell what went wrong among what was not set aside.")
@click.option("--only", default="", help="Words of one language.")
@click.option("--fresh", is_flag=True, help="Do not use what the networks said of the same audio before.")
def main(part: str, only: str, *, aside: bool, verbose: bool, fresh: bool) -> None:
    """Score what is heard."""
    engines, speaker, console = Engines(ears(fresh=fresh)), Speaker(), Console()
    parts: dict[str, Callable[[], Iterator[Outcome]]] = {
        "sounds": lambda: of_sounds(engines, aside=aside),
        "speech": lambda: of_speech(engines),
        "words": lambda: of_words(engines, speaker, ("first", "second", *(["aside"] if aside else ())), only=only),
        "rare": lambda: of_words(engines, speaker, ("rare",), only=only),
        "names": lambda: of_names(engines, speaker, aside=aside),
    }
    for name, run in parts.items():
        if part not in (name, "all"):
            continue
        outcomes = []
        for outcome in run():
            outcomes.append(outcome)
            if verbose and not outcome.right and not outcome.aside:
                click.echo(f"WRONG {outcome.condition}: {outcome.told}")
        console.print(f"\n{name}", table(outcomes))
    speaker.close()


if __name__ == "__main__":
    main()
