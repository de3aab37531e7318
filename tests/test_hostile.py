"""A folder of hostile inputs through the command line: an error that names it or a masked item, never a traceback."""

import json
import os
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

GIGABYTE = 1 << 30


def png(width: int, height: int, body: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def wav(claimed: int, samples: bytes, rate: int = 16_000) -> bytes:
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + claimed) + b"WAVE" + fmt + b"data" + struct.pack("<I", claimed) + samples


HOSTILE_MEDIA = {
    "truncated.png": png(64, 64, zlib.compress(b"\0" * 64 * 193))[:60],
    "huge.png": png(60_000, 60_000, zlib.compress(b"\0" * 1000)),
    "bomb.png": png(30_000, 30_000, zlib.compress(b"\0" * 90_030_000, 9)),
    "empty.png": b"",
    "text.png": b"this is no picture at all",
    "script.png": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
}
HOSTILE_SOUND = {
    "empty.wav": wav(0, b""),
    "tenhours.wav": wav(16_000 * 2 * 36_000, b"\0\0" * 100),
    "noise.wav": bytes(range(256)) * 20,
    "zero.wav": b"",
}


def run(*words: object) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (5 * GIGABYTE, 5 * GIGABYTE))

    command = [sys.executable, "-m", "salon", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, preexec_fn=limit, env=environment
    )


def refused(*words: object) -> str:
    result = run(*words)
    assert result.returncode == 1, (result.returncode, result.stderr, result.stdout)
    assert "Traceback" not in result.stderr + result.stdout
    return " ".join(result.stderr.split())


def test_hostile_media_are_masked_and_named_in_bounded_memory(tmp_path: Path) -> None:
    rows = ["id,name,photo,sound"]
    for name, data in {**HOSTILE_MEDIA, **HOSTILE_SOUND}.items():
        (tmp_path / name).write_bytes(data)
        rows.append(f"{name},lamp,{name},," if name.endswith("png") else f"{name},lamp,,{name}")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "good.png")
    (tmp_path / "link.png").symlink_to("/etc/passwd")
    rows += [
        "good,lamp,good.png,",
        "link,lamp,link.png,",
        "out,lamp,../../../etc/passwd,",
        "root,lamp,/etc/passwd,",
        "gone,lamp,no.png,",
    ]
    (tmp_path / "items.csv").write_text("\n".join(r.rstrip(",") + "," * (3 - r.rstrip(",").count(",")) for r in rows))
    shop = tmp_path / "shop.toml"
    sections = '[items]\npath = "items.csv"\nid = "id"\ntext = ["name"]\nimage = "photo"\naudio = "sound"\n'
    shop.write_text(sections + '[encode]\ntext = "hashing"\nimage = "colour"\naudio = "mfcc"\n')
    result = run("encode", shop, "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    present = {f["features"]: f["present"] for f in told["features"]}
    assert present == {"text": len(rows) - 1, "image": 1, "audio": 0}
    named = {p["id"] for p in told["problems"]}
    rejected = json.loads(run("check", shop, "--no-media", "--json").stdout)["rejects"]
    assert named >= ({*HOSTILE_MEDIA, *HOSTILE_SOUND} | {"gone"})
    assert len(named | {"out", "root", "link"}) == len(rows) - 2
    assert {"out", "root"} <= named or sum(rejected.values()) >= 2


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("items.csv", b"", "items.csv"),
        ("items.csv", b"sku,name\n1,a\n", "'id'"),
        ("items.csv", b"id,name,photo,kind,price\n1,\xff\xfe\x80,,,\n", "items.csv"),
        ("events.csv", b"user,item,at\n", "action"),
        ("events.csv", b"user,item,at,action\np00,unknown,1,view\n", "unknown"),
        ("events.csv", b"user,item,at,action\np00,thing-01,soon,view\n", "events.csv"),
        ("shop.toml", b"\xff\xfe", "shop.toml"),
        ("shop.toml", b"[items]\npath = 3\n", "path"),
    ],
)
def test_hostile_tables_are_named(
    make_shop: Callable[..., Path], tmp_path: Path, file: str, content: bytes, told: str
) -> None:
    shop = make_shop(tmp_path)
    (tmp_path / file).write_bytes(content)
    assert told in refused("fit", shop, "--out", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_duplicate_ids_and_bad_numbers_are_rejected_by_row(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    with (tmp_path / "items.csv").open("a") as file:
        file.write("thing-00,again,,crimson,1\nodd,odd,,crimson,NaN\nodd2,odd,,crimson,cheap\n")
    told = json.loads(run("check", shop, "--no-media", "--json").stdout)
    reasons = " ".join(told["rejects"])
    assert "duplicate" in reasons or "twice" in reasons or "more than once" in reasons
    assert sum(told["rejects"].values()) >= 4


def test_an_artefact_with_a_flipped_byte_is_refused(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    shop, model = make_shop(tmp_path), tmp_path / "model"
    assert run("fit", shop, "--out", model).returncode == 0
    for victim in (model / "data" / "events.parquet", model / "model" / "arrays.npz", model / "shop.json"):
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 0xFF
        victim.write_bytes(bytes(data))
        assert victim.name in refused("recommend", model, "--user", "p00")
        data[len(data) // 2] ^= 0xFF
        victim.write_bytes(bytes(data))
    assert run("recommend", model, "--user", "p00").returncode == 0
