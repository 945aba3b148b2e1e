"""The project file ``millstream.yaml``: finding it, checking all of it at once, and making its connectors."""

from __future__ import annotations

from millstream.flows.project.connectors import Configured
from millstream.flows.project.loading import FILE_NAME, find_project_file, load_project
from millstream.flows.project.models import ProjectFile, Schedule
from millstream.flows.project.problems import Problem, ProjectError
from millstream.flows.project.project import Project

__all__ = [
    "FILE_NAME",
    "Configured",
    "Problem",
    "Project",
    "ProjectError",
    "ProjectFile",
    "Schedule",
    "find_project_file",
    "load_project",
]
