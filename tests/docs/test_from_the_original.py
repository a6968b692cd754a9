"""The page for people who come from the original: its example is what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

from data_juicer_sandbox.cli.main import main

PAGE = Path(__file__).parents[2] / "docs/from_the_original.md"


def test_the_example_is_what_migrate_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    config = re.search(r"^```yaml\n# old.yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    shown = re.search(r"^```text\n\$ dj-sandbox migrate old.yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert config
    assert shown
    Path("old.yaml").write_text("# old.yaml\n" + config[1])
    assert main(["migrate", "old.yaml"]) == 0
    assert capsys.readouterr().out == shown[1]
    new = re.search(r"^```yaml\n# old.migrated.yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert new
    assert Path("old.migrated.yaml").read_text() == "# old.yaml\n" + new[1]
