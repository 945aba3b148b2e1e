"""Tests of async jobs: one outcome for each row, from the job's id alone: the run that submitted it may be dead."""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import uuid4

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.modes import Operation, Status, SyncMode
from millstream.destinations.testing.ground import AnyDestination, Ground, statuses, with_fields
from millstream.destinations.testing.stand_in import StandIn
from millstream.state.errors import UnknownOutcomeError

_PATIENCE = 60.0
"""Seconds that a job on the stand-in may take."""


class JobTests(Ground):
    """Operations that a connector declares in ``jobs``."""

    def test_jobs_have_their_methods(self, destination: AnyDestination) -> None:
        methods = ("submit_job", "poll_job", "job_outcomes")
        assert [destination.codes(method) for method in methods] == [bool(destination.jobs)] * 3
        assert Operation.REMOVE not in destination.jobs, "removals go in batches"
        assert min(destination.job_from, destination.job_size, destination.job_requests) >= 1

    def test_a_job_is_gone_on_with_by_another_process(
        self, destination: AnyDestination, stand_in: StandIn, audience: str
    ) -> None:
        for operation in sorted(destination.jobs):
            rows = self._rows_of_a_job(destination, operation)
            job_id = self._submit(destination, operation, rows, audience)
            survivor = type(destination)(destination.settings)
            for _ in range(2):
                outcomes = self._outcomes(survivor, job_id, operation, rows)
                assert statuses(outcomes) == [Status.ACCEPTED, Status.REJECTED, Status.ACCEPTED]
            assert outcomes[1].code
            assert self.bad_match_value not in str(outcomes[1].reason)
            good = {row.match_value for row in (rows[0], rows[2])}
            assert good <= set(stand_in.standings())
            if operation is Operation.ADD:
                assert self.members(destination, stand_in, audience) in (None, good)

    def test_a_job_creates_nobody_in_mode_update(self, destination: AnyDestination, stand_in: StandIn) -> None:
        if Operation.UPDATE not in destination.jobs or SyncMode.UPDATE not in destination.modes:
            return
        known, stranger = self.new_members(destination)[0], self.people()[0]
        rows = [known, DeliveryRow(number=9, match_value=stranger.match_value, fields=stranger.fields)]
        job_id = self._submit(destination, Operation.UPDATE, rows, None, creates=False)
        outcomes = self._outcomes(destination, job_id, Operation.UPDATE, rows)
        assert statuses(outcomes) == [Status.ACCEPTED, Status.REJECTED]
        assert stranger.match_value not in stand_in.standings()

    def test_a_job_unsubscribes_and_resubscribes_nobody(
        self, destination: AnyDestination, stand_in: StandIn, audience: str
    ) -> None:
        if not (destination.jobs and self.has_standings):
            return
        before = stand_in.standings()
        for operation in sorted(destination.jobs):
            rows = self.some_of_each_standing(stand_in)
            job_id = self._submit(destination, operation, rows, audience)
            self._outcomes(destination, job_id, operation, rows)
            after = stand_in.standings()
            assert {known: after.get(known) for known in before} == dict(before)

    def test_a_submission_without_an_answer_is_found_or_unknown(
        self, destination: AnyDestination, steered: StandIn, audience: str
    ) -> None:
        for operation in sorted(destination.jobs):
            rows = self.new_members(destination)
            label = f"contract-{uuid4().hex[:12]}"
            steered.lose_answers(times=1)
            try:
                job_id: str | None = self._submit(destination, operation, rows, audience, label=label)
            except UnknownOutcomeError:
                job_id = destination.find_job(label)
            if job_id is not None:
                outcomes = self._outcomes(destination, job_id, operation, rows)
                assert statuses(outcomes) == [Status.ACCEPTED] * 3

    def _rows_of_a_job(self, destination: AnyDestination, operation: Operation) -> list[DeliveryRow]:
        """A good row, a bad one, and a good one."""
        good = self.new_members(destination) if operation is Operation.UPDATE else self.people()
        bad = DeliveryRow(number=50, match_value=self.bad_match_value, fields=self.sample_fields)
        return [*with_fields(good[:1], self.sample_fields), bad, *with_fields(good[2:], self.sample_fields)]

    def _submit(
        self,
        destination: AnyDestination,
        operation: Operation,
        rows: Sequence[DeliveryRow],
        audience: str | None,
        *,
        creates: bool = True,
        label: str | None = None,
    ) -> str:
        return destination.submit_job(
            operation,
            rows,
            match_key=destination.match_keys[0],
            audience_id=audience,
            creates=creates,
            label=label or f"contract-{uuid4().hex[:12]}",
        )

    def _outcomes(
        self, destination: AnyDestination, job_id: str, operation: Operation, rows: Sequence[DeliveryRow]
    ) -> list[Outcome]:
        until = time.monotonic() + _PATIENCE
        while not destination.poll_job(job_id).done:
            assert time.monotonic() < until, "the job does not end"
            time.sleep(0.02)
        outcomes = destination.job_outcomes(job_id, operation, rows)
        assert len(outcomes) == len(rows)
        return outcomes
