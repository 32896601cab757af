"""`openlive demo`: one spoken question, its answer, and where the time went."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import click

from openlive.cli.conversation import Address, as_program, conversation, waterfall
from openlive.cli.errors import verbose_option
from openlive.cli.options import config_option
from openlive.cli.private import private_server
from openlive.cli.run import key_for
from openlive.cli.sound import player
from openlive.cli.talk import Screen
from openlive.cli.waterfall import chart


@click.command(epilog="Example: openlive demo my_question.wav")
@click.argument(
    "question", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[QUESTION.wav]"
)
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("reply.wav"),
    show_default=True,
    help="Where the answer goes.",
)
@config_option
@verbose_option
def demo(question: Path | None, save: Path, config_file: Path | None) -> None:
    """Ask a spoken question and show the answer, and the time that each step took.

    Starts a server on a free port and speaks to it with Google's SDK, at the speed of speech. Without a file it asks
    for the capital of France.
    """
    from rich.console import Console

    from openlive.audio import read_wav

    pcm = read_wav(question) if question else shipped_question()
    steps: dict[str, float] = {}
    with private_server(config_file) as server, player() as speaker:
        address = Address(server.url, key_for(config_file), server.ca)
        screen = Screen(speaker)

        async def work() -> None:
            async with conversation(address, screen) as talking:
                click.echo(f"Asking {question or 'a question that comes with openlive'}:\n")
                await talking.say(pcm)
                steps.update(await waterfall(address, talking.id) or {})
            await speaker.drain()

        finished = as_program(work)
        screen.close()
        audible = speaker.audible
    if not finished:
        raise click.Abort
    if not screen.kept:
        raise click.ClickException("There was no answer.")
    if steps:
        click.echo("\nFrom the end of speech to the first byte of the answer:\n")
        Console().print(chart(steps))
    screen.save(save)
    seconds = len(screen.kept) / 48_000
    played = "" if audible else " There is no sound device here to play it."
    click.echo(f"\nThe answer, {seconds:.1f} s of speech, is in {save}.{played}")


def shipped_question() -> bytes:
    """ "What is the capital of France?", s16le mono at 16 kHz."""
    from openlive.audio import read_wav

    with as_file(files("openlive.cli") / "question.wav") as path:
        return read_wav(path)
