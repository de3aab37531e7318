"""The converted networks agree with the same networks written out in slow numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from salon.encode.onnx_lite0 import EPS, STAGES
from salon.encode.onnx_musicnn import write_musicnn
from salon.encode.onnx_voice import write_voice
from salon.encode.pictures import EfficientNetLite0
from salon.encode.sessions import OnnxModel
from salon.encode.sounds import GE2EVoice, MusiCNN
from salon.encode.torch_file import read_torch
from salon.encode.weights import WEIGHTS, _installed


def conv_same(value: np.ndarray, kernel: np.ndarray, stride: int, *, depthwise: bool) -> np.ndarray:
    """(channels, h, w) convolved with TensorFlow's "same" padding, place by place of the kernel."""
    size = kernel.shape[2]
    out = -(-value.shape[1] // stride)
    total = max(0, (out - 1) * stride + size - value.shape[1])
    before = total // 2
    padded = np.pad(value, ((0, 0), (before, total - before), (before, total - before)))
    result = np.zeros((len(kernel), out, out), value.dtype)
    for y in range(size):
        for x in range(size):
            part = padded[:, y : y + out * stride : stride, x : x + out * stride : stride][:, :out, :out]
            weight = kernel[:, :, y, x]
            result += part * weight[:, :1, None] if depthwise else np.tensordot(weight, part, 1)
    return result


def slow_lite0(weights: dict[str, np.ndarray], picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def layer(value, conv, norm, *, stride=1, depthwise=False, relu=True):
        value = conv_same(value, weights[f"{conv}.weight"], stride, depthwise=depthwise)
        mean, var = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        value = (value - mean[:, None, None]) / np.sqrt(var + EPS)[:, None, None]
        value = value * weights[f"{norm}.weight"][:, None, None] + weights[f"{norm}.bias"][:, None, None]
        return np.clip(value, 0, 6) if relu else value

    value = (picture.astype(np.float32).transpose(2, 0, 1) - 127) / 128
    value = layer(value, "_conv_stem", "_bn0", stride=2)
    block = 0
    for _, first, expansion, _, repeats in STAGES:
        for repeat in range(repeats):
            start, name = value, f"_blocks.{block}"
            if expansion > 1:
                value = layer(value, f"{name}._expand_conv", f"{name}._bn0")
            stride = first if repeat == 0 else 1
            value = layer(value, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride, depthwise=True)
            value = layer(value, f"{name}._project_conv", f"{name}._bn2", relu=False)
            value = value + start if value.shape == start.shape else value
            block += 1
    features = layer(value, "_conv_head", "_bn1").mean(axis=(1, 2))
    return features, weights["_fc.weight"] @ features + weights["_fc.bias"]


def test_lite0_agrees_with_the_network_written_out():
    entry = WEIGHTS["lite0"]
    weights = read_torch(_installed(entry, "state"))
    picture = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    features, logits = slow_lite0(weights, picture)
    encoder = EfficientNetLite0()
    found = encoder.embed([picture, picture[::-1]])
    np.testing.assert_allclose(found[0], features, atol=2e-4 * features.max())
    np.testing.assert_allclose(encoder.class_scores(found)[0], logits, atol=1e-3)
    model_logits = encoder._model("logits", pixels=np.stack([picture, picture[::-1]]))
    np.testing.assert_allclose(encoder.class_scores(found), model_logits, atol=1e-4)


def musicnn_weights(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    kernels = [(7, 38, 1, 204), (7, 67, 1, 204), (128, 1, 1, 51), (64, 1, 1, 51), (32, 1, 1, 51)]
    kernels += [(7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64)]
    found = {}
    for number, shape in enumerate(kernels):
        name = f"conv2d_{number}" if number else "conv2d"
        found[f"{name}/kernel"] = rng.standard_normal(shape) / np.sqrt(np.prod(shape[:3]))
        found[f"{name}/bias"] = rng.standard_normal(shape[3]) * 0.1
    for number, size in enumerate([1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200]):
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        for part in ("beta", "moving_mean"):
            found[f"{name}/{part}"] = rng.standard_normal(size) * 0.1
        for part in ("gamma", "moving_variance"):
            found[f"{name}/{part}"] = rng.uniform(0.5, 1.5, size)
    for name, shape in (("dense", (1506, 200)), ("dense_1", (200, 50))):
        found[f"{name}/kernel"] = rng.standard_normal(shape) / np.sqrt(shape[0])
        found[f"{name}/bias"] = rng.standard_normal(shape[1]) * 0.1
    return {name: value.astype(np.float32) for name, value in found.items()}


def slow_musicnn(weights: dict[str, np.ndarray], mel: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One patch (187, 96), as in musicnn/models.py: channels last, batch normalisation after the ReLU."""

    def norm(value, number):
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        gamma, beta, mean, var = (weights[f"{name}/{p}"] for p in ("gamma", "beta", "moving_mean", "moving_variance"))
        return (value - mean) / np.sqrt(var + 1e-3) * gamma + beta

    def conv(value, number, before, after):  # (time, frequency) -> (time, places, filters), valid in frequency
        name = f"conv2d_{number}" if number else "conv2d"
        kernel, bias = weights[f"{name}/kernel"][:, :, 0], weights[f"{name}/bias"]
        value = np.pad(value, ((before, after), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(value, kernel.shape[:2])
        return np.maximum(np.tensordot(windows, kernel, axes=([2, 3], [0, 1])) + bias, 0)

    start = norm(mel[:, :, None], 0)[:, :, 0]
    pads = [(3, 3), (3, 3), (63, 64), (31, 32), (15, 16)]
    fronts = [norm(conv(start, number, *pads[number]), number + 1).max(axis=1) for number in range(5)]
    layers = [np.concatenate(fronts, axis=1)]
    layers.append(norm(conv(layers[0], 5, 3, 3), 6)[:, 0])
    for number in (6, 7):
        layers.append(norm(conv(layers[-1], number, 3, 3), number + 1)[:, 0] + layers[-1])
    joined = np.concatenate(layers, axis=1)
    pooled = np.stack([joined.max(axis=0), joined.mean(axis=0)], axis=1).ravel()
    hidden = np.maximum(norm(pooled, 9) @ weights["dense/kernel"] + weights["dense/bias"], 0)
    features = norm(hidden, 10)
    return features, expit(features @ weights["dense_1/kernel"] + weights["dense_1/bias"]), pooled


def test_musicnn_agrees_with_the_network_written_out(tmp_path: Path):
    weights = musicnn_weights(0)
    mel = np.random.default_rng(1).uniform(0, 4, (2, 187, 96)).astype(np.float32)
    write_musicnn(weights, tmp_path / "m.onnx")
    model = OnnxModel(tmp_path / "m.onnx")
    for row in range(2):
        for name, expected in zip(("features", "tags", "pooled"), slow_musicnn(weights, mel[row]), strict=True):
            np.testing.assert_allclose(model(name, mel=mel)[row], expected, atol=1e-3 * np.abs(expected).max())


def test_the_voice_network_agrees_with_the_lstm_written_out(tmp_path: Path):
    rng = np.random.default_rng(0)
    weights = {}
    for layer in range(3):
        for kind, columns in (("ih", 40 if layer == 0 else 256), ("hh", 256)):
            weights[f"lstm.weight_{kind}_l{layer}"] = rng.uniform(-0.1, 0.1, (1024, columns)).astype(np.float32)
            weights[f"lstm.bias_{kind}_l{layer}"] = rng.uniform(-0.1, 0.1, 1024).astype(np.float32)
    weights["linear.weight"] = rng.standard_normal((256, 256)).astype(np.float32)
    weights["linear.bias"] = rng.uniform(0, 0.1, 256).astype(np.float32)
    write_voice(weights, tmp_path / "v.onnx")
    mel = rng.uniform(0, 1, (3, 160, 40)).astype(np.float32)
    value = mel
    for layer in range(3):
        hidden = cell = np.zeros((3, 256), np.float32)
        states = []
        for time in range(160):
            total = value[:, time] @ weights[f"lstm.weight_ih_l{layer}"].T + weights[f"lstm.bias_ih_l{layer}"]
            total = total + hidden @ weights[f"lstm.weight_hh_l{layer}"].T + weights[f"lstm.bias_hh_l{layer}"]
            i, f, g, o = np.split(total, 4, axis=1)
            cell = expit(f) * cell + expit(i) * np.tanh(g)
            hidden = expit(o) * np.tanh(cell)
            states.append(hidden)
        value = np.stack(states, axis=1)
    expected = np.maximum(hidden @ weights["linear.weight"].T + weights["linear.bias"], 0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(OnnxModel(tmp_path / "v.onnx")("voice", mel=mel), expected, atol=1e-5)


@pytest.mark.weights
def test_the_real_networks_behave(make_sound, tmp_path: Path):
    paths = [make_sound(tmp_path / f"{seed}.wav", seed, seconds=4.0) for seed in range(3)]
    music, pooled, voice = MusiCNN(), MusiCNN(vector="pooled"), GE2EVoice()
    vectors = music.encode(paths)
    tags = music.class_scores(vectors)
    assert vectors.shape == (3, 200)
    assert tags.shape == (3, 50)
    assert ((tags >= 0) & (tags <= 1)).all()
    assert pooled.encode(paths).shape == (3, 1506)
    one = music._model("tags", mel=music.prepare(paths[0])[:1])
    np.testing.assert_allclose(
        music.class_scores(music._model("features", mel=music.prepare(paths[0])[:1])), one, atol=1e-5
    )
    flat = pooled._model("pooled", mel=music.prepare(paths[0])[:1])
    np.testing.assert_allclose(pooled.class_scores(flat), one, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(voice.encode(paths), axis=1), 1, atol=1e-5)
