"""Qualtrics: surveys, their questions, responses, and the contacts of the directories with their opt-outs."""

from __future__ import annotations

from millstream.sources.qualtrics.settings import QualtricsSettings
from millstream.sources.qualtrics.source import Qualtrics

__all__ = ["Qualtrics", "QualtricsSettings"]
