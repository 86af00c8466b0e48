"""Which analyses a study gets, and what they refuse."""

from dataclasses import replace
from datetime import time
from typing import Any, Self

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from service.domain.eligibility import Limits
from service.settings.values import Frozen


class Route(Frozen):
    """A rule: every condition that is given must hold. Names may hold * and ?, and case does not matter."""

    kernel: tuple[str, ...] = Field((), description="Convolution Kernel (0018,1210)")
    contrast: bool | None = Field(None, description="whether a contrast agent was given into the blood")
    procedure: tuple[str, ...] = Field((), description="code or meaning of the procedure, or its description")
    age: tuple[float, float] | None = Field(None, description="patient's age in years, from and to, e.g. [40, 120]")
    pipeline: tuple[str, ...] = Field((), description="which analysis made the results; for destinations only")

    calling_ae: tuple[str, ...] = Field((), description="who sent the CT")
    called_ae: tuple[str, ...] = Field((), description="as which AE title we were called")
    station: tuple[str, ...] = Field((), description="Station Name (0008,1010)")
    description: tuple[str, ...] = Field((), description="Study Description or Series Description")
    body_part: tuple[str, ...] = Field((), description="Body Part Examined (0018,0015)")
    between: tuple[time, time] | None = Field(
        None, description="local time of day at which the first image of the CT came, e.g. [18:00, 07:00]"
    )

    @model_validator(mode="after")
    def _ages_in_order(self) -> Self:
        if self.age and self.age[0] > self.age[1]:
            raise ValueError(
                f"age: from the first to the second, in years; nobody is from {self.age[0]:g} to {self.age[1]:g}"
            )
        return self


class GateLimits(Frozen):
    """Limits of the eligibility gate, for all pipelines. Without one, each pipeline's own holds."""

    min_slices: int | None = Field(None, ge=1, description="fewest slices of a series")
    min_extent_mm: float | None = Field(None, gt=0, description="shortest covered length, first to last slice")
    good_thickness_mm: float | None = Field(None, gt=0, description="slices up to this give no warning")
    max_thickness_mm: float | None = Field(None, gt=0, description="thicker slices are refused")
    min_age_years: float | None = Field(None, ge=0, description="younger patients are refused")
    min_axial_cosine: float | None = Field(None, gt=0, le=1, description="of the slice normal and the body's axis")
    allow_derived: bool | None = Field(None, description="also derived images, e.g. monoenergetic ones")
    spacing_tolerance_mm: float | None = Field(None, ge=0, description="spread of the slice spacing, in mm")
    spacing_tolerance: float | None = Field(None, ge=0, description="spread of the slice spacing, as a part of it")
    cosine_tolerance: float | None = Field(None, ge=0, description="differences of orientation that are rounding")
    pixel_spacing_tolerance_mm: float | None = Field(None, ge=0, description="differences that are rounding")
    position_tolerance_mm: float | None = Field(None, ge=0, description="differences that are rounding")
    max_tilt_degrees: float | None = Field(None, ge=0, description="greatest tilt of the gantry")
    max_voxels: int | None = Field(None, ge=1, description="most voxels of a series: six bytes of memory each")

    def over(self, limits: Limits) -> Limits:
        """A pipeline's limits with those that are set here in their place."""
        return replace(limits, **self.model_dump(exclude_none=True))


class PipelineChoice(Frozen):
    """One analysis, and which studies get it. A name alone means: all studies."""

    name: str = Field(description="of the pipeline, as `thoracle pipelines` lists it")
    when: tuple[Route, ...] = Field(
        (),
        description="studies of which any CT series matches any of these rules; only series that match are analysed; "
        "empty: all",
    )

    @model_validator(mode="after")
    def _before_the_analysis(self) -> Self:
        if any(route.pipeline for route in self.when):
            raise ValueError("when: `pipeline` is for destinations; a pipeline chooses studies by what they are")
        return self

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class OrNameAlone:
    """For JSON schemas: an entry is the name of a pipeline, or the name with rules."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(schema)]}
