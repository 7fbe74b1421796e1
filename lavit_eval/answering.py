"""Which batches of a run are still to do, and by whom: the engine, and the share that is its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from lavit_eval.engines.driving import TaskWork, answer
from lavit_eval.engines.options import Shard
from lavit_eval.engines.pool import Pool
from lavit_eval.features_ahead import Ahead, Nothing, beside
from lavit_eval.interruption import Interruption
from lavit_eval.journal import Entry, JournalWriter, Standing, journal_paths
from lavit_eval.plan import Batch, BatchSizes, TaskPlan
from lavit_eval.preparation import PreparedTask, plan_tasks
from lavit_eval.progress import Progress, Step
from lavit_eval.prospect import Prospect
from lavit_eval.runs import Run
from lavit_eval.workers import devices_of, worker_devices, worker_pool
from lavit_eval.workload import Workload


def remaining(plan: TaskPlan, standing: Standing, retry_failed: bool) -> list[Batch]:
    """Return the batches still to do; a retry that was interrupted is finished before another begins."""
    todo = [batch for batch in plan.batches() if (1, batch.number) not in standing.done]
    if todo or not retry_failed:
        return todo
    for candidate in (standing.attempt, standing.attempt + 1):
        if candidate == 1:
            continue
        retry = plan.retry(standing.failed_before(candidate), candidate)
        todo = [batch for batch in retry if (candidate, batch.number) not in standing.done]
        if todo:
            return todo
    return []


def owned(plans: Mapping[str, TaskPlan], shard: Shard | None) -> dict[str, set[int]]:
    """Return, per task, the numbers of the batches that are a shard's own.

    The share depends on the plan alone, not on what is done, nor on the order in which tasks were named.
    """
    numbers: dict[str, set[int]] = {}
    before = 0
    for name, plan in sorted(plans.items()):
        count = len(plan.batches())
        numbers[name] = {number for number in range(count) if shard is None or shard.owns(before + number)}
        before += count
    return numbers


def answer_all(
    prospect: Prospect, run: Run, writers: Mapping[str, JournalWriter], progress: Progress, interruption: Interruption
) -> None:
    """Answer what is still to do of a run or of a shard, then, with `--retry-failed`, what failed."""
    with beside(prospect, run, progress) as ahead:
        _answer_all(prospect, run, writers, progress, interruption, ahead)


def _answer_all(
    prospect: Prospect,
    run: Run,
    writers: Mapping[str, JournalWriter],
    progress: Progress,
    interruption: Interruption,
    ahead: Ahead | Nothing,
) -> None:
    options = prospect.options
    standings = {name: Standing(run.all_entries(name)) for name in writers}
    shares = owned(prospect.plans, options.engine.shard)
    pool: Pool | None = None
    for retry in (False, True) if options.retry_failed else (False,):
        todo = {name: remaining(plan, standings[name], retry) for name, plan in prospect.plans.items()}
        if options.engine.shard is not None:
            todo = {name: [b for b in batches if b.number in shares[name]] for name, batches in todo.items()}
        work = [_work(prospect, each, todo[each.task.task], writers) for each in prospect.prepared]
        work = [each for each in work if each.batches]
        if not work:
            continue
        ahead.begin()
        pool = pool or make_pool(prospect, run)
        # In one process tasks follow each other; several workers never wait for the last batch of a task.
        for group in [[each] for each in work] if options.engine.in_process else [work]:
            telling = _Telling(run, standings, progress, _weights(group), ahead)
            _answer_group(group, prospect, pool, telling, progress, interruption)


def _work(
    prospect: Prospect, each: PreparedTask, batches: Sequence[Batch], writers: Mapping[str, JournalWriter]
) -> TaskWork:
    reads = getattr(prospect.model_class, "reads_media", True)
    missing = frozenset(each.missing) if reads else frozenset()
    return TaskWork(each.task.task, each.samples, batches, writers[each.task.task], missing)


def _answer_group(
    group: Sequence[TaskWork],
    prospect: Prospect,
    pool: Pool,
    telling: _Telling,
    progress: Progress,
    interruption: Interruption,
) -> None:
    title = group[0].task if len(group) == 1 else f"{len(group)} tasks"
    shard = prospect.options.engine.shard
    waiting = sum(len(batch.requests) for each in group for batch in each.batches)
    total = waiting if shard else sum(len(prospect.plans[each.task].requests) for each in group)
    work = {each.task: sum(telling.weights[each.task].values()) for each in group}
    title = f"{title} (shard {shard})" if shard else title
    progress.begin(title, total, max(0, total - waiting), work=work)
    try:
        answer(group, pool, telling, interruption.shielded, prospect.options.engine.timeout)
    finally:
        progress.end()


def _weights(group: Sequence[TaskWork]) -> dict[str, dict[tuple[int, int], float]]:
    """Return task -> (attempt, number) of a batch -> its estimated tokens."""
    load = Workload()
    return {
        each.task: {(batch.attempt, batch.number): load.weigh_all(batch.requests) for batch in each.batches}
        for each in group
    }


class _Telling:
    """Hands on what happens: to the standings, the progress display, `run.log` and who extracts features."""

    def __init__(
        self,
        run: Run,
        standings: Mapping[str, Standing],
        progress: Progress,
        weights: Mapping[str, Mapping[tuple[int, int], float]],
        ahead: Ahead | Nothing,
    ) -> None:
        self._run, self._standings, self._progress, self._ahead = run, standings, progress, ahead
        self.weights = weights

    def batch(self, task: str, entries: Sequence[Entry], seconds: float) -> None:
        self._standings[task].note(entries)
        work = self.weights[task][entries[0].attempt, entries[0].batch]
        self._progress.advance(len(entries), Step(task, work, seconds))
        self._ahead.batch(task, entries)

    def note(self, text: str) -> None:
        self._run.log(text)

    def workers(self, doing: Mapping[str, str]) -> None:
        self._progress.workers(doing)


def make_pool(prospect: Prospect, run: Run) -> Pool:
    """Return the workers that were asked for; none is started yet, but in one process the model is loaded.

    Threads are those that the run began with, on whatever machine and by however many workers it is continued.
    """
    from lavit_eval.engines.asking import pin_threads
    from lavit_eval.engines.here import Here

    options = prospect.options
    engine, threads = options.engine, int(run.manifest["hardware"]["threads"])
    if engine.in_process:
        samples = {each.task.task: each.samples for each in prospect.prepared}
        pin_threads(threads)
        model = prospect.loaded or prospect.model_class.load(options.model_options)
        # Loading may be what imports torch.
        pin_threads(threads)
        return Here(model, samples, options.model_options.device)
    if engine.on_one_machine:
        named = ", ".join(devices_of(prospect))
        run.log(f"{len(worker_devices(prospect))} workers on {named}, {threads} threads each")
    return worker_pool(prospect, threads, run.folder)


def lacking_shards(run: Run, prepared: Sequence[PreparedTask]) -> list[str]:
    """Return the shards (as I/N) whose part of an unfinished run is not answered, judged by the journals' names."""
    partitions = sorted({int(found[1]) for path in _journals(run) if (found := _OF.search(path))})
    if not partitions or set(run.tasks) != {each.task.task for each in prepared}:
        return []
    identity = run.identity
    plans = plan_tasks(
        prepared,
        seed=identity["seed"],
        repeats=identity["repeats"],
        sizes=lambda task: BatchSizes.of_manifest(run.manifest["plan"][task.task]),
        visual_noise=identity["visual_noise"],
    )
    of = partitions[-1]
    done = {name: Standing(run.all_entries(name)).done for name in run.tasks}
    return [
        str(shard)
        for shard in (Shard(index, of) for index in range(1, of + 1))
        if any((1, number) not in done[name] for name, own in owned(plans, shard).items() for number in own)
    ]


_OF = re.compile(r"journal-shard-\d+-of-(\d+)\.jsonl$")


def _journals(run: Run) -> Iterator[str]:
    for name in run.tasks:
        yield from (path.name for path in journal_paths(run.task_folder(name)))
