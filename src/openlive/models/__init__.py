"""The weights of the models: a catalogue as data, and a cache on disk that fills itself.

    folder = openlive.models.ensure("kokoro")          # fetches at most once; then no network and no hashing
    session = InferenceSession(folder / "kokoro-v1.0.int8.onnx")

`OPENLIVE_CACHE` names another cache folder; `OPENLIVE_MODEL_SOURCE` (auto, hub, mirror) forces one kind of source.
Imports nothing else of openlive.
"""

from __future__ import annotations

from openlive.models.cache import computed
from openlive.models.catalogue import DEFAULT, DEFAULT_LLM, catalogue
from openlive.models.entry import Entry, File, Package, Part
from openlive.models.errors import ModelError
from openlive.models.fetch import ensure, path, verify
from openlive.models.progress import Progress, Update

__all__ = [
    "DEFAULT",
    "DEFAULT_LLM",
    "Entry",
    "File",
    "ModelError",
    "Package",
    "Part",
    "Progress",
    "Update",
    "catalogue",
    "computed",
    "ensure",
    "path",
    "verify",
]
