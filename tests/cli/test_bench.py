"""The benchmarks, each run once and small against scripted engines, and what they calculate with."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.sync.server import ServerConnection, serve

from openlive.audio import AudioError
from openlive.cli import main
from openlive.cli.bench import COMMANDS, barge_in, clips, crowd, memory, server, sessions, speculation, wire
from openlive.cli.bench.figures import percentile, spread
from openlive.cli.bench.plot import Bar, Curve, plot, waterfall_plot
from openlive.cli.bench.sessions import Level, steps, within
from openlive.cli.bench.soak import Turn, compare
from openlive.types import INPUT_RATE
from tests.cli.conftest import TOLD

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short answers after short times, and nothing that needs weights."""
    for module in (server, crowd):
        monkeypatch.setattr(module, "DELAYS", {"llm": 0.01})
        monkeypatch.setattr(module, "CHARACTER", 0.005)
    monkeypatch.setattr(server, "SCRIPTED", server.SCRIPTED.replace('vad = "{vad}"', 'vad = "scripted"'))
    monkeypatch.setattr(crowd, "PAUSE", 0.1)
    monkeypatch.setattr(memory, "TURNS", 1)
    for command in (sessions, memory):
        monkeypatch.setattr(command, "shipped", lambda: clips.clip("tone", burst(0.1, 0.3, 0.1)))


def bench(*arguments: str) -> tuple[str, dict[str, Any]]:
    """What a benchmark printed, and what it wrote."""
    result = CliRunner().invoke(main, ["bench", *arguments, "--json", "figures.json"])
    assert result.exit_code == 0, result.output
    return result.stdout, msgspec.json.decode(Path("figures.json").read_bytes())


def burst(before: float, sound: float, after: float, *, noise: float = 0.0) -> bytes:
    """Seconds of silence, of a tone and of silence again, with noise all over."""
    tone = 8000 * np.sin(np.arange(round(sound * INPUT_RATE)) * 0.2)
    samples = np.concatenate([np.zeros(round(before * INPUT_RATE)), tone, np.zeros(round(after * INPUT_RATE))])
    samples += noise * np.random.default_rng(3).normal(size=len(samples))
    return samples.astype("<i2").tobytes()


# What they calculate with.


def test_a_percentile_is_a_value_that_was_seen() -> None:
    assert percentile(range(1, 101), 95) == 95
    assert percentile([3.0, 1.0, 2.0], 95) == 3.0
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([7.0], 1) == 7.0


def test_a_spread_says_how_many_there_were() -> None:
    found = spread(float(n) for n in range(20, 0, -1))
    assert found is not None
    assert (found.n, found.p50, found.p95, found.least, found.most) == (20, 10.5, 19, 1, 20)
    assert spread([]) is None


@pytest.mark.parametrize("noise", [0.0, 50.0, 300.0])
def test_sound_is_found_in_silence_and_in_noise(noise: float) -> None:
    assert clips.sound(burst(0.3, 0.5, 0.4, noise=noise), INPUT_RATE) == (0.3 * INPUT_RATE, 0.8 * INPUT_RATE)


def test_a_click_is_no_sound() -> None:
    pcm = burst(0.3, 0.5, 0.4)
    click = np.frombuffer(pcm, "<i2").copy()
    click[100:110] = click[-100:-90] = 20000
    assert clips.sound(click.tobytes(), INPUT_RATE) == clips.sound(pcm, INPUT_RATE)


def test_silence_is_no_clip() -> None:
    assert clips.sound(b"", INPUT_RATE) is None
    with pytest.raises(AudioError, match="quiet: there is no sound"):
        clips.clip("quiet", bytes(32000))


def test_a_clip_is_cut_into_frames_of_whole_chunks() -> None:
    pcm = burst(0, 0.25, 0)
    clip = clips.clip("tone", pcm)
    assert clip.seconds == 0.26
    server_side = ServerProtocol(state=State.OPEN)
    for frame in clip.frames:
        server_side.receive_data(frame)
    said = [msgspec.json.decode(frame.data) for frame in server_side.events_received() if isinstance(frame, Frame)]
    chunks = [base64.b64decode(one["realtimeInput"]["audio"]["data"]) for one in said]
    assert {len(chunk) for chunk in chunks} == {2 * clips.CHUNK}
    assert b"".join(chunks) == pcm.ljust(26 * clips.CHUNK, b"\0")


def test_the_ramp_ends_where_it_is_told_to() -> None:
    assert steps(1) == [1]
    assert steps(50) == [1, 10, 20, 40, 50]
    assert steps(140) == [1, 10, 20, 40, 60, 80, 100, 120, 140]


def test_a_lost_answer_is_too_late() -> None:
    alone, slow = Level(1, 9.0, spread([100.0])), Level(2, 9.0, spread([121.0]))
    assert within(Level(2, 9.0, spread([120.0])), alone)
    assert not within(slow, alone)
    assert not within(Level(2, 9.0, spread([100.0]), lost=1), alone)
    assert not within(Level(2, 9.0), alone)


def test_a_long_conversation_is_compared_by_its_medians() -> None:
    turns = [Turn(n, 100.0 + n, None) for n in range(1, 31)]
    assert compare(turns) == {"delay, ms": (105.0, 127.0)}
    turns[3] = Turn(4, 9999.0, None)  # one that was slow says nothing
    assert compare(turns)["delay, ms"] == (106.0, 127.0)


def elements(svg: str, name: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg).findall(f"{{http://www.w3.org/2000/svg}}{name}")


def test_curves_are_drawn_within_the_page() -> None:
    svg = plot([Curve("p50 & more", ((1, 40, ""), (100, 80, "80")))], "sessions", "ms")
    points = elements(svg, "polyline")[0].get("points", "").split()
    (left, low), (right, high) = ([float(v) for v in point.split(",")] for point in points)
    assert 0 < left < right <= 720
    assert 0 < high < low < 420


def test_the_bars_of_a_waterfall_share_an_axis() -> None:
    svg = waterfall_plot([Bar("transcript", -100, 0), Bar("decision", 500, 550), Bar("first byte", 1000, 1200)], "ms")
    before, decision, byte = ((float(b.get("x", "")), float(b.get("width", ""))) for b in elements(svg, "rect"))
    assert before[0] + before[1] == pytest.approx(decision[0], abs=0.2)
    assert decision[0] == byte[0]
    assert byte[1] == pytest.approx(2 * decision[1], abs=0.2)


# The commands.


def test_every_benchmark_is_documented_with_its_options() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    assert all(f"`openlive bench {name}" in text for name in COMMANDS)
    group: Any = main.commands["bench"]
    for name in COMMANDS:
        command = group.get_command(None, name)
        assert f"openlive bench {name}" in command.epilog
        for option in command.params:
            assert option.help
            assert option.name == "verbose" or re.search(rf"[` (]{option.opts[-1]}[` )]", text), option.name


def test_latency_of_spoken_questions(tone: Path) -> None:
    out, found = bench("latency", "--turns", "2", "--question", str(tone), "--plot", "waterfall.svg")
    assert "end-of-turn decision → first audio byte" in out
    assert found["figures"]["last voiced sample → first audio byte"]["n"] == 2
    first, second = found["turns"]
    assert first["heard"] == second["heard"] == TOLD
    assert first["decision"] == "server"
    assert 450 < first["ms"]["decision"] <= first["ms"]["first_audio_byte"] < 5000
    assert first["ms"]["first_byte"] <= first["ms"]["first_audio_byte"] + 0.1  # the server tells tenths
    assert elements(Path("waterfall.svg").read_text("utf-8"), "rect")


def test_sessions_at_once() -> None:
    out, found = bench("sessions", "--most", "2", "--seconds", "1.5")
    assert "sessions stay within 1.2 times" in out
    assert [level["sessions"] for level in found["levels"]] == [1, 2]
    assert all(level["delay"]["n"] > 0 and level["cpu"] > 0 for level in found["levels"])


def test_a_server_that_takes_no_more_sessions() -> None:
    Path("one.toml").write_text(server.scripted().replace("[limits]", "[limits]\nsessions = 1"))
    out, found = bench("sessions", "--most", "2", "--seconds", "1", "--engines", "configured", "--config", "one.toml")
    assert [level["sessions"] for level in found["levels"]] == [1]
    assert "\n1 sessions stay within" in out


def test_speaking_into_answers(tone: Path) -> None:
    out, found = bench("barge-in", "--turns", "2", "--engines", "scripted", "--remark", str(tone))
    assert "onset of speech → interrupted" in out
    assert found["stray"] == 0
    assert [one["clip"] for one in found["interruptions"]] == ["tone.wav"] * 2
    assert all(barge_in.PADDING_MS - 32 < one["ms"] < 3000 for one in found["interruptions"])


def test_an_answer_that_was_over_cannot_be_interrupted(tone: Path) -> None:
    Path("short.toml").write_text(server.scripted(replies=("No.",)))
    arguments = ("--turns", "1", "--remark", str(tone), "--config", "short.toml")
    result = CliRunner().invoke(main, ["bench", "barge-in", *arguments])
    assert result.exit_code == 1
    assert "was over before 'tone.wav' interrupted it" in result.stderr


def test_a_long_conversation(tone: Path) -> None:
    out, found = bench("soak", "--turns", "14", "--question", str(tone), "--plot", "soak.svg")
    assert [turn["number"] for turn in found["turns"]] == [*range(1, 15)]
    early, last = found["medians"]["memory, MB"]
    assert found["ratios"]["memory, MB"] == pytest.approx(last / early, abs=0.01)
    assert "slowest of 14 turns" in out
    assert len(elements(Path("soak.svg").read_text("utf-8"), "polyline")) == 2


def test_memory_of_further_sessions() -> None:
    out, found = bench("memory", "--idle", "10", "--talking", "2")
    loaded, idle, talking = found["steps"]
    assert 30 < loaded["resident"] <= idle["resident"] <= talking["resident"] < 500
    assert 0 <= found["kilobytes_each"]["idle"] == pytest.approx(100 * (idle["resident"] - loaded["resident"]), abs=1)
    assert "kB each" in out


def test_memory_needs_a_process() -> None:
    result = CliRunner().invoke(main, ["bench", "memory", "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 2
    assert "--url needs --pid" in result.stderr


def test_what_a_message_costs() -> None:
    result = CliRunner().invoke(
        main, ["bench", "wire", "--messages", "10", "--vad", "scripted", "--json", "figures.json"]
    )
    assert result.exit_code == 0, result.output
    found = msgspec.json.decode(Path("figures.json").read_bytes())
    assert len(found["us"]) == 5
    assert all(0 < costs["least"] <= costs["p50"] < 100_000 for costs in found["us"].values())
    parts = [found["us"][name]["least"] for name in (wire.WIRE, wire.DETECTOR, wire.SPEECH)]
    assert found["message_us"] == pytest.approx(sum(parts), abs=0.2)


def test_hesitation_costs_prepared_answers(tone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speculation, "WASTES", (1.0, 0.5))
    monkeypatch.setattr(speculation, "PAUSES", (0.4,))
    Path("fast.toml").write_text(server.scripted())
    out, found = bench("speculation", "--config", "fast.toml", "--question", str(tone))
    assert "share of the work" in out
    always, seldom = (row["of"] for row in found["figures"])
    assert always["dropped"] >= 1
    assert seldom["setting"] == 0.5
    for row in found["figures"]:
        of = row["of"]
        assert of["used"] + of["dropped"] > 0
        assert row["share"] == pytest.approx(
            of["dropped_seconds"] / (of["used_seconds"] + of["dropped_seconds"]), abs=1e-3
        )


def test_a_pause_is_put_where_it_is_quietest() -> None:
    pcm = burst(0.2, 0.5, 0.02) + burst(0.08, 0.5, 0.2)
    paused = speculation.hesitant(pcm, 0.3)
    assert len(paused) - len(pcm) == 2 * round(0.3 * INPUT_RATE)
    at = next(i for i in range(0, len(pcm), 2) if paused[i : i + 2] != pcm[i : i + 2])
    assert 0.7 <= at / 2 / INPUT_RATE <= 0.81
    assert speculation.hesitant(bytes(100), 1.0) == bytes(100)


@contextmanager
def another_server(*answer: object) -> Iterator[str]:
    """Knows nothing but the protocol: says `answer` to the sixtieth chunk."""

    def serve_one(socket: ServerConnection) -> None:
        socket.recv()
        socket.send(msgspec.json.encode({"setupComplete": {"sessionId": "another"}}))
        with suppress(ConnectionClosed):
            for _ in range(60):
                socket.recv()
            for message in answer:
                socket.send(msgspec.json.encode({"serverContent": message}))
            for _ in socket:
                pass

    with serve(serve_one, "127.0.0.1", 0) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{other.socket.getsockname()[1]}"
        finally:
            other.shutdown()
            thread.join()


def test_any_server_with_the_api_can_be_measured(tone: Path) -> None:
    audio = {"modelTurn": {"parts": [{"inlineData": {"data": base64.b64encode(burst(0.1, 0.2, 0)).decode()}}]}}
    with another_server(audio, {"turnComplete": True}) as url:
        _, found = bench("latency", "--turns", "1", "--question", str(tone), "--url", url)
    (turn,) = found["turns"]
    assert turn["decision"] == "silence"
    assert turn["ms"]["decision"] == 500
    assert turn["ms"]["first_audio_byte"] < turn["ms"]["audible"] < turn["ms"]["first_audio_byte"] + 200


def test_a_server_that_speaks_something_else(tone: Path) -> None:
    with another_server({"modelTurn": 5}) as url:
        result = CliRunner().invoke(main, ["bench", "latency", "--question", str(tone), "--url", url])
    assert result.exit_code == 1
    assert "The server sent what is no message of this API: Expected `object | null`, got `int`" in result.stderr


def test_a_server_that_is_not_there() -> None:
    result = CliRunner().invoke(main, ["bench", "sessions", "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "No server can be reached at http://127.0.0.1:9" in result.stderr
