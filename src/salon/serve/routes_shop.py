"""Routes of the owner: placements, experiments, models, background work, and what is known of the shop."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from salon.errors import UnknownIdError, did_you_mean
from salon.serve import examples
from salon.serve.auth import Admin, Reader
from salon.serve.examples import shown
from salon.serve.once import IdempotencyKey, OnceRoute
from salon.serve.problems import declared
from salon.serve.schemas import DeletedOut, Fields, JobOut
from salon.serve.schemas_shop import JobsOut, VersionBody, VersionOut, VersionsOut, job_out

router = APIRouter(prefix="/v1", tags=["shop"], responses=declared(404, 409, 507), route_class=OnceRoute)

PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Name = Annotated[str, Path(min_length=1, max_length=100, pattern=PATTERN)]
Settings = Annotated[Fields, Field(description="Settings; unknown ones are errors.", examples=[{"diversity": 0.3}])]
ByName = dict[str, dict[str, Any]]


@router.get("/scenarios", responses=shown({"home": examples.SCENARIO}))
async def get_scenarios(caller: Reader) -> ByName:
    """All placements by name."""
    return _plain(await caller.run(caller.service.scenarios))


@router.get("/scenarios/{name}", responses=shown(examples.SCENARIO))
async def get_scenario(name: Name, caller: Reader) -> dict[str, Any]:
    """One placement."""
    return _one(await caller.run(caller.service.scenarios), name, "scenario")


@router.put("/scenarios/{name}", responses=shown(examples.SCENARIO))
async def put_scenario(name: Name, body: Settings, caller: Admin) -> dict[str, Any]:
    """Store a placement: its filter, booster, caps, promotions, diversity and exploration."""
    await caller.run(caller.service.put_scenario, name, body)
    await caller.audit("put scenario", name, body)
    return _one(await caller.run(caller.service.scenarios), name, "scenario")


@router.delete("/scenarios/{name}")
async def delete_scenario(name: Name, caller: Admin) -> DeletedOut:
    """Forget a placement."""
    await caller.run(caller.service.delete_scenario, name)
    await caller.audit("delete scenario", name)
    return DeletedOut(deleted=1)


@router.get("/experiments", responses=shown({"varied": examples.EXPERIMENT}))
async def get_experiments(caller: Reader) -> ByName:
    """All experiments by name."""
    return _plain(await caller.run(caller.service.experiments))


@router.get("/experiments/{name}", responses=shown(examples.EXPERIMENT))
async def get_experiment(name: Name, caller: Reader) -> dict[str, Any]:
    """One experiment."""
    return _one(await caller.run(caller.service.experiments), name, "experiment")


@router.put("/experiments/{name}", responses=shown(examples.EXPERIMENT))
async def put_experiment(name: Name, body: Settings, caller: Admin) -> dict[str, Any]:
    """Store an experiment: its variants with their shares, where it runs, what counts as success."""
    await caller.run(caller.service.put_experiment, name, body)
    await caller.audit("put experiment", name, body)
    return _one(await caller.run(caller.service.experiments), name, "experiment")


@router.delete("/experiments/{name}")
async def delete_experiment(name: Name, caller: Admin) -> DeletedOut:
    """Forget an experiment."""
    await caller.run(caller.service.delete_experiment, name)
    await caller.audit("delete experiment", name)
    return DeletedOut(deleted=1)


@router.get("/experiment-results", responses=shown(examples.RESULTS))
async def get_results(
    caller: Reader, name: Annotated[str, Query(min_length=1, max_length=100, pattern=PATTERN)]
) -> dict[str, Any]:
    """What each variant reached, with intervals that hold whenever one looks, and the check of the shares."""
    return dict(await caller.run(caller.service.experiment_results, name))


@router.get("/models")
async def get_models(caller: Reader) -> VersionsOut:
    """Models, newest first."""
    return VersionsOut(versions=[VersionOut.of(one) for one in await caller.run(caller.service.versions)])


@router.post("/models/refit", dependencies=[IdempotencyKey])
async def refit(caller: Admin) -> JobOut:
    """Start to learn anew from everything stored; the new model goes live if it is no worse."""
    job = await caller.run(caller.service.refit)
    await caller.audit("refit", job.id)
    return job_out(job)


@router.post("/models/activate", dependencies=[IdempotencyKey])
async def activate(body: VersionBody, caller: Admin) -> VersionOut:
    """Make a version live; calls in progress end on the one before."""
    version = await caller.run(caller.service.activate, body.version)
    await caller.audit("activate", body.version)
    return VersionOut.of(version)


@router.post("/models/rollback", dependencies=[IdempotencyKey])
async def rollback(caller: Admin) -> VersionOut:
    """Make the version before the live one live."""
    version = await caller.run(caller.service.rollback)
    await caller.audit("rollback", version.version)
    return VersionOut.of(version)


@router.get("/jobs")
async def get_jobs(caller: Reader) -> JobsOut:
    """Background work, newest first."""
    return JobsOut(jobs=[job_out(job) for job in await caller.run(caller.service.jobs)])


@router.get("/catalogue", responses=shown(examples.CATALOGUE))
async def get_catalogue(caller: Reader) -> dict[str, Any]:
    """Declared fields with their modalities, kinds of events, counts, languages."""
    return dict(await caller.run(caller.service.catalogue))


@router.get("/quality", responses=shown(examples.QUALITY))
async def get_quality(caller: Reader) -> dict[str, Any]:
    """The report on the data."""
    return dict(await caller.run(caller.service.quality))


@router.get("/map", responses=shown(examples.MAP))
async def get_map(
    caller: Reader, most: Annotated[int, Query(ge=1, le=20_000, description="Items, at most.")] = 2000
) -> dict[str, Any]:
    """The catalogue in the plane, by its media vectors."""
    return dict(await caller.run(caller.service.map, most))


@router.get("/comparison", responses=shown(examples.COMPARISON))
async def get_comparison(caller: Reader) -> dict[str, Any]:
    """The last comparison of models: accuracy and cost."""
    return dict(await caller.run(caller.service.comparison))


@router.get("/stats", responses=shown(examples.STATS))
async def get_stats(caller: Reader) -> dict[str, Any]:
    """Live numbers: events and answers per minute, sources, click-through, coverage, drift, age of the model."""
    return dict(await caller.run(caller.service.stats))


def _plain(found: Any) -> ByName:
    return {name: dict(body) for name, body in found.items()}


def _one(found: Any, name: str, what: str) -> dict[str, Any]:
    if name not in found:
        raise UnknownIdError(f"There is no {what} {name!r}.", hint=did_you_mean(name, found))
    return dict(found[name])
