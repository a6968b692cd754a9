"""Fingerprints: which changes they notice, and which files they cover."""

from __future__ import annotations

import os
from pathlib import Path

from data_juicer_sandbox.workflow.fingerprints import (
    FingerprintCache,
    config_digests,
    content_of,
    input_paths,
    output_paths,
)
from data_juicer_sandbox.workflow.resolve import resolve


def test_a_fingerprint_follows_the_content(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("one")
    cache = FingerprintCache()
    before = cache.get(str(file))
    os.utime(file, (1, 1))
    assert cache.is_unchanged(str(file), before)  # touched, same content
    assert content_of(cache.get(str(file))) == content_of(before)
    file.write_text("two")
    assert not cache.is_unchanged(str(file), before)
    file.unlink()
    assert cache.get(str(file)) is None
    assert not cache.is_unchanged(str(file), before)


def test_a_fingerprint_of_an_earlier_version_is_compared_by_its_content(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("one")
    cache = FingerprintCache()
    assert cache.is_unchanged(str(file), (7, 7, content_of(cache.get(str(file)))))
    assert not cache.is_unchanged(str(file), (7, 7, "another digest"))


def test_only_existing_paths_have_fingerprints(tmp_path):
    (tmp_path / "a").write_text("x")
    assert set(FingerprintCache().get_all([str(tmp_path / "a"), str(tmp_path / "b")])) == {str(tmp_path / "a")}


def test_config_digests_name_each_value_and_ignore_secrets(plan):
    def digests(**keys):
        return config_digests(resolve(plan("give", "Give", value=keys).job, [], {}))

    before, after = digests(lr=1, api_key="aaaaaaaaaaaa"), digests(lr=2, api_key="bbbbbbbbbbbb")
    assert {key for key in before if before[key] != after[key]} == {"extra_configs.value.lr"}


def test_a_new_result_version_of_a_component_changes_the_config_digests(plan, monkeypatch):
    job = plan("scale", "ScaleRows", dataset_path="in.jsonl", export_path="out.jsonl")
    resolved = resolve(job.job, [], {})
    before = config_digests(resolved)
    monkeypatch.setattr(job.component, "result_version", 2, raising=False)
    after = config_digests(resolved)
    assert after.keys() - before.keys() == {"component.result_version"}


def test_inputs_and_outputs_of_a_job(plan):
    for name in ("in.jsonl", "out.jsonl", "named.jsonl"):
        Path(name).write_text("x")
    job = plan("scale", "ScaleRows", dataset_path="in.jsonl", export_path="out.jsonl")
    resolved = resolve(job.job, [], {})
    assert input_paths(job, resolved) == ["in.jsonl"]
    outputs = {"path": "named.jsonl", "word": "named", "missing": "missing.jsonl"}
    assert output_paths(job, resolved, outputs) == ["named.jsonl", "out.jsonl"]
