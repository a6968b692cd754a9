"""The conversions as jobs of a run: captions to Data-Juicer's form, then to what InternVL is told; videos."""

from __future__ import annotations

import json

from data_juicer_sandbox.components.io import write_rows

CONVERT = "data_juicer_sandbox.components.convert"


def job(name, component, **settings):
    extra = {"type": f"{CONVERT}.{component}", "export_path": "out", **settings.pop("extra", {})}
    return {"hook": "GeneralDataExecutorHook", "meta_name": name, "output": "paths", "extra_configs": extra, **settings}


def test_jobs_of_a_run(config_file, dj_sandbox, captioned, tmp_path):
    write_rows(tmp_path / "coco.jsonl", (captioned(f"{number}.jpg") for number in range(5)))
    write_rows(tmp_path / "clips.jsonl", [{"videos": ["a.mp4"], "text": "<__dj__video> A kite."}, {}])
    to_dj = job("dj", "coco_caption.CocoCaptionToDJ", extra={"dataset_path": "coco.jsonl"})
    meta = job("meta", "coco_meta.CocoCaptionMeta", input={"extra_configs.dataset_path": "-1.paths"})
    videos = {"dataset_path": ["clips.jsonl", "gone.jsonl"], "skip_missing": True, "skip_bad_rows": 1}
    jobs = [to_dj, meta, job("videos", "easyanimate.DJToEasyAnimate", extra=videos)]
    config_file({"work_dir": "run", "execution_job_configs": jobs})
    made = dj_sandbox("--config", "sandbox.yaml")
    assert made.returncode == 0, made.stderr
    meta = json.loads((tmp_path / "out/coco_dj_fmt_meta.json").read_text())
    assert meta["coco_dj_fmt"]["annotation"] == str(tmp_path / "out/coco_dj_fmt.jsonl")
    assert meta["coco_dj_fmt"]["length"] == 5
    videos = json.loads((tmp_path / "out/clips_ea_fmt.json").read_text())
    assert videos == [{"file_path": "a.mp4", "text": "A kite.", "type": "video"}]
    assert "clips.jsonl:2: `videos` is not a non-empty list" in made.stderr + made.stdout
    again = dj_sandbox("--config", "sandbox.yaml", "--resume", "true")
    assert again.returncode == 0, again.stderr
    assert "converting" not in again.stdout + again.stderr
