"""Settings of the live service."""

from __future__ import annotations

from pydantic import Field

from salon.config import Settings


class LiveOptions(Settings):
    """How one tenant's service remembers, learns and answers."""

    people: int = Field(20_000, ge=1)
    """Histories kept in memory; the least recently asked for go first."""
    history: int = Field(2_000, ge=1)
    """Latest events of a person that are read."""
    batch: int = Field(64, ge=1, le=4096)
    """Questions that are scored at once, at most."""
    exposures: int = Field(10_000, ge=1)
    """Answers kept in memory, for the next page and until they are written."""
    update_seconds: float = Field(2.0, gt=0)
    """Pause between two updates of the model by what people did."""
    recount_updates: int = Field(50_000, ge=1)
    """Histories that are replaced in the sums of `linear` before these are counted anew."""
    refit_hours: float = Field(24.0, ge=0)
    """Learn anew so long after the last time; 0: never by the clock."""
    refit_events: int = Field(500, ge=1)
    """New events without which the clock and drift start nothing."""
    refit_drift: float = Field(0.25, ge=0)
    """Population stability index of the items that people like beyond which the model is learned anew; 0: never."""
    refit_seconds: float = Field(6 * 3600.0, gt=0)
    """When a refit that does not end is stopped."""
    refit_memory_gb: float = Field(0.0, ge=0)
    """Address space of a refit beyond which it is given up; 0: as the machine allows."""
    judged_questions: int = Field(30, ge=2)
    """People with newer likes below which two versions are not compared."""
    tolerance: float = Field(0.02, ge=0, lt=1)
    """Share of its accuracy that a new version may lose and still go live."""
    versions: int = Field(5, ge=2)
    """Retired and failed versions whose folders are kept."""
    jobs: int = Field(200, ge=1)
    """Pieces of background work that are remembered."""
    follow_seconds: float = Field(1.0, gt=0)
    """How often the registry is looked at for a version that another process made live."""
    upload_mb: float = Field(64.0, gt=0)
    """Largest medium that is taken."""
