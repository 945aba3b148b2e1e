"""The section ``report`` of the project file: where the page goes, and whether each run of the pipeline writes it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ReportRules(BaseModel):
    """The page that `millstream report` writes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after_pipeline: bool = Field(default=False, description="Whether it is written at the end of each pipeline run.")
    output: str = Field(
        default=".millstream/report.html",
        min_length=1,
        description="The file; a relative path starts at the project file's folder.",
    )
