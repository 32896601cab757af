"""`openlive talk`: a conversation in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openlive.cli.conversation import INTERPRETER, MODEL, Address, Conversation, Listener, as_program, conversation
from openlive.cli.errors import verbose_option
from openlive.cli.options import config_option
from openlive.cli.run import a_server, key_for
from openlive.cli.sound import NoDeviceError, Player, device, microphone, player
from openlive.types import OUTPUT_RATE

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@click.command(epilog="Example: openlive talk question.wav --save reply.wav")
@click.argument(
    "files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[FILE.wav]..."
)
@click.option("--text", "texts", multiple=True, help="Something to say in writing; after the files.")
@click.option("--voice", help="Whose voice answers: Puck, Kore, … (openlive.example.toml lists them).")
@click.option("--translate", metavar="LANGUAGE", help="Have what is said translated, into es, de-DE, …, not answered.")
@click.option("--model", help=f"The model to ask for; else {MODEL}, or {INTERPRETER} with --translate.")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.wav", help="Keep the answers.")
@click.option("--url", help="A server elsewhere; else the one that is running, else one started for this.")
@click.option("--key", envvar="GEMINI_API_KEY", help="A key for --url; else $GEMINI_API_KEY.")
@config_option
@verbose_option
def talk(
    *,
    files: Sequence[Path],
    texts: Sequence[str],
    voice: str | None,
    translate: str | None,
    model: str | None,
    save: Path | None,
    url: str | None,
    key: str | None,
    config_file: Path | None,
) -> None:
    """Talk to a server: with WAV files, in writing, or else with the microphone.

    Several files or texts are turns of one conversation. Shows what is understood and what is answered as it comes, and
    plays the answers where there is a sound device.
    """
    from openlive.audio import read_wav

    spoken = [read_wav(file) for file in files]
    if not spoken and not texts:
        _need_a_microphone()
    with _address(url, key, config_file) as address, player() as speaker:
        screen = Screen(speaker)

        async def work() -> None:
            async with conversation(address, screen, model=model, voice=voice, translate=translate) as talking:
                for pcm in spoken:
                    await talking.say(pcm)
                for text in texts:
                    screen.heard(text)
                    await talking.write(text)
                if not spoken and not texts:
                    await _live(talking)
            await speaker.drain()

        as_program(work)
        screen.close()
    if save:
        screen.save(save)


async def _live(talking: Conversation) -> None:
    with microphone() as audio:
        click.echo("Speak; Ctrl-C ends it.", err=True)
        await talking.stream(audio)


def _need_a_microphone() -> None:
    try:
        device("input")
    except NoDeviceError as error:
        raise click.ClickException(
            f"There is no microphone here ({error}).\nGive a WAV file or a text: openlive talk question.wav, "
            'openlive talk --text "How are you?"'
        ) from error


def _address(url: str | None, key: str | None, config_file: Path | None) -> AbstractContextManager[Address]:
    if url is None:
        return local_address(config_file)
    from openlive.cli.environment import ANY_KEY
    from openlive.server.net.tls import default_folder

    ca = default_folder() / "ca.pem"  # should the server be one of this user's own
    return nullcontext(Address(url.rstrip("/"), key or ANY_KEY, ca if ca.is_file() else None))


@contextmanager
def local_address(config_file: Path | None) -> Iterator[Address]:
    """Of the server that is running, or of one started for this."""
    key = key_for(config_file)
    with a_server(config_file) as server:
        yield Address(server.url, key, server.ca)


class Screen(Listener):
    """Shows both sides as they arrive, each on a line of its own, plays the answers and keeps them."""

    def __init__(self, speaker: Player) -> None:
        self.kept = bytearray()
        self._speaker = speaker
        self._who = ""

    def heard(self, text: str) -> None:
        self._show("You", "green", text)

    def said(self, text: str) -> None:
        self._show("Model", "cyan", text)

    def audio(self, pcm: bytes) -> None:
        self.kept += pcm
        self._speaker.feed(pcm)

    def interrupted(self) -> None:
        self._speaker.clear()
        click.echo(click.style(" -", dim=True), nl=False)

    def finished(self) -> None:
        self.close()

    def close(self) -> None:
        """Ends the line that is being written."""
        if self._who:
            click.echo()
        self._who = ""

    def save(self, path: Path) -> None:
        from openlive.audio import write_wav

        try:
            write_wav(path, bytes(self.kept), OUTPUT_RATE)
        except OSError as error:
            raise click.ClickException(f"{path} cannot be written: {error.strerror or error}.") from error

    def _show(self, who: str, colour: str, text: str) -> None:
        if who != self._who:
            self.close()
            self._who = who
            click.echo(click.style(f"{who + ':':<7}", fg=colour, bold=True), nl=False)
            text = text.lstrip()
        click.echo(text, nl=False)
        sys.stdout.flush()
