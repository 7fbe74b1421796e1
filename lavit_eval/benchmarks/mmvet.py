"""MM-Vet: open questions that need several abilities at once."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import check_records, fault, read_json
from lavit_eval.benchmarks.folders import Source, first_file, inside, known_split, spread
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

SOURCE = Source("MM-Vet", "https://github.com/yuweihao/MM-Vet/releases/tag/v1", "CC BY-NC 4.0")
FOLDERS = ("mm-vet", "mmvet", "MM-Vet", "MMVet", "")
FIELDS = {"imagename": str, "question": str, "answer": str, "capability": list}
CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")
ALL, ANY = "<AND>", "<OR>"
"""What stands between parts of an answer that are all needed, and between answers of which one is enough."""


class Mmvet:
    """MM-Vet, split `test`: 218 questions on 200 images.

    Sample ids are the file's own. References are the alternatives between <OR>, with a comma in the place of <AND>;
    `extra["answer"]` is the answer as it stands, for a judge. Categories: `capabilities`, the exact set, and an axis
    of each single ability, which its questions alone have.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read the questions under the data root (see `Benchmark.read`)."""
        known_split(split, ("test",), SOURCE)
        path = first_file(root, spread(FOLDERS, "mm-vet.json"), SOURCE)
        content = read_json(path, keyed=True)
        if not isinstance(content, dict) or not content:
            raise UsageError(f"{path} must be a JSON object of questions by their ids: is it the right file?")
        rows = [{**row, "id": key} if isinstance(row, dict) else row for key, row in content.items()]
        check_records(path, rows, FIELDS, None)
        samples = []
        for index, row in enumerate(rows):
            abilities = [str(one) for one in row["capability"]]
            if not abilities or set(abilities) - set(CAPABILITIES):
                fault(
                    path, index, row, "id", f"has the capabilities {abilities}, not some of {', '.join(CAPABILITIES)}"
                )
            if not inside(row["imagename"]):
                fault(path, index, row, "id", 'names a file outside the data folder as "imagename"')
            sample = Sample(
                id=row["id"],
                media=(Medium("image", str(path.parent / "images" / row["imagename"]), f"images/{row['imagename']}"),),
                question=row["question"],
                references=alternatives(row["answer"]),
                categories={"capabilities": "+".join(sorted(abilities)), **{f"needs_{one}": one for one in abilities}},
                extra={"answer": row["answer"]},
            )
            samples.append(sample)
        return Found(tuple(samples), {"questions": path})


def alternatives(answer: str) -> tuple[str, ...]:
    """Return the answers of which one is enough.

    >>> alternatives("12 <OR> twelve"), alternatives("robin<AND>wren")
    (('12', 'twelve'), ('robin, wren',))
    """
    return tuple(", ".join(part.strip() for part in one.split(ALL)) for one in answer.split(ANY))
