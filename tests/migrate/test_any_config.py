"""`migrate` takes every mapping that the reader of configs takes; what it writes is stable and can be read."""

from __future__ import annotations

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_juicer_sandbox.config.yaml_source import parse
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.hooks import HOOKS
from data_juicer_sandbox.migrate import tables
from data_juicer_sandbox.migrate.migration import migrate

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.text("ab./-1 #:'\"{}$\n", max_size=6),
    st.sampled_from(
        ["a", "p", "p.a.0", "-1.0", -1.0, "o/iter_1/x", "o/x.jsonl", "o", "${x}", "recipe.yaml", "old.yaml", ".", ""]
    ),
)
PARAMETERS = sorted(
    {
        key
        for table in tables.COMPONENTS.values()
        for key in (*table.renamed, *table.defaults, *table.removed, *table.notes)
    }
    | {"type", "dataset_path", "export_path", "task", "api_endpoint", "model_params", "sampling_params", "func_kwargs"}
    | {"top_k", "strip", "base_url", "build_messages_func", "x", "tensor_parallel_size", "ranking_keys", "seed"}
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(PARAMETERS), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(sorted({name for _, name in tables.COMPONENTS})) | SCALARS
CONFIG = st.one_of(
    SCALARS,
    st.builds(
        lambda values, name: {**values, "type": name},
        st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=5),
        TYPES,
    ),
)
SETTINGS = st.dictionaries(
    st.sampled_from(
        [f"extra_configs.{name}" for name in PARAMETERS] + ["dj_configs", "extra_configs", "dj_configs.x", "x"]
    )
    | SCALARS.filter(lambda value: value == value),
    VALUES,
    max_size=3,
)
JOB = st.one_of(
    SCALARS,
    st.fixed_dictionaries(
        {"hook": st.sampled_from(sorted(HOOKS)) | SCALARS},
        optional={
            "meta_name": SCALARS,
            "output": VALUES,
            "input": SETTINGS | SCALARS,
            "local": SETTINGS | SCALARS,
            "dj_configs": CONFIG | st.dictionaries(st.sampled_from(["export_path", "process", "x"]), VALUES),
            "extra_configs": CONFIG,
            "x": VALUES,
        },
    ),
)
LISTS = st.fixed_dictionaries(
    {},
    optional={
        f"{phase}_job_configs": st.lists(JOB, max_size=3) | SCALARS for phase in ("probe", "execution", "evaluation")
    },
)
PIPELINES = st.lists(st.dictionaries(st.sampled_from(["p", "q"]), LISTS | SCALARS, max_size=2), max_size=2)
TOP = st.fixed_dictionaries(
    {},
    optional={
        "pipelines": PIPELINES | st.dictionaries(st.sampled_from(["p", "q", 1]), LISTS) | SCALARS,
        "max_iter_num": SCALARS,
        "resume": SCALARS,
        "iter_targets": st.lists(SCALARS, max_size=2) | SCALARS,
        "iter_updater": st.dictionaries(st.sampled_from(["p.a.0", "x"]), SCALARS | st.just("p.a.extra_configs.x"))
        | SCALARS,
        "hpo_config": SCALARS,
        "project_name": SCALARS,
        "config": SCALARS,
        "x": VALUES,
    },
)
CONFIGS = st.builds(lambda top, lists: {**lists, **top}, TOP, LISTS)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(CONFIGS, st.sampled_from([True, False, None]))
def test_it_ends_with_a_config_or_an_error(tmp_path, monkeypatch, config, flow):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text("export_path: o/x.jsonl\n# c\nprocess: []\n")
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(config, default_flow_style=flow, sort_keys=False, allow_unicode=True))
    try:
        value = parse(path.read_text(), "old.yaml").value
    except ConfigError:
        return
    if not isinstance(value, dict):
        return
    migration = migrate("old.yaml")
    for file in migration.files:
        (tmp_path / file.path).write_text(file.text)
        assert isinstance(parse(file.text, file.path).value, dict)
    if migration.files:
        again = migrate(migration.files[-1].path)
        assert [str(change) for change in again.changes] == []
    assert not migration.warnings or migration.files
    assert set(FACTORIES) >= {factory for factory, _ in tables.COMPONENTS}
