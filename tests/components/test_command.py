"""Metrics of programs, and the trainer and the evaluator that run them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from loguru import logger

from data_juicer_sandbox.components.evaluate.command import CommandEvaluator
from data_juicer_sandbox.components.train.command import CommandTrainer
from data_juicer_sandbox.errors import ConfigError, JobError


def argv(code: str, *arguments):
    return [sys.executable, "-c", code, *arguments]


PRINTS = """
import sys
print('starting {')
print('{"step": 1, "loss": 2.5, "eval": {"bleu": 1}}')
print('{"no_json"')
print('[1]')
print('{"loss": 0.5}', file=sys.stderr)
print('{"loss": 1.5, "step": "2", "note": "x"}')
print('done')
"""


def test_metrics_from_json_lines(job, quiet):
    result = CommandEvaluator(argv(PRINTS), metrics="jsonl").run(job)
    assert quiet.values == [(1, {"loss": 2.5, "eval": {"bleu": 1}}), (2, {"loss": 1.5, "note": "x"})]
    assert result == {"loss": 1.5, "note": "x"}


def test_metrics_by_pattern_on_both_streams(job, quiet):
    code = "import sys\nprint('it 10: loss=2.5e-1 ok')\nprint('it 20: loss=nan bad', file=sys.stderr)\nprint('bye')"
    pattern = r"it (?P<step>\d+): loss=(?P<loss>\S+) (?P<state>\w+)(?P<never>!)?"
    CommandEvaluator(argv(code), metrics_pattern=pattern).run(job)
    first, second = sorted(quiet.values)
    assert first == (10, {"loss": 0.25, "state": "ok"})
    assert second[0] == 20
    assert second[1]["loss"] != second[1]["loss"]


WRITES = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        ('{\n "score": 3\n}\n', [(None, {"score": 3})]),
        ('{"step": 1, "a": 1}\n\n{"step": 2, "a": 2}\n', [(1, {"a": 1}), (2, {"a": 2})]),
    ],
)
def test_metrics_from_a_file(job, quiet, tmp_path, text, sets):
    file = str(tmp_path / "m.json")
    assert CommandEvaluator(argv(WRITES, file, text), metrics_file=file).run(job) == sets[-1][1]
    assert quiet.values == sets


def test_a_metrics_file_that_is_replaced_by_one_of_the_same_size_and_time_is_a_new_one(job, tmp_path):
    """A program may keep the time of its file, as `cp -p` does, or write so fast that it is the same."""
    file = tmp_path / "metrics.json"
    file.write_text('{"loss": 1.5}')
    code = (
        "import os, sys; file, text = sys.argv[1:]; state = os.stat(file); open(file, 'r+').write(text); "
        "os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))"
    )
    assert CommandEvaluator(argv(code, str(file), '{"loss": 0.5}'), metrics_file=str(file)).run(job) == {"loss": 0.5}


def test_a_metrics_file_of_an_earlier_run_is_not_taken_for_this_ones(job, tmp_path):
    file = tmp_path / "m.json"
    file.write_text('{"score": 1}')
    with pytest.raises(JobError, match="did not write its metrics file"):
        CommandEvaluator(argv("pass"), metrics_file=str(file)).run(job)
    with pytest.raises(JobError, match=r"neither a JSON object nor JSON lines"):
        CommandEvaluator(argv(WRITES, str(file), "{"), metrics_file=str(file)).run(job)
    with pytest.raises(JobError, match="holds a list, expected metrics"):
        CommandEvaluator(argv(WRITES, str(file), "[1]"), metrics_file=str(file)).run(job)


def test_an_evaluator_without_any_metrics_fails(job):
    with pytest.raises(JobError, match="no metrics were found"):
        CommandEvaluator(argv("print('hello')"), metrics="jsonl").run(job)
    with pytest.raises(JobError, match="no metrics were found"):
        CommandEvaluator(argv("print('{\"step\": 3}')"), metrics="jsonl").run(job)


def test_a_trainer_puts_out_what_it_made(job, quiet, tmp_path):
    made = [str(tmp_path / "a.bin"), str(tmp_path / "b.bin")]
    code = "import pathlib, sys\nfor p in sys.argv[1:]: pathlib.Path(p).touch()\nprint('loss: 3')"
    trainer = CommandTrainer(argv(code, *made), made, metrics_pattern=r"loss: (?P<loss>\d+)")
    assert trainer.run(job) == made
    assert quiet.values == [(None, {"loss": 3})]
    assert CommandTrainer(argv(code, made[0]), made[0]).run(job) == made[0]
    with pytest.raises(JobError, match=r"succeeded, but did not create .*c.bin.*start from"):
        CommandTrainer(argv("pass"), [made[0], str(tmp_path / "c.bin")]).run(job)


def test_a_failing_program_fails_the_job(job, tmp_path):
    with pytest.raises(JobError, match=r"ended with status 1; its last lines:\n(.*\n)*  ValueError: no data"):
        CommandTrainer(argv("raise ValueError('no data')"), str(tmp_path)).run(job)


def test_numbers_are_arguments_and_variables_too(job):
    code = "import json, os, sys; print(json.dumps({'argv': sys.argv[1:], 'env': os.environ['N']}))"
    found = CommandEvaluator(argv(code, 3, 0.001), env={"N": 2}, metrics="jsonl").run(job)
    assert found == {"argv": ["3", "0.001"], "env": "2"}


def test_every_line_goes_to_the_log_without_secrets(job):
    lines = []
    sink = logger.add(lines.append, level="DEBUG", format="{level} {message}")
    try:
        code = "import os, sys; print('key', os.environ['MY_TOKEN']); print('{\"a\": 1}')"
        CommandEvaluator(argv(code, "--password", "hunter22"), env={"MY_TOKEN": "s3cr3t"}, metrics="jsonl").run(job)
    finally:
        logger.remove(sink)
    text = "".join(map(str, lines))
    name = Path(sys.executable).name
    assert f"DEBUG {name}: key ***\n" in text
    assert f'DEBUG {name}: {{"a": 1}}\n' in text
    assert "s3cr3t" not in text
    assert "hunter22" not in text


def test_an_error_while_metrics_are_watched_ends_the_program(job, tmp_path):
    class Broken:
        def watch(self, values, step=None):
            raise OSError("no space left")

        def query(self, meta_name):
            return {}

    from dataclasses import replace

    file = tmp_path / "late"
    code = "import pathlib, sys, time\nprint('{\"a\": 1}')\ntime.sleep(1)\npathlib.Path(sys.argv[1]).touch()"
    with pytest.raises(OSError, match="no space") as raised:
        CommandEvaluator(argv(code, str(file)), metrics="jsonl").run(replace(job, watcher=Broken()))
    import time

    time.sleep(1.5)
    assert raised.traceback  # holds the frames, and with them whatever is not closed by name
    assert not file.exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"argv": []}, "argv is empty"),
        ({"argv": "echo hi"}, "is one string.*no shell"),
        ({"metrics": "jsonl", "metrics_pattern": "(?P<a>.)"}, "metrics and metrics_pattern are both given"),
        ({"metrics_pattern": "(?P<a>."}, "is not a regular expression: .*unterminated subpattern"),
        ({"metrics_pattern": r"(\d+)"}, "has no named group"),
        ({"metrics_pattern": r"(?P<step>\d+)"}, "has no named group for a metric"),
        ({}, "the source of the metrics is missing"),
    ],
)
def test_wrong_parameters_are_found_before_the_run(wrong, message):
    with pytest.raises(ConfigError, match=message):
        CommandEvaluator(**{"argv": ["true"], **wrong})


def test_parameters_are_checked_by_their_types():
    from data_juicer_sandbox import signatures

    values = json.loads('{"argv": ["true", 1, 0.5], "env": {"A": 1, "B": "x"}, "timeout": 5, "metrics": "jsonl"}')
    built = signatures.build(CommandEvaluator, values)
    assert built.program.argv == ["true", "1", "0.5"]
    assert built.program.env == {"A": "1", "B": "x"}
    problems = signatures.check(CommandTrainer, {"argv": ["true"], "metrics": "csv", "timeout": -1})
    assert sorted(problem.name for problem in problems) == ["metrics", "result", "timeout"]


def test_metrics_of_a_fast_program_are_all_watched_and_all_logged(job, quiet):
    """Lines that arrive together are one message of the log; secrets are masked in each."""
    code = "import os, sys; sys.stdout.write(''.join('{\"step\": %d, \"x\": 1}\\nkey %s\\n' % (n, os.environ['MY_TOKEN']) for n in range(5000)))"  # noqa: E501
    messages = []
    sink = logger.add(lambda message: messages.append(message.record["message"]), level="DEBUG")
    try:
        assert CommandEvaluator(argv(code), env={"MY_TOKEN": "s3cr3t"}, metrics="jsonl").run(job) == {"x": 1}
    finally:
        logger.remove(sink)
    assert [step for step, _ in quiet.values] == list(range(5000))
    name = Path(sys.executable).name
    lines = [
        line for message in messages if message.startswith(f"{name}: ") for line in message[len(name) + 2 :].split("\n")
    ]
    assert lines == [line for n in range(5000) for line in (f'{{"step": {n}, "x": 1}}', "key ***")]
    assert len(messages) < 1000
