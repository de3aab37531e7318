"""Tiny models with random weights, written to folders by their own libraries, as real ones are."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors

CONTRACT = Path(__file__).resolve().parents[2] / "contract" / "conftest.py"
_spec = importlib.util.spec_from_file_location("contract_values", CONTRACT)
assert _spec is not None
assert _spec.loader is not None
_values = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_values)
raw_values = _values.raw_values

VOCABULARY = 300


def tokenizer(start: str = "[CLS]", end: str = "[SEP]", **more: Any) -> hf.PreTrainedTokenizerFast:
    """One token per byte, between a start and an end."""
    special = ["[PAD]", start, end, "[UNK]"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, 1), (end, 2)]
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        bos_token=start,
        eos_token=end,
        cls_token=start,
        sep_token=end,
        model_max_length=64,
        **more,
    )


SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": VOCABULARY,
}
TEXT = {**SIZES, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SIGHT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}
SQUARE = {"height": 32, "width": 32}
HEARING = {
    **SIZES,
    "conv_dim": (16, 16),
    "conv_stride": (5, 4),
    "conv_kernel": (10, 8),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "group",
}


def bert(folder: Path) -> None:
    hf.BertModel(hf.BertConfig(**TEXT)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def gpt2(folder: Path) -> None:
    config = hf.GPT2Config(
        vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2
    )
    hf.GPT2LMHeadModel(config).save_pretrained(folder)
    tokens = tokenizer(padding_side="left")
    tokens.pad_token = None
    tokens.save_pretrained(folder)


def t5(folder: Path) -> None:
    config = hf.T5Config(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    hf.T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def sentences(folder: Path) -> None:
    bert(folder / "bert")
    transformer = Transformer(str(folder / "bert"), max_seq_length=48)
    model = SentenceTransformer(
        modules=[transformer, Pooling(32), Normalize()],
        device="cpu",
        prompts={"query": "find: ", "document": "text: "},
    )
    model.save(str(folder / "model"), create_model_card=False)


def clip(folder: Path) -> None:
    config = hf.CLIPConfig(text_config=TEXT, vision_config=SIGHT, projection_dim=24)
    hf.CLIPModel(config).save_pretrained(folder)
    hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def chinese_clip(folder: Path) -> None:
    config = hf.ChineseCLIPConfig(text_config=TEXT, vision_config=SIGHT, projection_dim=24)
    hf.ChineseCLIPModel(config).save_pretrained(folder)
    hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def siglip(folder: Path) -> None:
    hf.SiglipModel(hf.SiglipConfig(text_config=TEXT, vision_config=SIGHT)).save_pretrained(folder)
    hf.SiglipImageProcessorPil(size=SQUARE).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def siglip2(folder: Path) -> None:
    sight = {**{k: v for k, v in SIGHT.items() if k != "image_size"}, "num_patches": 16}
    hf.Siglip2Model(hf.Siglip2Config(text_config=TEXT, vision_config=sight)).save_pretrained(folder)
    hf.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def clap(folder: Path, *, fusion: bool = False) -> None:
    sound = {
        "spec_size": 64,
        "num_mel_bins": 16,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "patch_embeds_hidden_size": 16,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "hidden_size": 32,
        "window_size": 4,
        "num_hidden_layers": 2,
        "num_classes": 3,
        "enable_fusion": fusion,
    }
    text = {**TEXT, "max_position_embeddings": 80, "pad_token_id": 0}
    config = hf.ClapConfig(text_config=text, audio_config=sound, projection_dim=24)
    hf.ClapModel(config).save_pretrained(folder)
    hf.ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=16000,
        max_length_s=2,
        hop_length=160,
        fft_window_size=512,
        frequency_max=8000,
        truncation="fusion" if fusion else "rand_trunc",
    ).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def clap_fusion(folder: Path) -> None:
    clap(folder, fusion=True)


def vit(folder: Path) -> None:
    hf.ViTForImageClassification(hf.ViTConfig(**SIGHT)).save_pretrained(folder)
    hf.ViTImageProcessorPil(size=SQUARE).save_pretrained(folder)


def dinov2(folder: Path) -> None:
    hf.Dinov2Model(hf.Dinov2Config(**SIGHT)).save_pretrained(folder)
    hf.ViTImageProcessorPil(size=SQUARE).save_pretrained(folder)


def resnet(folder: Path) -> None:
    config = hf.ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic")
    hf.ResNetModel(config).save_pretrained(folder)
    hf.ViTImageProcessorPil(size=SQUARE).save_pretrained(folder)


def wav2vec2(folder: Path) -> None:
    hf.Wav2Vec2Model(hf.Wav2Vec2Config(**HEARING)).save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def hubert(folder: Path) -> None:
    hf.HubertModel(hf.HubertConfig(**HEARING)).save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def wavlm(folder: Path) -> None:
    hf.WavLMModel(hf.WavLMConfig(**HEARING)).save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def videomae(folder: Path) -> None:
    hf.VideoMAEModel(hf.VideoMAEConfig(**SIGHT, num_frames=4)).save_pretrained(folder)
    hf.VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE).save_pretrained(folder)


def whisper(folder: Path) -> None:
    config = hf.WhisperConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=16,
        max_target_positions=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        init_std=2.0,
    )
    model = hf.WhisperForConditionalGeneration(config)
    model.generation_config = hf.GenerationConfig(
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, suppress_tokens=[0, 1, 3]
    )
    model.save_pretrained(folder)
    extractor = hf.WhisperFeatureExtractor(feature_size=16)
    hf.WhisperProcessor(extractor, whisper_tokenizer(folder)).save_pretrained(folder)


def whisper_tokenizer(folder: Path) -> hf.WhisperTokenizer:
    """Whisper's own class, one token per byte."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["[PAD]", "[CLS]", "<|endoftext|>", *letters])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return hf.WhisperTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


MAKERS: dict[str, Callable[[Path], None]] = {
    maker.__name__: maker
    for maker in (
        bert, gpt2, t5, sentences, clip, chinese_clip, siglip, siglip2, clap, clap_fusion, vit, dinov2, resnet,
        wav2vec2, hubert, wavlm, videomae, whisper,
    )
}  # fmt: skip


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a tiny model by the name of its maker, written once."""
    root = tmp_path_factory.mktemp("models")

    def folder(name: str) -> str:
        place = root / name
        if not place.exists():
            place.mkdir()
            torch.manual_seed(7)
            MAKERS[name](place)
        return str(place / "model" if name == "sentences" else place)

    return folder
