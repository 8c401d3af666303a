"""The results page: our numbers beside the papers', as the runs of some roots gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...components.evaluator.component import measured_examples
from ...components.evaluator.metric import Metric
from .. import methods
from ..metadata.metadata_store import MetadataStore
from ..run import run_record
from ..run.history import open_store
from ..run.root import Root
from ..run.run_record import Record
from .outputs import Outputs
from .training import cell_text, method_summary


def collect(paths: Sequence[str]) -> list[Record]:
    """Returns the records of all runs that have an evaluation, the oldest first.

    A run whose evaluation came from the cache repeats an earlier one's result and is left out.
    `minutes` are those that the run's executions took, also the cached ones when they ran.

    Args:
        paths: pipeline roots.

    Raises:
        FileNotFoundError: a root has no run.
    """
    records = []
    for path in paths:
        root = Root(path)
        with open_store(root) as store:
            ids = [run.id for run in store.runs()]
            minutes = {run_id: _minutes(store, run_id) for run_id in ids}
        seen: set[Any] = set()
        for run_id in reversed(ids):
            record = run_record.read(run_id, root)
            if record is None or not record["metrics"]:
                continue
            evaluator = _stage(record, "Evaluator")
            if evaluator.get("execution_id") in seen:
                continue
            seen.add(evaluator.get("execution_id"))
            records.append(
                {
                    **record,
                    "settings": _settings(record),
                    "minutes": minutes[run_id],
                    "training_tables": _training_tables(record, path),
                }
            )
    return records


def _minutes(store: MetadataStore, run_id: str) -> float:
    used = store.executions_of_run(run_id)
    return sum(execution.properties.get("seconds", 0.0) for execution in used) / 60


def _training_tables(record: Record, path: str) -> list[dict[str, Any]]:
    method = methods.find_if_registered(record["method"])
    return method_summary(Outputs(record, path), method)["tables"]


def markdown(records: Sequence[Record]) -> str:
    """Returns the page: a section a method, its runs, and the main metric by slice.

    Args:
        records: from `collect`.
    """
    parts = ["# Results", "", "Written by `methodical results` from the records of the runs."]
    for name in dict.fromkeys(record["method"] for record in records):
        of_method = [record for record in records if record["method"] == name]
        parts += ["", f"## {name}: {of_method[0]['title']}", "", *_paper(name)]
        parts += [*_runs(of_method), "", *_metrics(of_method), *_by_slice(of_method)]
        parts += [*_further_slices(of_method), *_tables(of_method)]
    return "\n".join(parts).rstrip()


def _paper(name: str) -> list[str]:
    method = methods.find_if_registered(name)
    return [method.paper, ""] if method else []


def _stage(record: Record, component: str) -> Mapping[str, Any]:
    return next((stage for stage in record["stages"] if stage["component"] == component), {})


def _settings(record: Record) -> dict[str, Any]:
    """Returns the parameters of a run that differ from their defaults, by `component.parameter`."""
    method = methods.find_if_registered(record["method"])
    if method is None:
        return {}
    from ..run.build import build_pipeline
    from ..run.pipeline import snake_case

    if record["source"] not in method.sources:
        return {}
    changed = {}
    for component in build_pipeline(method, record["source"]).components:
        defaults = component.parameters.model_dump(mode="json")
        for name, value in _stage(record, component.name).get("parameters", {}).items():
            if defaults.get(name) != value:
                changed[f"{snake_case(component.name)}.{name}"] = value
    return changed


def _runs(records: Sequence[Record]) -> list[str]:
    lines = [
        "| | data | settings | seed | split | examples | metric | ours | column | verdict "
        "| minutes | machine |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for number, record in enumerate(records, 1):
        metrics, machine = record["metrics"], record["machine"]
        data = record["source"]
        if record["data_dir"]:
            data += f" `{record['data_dir'].rstrip('/').rpartition('/')[2]}`"
        settings = ", ".join(f"`{name}={value}`" for name, value in record["settings"].items())
        seed = _stage(record, "Trainer").get("parameters", {}).get("seed", "")
        value = metrics.get("main_value")
        cells = [
            number, data, settings or "defaults", seed, metrics.get("split", ""),
            measured_examples(metrics) if "examples" in metrics else "",
            metrics.get("main_label", ""),
            _number(value), metrics.get("column") or "",
            record["verdicts"].get("Evaluator", ""), f"{record['minutes']:.1f}",
            f"{machine.get('cores')} cores, {machine.get('memory_gib')} GiB, "
            f"{machine.get('processor')}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return lines


def _by_slice(records: Sequence[Record]) -> list[str]:
    """Returns the main metric by slice: a column a run, then the paper's columns."""
    main = records[-1]["metrics"].get("main", "")
    figures = _comparable(records[-1]["metrics"])
    columns = list(
        dict.fromkeys(figure["column"] for figure in figures if figure["metric"] == main)
    )
    rows: dict[str, list[str]] = {}
    keys: list[tuple[str, Mapping[str, str]]] = []
    for record in records:
        for entry in record["metrics"].get("slices", []):
            if not _measures(records, set(entry["slice"]), main):
                continue
            label = ", ".join(f"{name} {value}" for name, value in entry["slice"].items())
            if label not in rows:
                rows[label] = []
                keys.append((label, entry["slice"]))
    keys.append((records[-1]["metrics"].get("main_label", "all"), {}))
    headings = [f"run {number}" for number in range(1, len(records) + 1)]
    headings += [f"paper {column}" for column in columns]
    lines = [
        f"{main} by slice:",
        "",
        f"| | {' | '.join(headings)} |",
        "|---" * (len(headings) + 1) + "|",
    ]
    for label, key in keys:
        cells = [_number(_value(record["metrics"], main, key)) for record in records]
        for column in columns:
            match = [
                figure["value"]
                for figure in figures
                if figure["metric"] == main
                and figure["column"] == column
                and dict(figure["slice"]) == dict(key)
            ]
            cells.append(_number(match[0]) if match else "")
        lines.append(f"| {label} | {' | '.join(cells)} |")
    deviations = [_deviation(record["metrics"], main) for record in records]
    if any(deviation is not None for deviation in deviations):
        cells = [_number(deviation) for deviation in deviations] + [""] * len(columns)
        lines.append(f"| standard deviation | {' | '.join(cells)} |")
    remarks = dict.fromkeys(figure["remark"] for figure in figures if figure.get("remark"))
    return [*lines, *[f"\n{remark}" for remark in remarks]]


def _comparable(metrics: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the paper's figures that were measured as ours were; old records do not say."""
    return [figure for figure in metrics.get("paper", []) if figure.get("comparable", True)]


def _measures(records: Sequence[Record], names: set[str], metric: str) -> bool:
    """Returns whether any slice of a kind has a metric."""
    return any(
        entry["metrics"].get(metric) is not None
        for record in records
        for entry in record["metrics"].get("slices", [])
        if set(entry["slice"]) == names
    )


def _further_slices(records: Sequence[Record]) -> list[str]:
    """Returns for each run the slices on which the main metric is not measured, by what is."""
    main = records[-1]["metrics"].get("main", "")
    lines: list[str] = []
    for number, record in enumerate(records, 1):
        entries = record["metrics"].get("slices", [])
        for kind in dict.fromkeys(tuple(entry["slice"]) for entry in entries):
            if _measures(records, set(kind), main):
                continue
            rows = [entry for entry in entries if tuple(entry["slice"]) == kind]
            names = [name for name in rows[0]["metrics"] if _measures([record], set(kind), name)]
            lines += ["", f"Run {number}, by {', '.join(kind)}:", ""]
            lines += [
                f"| {', '.join(kind)} | {' | '.join(names)} |",
                "|---" * (len(names) + 1) + "|",
            ]
            for row in rows:
                cells = [_number(row["metrics"].get(name)) for name in names]
                lines.append(f"| {', '.join(row['slice'].values())} | {' | '.join(cells)} |")
    return lines


def _of_method(record: Record) -> Sequence[Metric]:
    """Returns the metrics of a record's method, none where it is not registered any more."""
    method = methods.find_if_registered(record["method"])
    return method.metrics if method else ()


def _metrics(records: Sequence[Record]) -> list[str]:
    """Returns all metrics over all examples, beside the paper, where there are several."""
    metrics = (record["metrics"]["metrics"].items() for record in records)
    names = list(
        dict.fromkeys(name for items in metrics for name, value in items if value is not None)
    )
    if "measures" not in records[0]["metrics"]:
        # Records of version 0.1 have means over rows of several kinds of what only slices measure.
        sliced = {
            name
            for entry in records[0]["metrics"].get("slices", [])
            for name, value in entry["metrics"].items()
            if value is not None
        }
        of_sets = {metric.name for metric in _of_method(records[0]) if metric.average == "none"}
        names = [name for name in names if name not in sliced & of_sets]
    if len(names) < 2:
        return []
    paper = {
        figure["metric"]: f"{_number(figure['value'])} ({figure['column']})"
        for figure in _comparable(records[-1]["metrics"])
        if not figure["slice"] and figure["column"] == records[-1]["metrics"].get("column")
    }
    units = records[-1]["metrics"].get("units", {})
    headings = [f"run {number}" for number in range(1, len(records) + 1)]
    lines = [
        f"| metric | {' | '.join(headings)} | paper | meaning |",
        "|---" * (len(headings) + 3) + "|",
    ]
    for name in names:
        cells = [_number(record["metrics"]["metrics"].get(name)) for record in records]
        cells += [paper.get(name, ""), units.get(name, "")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _tables(records: Sequence[Record]) -> list[str]:
    lines = []
    for number, record in enumerate(records, 1):
        for table in record.get("training_tables", ()):
            columns = table["columns"]
            lines += ["", f"Run {number}: {table['title']}", ""]
            lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
            lines += [f"| {' | '.join(cell_text(cell) for cell in row)} |" for row in table["rows"]]
    return lines


def _value(metrics: Mapping[str, Any], main: str, key: Mapping[str, str]) -> float | None:
    if not key:
        return metrics.get("main_value") if main == metrics.get("main") else None
    for entry in metrics.get("slices", []):
        if dict(entry["slice"]) == dict(key):
            return entry["metrics"].get(main)
    return None


def _deviation(metrics: Mapping[str, Any], main: str) -> float | None:
    sliced = metrics.get("mean_over_slices") or {}
    return sliced.get("standard_deviation", {}).get(main) if main == metrics.get("main") else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"
