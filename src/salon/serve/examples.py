"""Examples of answers whose keys depend on the shop, for the description of the API."""

from __future__ import annotations

from typing import Any

EXPLANATION = {
    "id": "a-17",
    "title": "A red lamp",
    "score": 0.47,
    "parts": [{"id": "a-3", "title": "A red rug", "value": 0.14, "by": {"clicks": 0.1, "image": 0.04}}],
    "by": {"clicks": 0.3, "image": 0.12, "text": 0.05},
    "rest": 0.0,
    "method": "exact",
    "words": "Goes with “A red rug”: clicks 64 %, image 26 %",
    "despite": "",
    "source": "linear",
}
PERSON = {
    "user": "u-1",
    "fields": {"club": "red"},
    "history": [{"item": "a-3", "title": "A red rug", "kind": "buy", "value": None, "time": 1795875301.0}],
    "recommended": [{"id": "a-17", "title": "A red lamp", "score": 0.47, "source": "linear"}],
}
SCENARIO = {"filter": "price < 100", "diversity": 0.3, "caps": {"kind": 3}}
EXPERIMENT = {"scenario": "home", "variants": {"as_is": {"share": 0.5}, "varied": {"share": 0.5}}, "state": "running"}
RESULTS = {"name": "varied", "variants": {"as_is": {"answers": 900, "successes": 40}}, "ratio": {"p": 0.8}}
CATALOGUE = {
    "fields": [{"name": "photo", "modality": "image", "declared": True, "present": 120}],
    "kinds": {"buy": "like", "dislike": "dislike"},
    "counts": {"items": 125, "shown": 120, "users": 30, "events": 270},
    "languages": ["en", "zh"],
    "model": "linear",
    "version": "20260131-120000-000000",
}
QUALITY = {"items": 125, "users": 30, "sentences": ["5 of 125 items have no photo."]}
MAP = {"items": [{"id": "a-17", "title": "A red lamp", "x": 0.3, "y": -0.2, "label": "lamp"}], "label": "kind"}
COMPARISON = {"rows": [{"name": "linear", "metrics": {"ndcg@10": 0.32}, "cost": {"fit_seconds": 4.5}}]}
STATS = {
    "answered": 1200,
    "click_through": 0.08,
    "coverage": 0.6,
    "sources": {"linear": 0.9, "popular": 0.1},
    "model": {"name": "linear", "version": "20260131-120000-000000", "age_seconds": 3600.0},
}


def shown(example: Any) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route whose answer looks like `example`."""
    return {200: {"content": {"application/json": {"example": example}}}}
