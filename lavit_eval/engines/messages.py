"""What driver and workers say to each other: records as JSON, one line each; nothing is unpickled."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from lavit_eval.models.protocol import Demand, Fit, ModelOptions
from lavit_eval.sample import JSON, Likelihoods, Medium, Request, Response, Sample, Seeds, Segment, Settings

Message = dict[str, JSON]


def to_line(message: Mapping[str, JSON]) -> str:
    """Return a message as a line of JSON, its end included."""
    return json.dumps(message, separators=(",", ":")) + "\n"


def from_line(line: str | bytes) -> Message:
    """Read a line back (raises ValueError for anything but a JSON object)."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a message is a JSON object")
    return message


def lease(number: int, task: str, requests: Sequence[Request], likely: Sequence[Request]) -> Message:
    """Return the message that gives a lease to a worker and tells it what will probably follow."""
    return {
        "do": "respond",
        "number": number,
        "task": task,
        "requests": pack_requests(requests),
        "likely": pack_requests(likely),
    }


def pack_requests(requests: Sequence[Request]) -> Message:
    """Return requests as JSON; settings, generation and stages, which requests share, stand there once each."""
    shared: dict[str, int] = {}
    texts: list[str] = []
    known: dict[tuple[int, ...], int] = {}

    def place(request: Request) -> int:
        settings, generation, stages = request.settings, request.generation, request.stages
        # Requests of a task share the very objects: encoding them once per batch makes a message cheap.
        mark = id(settings), id(generation), id(stages)
        if mark not in known:
            text = json.dumps([dataclasses.asdict(settings), dict(generation), dict(stages)], sort_keys=True)
            if text not in shared:
                shared[text] = len(texts)
                texts.append(text)
            known[mark] = shared[text]
        return known[mark]

    rows = [
        [
            request.sample_id,
            request.repeat,
            request.kind,
            [_pack_medium(medium) for medium in request.media],
            request.text,
            place(request),
            [request.seeds.run, request.seeds.repeat, request.seeds.write, request.seeds.question],
            list(request.options),
            request.output,
        ]
        for request in requests
    ]
    return {"shared": [json.loads(text) for text in texts], "rows": rows}


def unpack_requests(packed: Message) -> list[Request]:
    """Return the requests of a message."""
    shared = [(Settings(**settings), generation, stages) for settings, generation, stages in packed["shared"]]
    return [
        Request(
            sample_id=sample_id,
            repeat=repeat,
            kind=kind,
            media=tuple(_unpack_medium(medium) for medium in media),
            text=text,
            settings=shared[place][0],
            seeds=Seeds(*seeds),
            options=tuple(options),
            generation=shared[place][1],
            output=output,
            stages=shared[place][2],
        )
        for sample_id, repeat, kind, media, text, place, seeds, options, output in packed["rows"]
    ]


def _pack_medium(medium: Medium) -> list[JSON]:
    segment = medium.segment and [*medium.segment.start.as_integer_ratio(), *medium.segment.end.as_integer_ratio()]
    return [medium.kind, medium.path, medium.name, segment, medium.rate]


def _unpack_medium(packed: Sequence[JSON]) -> Medium:
    kind, path, name, segment, rate = packed
    return Medium(kind, path, name, segment and Segment(Fraction(*segment[:2]), Fraction(*segment[2:])), rate)


_SAMPLE = tuple(field.name for field in dataclasses.fields(Sample))
_RESPONSE = tuple(field.name for field in dataclasses.fields(Response))


def pack_responses(responses: Sequence[Response]) -> list[Message]:
    """Return responses as JSON, without the fields that are empty."""
    packed = []
    for response in responses:
        fields = {name: getattr(response, name) for name in _RESPONSE}
        kept = {name: value for name, value in fields.items() if value is not None and value != {}}
        if response.likelihoods is not None:
            kept["likelihoods"] = dataclasses.asdict(response.likelihoods)
        packed.append(kept)
    return packed


def unpack_responses(packed: Sequence[Mapping[str, Any]]) -> list[Response]:
    """Return the responses of a message."""
    return [Response(**{**fields, "likelihoods": _likelihoods(fields.get("likelihoods"))}) for fields in packed]


def _likelihoods(fields: Mapping[str, Any] | None) -> Likelihoods | None:
    return None if fields is None else Likelihoods(**{name: tuple(values) for name, values in fields.items()})


def pack_samples(samples: Sequence[Sample]) -> list[Message]:
    """Return samples as JSON."""
    return [
        {
            **{name: getattr(sample, name) for name in _SAMPLE},
            "media": [_pack_medium(medium) for medium in sample.media],
            "targets": [_pack_medium(medium) for medium in sample.targets],
        }
        for sample in samples
    ]


def unpack_samples(packed: Sequence[Mapping[str, Any]]) -> list[Sample]:
    """Return the samples of a message."""
    return [
        Sample(
            **{
                **fields,
                "media": tuple(_unpack_medium(medium) for medium in fields["media"]),
                "targets": tuple(_unpack_medium(medium) for medium in fields["targets"]),
                "references": tuple(fields["references"]),
            }
        )
        for fields in packed
    ]


def pack_options(options: ModelOptions) -> Message:
    """Return a model's options as JSON."""
    return {**dataclasses.asdict(options), "arguments": dict(options.arguments), "kinds": sorted(options.kinds)}


def unpack_options(packed: Message) -> ModelOptions:
    """Return the options of a message."""
    return ModelOptions(**{**packed, "kinds": frozenset(packed["kinds"])})


def pack_demands(demands: Sequence[Demand]) -> list[Message]:
    """Return demands as JSON."""
    return [{**dataclasses.asdict(demand), "generation": dict(demand.generation)} for demand in demands]


def unpack_demands(packed: Sequence[Mapping[str, Any]]) -> list[Demand]:
    """Return the demands of a message."""
    return [Demand(**{**fields, "settings": Settings(**fields["settings"])}) for fields in packed]


def pack_fits(fits: Sequence[Fit]) -> list[Message]:
    """Return what fits as JSON."""
    return [{"requests": fit.requests, "stages": dict(fit.stages)} for fit in fits]


def unpack_fits(packed: Sequence[Mapping[str, Any]]) -> list[Fit]:
    """Return what fits, of a message."""
    return [Fit(**fields) for fields in packed]
