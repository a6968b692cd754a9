"""A SLURM cluster, once for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from slurm import SlurmCluster, slurm_cluster, why_not

from data_juicer_sandbox.parallel import slurm as slurm_backend


@pytest.fixture(scope="session")
def _cluster() -> Iterator[SlurmCluster]:
    if reason := why_not():
        pytest.skip(reason)
    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def slurm(_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """The cluster, as the one that SLURM's commands reach; its queue is empty before and after the test."""
    monkeypatch.setenv("SLURM_CONF", str(_cluster.config))
    monkeypatch.setattr(slurm_backend, "MIN_INTERVAL", 0.2)
    yield _cluster
    _cluster.run("scancel", "--me")
