"""What a job may write: rules for single paths. `engine/test_output_safety.py` tries them on every component type."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.engine import session
from data_juicer_sandbox.errors import JobError, WorkDirError
from data_juicer_sandbox.files import claim, guarded_by, open_append, replacing
from data_juicer_sandbox.output_folders import MARKER, Owner
from data_juicer_sandbox.output_guard import LEDGER, RUN_FILES, RUN_FOLDERS, OutputGuard, OutputLedger, refuse_links


@pytest.fixture
def work_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def guard_of(work_dir, inputs=(), label="p/execution/job"):
    return OutputGuard(work_dir, label, inputs, OutputLedger(work_dir), work_dir / "jobs/p/job")


def write(path, text, guard):
    with guarded_by(guard), replacing(path) as part:
        part.write_text(text)
    guard.settle()


def write_folder(path, guard, **files):
    with guarded_by(guard), replacing(path, folder=True) as part:
        part.mkdir()
        for name, text in files.items():
            (part / name).write_text(text)


def test_a_file_that_the_run_wrote_is_replaced_and_a_foreign_one_is_renamed(work_dir, tmp_path):
    path = tmp_path / "clean.jsonl"
    path.write_text("the user's own")
    write(path, "first", guard_of(work_dir))
    (aside,) = tmp_path.glob("previous_clean.jsonl_*")
    assert (path.read_text(), aside.read_text()) == ("first", "the user's own")
    write(path, "second", guard_of(work_dir))
    assert path.read_text() == "second"
    assert list(tmp_path.glob("previous_*")) == [aside]


def test_a_job_that_fails_gives_the_file_back(work_dir, tmp_path):
    path = tmp_path / "clean.jsonl"
    path.write_text("the user's own")
    guard = guard_of(work_dir)
    with guarded_by(guard):
        claim(path)
        assert not path.exists()
    guard.settle()
    assert path.read_text() == "the user's own"
    assert not OutputLedger(work_dir).wrote(path)


def test_a_file_that_is_edited_while_the_job_goes_on_is_not_the_runs(work_dir, tmp_path):
    path, guard = tmp_path / "clean.jsonl", guard_of(work_dir)
    with guarded_by(guard):
        with replacing(path) as part:
            part.write_text("the job's")
        path.write_text("the job's, edited")
    guard.settle()
    write(path, "second", guard_of(work_dir))
    (aside,) = tmp_path.glob("previous_clean.jsonl_*")
    assert (path.read_text(), aside.read_text()) == ("second", "the job's, edited")


def test_a_file_that_comes_while_a_job_fails_is_not_the_runs(work_dir, tmp_path):
    path, guard = tmp_path / "clean.jsonl", guard_of(work_dir)
    with guarded_by(guard):
        claim(path)
        path.write_text("the user's own")
    guard.settle(completed=False)
    write(path, "second", guard_of(work_dir))
    (aside,) = tmp_path.glob("previous_clean.jsonl_*")
    assert (path.read_text(), aside.read_text()) == ("second", "the user's own")


def test_the_ledger_goes_with_a_work_dir_that_is_moved(work_dir, tmp_path):
    write(work_dir / "a.jsonl", "1", guard_of(work_dir))
    moved = tmp_path / "elsewhere"
    work_dir.rename(moved)
    assert OutputLedger(moved).wrote(moved / "a.jsonl")
    write(moved / "a.jsonl", "2", guard_of(moved))
    assert not list(moved.glob("previous_*"))


def test_a_torn_line_of_the_ledger_harms_no_other(work_dir, tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    OutputLedger(work_dir).settle(tmp_path / "a")
    with (work_dir / LEDGER).open("ab") as stream:
        stream.write(b'{"path": "/half')
    OutputLedger(work_dir).settle(tmp_path / "b")
    with (work_dir / LEDGER).open("ab") as stream:
        stream.write(b'[]\n{"path": 3}\n{"path": "c", "size": "x"}\n\xff\n')
    fresh = OutputLedger(work_dir)
    assert [fresh.wrote(tmp_path / name) for name in "abd"] == [True, True, False]


def test_an_output_that_somebody_edited_is_kept(work_dir, tmp_path):
    path = tmp_path / "clean.jsonl"
    write(path, "first", guard_of(work_dir))
    path.write_text("edited by hand")
    write(path, "second", guard_of(work_dir))
    (aside,) = tmp_path.glob("previous_clean.jsonl_*")
    assert (path.read_text(), aside.read_text()) == ("second", "edited by hand")


def test_two_work_dirs_with_one_output_destroy_nothing_of_each_other(work_dir, tmp_path):
    path, other = tmp_path / "clean.jsonl", tmp_path / "out2"
    other.mkdir()
    for number, folder in enumerate([work_dir, other, work_dir, other]):
        write(path, f"run {number}", guard_of(folder))
    kept = sorted(file.read_text() for file in tmp_path.glob("previous_*"))
    assert (path.read_text(), kept) == ("run 3", ["run 0", "run 1", "run 2"])


def test_what_a_killed_run_wrote_is_its_own(work_dir, tmp_path):
    path = tmp_path / "clean.jsonl"
    with guarded_by(guard_of(work_dir)), replacing(path) as part:
        part.write_text("first")
    # Here the process is killed: the guard is never settled.
    write(path, "second", guard_of(work_dir))
    assert path.read_text() == "second"
    assert not list(tmp_path.glob("previous_*"))


def test_a_file_that_comes_after_a_kill_is_not_the_runs(work_dir, tmp_path):
    path = tmp_path / "clean.jsonl"
    guard_of(work_dir).claim(path)  # and here the process is killed
    path.write_text("the user's own")
    write(path, "new", guard_of(work_dir))
    (aside,) = tmp_path.glob("previous_clean.jsonl_*")
    assert (path.read_text(), aside.read_text()) == ("new", "the user's own")


def test_a_file_that_comes_while_a_job_runs_is_not_the_runs(work_dir, tmp_path):
    path = tmp_path / "clean.jsonl"
    guard = guard_of(work_dir)
    with guarded_by(guard), replacing(path) as part:
        part.write_text("new")
        path.write_text("the user's own")
    guard.settle()
    (aside,) = tmp_path.glob("previous_clean.jsonl_*")
    assert (path.read_text(), aside.read_text()) == ("new", "the user's own")


@pytest.mark.parametrize("name", [".clean.jsonl.part", ".clean.jsonl.part12", ".clean.jsonl.part.answers"])
def test_a_users_file_is_not_taken_for_a_temporary_one(name, work_dir, tmp_path):
    (tmp_path / name).write_text("the user's own")
    write(tmp_path / "clean.jsonl", "new", guard_of(work_dir, [name]))
    write_folder(tmp_path / "model", guard_of(work_dir), weights="1")
    assert (tmp_path / name).read_text() == "the user's own"


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "𝛑" * 60 + ".jsonl"])
def test_the_longest_names_can_be_written(name, work_dir, tmp_path):
    write(tmp_path / name, "new", guard_of(work_dir))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]


def test_a_file_that_comes_after_a_failed_job_is_not_the_runs(work_dir, tmp_path):
    path = tmp_path / "clean.jsonl"
    guard = guard_of(work_dir)
    guard.claim(path)
    guard.settle()  # the job failed, nothing was written
    path.write_text("the user's own")
    write(path, "new", guard_of(work_dir))
    (aside,) = tmp_path.glob("previous_clean.jsonl_*")
    assert aside.read_text() == "the user's own"


def test_a_folder_is_replaced_by_the_job_that_wrote_it_only(work_dir, tmp_path):
    path = tmp_path / "model"
    write_folder(path, guard_of(work_dir), weights="1")
    write_folder(path, guard_of(work_dir), weights="2", config="c")
    assert (path / "weights").read_text() == "2"
    with pytest.raises(JobError, match=r"that job 'p/execution/job' of .* wrote, not this job"):
        write_folder(path, guard_of(work_dir, label="p/execution/other"), weights="3")
    other_run = tmp_path / "out2"
    other_run.mkdir()
    with pytest.raises(JobError, match="not this job"):
        write_folder(path, guard_of(other_run), weights="3")
    (path / "notes.txt").write_text("the user's own")
    with pytest.raises(JobError, match="files that this job did not write: notes"):
        write_folder(path, guard_of(work_dir), weights="3")
    assert (path / "weights").read_text() == "2"


def test_a_folder_without_marker_is_replaced_only_if_it_is_empty(work_dir, tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    write_folder(path, guard_of(work_dir), weights="1")
    (path / MARKER).unlink()
    with pytest.raises(JobError, match="did not write; it contains weights"):
        write_folder(path, guard_of(work_dir), weights="2")
    (path / MARKER).symlink_to(tmp_path / "forged.json")
    (tmp_path / "forged.json").write_text(
        json.dumps({"job": "p/execution/job", "work_dir": str(work_dir), "files": []})
    )
    with pytest.raises(JobError, match="did not write"):
        write_folder(path, guard_of(work_dir), weights="2")


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"job": 1}', '{"job": "", "work_dir": "", "files": 3}', "[" * 9999]
)
def test_a_damaged_marker_is_none(content, work_dir, tmp_path):
    path = tmp_path / "model"
    write_folder(path, guard_of(work_dir), weights="1")
    (path / MARKER).write_text(content)
    with pytest.raises(JobError, match="did not write"):
        write_folder(path, guard_of(work_dir), weights="2")


def test_links_and_empty_folders_inside_a_folder_count(work_dir, tmp_path):
    path = tmp_path / "model"
    write_folder(path, guard_of(work_dir), weights="1")
    (path / "sub").mkdir()
    with pytest.raises(JobError, match="did not write: sub"):
        write_folder(path, guard_of(work_dir), weights="2")
    (path / "sub").rmdir()
    (path / "data").symlink_to(tmp_path)
    with pytest.raises(JobError, match="did not write: data"):
        write_folder(path, guard_of(work_dir), weights="2")


def test_a_work_dir_can_be_copied_with_its_folders(work_dir, tmp_path):
    write_folder(work_dir / "model", guard_of(work_dir), weights="1")
    copy = tmp_path / "copy"
    shutil.copytree(work_dir, copy)
    write_folder(copy / "model", guard_of(copy), weights="2")
    assert (copy / "model/weights").read_text() == "2"
    assert (work_dir / "model/weights").read_text() == "1"


def test_the_folder_is_judged_again_when_the_work_is_done(work_dir, tmp_path):
    path = tmp_path / "model"
    write_folder(path, guard_of(work_dir), weights="1")

    def meanwhile():
        with guarded_by(guard_of(work_dir)), replacing(path, folder=True) as part:
            part.mkdir()
            (path / "notes.txt").write_text("the user's own")

    with pytest.raises(JobError, match=r"notes\.txt"):
        meanwhile()
    assert sorted(entry.name for entry in path.iterdir()) == [MARKER, "notes.txt", "weights"]
    assert [entry.name for entry in tmp_path.glob(".*part*")] == []


def test_a_folder_without_an_owner_outside_a_run(tmp_path):
    for text in ("one", "two"):
        with replacing(tmp_path / "model", folder=True, owner=Owner()) as part:
            part.mkdir()
            (part / "x").write_text(text)
    assert (tmp_path / "model/x").read_text() == "two"


@pytest.mark.parametrize("name", [*RUN_FILES, *(name.replace("*", "20260101") + "/x" for name in RUN_FOLDERS)])
def test_files_of_the_run_are_no_outputs(name, work_dir):
    with pytest.raises(JobError, match="of the run itself"):
        guard_of(work_dir).check(work_dir / name)


def test_own_folders_of_job_trial_and_iteration_are(work_dir):
    guard = guard_of(work_dir)
    guard.check(work_dir / "jobs/p/job/x.jsonl")
    guard.check(work_dir / "iter_1/x.jsonl")
    root = work_dir / "trials/trial_3"
    trial = OutputGuard(work_dir, "l", (), OutputLedger(work_dir), root / "jobs/p/job", root)
    trial.check(root / "x.jsonl")
    trial.check(root / "jobs/p/job/x.jsonl")
    for other in ("jobs/p/other/x", "context_infos.pkl"):
        with pytest.raises(JobError, match="of the run itself"):
            trial.check(root / other)
    with pytest.raises(JobError, match="of the run itself"):
        trial.check(work_dir / "trials/trial_4/x.jsonl")


def test_all_that_a_run_moves_aside_is_known_as_its_own():
    assert set(session.BESIDE) <= {*RUN_FILES, *RUN_FOLDERS}


def test_inputs_by_any_name_are_no_outputs(work_dir, tmp_path):
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "in.jsonl").write_text("{}\n")
    (tmp_path / "link").symlink_to(data)
    (tmp_path / "file_link.jsonl").symlink_to(data / "in.jsonl")
    guard = guard_of(work_dir, ["link/in.jsonl"])
    for name in ("data/in.jsonl", "link/in.jsonl", "data/sub/../in.jsonl", "file_link.jsonl"):
        with pytest.raises(JobError, match="is an input of the job"):
            guard.check(tmp_path / name)
    guard.check(data / "other.jsonl")
    with pytest.raises(JobError, match=r"contains link/in\.jsonl"):
        guard.check(data, folder=True)
    for source in ("data", "link", "data/"):
        with pytest.raises(JobError, match=f"lies in {source}"):
            guard_of(work_dir, [source]).check(data / "sub/new.jsonl")
        with pytest.raises(JobError, match=f"lies in {source}"):
            guard_of(work_dir, [source]).check_folder(tmp_path / "link/sub/deeper")
    for pattern in ("data/*.jsonl", "data/**/*", f"{tmp_path}/d*/n[e]w.jsonl", "link/*"):
        with pytest.raises(JobError, match="which is an input of the job"):
            guard_of(work_dir, [pattern]).check(data / "new.jsonl")
    guard_of(work_dir, ["data/*.csv", "", "\0"]).check(data / "new.jsonl")


@pytest.mark.parametrize("name", [*RUN_FILES, *(name.replace("*", "20260101") for name in RUN_FOLDERS)])
def test_no_link_in_a_work_dir_is_followed(name, work_dir, tmp_path, config_file, capsys):
    target = tmp_path / "target"
    target.mkdir() if name in RUN_FOLDERS or "previous" in name else target.write_text("the user's own\nhalf a line")
    (work_dir / name).symlink_to(target)
    with pytest.raises(WorkDirError, match="symbolic link"):
        refuse_links(work_dir)
    rows = {"type": "inline_rows", "rows": ["a"], "key": "text", "export_path": "a.jsonl"}
    jobs = [{"hook": "GeneralDataExecutorHook", "extra_configs": rows}]
    for resume in ("false", "true"):
        code = main(
            ["--config", str(config_file({"work_dir": "out", "execution_job_configs": jobs})), "--resume", resume]
        )
        assert code == 2
        assert "symbolic link" in capsys.readouterr().err
    assert target.is_dir() and not any(target.iterdir()) if target.is_dir() else target.read_text().endswith("a line")


@pytest.mark.parametrize("resume", ["true", "false"])
@pytest.mark.parametrize("name", ["config.json", "report.html", "metrics.jsonl", "plots/a.png"])
def test_a_folder_of_something_else_does_not_become_a_work_directory(config_file, capsys, name, resume):
    config_file("mine", f"model/{name}")
    config_file("mine", "model/model.safetensors")
    config = config_file({"work_dir": "model", "execution_job_configs": []})
    assert main(["--config", str(config), "--resume", resume]) == 2
    assert f"model: {name.partition('/')[0]} in it, but no checkpoint or log of a run" in capsys.readouterr().err
    assert sorted(path.name for path in Path("model").iterdir()) == sorted([Path(name).parts[0], "model.safetensors"])
    assert Path("model", name).read_text() == "mine"


def test_a_link_deeper_in_the_folder_of_jobs_is_not_followed(work_dir, tmp_path, config_file, capsys):
    (tmp_path / "target").mkdir()
    (work_dir / "jobs").mkdir()
    (work_dir / "jobs/anonymous").symlink_to(tmp_path / "target")
    rows = {"type": "inline_rows", "rows": ["a"], "key": "text", "export_path": "a.jsonl"}
    jobs = [{"hook": "GeneralDataExecutorHook", "extra_configs": rows}]
    assert main(["--config", str(config_file({"work_dir": "out", "execution_job_configs": jobs}))]) == 1
    assert "jobs/anonymous is a symbolic link" in capsys.readouterr().err
    assert not any((tmp_path / "target").iterdir())


@pytest.mark.parametrize("name", ["checkpoints", "data_juicer", "deep/er/rows"])
def test_a_link_in_a_jobs_own_folder_is_not_followed(name, work_dir, tmp_path, config_file, capsys):
    """A job deletes what earlier runs of it left in its folder."""
    (tmp_path / "target/cache").mkdir(parents=True)
    link = work_dir / "jobs/anonymous/job" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "target")
    rows = {"type": "inline_rows", "rows": ["a"], "key": "text", "export_path": "a.jsonl"}
    jobs = [{"hook": "GeneralDataExecutorHook", "meta_name": "job", "extra_configs": rows}]
    assert main(["--config", str(config_file({"work_dir": "out", "execution_job_configs": jobs}))]) == 1
    assert f"jobs/anonymous/job/{name} is a symbolic link" in capsys.readouterr().err
    assert (tmp_path / "target/cache").is_dir()


def test_append_opens_regular_files_only(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    for name in ("pipe", "link", "."):
        with pytest.raises(WorkDirError):
            open_append(tmp_path / name)
    with open_append(tmp_path / "x") as stream:
        stream.write(b"1")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    assert isinstance(tmp_path, Path)


@pytest.mark.parametrize("resume", ["false", "true"])
def test_a_work_dir_that_holds_files_of_the_same_names(tmp_path, config_file, capsys, resume):
    """`work_dir: .` in a project folder: its own config.json, plots, .lock are moved or left."""
    names = [name for name in RUN_FILES if name not in (LEDGER, "context_infos.pkl", "context_infos.prev.pkl")]
    rows = {"type": "inline_rows", "rows": ["a"], "key": "text", "export_path": "a.jsonl"}
    jobs = [{"hook": "GeneralDataExecutorHook", "extra_configs": rows}]
    config = config_file({"work_dir": ".", "watchers": ["local"], "execution_job_configs": jobs})
    for name in names:
        (tmp_path / name).write_text(f"the user's own {name}")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/p.png").write_text("the user's own plot")
    assert main(["--config", str(config), "--resume", resume]) == 0
    texts = [file.read_text() for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".pkl"]
    assert [name for name in names if f"the user's own {name}" not in texts] == []
    assert "the user's own plot" in texts


def test_trials_are_not_appended_to_a_file_of_the_users(tmp_path, config_file, capsys):
    pytest.importorskip("optuna", reason="pip install -e '.[search]'")
    give = {"type": "toy_lab.steps.Give", "value": 1}
    job = {"hook": "GeneralProbeHook", "meta_name": "g", "output": "v", "extra_configs": give}
    (tmp_path / "rows.jsonl").write_text('{"text": "the user\'s own"}\n')
    sweep = {"storage": "rows.jsonl", "method": "grid", "metric": {"name": "p.g.v"}, "plots": False}
    config_file({**sweep, "parameters": {"p.g.extra_configs.value": {"values": [1, 2]}}}, "sweep.yaml")
    config = {"work_dir": "out", "hpo_config": "sweep.yaml", "pipelines": {"p": {"probe_job_configs": [job]}}}
    assert main(["--config", str(config_file(config))]) == 2
    assert "rows.jsonl is not a journal of Optuna" in capsys.readouterr().err
    assert (tmp_path / "rows.jsonl").read_text() == '{"text": "the user\'s own"}\n'


@pytest.mark.parametrize(
    "spelling", ["new/../own", "new/..//own", "./new/deep/../../own", "link/../../own", "own/../own"]
)
def test_what_was_judged_is_what_is_written(spelling, work_dir, tmp_path):
    """The system finds nothing at `new/../own` until `new` is created, and `link/..` is the parent of its target."""
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep/er")
    (tmp_path / "own").write_text("the user's own")
    with suppress(JobError, OSError):
        write(spelling, "new", guard_of(work_dir))
    kept = [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert "the user's own" in kept
    with pytest.raises(JobError, match="is an input of the job"):
        guard_of(work_dir, ["link/../../own"]).check(tmp_path / "own")


def test_a_folder_with_an_edited_file_is_not_replaced(work_dir, tmp_path):
    model = tmp_path / "model"
    write_folder(model, guard_of(work_dir), config="1", readme="1")
    (model / "readme").write_text("2")
    with pytest.raises(JobError, match=r"edited after this job wrote them: readme"):
        write_folder(model, guard_of(work_dir), config="2")
    (model / "readme").write_text("1")  # the content counts, not the time
    marker = json.loads((model / MARKER).read_text())
    (model / MARKER).write_text(json.dumps({**marker, "version": 1, "files": sorted(marker["files"])}))
    write_folder(model, guard_of(work_dir), config="2")  # its marker is of an earlier version
    assert (model / "config").read_text() == "2"


def test_a_file_with_another_name_is_not_written_in_place(work_dir, tmp_path):
    path, copy = tmp_path / "rows.jsonl", tmp_path / "copy.jsonl"
    write(path, "first", guard_of(work_dir))
    copy.hardlink_to(path)
    guard = guard_of(work_dir)
    guard.claim(path)
    path.write_text("second")  # as a component does that writes straight to the path
    assert copy.read_text() == "first"
    with open_append(copy) as stream:
        stream.write(b"line")
    assert (copy.read_text(), [entry.read_text() for entry in tmp_path.glob("previous_*")]) == ("firstline", ["first"])


def test_a_file_with_a_long_name_is_renamed(work_dir, tmp_path):
    path = tmp_path / ("n" * 245 + ".jsonl")
    path.write_text("the user's own")
    write(path, "first", guard_of(work_dir))
    (aside,) = tmp_path.glob("previous_*")
    assert (path.read_text(), aside.read_text()) == ("first", "the user's own")
