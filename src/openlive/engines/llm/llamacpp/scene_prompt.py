"""Whether what a camera shows is worth a word unasked: told by the embedded model, apart from the conversation.

Asked in a conversation, small models say yes to nearly everything. As for functions (`routing`), a program is completed
instead: after examples stand what the model was told and the words of the image, and it writes a reason and a verdict.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from openlive.engines.llm.image_captions import SHOWN
from openlive.engines.llm.llamacpp.server import TokenProbability
from openlive.engines.llm.prompt.conversation import PromptPiece
from openlive.types import Heard, Image, Request

VERDICT = "\nspeak:"
"""The model has given its reason, and the verdict comes."""
MEMORY = 4
"""What the user said last may ask for something, too: so many turns."""
_TOLD, _LINE = 800, 200
"""Characters of the instructions, and of a line of the user's."""
EXAMPLES = """# A voice assistant with a camera. It speaks by itself only when the camera shows
# what it was asked to look out for.

task: "Tell me when the kettle says 100 degrees."
camera: Its text reads: "98 °C"
why: 98 is not 100
speak: no
task: "Tell me when the kettle says 100 degrees."
camera: Its text reads: "100 °C"
why: it is 100
speak: yes
task: "You are a travel assistant."
camera: Its text reads: "Museum"
why: nothing was asked for
speak: no
task: "Read out to me whatever comes into view."
camera: Its text reads: "Mind the gap"
why: it is in view
speak: yes
task: "Read out to me whatever comes into view."
camera: There is no text in it.
why: nothing is in view
speak: no
task: "Ruf mich, wenn der Zug nach Kiel kommt."
camera: Its text reads: "RE 7 Hamburg"
why: Hamburg is not Kiel
speak: no
task: "Ruf mich, wenn der Zug nach Kiel kommt."
camera: Its text reads: "RE 70 Kiel"
why: it is Kiel
speak: yes
task: "You are a guide. Speak about every animal whose sign you see."
camera: Its text reads: "Ticket office"
why: a ticket office is no animal
speak: no
task: "You are a guide. Speak about every animal whose sign you see."
camera: Its text reads: "Giraffe"
why: a giraffe is an animal
speak: yes
task: "Warn me when the speed is above fifty."
camera: Its text reads: "42 km/h"
why: 42 is below fifty
speak: no
task: "Warn me when the speed is above fifty."
camera: Its text reads: "63 km/h"
why: 63 is above fifty
speak: yes
task: "You answer questions about music."
camera: Its text reads: "Piano shop"
why: nothing was asked for
speak: no
task: "Dime si ves una carta para Juan."
camera: Its text reads: "Carta para Pedro"
why: Pedro is not Juan
speak: no
task: "Dime si ves una carta para Juan."
camera: Its text reads: "Carta: Juan López"
why: it is for Juan
speak: yes
"""


def build_prompt(request: Request) -> list[PromptPiece]:
    """The program so far, up to where the reason comes. The last message ends with the image."""
    camera = f"camera: {_image_words(request)}\n"
    return [PromptPiece(text, "text") for text in (EXAMPLES, f"task: {_describe_task(request)}\n", camera, "why:")]


def verdict_probability(verdicts: Sequence[TokenProbability]) -> float:
    """How likely yes is against no."""
    yes, no = (sum(v.p for v in verdicts if v.text.strip().lower() == word) for word in ("yes", "no"))
    return yes / (yes + no) if yes + no else 0.0


def _describe_task(request: Request) -> str:
    said = [
        message.text.strip()[:_LINE]
        for message in request.messages
        if message.role == "user" and not any(isinstance(part, Heard) and part.overheard for part in message.parts)
    ]
    lines = [request.instructions.strip()[:_TOLD], *list(filter(None, said))[-MEMORY:]]
    return json.dumps(" ".join(filter(None, lines)), ensure_ascii=False)


def _image_words(request: Request) -> str:
    """Of the image, in one line and without what is the same around all of them."""
    image = request.messages[-1].parts[-1]
    before, _, after = SHOWN.partition("{}")
    words = image.words if isinstance(image, Image) else ""
    return " ".join(words.removeprefix(before).removesuffix(after).split())
