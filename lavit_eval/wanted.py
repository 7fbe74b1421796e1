"""Which runs a command line asks for."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from lavit_eval.engines.options import EngineOptions, parse_devices, parse_shard
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.hub import HubCopy
from lavit_eval.judge_flags import judge_asked_for
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue, find
from lavit_eval.task import Suite, SuiteRun, Task

DEMO = "demo"
TINY = "tiny"
DTYPES = ("float32", "bfloat16", "float16")


def runs_asked_for(options: argparse.Namespace, given: Sequence[str]) -> list[RunOptions]:
    """Return the runs that a command line asks for: one, or one per model of a suite that names models."""
    catalogue = Catalogue(options.task_dir)
    if options.tasks and options.suite:
        raise UsageError("Give either --tasks or --suite, not both.")
    if options.model is not None:
        find("model", options.model)
    engine = engine_of(options)
    check_device(options.device, options.dtype)
    suite_name = options.suite or (None if options.tasks or options.model or options.checkpoint else DEMO)
    suite = catalogue.suite(suite_name) if suite_name else None
    tasks = _tasks(options, suite, catalogue)
    models = suite.models if suite and suite.models and options.model is None else (_single_model(options),)
    several = len(models) > 1
    if several and (options.label or _arguments(options)):
        raise UsageError(
            f"The suite {suite_name} runs several models; name one with --model to give it a label or arguments."
        )
    data_root = options.data_root or Path(os.environ.get("LAVIT_EVAL_DATA", "data"))
    base = RunOptions(
        model="",
        tasks=tasks,
        data_root=data_root,
        output=options.output_dir,
        seed=options.seed,
        repeats=options.repeats,
        limit=options.limit,
        batch_size=options.batch_size,
        visual_noise=options.visual_noise,
        fresh=options.fresh,
        retry_failed=options.retry_failed,
        allow_missing=options.allow_missing,
        engine=engine,
        equipment=equipment_of(options),
        judge=judge_asked_for(options),
        command=tuple(given),
        **({"threads": options.threads} if options.threads else {}),
    )
    if suite is not None and suite.data == "demo" and options.source == "hub":
        raise UsageError("The demo suite makes its own data; leave out --source hub.")
    if options.source == "hub":
        base = dataclasses.replace(base, copies=copies_of(tasks, data_root))
    if suite is not None and suite.data == "demo":
        if options.data_root is not None:
            raise UsageError(
                "The demo suite makes its own data; leave out --data-root, or name your tasks with --tasks."
            )
        base = _with_demo_data(base, suite.size, threads_given=options.threads is not None)
    wanted = [_one(base, model, options, several) for model in models]
    return [_within_capabilities(run) for run in wanted] if several else wanted


def copies_of(tasks: Sequence[Task], data_root: Path) -> dict[str, HubCopy]:
    """Return the tasks' data from the hub, and say which commits they are of (raises PreflightError)."""
    from lavit_eval.hub import hub_copies

    copies, problems = hub_copies(tasks, data_root)
    if problems:
        raise PreflightError(problems)
    for name, copy in copies.items():
        print(f"{name}: {copy}", file=sys.stderr)
    return copies


def _within_capabilities(options: RunOptions) -> RunOptions:
    """Leave out the tasks of a suite that one of its models cannot do: a baseline of answers makes no videos."""
    able = find("model", options.model).capabilities
    return dataclasses.replace(options, tasks=tuple(task for task in options.tasks if task.kind in able))


def _tasks(options: argparse.Namespace, suite: Suite | None, catalogue: Catalogue) -> tuple[Task, ...]:
    if suite is not None:
        return tuple(_of_suite(catalogue.task(name), suite) for name in suite.tasks)
    names = [name.strip() for name in (options.tasks or "").split(",") if name.strip()]
    if not names:
        raise UsageError("No task was named; give --tasks A,B or --suite NAME (list them: lavit-eval tasks)")
    if len(set(names)) != len(names):
        raise UsageError("A task stands twice in --tasks; name each once.")
    return tuple(catalogue.task(name) for name in names)


def _of_suite(task: Task, suite: Suite) -> Task:
    """Return a task with that part of its samples that the suite takes."""
    part = suite.subset.get(task.task)
    return task if part is None else task.model_copy(update={"subset": part})


def _single_model(options: argparse.Namespace) -> SuiteRun:
    if options.model is None:
        raise UsageError(
            "No model was named; give --model video-lavit --checkpoint DIR, or a baseline such as --model constant"
        )
    return SuiteRun(model=options.model, label=options.label, checkpoint=options.checkpoint)


def _with_demo_data(base: RunOptions, size: int, threads_given: bool) -> RunOptions:
    from lavit_eval.demo import demo_counts
    from lavit_eval.demo.material import demo_data

    # The tiny model gains little from a second thread and loses much where the cores are shared.
    threads = base.threads if threads_given else 1
    return dataclasses.replace(
        base, data_root=demo_data(size), demo=True, counts=demo_counts(size, size), threads=threads
    )


def _one(base: RunOptions, model: SuiteRun, options: argparse.Namespace, several: bool) -> RunOptions:
    takes_checkpoint = getattr(find("model", model.model), "takes_checkpoint", True)
    if options.checkpoint and not takes_checkpoint and not several:
        raise UsageError(f"The model {model.model} has no checkpoint; leave out --checkpoint.")
    checkpoint = (options.checkpoint or model.checkpoint) if takes_checkpoint else None
    label = options.label or (model.label if options.checkpoint is None else None)
    if base.demo and takes_checkpoint and checkpoint in (None, TINY):
        from lavit_eval.demo.material import demo_checkpoint

        checkpoint = str(demo_checkpoint())
    elif base.demo and checkpoint is not None and checkpoint.startswith("canary/"):
        from lavit_eval.demo.material import canary_checkpoint

        checkpoint = str(canary_checkpoint(checkpoint))
    run_id = options.run_id
    return dataclasses.replace(
        base,
        model=model.model,
        label=label,
        run_id=f"{run_id}-{model.name}" if run_id and several else run_id,
        model_options=ModelOptions(
            checkpoint=checkpoint,
            device=options.device,
            dtype=options.dtype,
            arguments={**model.arguments, **_arguments(options)},
        ),
    )


def engine_of(options: argparse.Namespace) -> EngineOptions:
    """Return who is to answer; `options.device` is narrowed to the first device (raises UsageError)."""
    devices = parse_devices(options.device, options.engine)
    options.device = devices[0]
    ray = options.engine == "ray"
    if ray and len(devices) > 1:
        raise UsageError("A Ray cluster hands out its GPUs itself; give --device cuda, and --workers N for fewer.")
    if options.ray_address is not None and not ray:
        raise UsageError("--ray-address belongs to --engine ray; give both or neither.")
    shard = parse_shard(options.shard) if options.shard is not None else None
    if shard is not None:
        _check_shard(options)
    return EngineOptions(
        engine=options.engine,
        workers=options.workers,
        devices=tuple(devices),
        timeout=options.timeout,
        shard=shard,
        ray_address=options.ray_address,
        extract_ahead=options.extract_ahead,
    )


def _check_shard(options: argparse.Namespace) -> None:
    if options.fresh:
        raise UsageError("--fresh with --shard would begin a run per shard; give the shards a new --run-id instead.")
    if options.retry_failed:
        raise UsageError(
            "--retry-failed asks what failed in the whole run; finish the shards, then give it without --shard."
        )
    if options.extract_ahead == "on":
        raise UsageError(
            "A shard does not score, and features are extracted by the device that scores; leave out --extract-ahead."
        )
    if options.judge_model is not None:
        raise UsageError("A shard does not score; finish the shards, then `lavit-eval judge RUN --judge-model MODEL`.")


def equipment_of(options: argparse.Namespace) -> Equipment:
    """Return what the user gave to metrics that need networks (raises UsageError for a file that is not there)."""
    check_device(options.device, "float32")
    absent = [path for path in options.trust if not path.is_file()]
    if absent:
        raise UsageError(f"--trust {absent[0]}: there is no such file; name the weight file that you vouch for.")
    if options.weights_dir is not None and not options.weights_dir.is_dir():
        raise UsageError(f"--weights-dir {options.weights_dir} is no folder; name the one that holds the weight files.")
    return Equipment(
        weights_dir=options.weights_dir,
        trusted=frozenset(path.resolve() for path in options.trust),
        device=options.device,
        allow_partial=options.allow_partial,
        extrapolate=getattr(options, "extrapolate", False),
    )


def check_device(device: str, dtype: str) -> None:
    """Refuse a device or dtype that no model has (raises UsageError)."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UsageError(f"--device {device!r} is neither cpu nor cuda:N.")
    if dtype not in DTYPES:
        raise UsageError(f"--dtype {dtype!r} is not one of {', '.join(DTYPES)}.")


def _arguments(options: argparse.Namespace) -> dict[str, str]:
    """Return `--model-args` as pairs; a comma ends a pair only where another "K=" follows: values may hold commas."""
    pairs: dict[str, str] = {}
    for text in options.model_args:
        for part in filter(None, (part.strip() for part in re.split(r",(?=\s*[A-Za-z_]+=)", text))):
            key, equals, value = part.partition("=")
            if not equals or not key:
                raise UsageError(f"--model-args holds {part!r}; write K=V,K=V.")
            if key in pairs:
                raise UsageError(f"--model-args names {key!r} twice; name it once.")
            pairs[key] = value
    shorts = {
        "attention": options.attention,
        "low_memory": "on" if options.low_memory else None,
        "keyframe_pipeline": options.keyframe_pipeline,
    }
    for key, value in shorts.items():
        if value is not None and pairs.setdefault(key, value) != value:
            raise UsageError(f"--{key.replace('_', '-')} and --model-args say different things of {key}; say one.")
    return pairs
