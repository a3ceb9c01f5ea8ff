"""What algorithm.yaml holds: the one definition of its fields, their types and their bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from contract.params import Form
from orchestrator.algorithms.origin import Paper, Upstream
from orchestrator.documents import Document, Name
from orchestrator.domain import Device, Kind

Slug = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]*$")]
EnvironmentName = Annotated[str, Meta(pattern="^(?!(current|cpu|cuda|system)$)[a-z][a-z0-9]*$")]
Values = Annotated[tuple[Any, ...], Meta(min_length=1)]
Share = Annotated[
    str, Meta(pattern=r"^\.\./[a-z0-9_-]+(/[a-z0-9_]+\.py)?$")
]  # a module of another folder, or all of it


class Resources(Document, frozen=True, kw_only=True):
    """What a job needs on a movie of a few hundred frames."""

    memory_bytes: Annotated[int, Meta(ge=1, le=2**53)]


class DeclaredParam(Document, frozen=True, kw_only=True, omit_defaults=True):
    """One parameter; `contract.params.Param` says what the fields mean."""

    type: Literal["int", "float", "bool", "str"]
    default: Any
    help: Name
    unit: str | None = None
    range: tuple[int | float, int | float] | None = None
    choices: Annotated[tuple[str | int | float, ...], Meta(min_length=1)] | None = None
    form: Form | None = None
    nullable: bool = False
    cost: Name | None = None


class DeclaredPrior(Document, frozen=True, kw_only=True, omit_defaults=True):
    """What a prediction of another run is needed for; see `domain.PriorUse`."""

    required: bool
    help: str
    required_with: Annotated[dict[str, Annotated[tuple[Any, ...], Meta(min_length=1)]], Meta(min_length=1)] | None = (
        None
    )


class Presets(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Values of parameters by name; smoke proves in seconds that a folder works, not that it denoises.

    movie sees time, for algorithms whose other presets go frame by frame.
    """

    quick: dict[str, Any]
    default: dict[str, Any]
    published: dict[str, Any]
    smoke: dict[str, Any] | None = None
    movie: dict[str, Any] | None = None


class Declaration(Document, frozen=True, kw_only=True, omit_defaults=True):
    """One algorithm.yaml."""

    name: Slug
    title: Name
    kind: Kind
    summary: Name
    paper: Paper | None
    licence: str
    upstream: Upstream
    devices: Annotated[tuple[Device, ...], Meta(min_length=1)]
    resources: Resources
    needs_training: bool
    params: dict[str, DeclaredParam]
    presets: Presets
    environments: dict[EnvironmentName, Upstream] = field(default_factory=dict)
    shares: tuple[Share, ...] = ()
    controls: Annotated[dict[Slug, Name], Meta(min_length=1)] | None = None
    extra_movies: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    prediction_params: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    prior: DeclaredPrior | None = None
