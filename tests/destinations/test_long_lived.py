"""The garbage collector while something is sent."""

from __future__ import annotations

import gc

from millstream.destinations.sending.long_lived import only_new_objects_collected


def test_what_was_there_is_set_aside_only_while_it_lasts() -> None:
    before = gc.get_freeze_count()

    with only_new_objects_collected():
        assert gc.get_freeze_count() > before

    assert gc.get_freeze_count() == 0
