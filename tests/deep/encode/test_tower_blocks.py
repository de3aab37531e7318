"""The blocks of towers: padding never matters, order does, and pretrained networks give the numbers of their source."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from salon.encode.pictures import EfficientNetLite0
from salon.encode.tower_bert import bert_blocks, bert_folder, bert_shape, load_bert
from salon.encode.tower_blocks import PerFrame, PlacesMean, Recurrent, StepsPool, Tokens, TowerNetwork, over_time
from salon.encode.tower_examples import Examples, collate, through
from salon.encode.tower_lite0 import lite0_blocks, load_lite0
from salon.errors import ArtifactError, ResourceError, WeightsError


def sequence_network(kind: str) -> TowerNetwork:
    torch.manual_seed(0)
    blocks, width = over_time(kind, 6, 8, 2)
    return TowerNetwork(blocks, width, 5, sequential=True).eval()


@pytest.mark.parametrize("kind", ["lstm", "gru", "transformer"])
def test_padding_changes_nothing_and_order_does(kind: str) -> None:
    network = sequence_network(kind)
    rng = np.random.default_rng(0)
    sequences = [rng.standard_normal((length, 6)).astype(np.float32) for length in (3, 9, 1)]
    values, lengths = collate(sequences)
    values[0, 3:] = 77.0  # whatever stands in the padding
    with torch.no_grad():
        together = network(torch.as_tensor(values), torch.as_tensor(lengths))
        alone = torch.cat([network(torch.as_tensor(one)[None], torch.tensor([len(one)])) for one in sequences])
        turned = network(torch.as_tensor(sequences[1][::-1].copy())[None], torch.tensor([9]))
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together.norm(dim=1), torch.ones(3), atol=1e-5)
    assert not torch.allclose(turned[0], alone[1], atol=1e-3)


def test_pools_are_the_plain_means() -> None:
    values, lengths = torch.randn(2, 5, 3), torch.tensor([2, 5])
    found = StepsPool()(values, lengths)
    for row, length in enumerate(lengths):
        part = values[row, :length]
        assert torch.allclose(found[row], torch.cat([part.mean(0), part.amax(0)]), atol=1e-6)
    maps = torch.randn(4, 3, 2, 2)
    frames = PerFrame(PlacesMean())(maps.view(2, 2, 3, 2, 2), lengths)
    assert torch.allclose(frames.view(4, 3), maps.mean((2, 3)), atol=1e-6)


def test_a_frozen_part_computed_once_gives_the_same() -> None:
    torch.manual_seed(0)
    network = TowerNetwork([Tokens(20, 4), Recurrent(4, 3), StepsPool()], 12, 5, sequential=True).eval()
    views = [[np.arange(1, n + 1)] * 2 for n in (4, 2, 7)]
    whole = Examples(views)
    for cut in range(4):
        part = through(network, whole, cut, 10, torch.device("cpu"))
        assert [len(v) for v in part.views] == [2, 2, 2]
        with torch.no_grad():
            wanted = network(*map(torch.as_tensor, whole.batch(np.arange(3))))
            found = network(*map(torch.as_tensor, part.batch(np.arange(3))), cut)
        # lengths are lost with the sequence, and not needed any more
        assert torch.allclose(found, wanted, atol=1e-5), cut


def test_too_much_memory_is_refused_before_it_is_taken() -> None:
    network = TowerNetwork([Tokens(20, 512), StepsPool()], 1024, 5, sequential=True)
    examples = Examples([[np.ones(500, np.int64)]] * 40)
    with pytest.raises(ResourceError, match="memory_mb is 1"):
        through(network, examples, 1, 1, torch.device("cpu"))


def test_lite0_gives_the_features_of_the_onnx_graph() -> None:
    rows, columns = np.mgrid[0:224, 0:224]
    pictures = np.stack(
        [
            np.stack([127.5 + 127.5 * np.sin((k + 1) * 0.03 * (rows + c * columns)) for c in range(3)], -1)
            for k in range(3)
        ]
    ).astype(np.uint8)
    blocks = lite0_blocks()
    load_lite0(blocks)
    try:
        wanted = EfficientNetLite0().embed(list(pictures))
    except WeightsError as error:
        pytest.skip(str(error))
    network = TowerNetwork([*blocks, PlacesMean()], 1280, 4).eval()
    with torch.no_grad():
        found = network.run(torch.as_tensor(pictures), torch.full((3,), 224), 0, len(network.blocks)).numpy()
    assert np.abs(found - wanted).max() < 1e-3
    assert wanted.max() > 0.5


def test_bert_gives_the_states_of_the_transformers_library(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
    config = transformers.BertConfig(vocab_size=50, max_position_embeddings=16, **sizes)
    model = transformers.BertModel(config).eval()
    model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    shape = bert_shape(str(tmp_path))
    blocks = bert_blocks(shape)
    load_bert(blocks, str(tmp_path))
    ids = torch.randint(1, 50, (3, 9))
    lengths = torch.tensor([9, 4, 1])
    mask = (torch.arange(9)[None] < lengths[:, None]).long()
    network = TowerNetwork(blocks, 24, 4, sequential=True).eval()
    with torch.no_grad():
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        wanted = (states * mask[:, :, None]).sum(1) / lengths[:, None]
        found = network.run(ids, lengths, 0, len(network.blocks))
    assert torch.allclose(found, wanted, atol=1e-5)


def test_a_folder_without_a_bert_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no config\.json"):
        bert_folder(str(tmp_path))
    for file in ("model.safetensors", "tokenizer.json"):
        (tmp_path / file).write_text("{}")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ArtifactError, match="'gpt2', not a BERT"):
        bert_shape(str(tmp_path))
