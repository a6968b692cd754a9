from __future__ import annotations

import os
import subprocess
import sys

import pytest

from data_juicer_sandbox.components.processes import hardware
from data_juicer_sandbox.components.processes.hardware import core_numbers, cores, idle_cores


def stat(ticks):
    return "".join(f"cpu{number} {' '.join(map(str, fields))}\n" for number, fields in ticks.items())


@pytest.mark.parametrize(
    ("busy", "idle"),
    [([0, 0], 2.0), ([100, 0], 1.0), ([100, 100], 0.0), ([50, 25], 1.25)],
)
def test_the_idle_part_of_each_core_is_added(monkeypatch, tmp_path, busy, idle):
    file = tmp_path / "stat"
    monkeypatch.setattr(hardware, "core_numbers", lambda: [0, 1])
    file.write_text("cpu 1 2 3\n" + stat({0: [5, 0, 5, 100, 1, 0, 0, 0], 1: [7, 0, 0, 90, 0, 0, 0, 0], 2: [0] * 8}))

    def pass_time(seconds):
        after = {
            number: [first[0] + work, 0, first[1], first[2] + 100 - work, first[3], 0, 0, 0]
            for number, first, work in ((0, (5, 5, 100, 1), busy[0]), (1, (7, 0, 90, 0), busy[1]))
        }
        file.write_text("cpu 1 2 3\n" + stat({**after, 2: [1000] + [0] * 7}))

    monkeypatch.setattr(hardware.time, "sleep", pass_time)
    assert idle_cores(stat_file=str(file)) == pytest.approx(idle)


def test_without_statistics_the_load_average_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 9, 9))
    assert idle_cores(0, str(tmp_path / "none")) == cores() - 0.5
    monkeypatch.setattr(os, "getloadavg", lambda: (99, 9, 9))
    assert idle_cores(0, str(tmp_path / "none")) == 0


def test_a_busy_core_is_not_idle():
    core = core_numbers()[0]
    code = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nprint('ready', flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code, str(core)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        allowed = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {core})
            assert idle_cores(0.3) < 0.3
        finally:
            os.sched_setaffinity(0, allowed)
            process.kill()
