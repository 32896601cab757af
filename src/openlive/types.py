"""The shared vocabulary: frozen values that engines, the core and the shell exchange.

Units: user audio is s16le mono at 16 kHz, model audio s16le mono at 24 kHz. Offsets and lengths of audio are counted in
samples of the respective rate, never in seconds of a clock.

What histories consist of is left out of garbage collections (`gc=False`): values that are made whole cannot hold
themselves, and to look through a long conversation's would hold up the event loop.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

INPUT_RATE = 16_000
"""Hz of the user's audio as the core and the engines see it (docs/protocol.md#media-types)."""
OUTPUT_RATE = 24_000
"""Hz of the model's audio (docs/protocol.md#media-types)."""


class Text(Struct, frozen=True, tag=True, gc=False):
    """Text of either side, or a piece of it. Pieces carry their own spaces: they are joined by ''."""

    text: str


class Thought(Struct, frozen=True, tag=True):
    """A piece of the model's reasoning: never spoken, never in a transcript."""

    text: str


class Image(Struct, frozen=True, tag=True, gc=False):
    """An image as it was sent: `data` is the encoded file, `mime` its type (`image/jpeg`, `image/png`, …)."""

    mime: str
    data: bytes
    tokens: int = 258
    """What it counts in the context (docs/protocol.md#tokens)."""
    words: str = ""
    """What it shows, for models that cannot see; '' where nobody has looked."""


class Prosody(Struct, frozen=True):
    """How something was said (`engines/stt/prosody.py`): `pitch`, its median in semitones above 1 Hz; `spread`,
    semitones between its 10th and 90th percentile; `level`, dB of full scale, by energy; `pace`, syllables per second
    of speaking time. `voiced`: seconds that had a pitch.
    """

    pitch: float
    spread: float
    level: float
    pace: float
    voiced: float


Mood = Literal["", "excited", "subdued", "flat"]
"""How the user sounds; '' is like anybody, or like this user always does."""


class Heard(Struct, frozen=True, tag=True):
    """Speech of the user: its transcript, and where it lies in the session's audio (16 kHz samples). `language` is a
    bare code, '' where the recogniser did not tell. `strong`: there is much of the mood. `overheard`: it was not meant
    for the model, which did not answer it."""

    text: str
    start: int
    end: int
    language: str = ""
    mood: Mood = ""
    strong: bool = False
    overheard: bool = False


class FunctionCall(Struct, frozen=True, tag=True):
    """A call that the model makes. `id` is '' where an engine gives none; the core then numbers it."""

    id: str
    name: str
    args: dict[str, Any]


class FunctionResponse(Struct, frozen=True, tag=True):
    """What a call came to. `response` is free-form JSON, untouched."""

    id: str
    name: str
    response: dict[str, Any]


Part = Text | Thought | Image | Heard | FunctionCall | FunctionResponse

Role = Literal["system", "user", "model"]


class Message(Struct, frozen=True, gc=False):
    """One message of the conversation. Function responses are parts of a user message."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Everything of it that was said or written, thoughts left out."""
        return "".join(p.text for p in self.parts if isinstance(p, Text | Heard))


class FunctionDeclaration(Struct, frozen=True):
    """A function that the model may call. `parameters` is a JSON Schema (lower-case types).

    `tool` is '' for a function of the client's, else the tool of the server's that it stands for, as it is named in
    the setup (`google_search`, …).
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    blocking: bool = True
    tool: str = ""


class Sampling(Struct, frozen=True):
    """How to draw tokens; None leaves it to the engine. Names and ranges are those of `generationConfig`."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None


class Voice(Struct, frozen=True):
    """How to speak: a voice name of the API (`Puck`, `Kore`, …), a BCP-47 language ('' = the text's own), a pace (a
    factor), and how far from the voice's own pitch (semitones) and loudness (dB). `expected` is the language that the
    conversation is in (a bare code, '' = English): a text is in it unless it clearly isn't."""

    name: str
    language: str = ""
    speed: float = 1.0
    pitch: float = 0.0
    gain: float = 0.0
    expected: str = ""


class Translation(Struct, frozen=True):
    """What the user says is to be said again in `language` (BCP-47), and nothing else. What is in that language
    already is repeated (`echo`) or left alone."""

    language: str
    echo: bool = False


class Request(Struct, frozen=True):
    """Everything a responder needs for one reply.

    `conversation` is a key that stays the same for a session: engines keep their caches under it. A request's messages
    extend those of the conversation's previous one as far as possible. `voice` None asks for text, else for speech.
    `language` is a BCP-47 hint for the answer's language ('' = that of the user). `thinking` is how many tokens the
    model may think before it answers, by its own count; 0: it answers at once. `translation`: no answer is wanted, but
    a translation of what was said last; where there is none, a reply without output. `names` are what the model is
    called. `about` is what the model is told of itself before the instructions, '' for one that knows.
    """

    conversation: str
    messages: tuple[Message, ...]
    instructions: str = ""
    functions: tuple[FunctionDeclaration, ...] = ()
    sampling: Sampling = Sampling()
    voice: Voice | None = None
    language: str = ""
    thinking: int = 0
    translation: Translation | None = None
    names: tuple[str, ...] = ()
    about: str = ""


class Source(Struct, frozen=True):
    """A page that an answer draws on."""

    uri: str
    title: str = ""


class Page(Struct, frozen=True):
    """A page that was asked for, and whether it could be had."""

    uri: str
    status: Literal["success", "error", "unsafe"] = "success"


class ToolResult(Struct, frozen=True):
    """What a tool of the server's came to.

    `response` is for the model, `output` what the client is shown of it (what a program printed). `queries` are those
    that were searched for, `sources` what was found, `pages` what was fetched.
    """

    response: dict[str, Any]
    output: str = ""
    outcome: Literal["ok", "failed", "deadline"] = "ok"
    queries: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    pages: tuple[Page, ...] = ()


class Word(Struct, frozen=True):
    """A word and where it lies in its audio, in samples from the audio's start."""

    text: str
    start: int
    end: int


class Transcript(Struct, frozen=True):
    """What a recogniser heard since its utterance began: the whole text so far, not a difference.

    `end` counts the samples of the utterance that were heard. `final` answers a flush: the text of everything up to
    `end`; speech may go on after it. `language` is a bare code (`en`, `de`), '' where unknown. `prosody` comes with a
    final one where it was asked for and could be told.
    """

    text: str
    end: int
    final: bool = False
    language: str = ""
    words: tuple[Word, ...] = ()
    prosody: Prosody | None = None


class Speech(Struct, frozen=True):
    """A piece of the model's speech: s16le mono 24 kHz, and the text that it speaks.

    `text` is a slice of the reply's script with its spaces, so that all of them joined give the script. A piece may
    carry no text (the text came with an earlier piece) or no audio (the text has nothing to be spoken).
    """

    pcm: bytes
    text: str = ""
    words: tuple[Word, ...] = ()


class Usage(Struct, frozen=True):
    """Tokens by the engine's own count: of the prompt, of those how many came from its cache, of what it generated."""

    prompt: int
    completion: int
    cached: int = 0


class Progress(Struct, frozen=True):
    """The engine works on the reply and has nothing to show yet, such as in the middle of a long prompt."""


Written = Thought | Text | FunctionCall | Usage | Progress
"""What a language model gives."""
Output = Written | Speech
"""What a responder emits. In a spoken reply, Text is the script as it is generated and Speech its audio."""
