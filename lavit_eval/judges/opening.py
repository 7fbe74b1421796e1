"""From what the user asked for to a judge."""

from __future__ import annotations

from lavit_eval.judges.protocol import Judge, JudgeOptions


def open_judge(options: JudgeOptions) -> Judge:
    """Return the judge, not yet asked anything (raises UsageError: no key, no such folder, no address)."""
    if options.kind == "transformers":
        from lavit_eval.judges.local import LocalJudge

        return LocalJudge(options)
    from lavit_eval.judges.endpoint import Endpoint

    return Endpoint(options)
