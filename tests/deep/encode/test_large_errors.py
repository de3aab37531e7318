"""What cannot work with a large model says so, names the value, and says what to do."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from salon import registry
from salon.data.ids import IdMap
from salon.data.items import Field, Items
from salon.encode import large_openclip
from salon.encode.run import encode_items
from salon.errors import FingerprintError, MissingExtraError, SalonError, SettingError, WeightsError
from salon.types import Modality

TEXTS = ["A red bicycle", "Blue shoes"]
Tiny = Callable[[str], str]
Values = Callable[[Modality], list[Any]]


def make(name: str, model: str, **settings: Any) -> Any:
    return registry.create("encoder", name, {"model": model, **settings})


@pytest.mark.parametrize(
    ("name", "model", "settings", "error", "words"),
    [
        ("st-text", "sentences", {"dim": 33}, SettingError, "dim = 33.*gives 32 numbers"),
        ("st-text", "sentences", {"max_tokens": 100}, SettingError, "max_tokens = 100.*reads 48"),
        ("hf-text", "bert", {"max_tokens": 100}, SettingError, "max_tokens = 100.*reads 64"),
        ("hf-text", "bert", {"layer": 3}, SettingError, "layer = 3.*has 3"),
        ("hf-text", "gpt2", {"pooling": "pooler"}, SettingError, "has no pooler"),
        ("hf-text", "clip", {}, SettingError, "'clip' is a pair of networks.*clip-text"),
        ("clip-text", "bert", {}, SettingError, "type 'bert' has no get_text_features"),
        ("clip-text", "wav2vec2", {}, SettingError, "has no get_text_features"),
    ],
)
def test_settings_that_do_not_fit_the_model(
    name: str, model: str, settings: dict[str, Any], error: type[SalonError], words: str, tiny: Tiny
) -> None:
    with pytest.raises(error, match=words) as raised:
        make(name, tiny(model), **settings).encode(TEXTS)
    assert tiny(model) in str(raised.value)


def test_a_map_of_a_convolution_has_no_first_state(tiny: Tiny, raw_values: Values) -> None:
    with pytest.raises(SettingError, match="has no cls state: set 'mean'"):
        make("hf-image", tiny("resnet")).encode(raw_values(Modality.IMAGE))


def test_pictures_for_a_model_that_reads_and_videos_for_one_that_sees(tiny: Tiny, raw_values: Values) -> None:
    with pytest.raises(SettingError, match=r"takes text.*, not image"):
        make("st-image", tiny("sentences")).encode(raw_values(Modality.IMAGE))
    with pytest.raises(SettingError, match=r"sees no videos.*hf-frames"):
        make("hf-video", tiny("vit")).encode(raw_values(Modality.VIDEO))


@pytest.mark.parametrize("name", ["st-text", "hf-text", "clip-text", "clap-text"])
def test_a_gpu_that_is_not_there(name: str, tiny: Tiny) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    model = {"st": "sentences", "hf": "bert", "clip": "clip", "clap": "clap"}[name.partition("-")[0]]
    with pytest.raises(SettingError, match=r"device 'cuda' is not on this machine.*Found: .*cpu"):
        make(name, tiny(model), device="cuda").encode(TEXTS)


def test_an_unknown_device_and_an_unknown_setting() -> None:
    with pytest.raises(SettingError, match=r"'device'.*'gpu'"):
        make("st-text", "minilm-l6", device="gpu")
    with pytest.raises(SettingError, match=r"Unknown setting 'batchsize'.*'batch_size'"):
        make("st-text", "minilm-l6", batchsize=3)
    with pytest.raises(SettingError, match=r"'model'.* is missing"):
        registry.create("encoder", "st-text")


@pytest.mark.parametrize("name", ["st-text", "hf-text", "clip-text", "whisper-audio"])
def test_a_folder_with_no_model_in_it(name: str, tmp_path: Path) -> None:
    settings = {"text": "hashing"} if name.startswith("whisper") else {}
    with pytest.raises(WeightsError, match=f"{re.escape(str(tmp_path))}.*holds no model"):
        assert make(name, str(tmp_path), **settings).fingerprint


def copied(tiny: Tiny, name: str, place: Path) -> Path:
    shutil.copytree(tiny(name), place)
    return place


@pytest.mark.parametrize(
    ("encoder", "model"),
    [("st-text", "sentences"), ("hf-text", "bert"), ("clip-text", "clip"), ("whisper-audio", "whisper")],
)
def test_weights_of_nan_are_refused_with_their_name(
    encoder: str, model: str, tiny: Tiny, tmp_path: Path, raw_values: Values
) -> None:
    folder = copied(tiny, model, tmp_path / "model")
    kind = {"whisper": hf.WhisperForConditionalGeneration, "clip": hf.CLIPModel}.get(model, hf.BertModel)
    network = kind.from_pretrained(folder)
    with torch.no_grad():
        next(weight for name, weight in network.named_parameters() if name.endswith("bias"))[0] = float("nan")
    network.save_pretrained(folder)
    settings = {"text": "hashing"} if model == "whisper" else {}
    values = raw_values(Modality.AUDIO) if model == "whisper" else TEXTS
    with pytest.raises(WeightsError, match=r"The weight '.*bias' .* holds NaN"):
        make(encoder, str(folder), **settings).encode(values)


def test_a_network_that_gives_nan_is_an_error_and_one_bad_value_is_masked(tiny: Tiny, tmp_path: Path) -> None:
    folder = copied(tiny, "bert", tmp_path / "model")
    network = hf.BertModel.from_pretrained(folder)
    letter = hf.AutoTokenizer.from_pretrained(folder)("X")["input_ids"][1]
    with torch.no_grad():
        network.embeddings.word_embeddings.weight[letter] = 3e38  # finite, and its square is not
    network.save_pretrained(folder)
    spec = {"text": {"name": "hf-text", "model": str(folder), "device": "cpu"}}
    with pytest.raises(WeightsError, match=r"gives NaN in float32, no vectors\. Set precision"):
        make("hf-text", str(folder)).encode(["X", "aX"])
    items = Items(IdMap(["a", "b"]), {"title": Field.of("title", "text", ["fine", "aX"])})
    features, problems = encode_items(items, spec)
    assert features["text"].present.tolist() == [True, False]
    assert [(problem.id, "not finite" in problem.reason) for problem in problems] == [("b", True)]


def test_missing_weights_are_not_filled_with_chance(tiny: Tiny, tmp_path: Path, raw_values: Values) -> None:
    with pytest.raises(WeightsError, match=r"has no weights for .*pooler.*random numbers"):
        make("hf-image", tiny("vit"), pooling="pooler").encode(raw_values(Modality.IMAGE))
    folder = copied(tiny, "bert", tmp_path / "model")
    hf.BertConfig(**{**hf.BertConfig.from_pretrained(folder).to_dict(), "num_hidden_layers": 3}).save_pretrained(folder)
    with pytest.raises(WeightsError, match=r"has no weights for 'encoder\.layer\.2.*and 15 others"):
        make("hf-text", str(folder)).encode(TEXTS)


def test_files_of_another_kind_are_named(tiny: Tiny, tmp_path: Path) -> None:
    folder = copied(tiny, "bert", tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"not weights")
    for name in ("hf-text", "st-text"):
        with pytest.raises(WeightsError, match="cannot be loaded"):
            make(name, str(folder)).encode(TEXTS)
    (folder / "config.json").write_text('{"model_type": "no-such-network"}')
    with pytest.raises(WeightsError, match=r"cannot be loaded.*no-such-network"):
        make("hf-text", str(folder)).encode(TEXTS)


def test_code_of_a_model_is_never_run(tiny: Tiny, tmp_path: Path) -> None:
    folder = copied(tiny, "bert", tmp_path / "model")
    (folder / "config.json").write_text(
        '{"model_type": "strange", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}'
    )
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    for name in ("hf-text", "st-text", "clip-text"):
        with pytest.raises(WeightsError, match="cannot be loaded"):
            make(name, str(folder)).encode(TEXTS)
    assert not (tmp_path / "ran").exists()


def test_the_text_encoder_of_a_transcript_must_learn_nothing(tiny: Tiny) -> None:
    for text in ("tfidf", "lite0", {"name": "tfidf", "dim": 8}):
        with pytest.raises(SettingError, match=r"cannot encode what was said.*use, minilm or st-text"):
            assert make("whisper-audio", tiny("whisper"), text=text).dim
    with pytest.raises(SettingError, match="There is no encoder named 'minilmm'"):
        assert make("whisper-audio", tiny("whisper"), text="minilmm").dim


def test_spaces_of_two_models_do_not_mix(tiny: Tiny) -> None:
    items = Items(IdMap(["a", "b"]), {"title": Field.of("title", "text", TEXTS)})
    first, second = (
        encode_items(items, {"text": {"name": "clip-text", "model": tiny(model), "device": "cpu", "dim": 8}})[0]["text"]
        for model in ("clip", "siglip")
    )
    assert first.dim == second.dim
    with pytest.raises(FingerprintError, match="cannot join"):
        first.check_same_space(second)
    assert np.isfinite(first.vectors).all()


def test_open_clip_that_is_not_there_is_an_extra_to_install(tmp_path: Path) -> None:
    try:
        large_openclip.open_clip()
    except MissingExtraError:
        (tmp_path / "open_clip_config.json").write_text("{}")
        (tmp_path / "open_clip_model.safetensors").write_bytes(b"x")
        with pytest.raises(MissingExtraError, match=r"pip install 'salon\[openclip\]'"):
            make("openclip-text", str(tmp_path)).encode(TEXTS)
    else:
        pytest.skip("open_clip is installed")
