"""How numbers of a comparison are printed."""

from __future__ import annotations

from lavit_eval.compare import TaskComparison

NOTHING = "–"


def number(value: float | None, one: TaskComparison) -> str:
    """Return a value in the metric's unit: 2 decimals on a scale of 100, else 4 within [-1, 1] and of nats, else 2."""
    if value is None:
        return NOTHING
    within = all(abs(each or 0.0) <= 1 for each in (one.base, one.new))
    decimals = 4 if one.unit == "nats" or (within and one.unit not in ("percent", "x100")) else 2
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def difference(one: TaskComparison) -> float | None:
    """Return NEW minus BASE on the samples of the test, in the metric's own direction."""
    if one.test is None:
        return None
    return -one.test.drop if one.higher_is_better else one.test.drop


def interval(one: TaskComparison) -> tuple[float, float] | None:
    """Return the interval of the difference."""
    if one.test is None or one.test.interval is None:
        return None
    low, high = one.test.interval
    return (-high, -low) if one.higher_is_better else (low, high)


def signed(value: float | None, one: TaskComparison) -> str:
    """Return a difference with its sign."""
    text = number(value, one)
    return f"+{text}" if value is not None and value > 0 and float(text) != 0 else text


def percent(p: float | None) -> str:
    """Return a probability as it is printed: never as 0."""
    if p is None:
        return NOTHING
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def unit_of(one: TaskComparison) -> str:
    """Return the unit after a difference."""
    return {"percent": " points", "dB": " dB", "nats": " nats"}.get(one.unit, "")


def scale_name(one: TaskComparison) -> str:
    """Return what stands after "BASE" and "NEW" over the scores of samples."""
    return {"percent": ", %", "x100": ", × 100", "dB": ", dB", "nats": ", nats"}.get(one.unit, "")


def whole(one: TaskComparison) -> str | None:
    """Return which samples the values are of, where these are not all; None where they are."""
    found = one.whole
    if found is None:
        return None
    own = f"{number(found.base, one)} on BASE's {found.base_n}, {number(found.new, one)} on NEW's {found.new_n}"
    if found.restricted:
        return f"{one.task}: BASE and NEW are of the {one.n} samples that both runs have; of all: {own}."
    return f"{one.task}: {one.metric} is of whole sets, so BASE and NEW are of each run's own samples: {own}."


def sight(one: TaskComparison) -> str:
    """Return the sentence that says what this comparison could have seen."""
    if one.test is None:
        return f"{one.task}: not tested ({one.untested})."
    if one.untested is not None:
        return f"{one.task}: the drop of {number(one.test.drop, one)} cannot be tested ({one.untested})."
    ground = f"{one.n} samples; {one.test.method}"
    if one.cannot_tell is not None:
        return f"{one.task}: cannot tell: {one.cannot_tell} ({ground})."
    if one.detectable is None:
        unknown = one.test.error == 0 and one.test.degrees is not None
        why = "the two runs do not differ anywhere" if unknown else "too few independent samples"
        return f"{one.task}: no minimum detectable effect can be given: {why} ({ground})."
    room = ""
    if one.room is not None and one.room < one.detectable:
        room = f"; BASE's {one.metric} of {number(one.base, one)} can fall by {number(one.room, one)} at most"
    least = f"minimum detectable effect of {number(one.detectable, one)}{unit_of(one)}"
    if one.test.error == 0:
        # Without any difference nothing is known of noise: this is the bound of the method alone, without a power.
        seen = f"the runs do not differ anywhere; this comparison could not have seen a drop of less than the {least}"
    else:
        seen = (
            f"{least}: this comparison would find a true drop of that size 8 times of 10, and a smaller one less surely"
        )
    return f"{one.task}: {seen}{room} ({ground})."
