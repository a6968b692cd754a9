"""The log file has everything, the terminal little, and secrets are in neither."""

import logging
import subprocess
import sys
import warnings

import pytest
from loguru import logger

from data_juicer_sandbox.terminal import logs

SECRET = "sk-" + "a1B2" * 6


@pytest.fixture
def terminal(capsys):
    """What was written to standard error so far."""
    seen = []

    def read():
        seen.append(capsys.readouterr().err)
        return "".join(seen)

    yield read
    logs.close()


def test_file_and_terminal(tmp_path, terminal):
    path = tmp_path / "deep" / "run.log"
    logs.setup(path, debug=False)
    with logs.job("main.train"):
        logger.debug("details {braces}")
        logger.warning("take care")
    logger.info("after")
    text = path.read_text()
    assert "| DEBUG    | main.train |" in text
    assert "details {braces}" in text
    assert "| INFO     | - |" in text
    assert "after" in text
    assert terminal() == "WARNING: take care\n"


def test_debug_shows_all_on_the_terminal(tmp_path, terminal):
    logs.setup(tmp_path / "run.log", debug=True)
    logger.debug("details")
    assert "DEBUG: details" in terminal()


def test_a_second_run_appends(tmp_path, terminal):
    for word in ("one", "two"):
        logs.setup(tmp_path / "run.log", debug=False)
        logger.info(word)
    assert [line.rsplit("| ")[-1] for line in (tmp_path / "run.log").read_text().splitlines()] == ["one", "two"]


def test_secrets_are_masked_in_messages_and_tracebacks(tmp_path, terminal):
    logs.setup(tmp_path / "run.log", debug=True)
    logger.warning("calling with {} and api_key=hunter2", SECRET)

    def call(api_key):
        raise ValueError(f"refused: {api_key}")

    try:
        call(SECRET)
    except ValueError:
        logger.exception("call failed")
    for text in ((tmp_path / "run.log").read_text(), terminal()):
        assert "ValueError: refused: ***" in text
        assert "Traceback" in text
        assert SECRET not in text
        assert "hunter2" not in text


def test_standard_logging_goes_into_the_file(tmp_path, terminal):
    logs.setup(tmp_path / "run.log", debug=False)
    logging.getLogger("some.library").info("from {a} %s", "library")
    logging.getLogger("some.library").warning("beware")
    logging.getLogger("urllib3.pool").info("chatter")
    warnings.warn("an old way", FutureWarning, stacklevel=1)
    text = (tmp_path / "run.log").read_text()
    assert "some.library:" in text
    assert "from {a} library" in text
    assert "FutureWarning: an old way" in text
    assert "chatter" not in text
    assert terminal() == "WARNING: beware\n"


def test_a_library_that_hangs_up_its_own_handler_is_tamed(tmp_path, terminal):
    """As transformers, datasets and wandb do: a handler on their own logger, and no propagation."""
    logs.setup(tmp_path / "run.log", debug=False)
    own = logging.getLogger("transformers")
    own.addHandler(logging.StreamHandler(sys.stderr))
    own.propagate = False
    own.setLevel(logging.WARNING)
    logging.getLogger("transformers.trainer").warning("for the log")
    logging.getLogger("transformers.trainer").error("said once")
    assert terminal() == "ERROR: said once\n"
    text = (tmp_path / "run.log").read_text()
    assert text.count("for the log") == text.count("said once") == 1


def test_the_real_transformers(tmp_path):
    code = (
        "import sys, pathlib\n"
        "from data_juicer_sandbox.terminal import logs\n"
        "logs.setup(pathlib.Path(sys.argv[1]), False)\n"
        "import transformers\n"
        "transformers.utils.logging.get_logger('transformers.x').error('from within')\n"
        "logs.close()\n"
    )
    pytest.importorskip("transformers")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "l")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("from within") == 1
    assert (tmp_path / "l").read_text().count("from within") == 1


def test_restore_after_a_library_took_the_sinks_away(tmp_path, terminal):
    logs.setup(tmp_path / "run.log", debug=False)
    logger.remove()
    logger.add(sys.stderr, level="DEBUG")
    logger.info("lost")
    logs.restore()
    logger.info("found")
    text = (tmp_path / "run.log").read_text()
    assert "lost" not in text
    assert "found" in text
    assert "found" not in terminal()


def test_restore_gives_back_the_streams_that_data_juicer_took(tmp_path, terminal, monkeypatch):
    logs.setup(tmp_path / "run.log", debug=False)
    thief = type("StreamToLoguru", (), {"__module__": "data_juicer.utils.logger_utils"})()
    out, err = sys.stdout, sys.stderr
    monkeypatch.setattr(sys, "stderr", thief)
    monkeypatch.setattr(sys, "stdout", thief)
    logs.restore()
    assert (sys.stdout, sys.stderr) == (out, err)


def test_without_setup_restore_and_close_do_nothing():
    root = logging.root.handlers[:]
    logs.restore()
    logs.close()
    assert logging.root.handlers == root


def test_close_leaves_logging_as_it_was(tmp_path, terminal):
    before = (logging.root.handlers[:], logging.root.level, warnings.showwarning)
    logs.setup(tmp_path / "run.log", debug=False)
    logs.close()
    assert (logging.root.handlers, logging.root.level, warnings.showwarning) == before
    logger.info("into nothing")
    assert "into nothing" not in (tmp_path / "run.log").read_text()


def test_lines_go_through_a_view(tmp_path, terminal):
    seen = []
    logs.setup(tmp_path / "run.log", debug=False)
    logs.show_through(seen.append)
    logger.warning("above the bars")
    logs.show_through(None)
    logger.warning("plain")
    assert seen == ["WARNING: above the bars"]
    assert terminal() == "WARNING: plain\n"
