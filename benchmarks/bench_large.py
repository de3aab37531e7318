"""How much of the speed of a bare loop of its own library each large-model encoder keeps.

    python benchmarks/bench_large.py --data ../shared/data --out benchmarks/large.md

Networks of real size with random weights, written to a folder by their own library and read from there. Two ways over
the same values, one thread each, in alternation, five rounds:
  bare      a loop of the library over cleaned texts, or over inputs stacked beforehand: tokenise, network, pool
  salon     `CatalogueEncoder.encode`: contents hashed, cache looked up and written, batches embedded, rows scattered
Decoding is timed apart: it depends on the files, not on us.
"""

from __future__ import annotations

import argparse
import csv
import platform
import statistics
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from sentence_transformers import SentenceTransformer
from sentence_transformers import __version__ as st_version
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from salon.data.ids import IdMap
from salon.data.items import Field, Items
from salon.encode.cache import VectorCache
from salon.encode.large import LargeEncoder
from salon.encode.plan import Part
from salon.encode.run import CatalogueEncoder
from salon.encode.weights import weight_files
from salon.media.audio import decode_audio
from salon.registry import create

ROUNDS = 5
BATCH = 32
Way = Callable[[], object]
Job = tuple[str, int, dict[str, Way], float]


def column(folder: Path, name: str, count: int) -> list[str]:
    with (folder / "items.csv").open(encoding="utf-8") as file:
        return list(dict.fromkeys(row[name] for row in csv.DictReader(file) if row[name]))[:count]


def tokenizer() -> Any:
    """The word pieces of BERT, which the plain installation brings."""
    return hf.PreTrainedTokenizerFast(
        tokenizer_file=str(weight_files("minilm-tokenizer")["tokenizer"]),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        bos_token="[CLS]",
        eos_token="[SEP]",
        model_max_length=256,
    )


def minilm(folder: Path) -> None:
    size = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    hf.BertModel(hf.BertConfig(**size)).save_pretrained(folder / "bert")
    tokenizer().save_pretrained(folder / "bert")
    modules = [Transformer(str(folder / "bert"), max_seq_length=256), Pooling(384), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "sentences"), create_model_card=False)


def clip(folder: Path) -> None:
    text = {"vocab_size": 30522, "bos_token_id": 101, "eos_token_id": 102, "pad_token_id": 0}
    hf.CLIPModel(hf.CLIPConfig(text_config=text)).save_pretrained(folder / "clip")  # the defaults are ViT-B/32
    hf.CLIPImageProcessorPil().save_pretrained(folder / "clip")
    tokens = tokenizer()
    tokens.model_max_length = 77
    tokens.save_pretrained(folder / "clip")
    hf.ViTModel(hf.ViTConfig(patch_size=32)).save_pretrained(folder / "vit")
    hf.ViTImageProcessorPil().save_pretrained(folder / "vit")


def hearing(folder: Path) -> None:
    hf.Wav2Vec2Model(hf.Wav2Vec2Config()).save_pretrained(folder / "wav2vec2")  # the defaults are the base model
    hf.Wav2Vec2FeatureExtractor().save_pretrained(folder / "wav2vec2")
    hf.ClapModel(hf.ClapConfig()).save_pretrained(folder / "clap")  # the defaults are clap-htsat-unfused
    hf.ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder / "clap")


def through_salon(encoder: LargeEncoder, prepared: dict[str, Any], values: list[str], root: Path | None) -> Way:
    """The whole way of a catalogue, `prepare` replaced by a look-up of what was prepared before."""
    encoder.prepare = lambda value: prepared[str(value)]  # type: ignore[method-assign]
    items = Items(IdMap(map(str, range(len(values)))), {"f": Field.of("f", encoder.modality, values)}, root)
    part = Part("f", encoder.modality, ("f",), encoder)

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder, VectorCache(Path(folder) / "v.sqlite") as cache:
            features, problems = CatalogueEncoder([part]).encode(items, cache)
        assert features["f"].present.all()
        assert not problems

    return run


def ready(encoder: LargeEncoder, values: list[str], root: Path | None) -> tuple[dict[str, Any], float]:
    """The prepared values by what `prepare` is given, and the processor seconds that preparing took."""
    encoder.prepare(str((root / values[0]).resolve()) if root else values[0])  # loads what it needs
    start = time.process_time()
    found = {key: encoder.prepare(key) for key in [str((root / v).resolve()) if root else v for v in values]}
    return found, time.process_time() - start


def batches(values: list[Any], size: int = BATCH) -> Iterator[list[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def inference(run: Callable[[], object]) -> Way:
    def way() -> None:
        with torch.inference_mode():
            run()

    return way


def texts_job(models: Path, data: Path, count: int) -> Iterator[Job]:
    texts = column(data / "amazon-industrial-text", "text", count)
    folder = str(models / "sentences")
    encoder = create("encoder", "st-text", {"model": folder, "device": "cpu"})
    prepared, seconds = ready(encoder, texts, None)
    cleaned = list(prepared.values())
    library = SentenceTransformer(folder, device="cpu")
    bare: Way = lambda: library.encode(cleaned, batch_size=BATCH, show_progress_bar=False)  # noqa: E731
    yield "st-text, MiniLM-L6", count, {"bare": bare, "salon": through_salon(encoder, prepared, texts, None)}, seconds

    folder = str(models / "bert")
    encoder = create("encoder", "hf-text", {"model": folder, "device": "cpu"})
    network, tokens = hf.AutoModel.from_pretrained(folder).eval(), hf.AutoTokenizer.from_pretrained(folder)

    def hidden() -> None:
        for batch in batches(sorted(cleaned, key=len)):
            inputs = tokens(batch, padding=True, truncation=True, max_length=256, return_tensors="pt")
            states, mask = network(**inputs).last_hidden_state, inputs["attention_mask"][:, :, None]
            ((states * mask).sum(1) / mask.sum(1)).numpy()

    ways = {"bare": inference(hidden), "salon": through_salon(encoder, prepared, texts, None)}
    yield "hf-text, MiniLM-L6", count, ways, seconds

    folder = str(models / "clip")
    encoder = create("encoder", "clip-text", {"model": folder, "device": "cpu"})
    dual, pieces = hf.AutoModel.from_pretrained(folder).eval(), hf.AutoTokenizer.from_pretrained(folder)

    def pairs() -> None:
        for batch in batches(sorted(cleaned, key=len)):
            inputs = pieces(batch, padding=True, truncation=True, max_length=77, return_tensors="pt")
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            dual.get_text_features(input_ids=ids, attention_mask=mask).pooler_output.numpy()

    ways = {"bare": inference(pairs), "salon": through_salon(encoder, prepared, texts, None)}
    yield "clip-text, CLIP ViT-B/32", count, ways, seconds


def pictures_job(models: Path, data: Path, count: int) -> Iterator[Job]:
    root = data / "clothing-images"
    names = column(root, "image_path", count)
    for title, name, model in (("CLIP ViT-B/32", "clip-image", "clip"), ("ViT-B/32", "hf-image", "vit")):
        encoder = create("encoder", name, {"model": str(models / model), "device": "cpu"})
        prepared, seconds = ready(encoder, names, root)
        pixels = [torch.from_numpy(pieces[0]["pixel_values"]) for pieces in prepared.values()]
        stacked = [torch.stack(batch) for batch in batches(pixels, 16)]
        network = hf.AutoModel.from_pretrained(models / model).eval()

        def look(network: Any = network, stacked: list[Any] = stacked, name: str = name) -> None:
            for batch in stacked:
                if name == "clip-image":
                    network.get_image_features(pixel_values=batch).pooler_output.numpy()
                else:
                    network(pixel_values=batch).last_hidden_state[:, 0].numpy()

        ways = {"bare": inference(look), "salon": through_salon(encoder, prepared, names, root)}
        yield f"{name}, {title}", count, ways, seconds


def write_sounds(root: Path, data: Path, count: int, seconds: int) -> list[str]:
    """Spoken digits one after another, `seconds` a file."""
    folder = data / "spoken-digits-audio"
    digits = iter(column(folder, "audio_path", 40 * count))
    names = []
    for number in range(count):
        heard = np.concatenate([decode_audio(folder / next(digits), 16000) for _ in range(12)])
        samples = np.resize(heard, 16000 * seconds)
        with wave.open(str(root / f"{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        names.append(f"{number}.wav")
    return names


def sounds_job(models: Path, data: Path, count: int) -> Iterator[Job]:
    root = models / "sounds"
    root.mkdir()
    names = write_sounds(root, data, count, 5)
    for title, name in (("wav2vec 2.0 base", "hf-audio"), ("CLAP HTSAT", "clap-audio")):
        model = "wav2vec2" if name == "hf-audio" else "clap"
        encoder = create("encoder", name, {"model": str(models / model), "device": "cpu"})
        prepared, seconds = ready(encoder, names, root)
        pieces = [one[0] for one in prepared.values()]
        stacked = [
            {k: torch.from_numpy(np.stack([p[k] for p in part])) for k in part[0]} for part in batches(pieces, 4)
        ]
        network = hf.AutoModel.from_pretrained(models / model).eval()

        def listen(network: Any = network, stacked: list[Any] = stacked, name: str = name) -> None:
            for batch in stacked:
                if name == "clap-audio":
                    network.get_audio_features(**batch).pooler_output.numpy()
                else:
                    network(**batch).last_hidden_state.mean(1).numpy()

        ways = {"bare": inference(listen), "salon": through_salon(encoder, prepared, names, root)}
        yield f"{name}, {title}, 5 s", count, ways, seconds


def measure(ways: dict[str, Way]) -> dict[str, list[tuple[float, float]]]:
    """Name -> (processor seconds, seconds on the clock) of alternating rounds, after one to warm up."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for round_number in range(ROUNDS + 1):
        for name in sorted(ways, reverse=bool(round_number % 2)):
            clock, processor = time.perf_counter(), time.process_time()
            ways[name]()
            if round_number:
                times[name].append((time.process_time() - processor, time.perf_counter() - clock))
    return times


def line(title: str, count: int, ways: dict[str, Way], decoding: float) -> str:
    times = measure(ways)
    bare, salon = ([statistics.median(column) for column in zip(*times[way], strict=True)] for way in ("bare", "salon"))
    shares = [b[0] / s[0] for b, s in zip(times["bare"], times["salon"], strict=True)]
    spread = f"{min(shares):.1%} to {max(shares):.1%}"
    cells = f"{count / bare[0]:.1f} | {count / salon[0]:.1f} | {bare[0] / salon[0]:.1%} | {spread}"
    clock = f"{count / bare[1]:.1f} | {count / salon[1]:.1f} | {bare[1] / salon[1]:.1%}"
    return f"| {title} | {count} | {cells} | {clock} | {count / max(decoding, 1e-9):.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the real data sets")
    parser.add_argument("--out", type=Path, help="the page to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    hf.utils.logging.disable_progress_bar()
    lines = [
        "# Large models: speed as a share of a bare loop of their own library",
        "",
        f"{platform.machine()}, 2 cores shared with other work, one thread, torch {torch.__version__}, transformers "
        f"{hf.__version__}, sentence-transformers {st_version}, Python {platform.python_version()};",
        f"medians of {ROUNDS} alternating rounds. Command: `python benchmarks/bench_large.py --data DATA --out PAGE`",
        "",
        "- networks of real size with random weights, written to a folder and read from there; float32",
        "- bare: a loop of the library over cleaned texts, or over inputs that were stacked beforehand",
        "- salon: the whole `CatalogueEncoder.encode` except decoding: hashing of contents, cache, batches, rows",
        "- decode: cleaning of a text; reading a medium and the library's own processor, counted apart",
        "- the first share is of processor seconds, and its spread that of the five rounds; since other work ran, the",
        "  clock says little",
        "- not measured: `whisper-*`, `hf-video` and `openclip-*`",
        "",
        "| encoder, network | values | bare /s | salon /s | share | spread | bare, clock | salon, clock | share, clock "
        "| decode /s |",
        "|---|--:|--:|--:|--:|---|--:|--:|--:|--:|",
    ]
    jobs = ((minilm, clip), texts_job, 48), ((), pictures_job, 24), ((hearing,), sounds_job, 8)
    with tempfile.TemporaryDirectory() as folder:
        for makers, job, count in jobs:
            for maker in makers:
                maker(Path(folder))
            for found in job(Path(folder), arguments.data, count):
                lines.append(line(*found))
                print(lines[-1], flush=True)
    page = "\n".join(lines) + "\n"
    if arguments.out:
        arguments.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
