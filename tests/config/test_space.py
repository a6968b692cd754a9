"""What Optuna draws: in its bounds, on its steps, as likely as the distribution says; the same after a crash."""

from __future__ import annotations

import math
from collections import Counter

import pytest

optuna = pytest.importorskip("optuna", reason="pip install -e '.[search]'")

from data_juicer_sandbox.config.distributions import Choice, Normal, Parameter, Range  # noqa: E402
from data_juicer_sandbox.config.space import draw, grid  # noqa: E402

N = 400


@pytest.fixture
def draws():
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def call(distribution, n=N):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=4))
        found = []
        for _ in range(n):
            trial = study.ask()
            value = draw(trial, [Parameter("x", distribution, ())])["x"]
            assert draw(optuna.Trial(study, trial._trial_id), [Parameter("x", distribution, ())]) == {"x": value}
            found.append(value)
        return found

    return call


def near(share, expected):
    """Within four standard deviations of a share of N draws."""
    return abs(share - expected) <= 4 * math.sqrt(expected * (1 - expected) / N)


def test_probabilities_are_kept(draws):
    counts = Counter(draws(Choice(("a", "b", "c", "never"), (0.6, 0.3, 0.1, 0.0))))
    assert set(counts) == {"a", "b", "c"}
    for value, expected in (("a", 0.6), ("b", 0.3), ("c", 0.1)):
        assert near(counts[value] / N, expected)


def test_choices_may_be_lists_and_one_is_a_constant(draws):
    assert {str(value) for value in draws(Choice(([1, 2], {"a": 1}, None)), 30)} == {"[1, 2]", "{'a': 1}", "None"}
    assert draws(Choice(([1],)), 3) == [[1]] * 3


def test_whole_numbers_and_steps(draws):
    assert set(draws(Range(1, 4, 1))) == {1, 2, 3, 4}
    assert all(type(value) is int for value in draws(Range(1, 9, 2)))
    assert set(draws(Range(0.1, 0.5, 0.1))) == {0.1, 0.2, 0.3, 0.4, 0.5}


def test_logarithms(draws):
    found = draws(Range(0.001, 1.0, log=True))
    assert all(0.001 <= value <= 1 for value in found)
    assert near(sum(value < 0.01 for value in found) / N, 1 / 3)
    rounded = draws(Range(1.0, 100.0, log=True, rounded=5))
    assert {value % 5 for value in rounded} == {0}
    assert all(type(value) is int for value in rounded)


def test_normals(draws):
    found = draws(Normal(10, 2))
    assert near(sum(value < 10 for value in found) / N, 0.5)
    assert near(sum(abs(value - 10) < 2 for value in found) / N, 0.6827)
    logs = [math.log(value) for value in draws(Normal(1, 0.5, log=True))]
    assert near(sum(abs(value - 1) < 0.5 for value in logs) / N, 0.6827)
    assert {value % 3 for value in draws(Normal(10, 5, rounded=3))} == {0}


def test_grid():
    parameters = [
        Parameter("a", Choice((1, 2)), ()),
        Parameter("b", Choice((5,)), ()),
        Parameter("c", Range(0.1, 0.3, 0.1), ()),
        Parameter("d", Choice(("x", "y", "z"), (0.5, 0.0, 0.5)), ()),
    ]
    assert grid(parameters) == {"a": [1, 2], "c": [0.1, 0.2, 0.3], "d (drawn)": [0.25, 0.75]}
