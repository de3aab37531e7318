"""Questions for recommendations and their answers, as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from salon.errors import SettingError
from salon.serve.schemas import Body, Id, Out, Plain, Word
from salon.serve.settings import Limits
from salon.serve.values import Ask, Found, Reply, Served

Ids = Annotated[list[Id], Field(max_length=10_000)]
Expression = Annotated[str, Field(max_length=10_000)]
Count = Annotated[int, Field(ge=1, le=10_000, description="How many items.", examples=[5])]
Language = Annotated[Literal["en", "zh"], Field(description="Of reasons, notes and findings.")]


class Rules(Body):
    """What every question can say about the items that may come back."""

    k: Count = 10
    scenario: str = Field(
        default="", max_length=100, description="Placement, with rules and experiments of its own.", examples=["home"]
    )
    filter: Expression = Field(
        default="",
        description="Only items for which this expression holds are answered.",
        examples=['kind == "lamp" and price < 20'],
    )
    booster: Expression = Field(default="", description="Expression whose value multiplies the score of an item.")
    exclude: Ids = Field(default=[], description="Items to leave out; unknown ids are ignored.")
    context: dict[Annotated[str, Field(max_length=100)], Plain] = Field(
        default={}, max_length=100, description="What is known of the moment.", examples=[{"device": "phone"}]
    )
    fields: list[Word] | None = Field(
        default=None, max_length=100, description="Item fields to return; null returns the title alone."
    )
    diversity: float | None = Field(
        default=None, ge=0, le=1, description="0: by score alone; 1: as different as possible; null: the scenario's."
    )
    explained: bool = Field(default=False, description="Whether items come with reasons.")
    language: Language = "en"


class Person(Body):
    """Whom a question is about."""

    user: Id | None = Field(
        default=None, description="A person; unknown ids are answered as people without a history.", examples=["u-1"]
    )
    history: Ids = Field(
        default=[], description="Items of a session, oldest first; joins the history of `user`.", examples=[["a-1"]]
    )
    profile: dict[Annotated[str, Field(max_length=300)], Word] = Field(
        default={}, max_length=100, description="Attributes that count instead of those on record."
    )


class RecommendBody(Rules, Person):
    """A question for recommendations."""

    candidates: Ids | None = Field(default=None, description="Items to rank, nothing else; null ranks the catalogue.")
    exploration: float | None = Field(
        default=None, ge=0, le=1, description="Share of places for items little is known about; null: the scenario's."
    )
    seen: bool = Field(default=False, description="Whether items of the history may come back.")
    logged: bool = Field(default=True, description="Whether the answer is kept, so that events can refer to it.")


class NextBody(Body):
    """A question for the next page."""

    recommendation_id: Id = Field(description="Of the page before.")
    k: Count = 10


class BatchBody(Body):
    """Several questions at once."""

    requests: list[RecommendBody] = Field(min_length=1, max_length=1000)


class SimilarBody(Rules):
    """A question for items like one."""

    item: Id = Field(description="The item that the others are like.")
    user: Id | None = Field(default=None, description="A person, for whom expressions may ask.")


class SimilarUsersBody(Body):
    """A question for people like one."""

    user: Id
    k: Count = 10


class RankBody(Person):
    """A list to be put in order."""

    items: Ids = Field(min_length=1, description="What is ranked; unknown ids are left out.", examples=[["a-1", "a-2"]])
    scenario: str = Field(default="", max_length=100)
    booster: Expression = ""
    context: dict[Annotated[str, Field(max_length=100)], Plain] = Field(default={}, max_length=100)
    fields: list[Word] | None = Field(default=None, max_length=100)
    explained: bool = False
    language: Language = "en"
    logged: bool = True


class SearchForm(Rules, Person):
    """What a search can say besides its file."""

    text: str = Field(default="", max_length=2000, pattern=r"^[^\x00]*$", description="Words, which count too.")
    taste: float = Field(default=0.3, ge=0, le=1, description="Weight of the person's taste against what is sought.")


class SearchBody(SearchForm):
    """A search by words."""

    text: str = Field(min_length=1, max_length=2000, pattern=r"^[^\x00]+$", examples=["a red lamp"])


class ExplainBody(Person):
    """A question for why."""

    item: Id
    language: Language = "en"


class ReasonOut(Out):
    """Why an item is there."""

    words: str = Field(examples=["Because of 'A red lamp', by text and image"])
    because: list[tuple[str, str, float]] = Field(description="Item, title and share of the score, of the history.")
    by: dict[str, float] = Field(description="Kind of information to its part of the score.")
    despite: str = Field(description="What speaks against it, or empty.")
    method: str = Field(description="exact or removal.")


class ServedOut(Out):
    """One item of an answer."""

    id: str = Field(examples=["a-17"])
    title: str = Field(examples=["A red lamp"])
    score: float = Field(description="Scores of different sources cannot be compared.", examples=[0.83])
    source: str = Field(
        description="Who found it: a model's name, similar, popular, new, promoted or explored.", examples=["linear"]
    )
    fields: dict[str, Any] = Field(description="The fields asked for.")
    media: dict[str, str] = Field(description="Media field to the address of the medium.")
    reason: ReasonOut | None = Field(description="Where reasons were asked for.")
    propensity: float = Field(description="The chance with which it was shown at all; 1 without exploration.")

    @classmethod
    def of(cls, item: Served) -> ServedOut:
        """An item of the service."""
        r = item.reason
        reason = None
        if r is not None:
            reason = ReasonOut(
                words=r.words, because=list(r.because), by=dict(r.by), despite=r.despite, method=r.method
            )
        return cls(
            id=item.id,
            title=item.title,
            score=item.score,
            source=item.source,
            fields=dict(item.fields),
            media=dict(item.media),
            reason=reason,
            propensity=item.propensity,
        )


class ReplyOut(Out):
    """The answer to a question for items."""

    recommendation_id: str = Field(description="Accepted by events and by /v1/recommend/next.", examples=["r-5f1c"])
    items: list[ServedOut] = Field(description="Best first.")
    version: str = Field(description="Of the model that answered.")
    scenario: str
    experiment: str = Field(description="The experiment that the person is in, or empty.")
    variant: str
    notes: list[str] = Field(
        description="What a caller should know.", examples=[["3 of 3 items: no history: popular items."]]
    )
    more: bool = Field(description="Whether another page can follow.")

    @classmethod
    def of(cls, reply: Reply) -> ReplyOut:
        """An answer of the service."""
        return cls(
            recommendation_id=reply.recommendation_id,
            items=[ServedOut.of(item) for item in reply.items],
            version=reply.version,
            scenario=reply.scenario,
            experiment=reply.experiment,
            variant=reply.variant,
            notes=list(reply.notes),
            more=reply.more,
        )


class PartOut(Out):
    """The answer to one question of a batch, or why there is none."""

    reply: ReplyOut | None = None
    error: dict[str, Any] | None = Field(default=None, description="code, message, hint and retryable.")


class BatchOut(Out):
    """The answers, in the order of the questions."""

    results: list[PartOut]


class LikeUserOut(Out):
    """A person and how like another they are."""

    user: str = Field(examples=["u-2"])
    score: float = Field(description="Cosine similarity.", examples=[0.8])


class LikeUsersOut(Out):
    """People, the most alike first."""

    users: list[LikeUserOut]


class FoundOut(Out):
    """One item of a search."""

    item: ServedOut
    by: dict[str, float] = Field(description="Channel to what it adds to the score.", examples=[{"text: same": 0.4}])

    @classmethod
    def of(cls, found: Found) -> FoundOut:
        """A find of the service."""
        return cls(item=ServedOut.of(found.item), by=dict(found.by))


class FoundsOut(Out):
    """What was found, best first."""

    items: list[FoundOut]


def ask_of(body: Body, limits: Limits, **further: Any) -> Ask:
    """The question of the service in a request.

    Args:
        body: Any of the requests above.
        limits: Of k, of expressions and of lists of ids.
        further: Values that count instead of the request's.

    Raises:
        SettingError: More is asked for than one call may.
    """
    values = {name: value for name, value in body if name in Ask.__dataclass_fields__} | further
    for name in ("history", "exclude", "candidates"):
        _check(name, len(values.get(name) or ()), limits.ids, " ids")
    for name in ("filter", "booster"):
        _check(name, len(values.get(name, "")), limits.expression, " characters")
    _check("k", getattr(body, "k", 1), limits.k, "")
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return Ask(**given)


def _check(name: str, value: int, most: int, what: str) -> None:
    if value > most:
        raise SettingError(f"{name} is {value:,}{what}.", hint=f"At most {most:,}{what} are allowed.")
