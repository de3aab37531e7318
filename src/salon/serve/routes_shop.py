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
from salon.serve.schemas_ask import Language
from salon.serve.schemas_shop import JobsOut, VersionBody, VersionOut, VersionsOut, job_out
from salon.serve.state import Caller

router = APIRouter(prefix="/v1", tags=["shop"], responses=declared(404, 409, 507), route_class=OnceRoute)

PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Name = Annotated[str, Path(min_length=1, max_length=100, pattern=PATTERN)]
Settings = Annotated[Fields, Field(description="Settings; unknown ones are errors.", examples=[{"diversity": 0.3}])]


def _add_named(what: str, words: str, example: dict[str, Any]) -> None:
    """The routes of settings that are kept by name: all, one, put, delete.

    Args:
        what: "scenario" or "experiment", as the calls of the service are named.
        words: What it is, for the description of the API.
        example: Such settings.
    """

    async def named(caller: Caller) -> Any:
        return await caller.run(getattr(caller.service, f"{what}s"))

    async def one(caller: Caller, name: str) -> dict[str, Any]:
        found = await named(caller)
        if name not in found:
            raise UnknownIdError(f"There is no {what} {name!r}.", hint=did_you_mean(name, found))
        return dict(found[name])

    async def get_all(caller: Reader) -> dict[str, dict[str, Any]]:
        return {name: dict(body) for name, body in (await named(caller)).items()}

    async def get_one(name: Name, caller: Reader) -> dict[str, Any]:
        return await one(caller, name)

    async def put_one(name: Name, body: Settings, caller: Admin) -> dict[str, Any]:
        await caller.run(getattr(caller.service, f"put_{what}"), name, body)
        await caller.audit(f"put {what}", name, body)
        return await one(caller, name)

    async def delete_one(name: Name, caller: Admin) -> DeletedOut:
        await caller.run(getattr(caller.service, f"delete_{what}"), name)
        await caller.audit(f"delete {what}", name)
        return DeletedOut(deleted=1)

    about = f"One {what}: {words}."
    some, all_of_them = shown(example), shown({"home": example})
    add = router.add_api_route
    add(f"/{what}s", get_all, methods=["GET"], responses=all_of_them, description=f"All {what}s by name.")
    add(f"/{what}s/{{name}}", get_one, methods=["GET"], responses=some, description=about)
    add(f"/{what}s/{{name}}", put_one, methods=["PUT"], responses=some, description=f"Check and store. {about}")
    add(f"/{what}s/{{name}}", delete_one, methods=["DELETE"], description=f"Forget one {what}.")


_add_named(
    "scenario", "a placement with its filter, booster, caps, promotions, diversity and exploration", examples.SCENARIO
)
_add_named("experiment", "variants with their shares, where it runs, what counts as success", examples.EXPERIMENT)


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
async def get_quality(caller: Reader, language: Language = "en") -> dict[str, Any]:
    """The report on the data."""
    return dict(await caller.run(caller.service.quality, language))


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
