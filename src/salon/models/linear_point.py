"""One point in the space that the linear model searches, and the grids of that space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pydantic import Field

from salon.config import Settings

Flat: TypeAlias = dict[str, float]
"""A point as a flat table; the weight of modality "text" is "media:text", its share among twins "twins:text"."""


class Point(Settings):
    """One setting of everything that the closed form needs. Weights are relative to the mean diagonal of G."""

    user_exponent: float = Field(0.25, ge=0, le=1)
    """a: a user's term is divided by |x|^(4a); 1/2 gives every user the same weight."""
    item_exponent: float = Field(0.25, ge=0, le=1)
    """b: rows and columns of G0 are divided by counts^b."""
    ridge: float = Field(8.0, gt=0)
    """lambda, in units of mean diag(G)."""
    dropout: float = Field(0.33, ge=0, lt=1)
    """p: the chance of hiding a click from the reconstruction; adds p / (1 - p) diag(G)."""
    media: dict[str, float] = Field(default_factory=dict)
    """alpha per modality, in units of mean diag(G); 0 leaves it out."""
    order: float = Field(0.0, ge=0)
    """nu: weight of "the decayed past predicts the next action", relative to the clicks; 0 leaves it out."""
    order_reach: float = Field(8.0, gt=0)
    """How many actions back the decayed past reaches (1/e)."""
    prior: float = Field(0.0, ge=0)
    """g: pull of B towards the content graph, in units of mean diag(G); 0 leaves it out."""
    popularity: float = 0.0
    """c: scores are multiplied by counts^c."""
    confidence: float = 0.0
    """e: scores are multiplied by diag(P)^e; 1 takes back the division that the zero diagonal asks for."""
    reach: float = Field(0.0, ge=0)
    """delta: an action that is r-th latest weighs exp(-r / delta) in the query; 0 weighs all alike."""
    dislike: float = Field(0.5, ge=0)
    """How strongly a disliked item of the history counts against what it would suggest."""
    profile: float = Field(0.3, ge=0)
    """Weight of a user attribute against an action."""
    few: int = Field(0, ge=0)
    """Histories of at most so many actions are answered as `linear_few` says; 0: none."""
    few_noise: float = Field(1.0, gt=0)
    """s: how much an action of such a history leaves open, in units of the mean variance of an item."""
    twins: dict[str, float] = Field(default_factory=dict)
    """beta: share of each modality in who is whose content twin."""
    twin_power: int = Field(1, ge=1)
    """p: twins are alike by the p-th power of their cosine; the higher, the less say those have that are less alike."""
    twin_ridge: float = Field(4.0, gt=0)
    """rho, in units of the mean diagonal of the content kernel."""
    twin_self: float = Field(0.0, ge=0)
    """s: how much of a direct content match goes into a cold item's score, in units of a mean column of B."""
    twin_media: float = Field(0.25, ge=0, le=1)
    """What cold items take over is solved with every alpha times this: media speak through the twins already."""
    twin_popularity: float = 0.25
    """As `popularity`, for the touched items that pass their score on to a twin."""
    twin_norm: float = 0.0
    """Cold columns are divided by |W_j|^twin_norm."""
    cold_scale: float = Field(2.0, gt=0)
    """kappa: cold scores are multiplied by it, so that warm and cold items compete."""

    def flat(self) -> Flat:
        """The point as a flat table."""
        table: Flat = {}
        for name, value in self.model_dump().items():
            if isinstance(value, dict):
                table |= {f"{name}:{modality}": float(weight) for modality, weight in value.items()}
            else:
                table[name] = float(value)
        return table

    def moved(self, changes: Mapping[str, float]) -> Point:
        """The point with some entries of its flat table replaced."""
        plain: dict[str, float] = {}
        nested = {"media": dict(self.media), "twins": dict(self.twins)}
        for name, value in changes.items():
            group, _, modality = name.partition(":")
            if modality:
                nested[group][modality] = float(value)
            else:
                plain[name] = float(value)
        return Point(**{**self.model_dump(), **plain, **nested})

    def for_twins(self) -> Point:
        """The point of the system whose solution is handed on to cold items."""
        media = {name: self.twin_media * alpha for name, alpha in self.media.items()}
        return self.model_copy(update={"media": media})

    def for_modalities(self, names: Sequence[str]) -> Point:
        """The point with a weight for each modality that is there, and for no other; 1/4 where none was given."""
        return self.model_copy(
            update={
                "media": {name: self.media.get(name, 0.25) for name in names},
                "twins": {name: self.twins.get(name, 0.25) for name in names},
            }
        )


STARTS: tuple[Flat, ...] = (
    {"user_exponent": 0.25, "item_exponent": 0.25, "popularity": 0.0, "confidence": 0.0},
    {"user_exponent": 0.5, "item_exponent": 0.125, "popularity": 0.25, "confidence": 1.0},
)
"""Where the search begins: near EASE (Steck 2019), and near a ridge regression of normalised clicks."""

CLICK_GRID: dict[str, tuple[float, ...]] = {
    "item_exponent": (0.0, 0.125, 0.25, 0.375, 0.5),
    "popularity": (-0.25, -0.125, 0.0, 0.125, 0.25, 0.375, 0.5),
    "user_exponent": (0.0, 0.25, 0.5),
    "ridge": tuple(2.0**i for i in range(-5, 8)),
    "dropout": (0.0, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8),
}
MEDIA_GRID = (0.0, *(4.0**i for i in range(-5, 4)))
SHAPE_GRID: dict[str, tuple[float, ...]] = {
    "confidence": (-0.25, 0.0, 0.25, 0.5, 0.75, 1.0),
    "prior": (0.0, 0.25, 1.0, 4.0),
}
ORDER_GRID: dict[str, tuple[float, ...]] = {
    "reach": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 0.0),
    "order": (0.0, *(4.0**i for i in range(-2, 4))),
    "order_reach": (2.0, 4.0, 8.0, 16.0),
}
TWIN_GRID: dict[str, tuple[float, ...]] = {
    "twin_media": (0.0, 0.0625, 0.25, 1.0),
    "twin_ridge": tuple(2.0**i for i in range(-4, 6)),
    "twin_self": (0.0, *(4.0**i for i in range(-3, 3))),
    "twin_norm": (0.0, 0.5, 1.0),
    "twin_popularity": CLICK_GRID["popularity"],
    "twin_power": (1, 2, 3, 4, 6),
}
TWIN_SHARES = (0.0, *(4.0**i for i in range(-3, 2)))
COLD_SCALES = tuple(2.0 ** (i / 2) for i in range(-6, 17))
DISLIKES = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0)
PROFILES = (0.03, 0.1, 0.3, 1.0)
"""Never 0, so that a person with a profile and no history gets an answer."""
FEW_LENGTHS = (1, 2, 3, 5, 7, 10)
FEW_NOISES = (0.1, 0.3, 1.0, 3.0)
