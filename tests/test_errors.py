from __future__ import annotations

from data_juicer_sandbox.engine.runner import TrialPruned, _stopped
from data_juicer_sandbox.errors import error_chain


def test_a_circular_chain_is_walked_once():
    first, second, third = ValueError("first"), KeyError("second"), OSError("third")
    first.__cause__, second.__cause__ = second, first  # as `raise first from second` does where second came from first
    second.__context__, third.__context__ = third, third
    assert list(error_chain(first)) == [first, second, third]
    assert list(error_chain(None)) == []


def test_a_request_to_stop_is_found_behind_causes_and_contexts():
    stopped, wrapper, outer = TrialPruned("enough"), RuntimeError("wrapper"), ValueError("outer")
    wrapper.__context__, wrapper.__cause__ = stopped, OSError("a cause that hides the context")
    outer.__cause__ = wrapper
    assert _stopped(outer) is stopped


def test_no_request_to_stop_in_a_circular_chain():
    error = ValueError("a")
    error.__cause__ = KeyError("b")
    error.__cause__.__cause__ = error
    assert _stopped(error) is None
