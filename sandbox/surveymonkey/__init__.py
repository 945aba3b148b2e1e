"""Stand-in for the SurveyMonkey API v3 (api.surveymonkey.com), mounted so that its URLs begin `/surveymonkey/v3`."""

from __future__ import annotations

from millstream.sandbox.surveymonkey.account import SurveyMonkey

SYSTEM = SurveyMonkey

__all__ = ["SYSTEM", "SurveyMonkey"]
