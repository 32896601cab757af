from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

from openlive.config.keys import Key
from openlive.config.load import load_config, option_variables, parse_config
from openlive.config.model import (
    Config,
    ConfigError,
    EngineSettings,
    LimitSettings,
    ServerSettings,
    StoreSettings,
    ToolSettings,
)
from openlive.memory import COMFORTABLE_MEMORY, choose_llm, usable_memory
from openlive.profiles import HALF_CASCADE_VOICES, NATIVE_VOICES, PROFILES, ProfileSettings
from openlive.server.net.pending import Limits

EXAMPLE = Path(__file__).parent.parent / "openlive.example.toml"


def test_nothing_configured() -> None:
    config = parse_config("")
    assert config == Config()
    assert (config.server.host, config.server.port) == ("127.0.0.1", 9080)
    assert config.models == PROFILES


# --- the example is the documentation ---------------------------------------------------------------------------------


def test_the_example_is_the_default() -> None:
    assert parse_config(EXAMPLE.read_text()) == Config()


def test_the_example_holds_every_option_and_nothing_else() -> None:
    data = tomllib.loads(EXAMPLE.read_text())
    sections = {
        "server": ServerSettings,
        "limits": LimitSettings,
        "store": StoreSettings,
        "engines": EngineSettings,
        "tools": ToolSettings,
    }
    assert set(data) == {*sections, "models"} == set(get_type_hints(Config))
    for name, struct in sections.items():
        assert list(data[name]) == list(get_type_hints(struct)), name
    (profile,) = data["models"].values()
    assert list(profile) == list(get_type_hints(ProfileSettings))


def test_every_option_of_the_example_is_explained() -> None:
    lines = EXAMPLE.read_text().splitlines()
    options = [i for i, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    assert len(options) > 30
    for i in options:
        above = i - 1
        while re.match(r"\w+ = ", lines[above]):  # options that share a comment
            above -= 1
        assert lines[above].startswith("# "), lines[i]


def test_the_example_names_every_built_in_model_and_the_listener_agrees_with_the_limits() -> None:
    text, limits = EXAMPLE.read_text(), Limits()
    assert all(name in text for name in PROFILES)
    assert LimitSettings() == LimitSettings(
        message_bytes=limits.message_bytes,
        message_fragments=limits.message_fragments,
        control_frames=limits.control_frames,
        setup_bytes=limits.setup_bytes,
        setup_seconds=limits.setup,
        first_byte_seconds=limits.first_byte,
        unauthenticated_sockets=limits.sockets,
        connections_per_second=limits.begun,
    )
    assert ServerSettings() == ServerSettings(
        keepalive_seconds=limits.keepalive, ping_seconds=limits.ping, silence_seconds=limits.silence
    )


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server", "openlive.toml: Expected ']'"),
        (
            "x = 1",
            "openlive.toml: x: there is no such option. There are: server, limits, store, engines, tools, models",
        ),
        ("[sever]\nport = 1", "openlive.toml: sever: there is no such option; did you mean 'server'?"),
        ("[server]\nprot = 1", "openlive.toml: server.prot: there is no such option; did you mean 'port'?"),
        ("[server]\nport = 'x'", "openlive.toml: server.port: Expected `int`, got `str`"),
        ("[server]\nport = 70000", "openlive.toml: server: port 70000 is outside 0 to 65535"),
        ("[server]\ncertificate_key = 'k'", "openlive.toml: server: certificate_key needs a certificate"),
        ("[server]\nnames = 'x'", "openlive.toml: server.names: Expected `array`, got `str`"),
        ("server = 1", "openlive.toml: server: Expected `object`, got `int`"),
        ("[[server.keys]]\nname = 'a'\nkye = 'k'", "server.keys[0].kye: there is no such option; did you mean 'key'?"),
        ("[[server.keys]]\nname = 'a'", "openlive.toml: server.keys[0]: Object missing required field `key`"),
        ("[limits]\nreply_seconds = 0", "openlive.toml: limits: reply_seconds must be positive"),
        ("[limits]\nconnection_seconds = -1", "connection_seconds must not be negative"),
        ("[limits]\npreset = 'google'", "limits: preset 'google' is none of unlimited, documented"),
        ("[server]\ndrain_seconds = -1", "drain_seconds must not be negative"),
        ("[server]\nping_seconds = -1", "ping_seconds must not be negative"),
        ("[server]\nping_seconds = 60\nsilence_seconds = 60", "silence_seconds must be longer than ping_seconds"),
        ("[store]\nlocation = 'redis://x'", "store: location 'redis://x' is neither memory nor sqlite:/path/to/file"),
        ("[store]\nkey_bytes = 0", "total_bytes, key_bytes and resumption_seconds must be positive"),
        ("[engines]\nllm = 3", "openlive.toml: engines.llm: Expected `str`, got `int`"),
        ("[engines]\nllm = ''", "openlive.toml: engines: llm names no engine"),
        ("[engines.voices]\nPuck = ''", "openlive.toml: engines: voices.Puck names no engine"),
        ("[engines.voices]\nPuck = 3", "openlive.toml: engines.voices[...]: Expected `str`, got `int`"),
        (
            "[engines.voices]\nPcuk = 'piper'",
            "openlive.toml: engines.voices.Pcuk: no model offers this voice; did you mean 'Puck'?",
        ),
        ("[engines]\nttl = ''", "openlive.toml: engines.ttl: there is no such option; did you mean"),
        ("[engines]\nthreads = -1", "threads must not be negative"),
        ("[engines.settings]\nopenai = 1", "openlive.toml: engines.settings[...]: Expected `object`, got `int`"),
        ("models = 1", "openlive.toml: models: must be tables"),
        ("[models]\nx = 1", 'openlive.toml: models."x": must be a table'),
        ("[models.x]\nkind = 'big'", "models.\"x\".kind: 'big' is none of half-cascade, native-audio, thinking"),
        ("[models.x]\nkindd = 'x'", "models.\"x\".kindd: there is no such option; did you mean 'kind'?"),
        ("[models.x]\nhistory = 'all'", "models.\"x\".history: Invalid enum value 'all'"),
        ("[models.x]\ndefault_voice = 'alloy'", "default_voice 'alloy' is none of its voices"),
        ("[models.x]\nmodalities = []", "modalities must name TEXT, AUDIO or both"),
        ("[models.x]\noutput_token_limit = 0", "token limits must be positive"),
        ('[models."models/x"]', "write the name without models/"),
        ("[models.x]\naliases = ['gemini-3.8-live']", "'gemini-3.8-live' already names 'gemini-3.8-live'"),
        ("[models.x]\naliases = ['z']\n[models.y]\naliases = ['z']", "\"y\".aliases: 'z' already names 'x'"),
    ],
)
def test_errors_name_the_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert message in str(caught.value)


def test_errors_show_no_key() -> None:
    for text in ("[[server.keys]]\nname = 'a'\nkey = 's3cret'\n" * 2, "[server]\nkeys = ['s3cret']"):
        with pytest.raises(ConfigError) as caught:
            parse_config(text)
        assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(parse_config("[[server.keys]]\nname = 'a'\nkey = 's3cret'"))


# --- models -----------------------------------------------------------------------------------------------------------


def test_the_names_of_the_guide_and_current_ones_are_there() -> None:
    config = Config()
    for name, kind in [
        ("models/gemini-live-2.5-flash-preview", "half-cascade"),
        ("gemini-2.0-flash-live-001", "half-cascade"),
        ("gemini-2.5-flash-preview-native-audio-dialog", "native-audio"),
        ("gemini-2.5-flash-exp-native-audio-thinking-dialog", "thinking"),
        ("models/gemini-2.5-flash-native-audio-preview-12-2025", "native-audio"),
        ("gemini-3.1-flash-live-preview", "native-audio"),
        ("gemini-3.8-live-extended-thinking", "thinking"),
        ("gemini-3.5-live-translate-preview", "translation"),
    ]:
        found = config.profile(name)
        assert found is not None
        assert found[1].kind == kind
        assert found[1].modalities == ("AUDIO", "TEXT")
    assert config.profile("gpt-5") is None
    assert len(NATIVE_VOICES) == len(set(NATIVE_VOICES)) == 30
    assert len(HALF_CASCADE_VOICES) == 8
    names = [*PROFILES, *(alias for p in PROFILES.values() for alias in p.aliases)]
    assert len(names) == len(set(names))


def test_a_table_changes_what_it_names() -> None:
    config = parse_config('[models."gemini-3.8-live"]\nhistory = "sent"\naliases = ["live"]')
    changed = config.models["gemini-3.8-live"]
    assert changed == msgspec.structs.replace(PROFILES["gemini-3.8-live"], history="sent", aliases=("live",))
    assert config.models["gemini-2.0-flash-live-001"] == PROFILES["gemini-2.0-flash-live-001"]


def test_a_new_model_begins_with_what_its_kind_implies() -> None:
    config = parse_config('[models.mine]\nkind = "native-audio"\nmodalities = ["AUDIO"]\n[models.other]')
    assert config.models["mine"].voices == NATIVE_VOICES
    assert config.models["mine"].modalities == ("AUDIO",)
    assert config.models["other"] == ProfileSettings()
    assert set(config.models) == {*PROFILES, "mine", "other"}


def test_a_built_in_model_of_another_kind_is_that_kind() -> None:
    assert (
        parse_config('[models."gemini-3.8-live"]\nkind = "half-cascade"').models["gemini-3.8-live"] == ProfileSettings()
    )


def test_names_of_the_file_win_over_built_in_aliases() -> None:
    config = parse_config('[models.mine]\naliases = ["gemini-2.0-flash-exp"]\n[models."gemini-3.1-flash-live-preview"]')
    assert (config.profile("gemini-2.0-flash-exp") or ("",))[0] == "mine"
    assert (config.profile("gemini-3.1-flash-live-preview") or ("",))[0] == "gemini-3.1-flash-live-preview"
    assert "gemini-3.1-flash-live-preview" not in config.models["gemini-3.8-live"].aliases


# --- the environment and files ----------------------------------------------------------------------------------------


def test_the_environment_wins() -> None:
    environ = {
        "OPENLIVE_SERVER_PORT": "0",
        "OPENLIVE_SERVER_NAMES": "a.example, b.example",
        "OPENLIVE_ENGINES_LLM": "gguf:/x.gguf",
        "OPENLIVE_LIMITS_SETUP_SECONDS": "2.5",
        "OPENLIVE_DATA": "what others use",
        "PORT": "1",
    }
    config = parse_config("[server]\nport = 1\nhost = '::1'", environ=environ)
    assert (config.server.port, config.server.host) == (0, "::1")
    assert config.server.names == ("a.example", "b.example")
    assert config.engines.llm == "gguf:/x.gguf"
    assert config.limits.setup_seconds == 2.5


def test_a_preset_fills_in_what_is_not_set() -> None:
    limits = parse_config("[limits]\npreset = 'documented'\nsession_seconds = 1e9").limits
    durations = [limits.duration(name) for name in ("connection_seconds", "session_seconds", "video_seconds")]
    assert durations == [600, 1e9, 120]
    assert LimitSettings().duration("connection_seconds") == 0


def test_the_store_is_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "openlive.toml").write_text("[store]\nlocation = 'sqlite:data/sessions.db'")
    assert load_config(tmp_path / "openlive.toml").store.location == f"sqlite:{tmp_path}/data/sessions.db"
    assert parse_config("", environ={"OPENLIVE_STORE_LOCATION": "sqlite:/x.db"}).store.location == "sqlite:/x.db"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("OPENLIVE_SERVER_PORT", "x", "OPENLIVE_SERVER_PORT: Expected `int`, got `str`"),
        ("OPENLIVE_SERVER_PORT", "99999", "OPENLIVE_SERVER_PORT: port 99999 is outside"),
        ("OPENLIVE_SERVER_PROT", "1", "OPENLIVE_SERVER_PROT: there is no such option; did you mean 'OPENLIVE_SERVER_"),
        ("OPENLIVE_KEYS", "a:", "OPENLIVE_KEYS, line 1: a key is"),
    ],
)
def test_errors_of_the_environment(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("", environ={variable: value})
    assert message in str(caught.value)


def test_every_plain_option_has_a_variable() -> None:
    assert len(option_variables()) == len(set(option_variables()))
    plain: set[Any] = set(option_variables().values())
    assert ("server", "host") in plain
    every = {
        (section, name)
        for section, struct in (("server", ServerSettings), ("limits", LimitSettings), ("engines", EngineSettings))
        for name in get_type_hints(struct)
    }
    assert every - plain == {("server", "keys"), ("engines", "settings"), ("engines", "voices")}


def test_keys_come_together(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("ben:k2\n")
    (tmp_path / "my.toml").write_text("[server]\nkeys = [{ name = 'anna', key = 'k1' }]\nkey_file = 'keys'\n")
    config = load_config(tmp_path / "my.toml", {"OPENLIVE_KEYS": "carl:k3"})
    assert config.server.keys == (Key("anna", "k1"), Key("ben", "k2"), Key("carl", "k3"))
    with pytest.raises(ConfigError, match=r"all keys together: there are two keys named 'anna'"):
        load_config(tmp_path / "my.toml", {"OPENLIVE_KEYS": "anna:k3"})
    (tmp_path / "keys").unlink()
    with pytest.raises(ConfigError, match=r"key file .*keys cannot be read"):
        load_config(tmp_path / "my.toml", {})


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(environ={}) == Config()
    (tmp_path / "openlive.toml").write_text("[server]\nport = 1\n")
    assert load_config(environ={}).server.port == 1
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "other.toml").write_text("[server]\nport = 2\ncertificate = 'own.pem'\n")
    config = load_config(environ={"OPENLIVE_CONFIG": "sub/other.toml"})
    assert (config.server.port, config.server.certificate) == (2, "sub/own.pem")
    assert load_config(tmp_path / "openlive.toml", {"OPENLIVE_CONFIG": "sub/other.toml"}).server.port == 1
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read"):
        load_config(Path("gone.toml"), {})


# --- memory -----------------------------------------------------------------------------------------------------------


def test_auto_picks_by_memory_and_says_why() -> None:
    large, small = choose_llm(COMFORTABLE_MEMORY), choose_llm(COMFORTABLE_MEMORY - 1)
    assert (large.spec, small.spec) == ("qwen2.5-1.5b", "qwen2.5-0.5b")
    assert large.reason == "qwen2.5-1.5b: 3.5 GB of memory may be used, 3.5 GB are enough"
    assert "only 3.4 GB" in small.reason
    assert "only 2.1 GB of memory may be used" in choose_llm(2_100_000_000).reason


def test_a_cgroups_limit_counts(tmp_path: Path) -> None:
    system = usable_memory(tmp_path)
    assert system > 0

    def cgroup(limit: str, version: int) -> int:
        root = tmp_path / f"v{version}-{limit}"
        folder = root if version == 2 else root / "memory"
        folder.mkdir(parents=True)
        names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        (folder / names[0]).write_text(f"{limit}\n")
        (folder / names[1]).write_text("60000000\n")
        cache = "inactive_file" if version == 2 else "total_inactive_file"
        (folder / "memory.stat").write_text(f"anon 1\n{cache} 20000000\n")
        return usable_memory(root)

    for version in (1, 2):
        assert cgroup("100000000", version) == 60_000_000
        assert cgroup("10000000", version) == 0
        assert cgroup("9223372036854771712", version) == pytest.approx(system, rel=0.2)
    assert cgroup("max", 2) == pytest.approx(system, rel=0.2)


def test_one_kind_of_an_engine_may_have_settings_of_its_own() -> None:
    config = parse_config(
        '[engines.settings.openai]\nmodel = "llama"\napi_key = "k"\n'
        '[engines.settings.openai.tts]\nmodel = "kokoro"\nvoices = { Puck = "am_puck" }\n',
        "openlive.toml",
        {},
    )
    engines = config.engines
    assert engines.settings_of("llm", "openai:http://a/v1") == {"model": "llama", "api_key": "k"}
    spoken = {"model": "kokoro", "api_key": "k", "voices": {"Puck": "am_puck"}}
    assert engines.settings_of("tts", "openai:http://b/v1") == spoken
    assert engines.settings_of("tts", "kokoro") == {}
