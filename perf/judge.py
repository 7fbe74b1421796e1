"""Prints how near a judge's requests come to N in flight at all times, against a made endpoint with a fixed latency.

Run: python perf/judge.py [--questions 800] [--concurrency 16] [--latency 0.2]

The endpoint is a process of its own that answers every request after the latency. Ideal is the time that N connections
would need if nothing but the latency took any: ceil(questions / N) x latency. What is timed is the whole judging of a
task's answers, as `lavit-eval judge` does it: cases, keys, requests, parsing, and storing every reply. Bare connections
that do nothing but send and read say what this machine and its load leave of the ideal.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import math
import multiprocessing
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lavit_eval.preparation import PreparedTask
    from lavit_eval.runs import Run

PROJECT = Path(__file__).resolve().parents[1]
GOAL = 0.9


def serve(latency: float, told: Connection) -> None:
    """Answer every request after a latency, as an OpenAI-compatible endpoint would."""
    content = json.dumps(
        {
            "model": "made",
            "choices": [{"message": {"role": "assistant", "content": '{"pred": "yes", "score": 4}'}}],
            "usage": {"prompt_tokens": 250, "completion_tokens": 12},
        }
    ).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content) + content

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                await reader.readexactly(length)
                await asyncio.sleep(latency)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def made_run(folder: Path, questions: int) -> tuple[Run, Sequence[PreparedTask]]:
    """Write a finished run of made answers, each to a question of its own; return it with its task."""
    from lavit_eval.evaluate import evaluate
    from lavit_eval.models.protocol import ModelOptions
    from lavit_eval.prospect import RunOptions, foresee
    from tests.tiny_world import msvd_task, write_msvd

    count = write_msvd(folder / "data", videos=math.ceil(questions / 8), questions=8)
    options = RunOptions(
        model="constant",
        tasks=(msvd_task(count, folder / "tasks"),),
        data_root=folder / "data",
        output=folder / "results",
        model_options=ModelOptions(arguments={"answer": "cat"}),
        threads=1,
    )
    rows = json.loads((folder / "data" / "MSVD-QA" / "test_qa.json").read_text())
    for row in rows:
        row["question"] = f"what is number {row['id']}?"
    (folder / "data" / "MSVD-QA" / "test_qa.json").write_text(json.dumps(rows))
    return evaluate(options).run, foresee(options).prepared


def bare(port: int, questions: int, concurrency: int) -> float:
    """Return the seconds that N connections take which do nothing but send as many requests and read the answers."""

    def work(count: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for _ in range(count):
            connection.request("POST", "/v1/chat/completions", body=json.dumps({"messages": ["x" * 1500]}))
            json.loads(connection.getresponse().read())

    shares = [len(range(first, questions, concurrency)) for first in range(concurrency)]
    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def main() -> None:
    """Judge a made run and print the ratio to the ideal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=800)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--latency", type=float, default=0.2)
    asked = parser.parse_args()
    sys.path.insert(0, str(PROJECT))
    from lavit_eval.judges.protocol import JudgeOptions
    from lavit_eval.judging import judge_run

    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(asked.latency, theirs), daemon=True)
    server.start()
    port = ours.recv()
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for concurrency in asked.concurrency:
            with tempfile.TemporaryDirectory() as name:
                os.environ["LAVIT_EVAL_CACHE"] = str(Path(name) / "cache")
                run, prepared = made_run(Path(name), asked.questions)
                before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
                (judged,) = judge_run(prepared, run, JudgeOptions("made", url=url, concurrency=concurrency))
                took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
            ideal = math.ceil(judged.asked / concurrency) * asked.latency
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            plain = bare(port, judged.asked, concurrency)
            print(
                f"{judged.asked} questions, {concurrency} in flight, {asked.latency * 1000:g} ms: {took:.2f} s, ideal "
                f"{ideal:.2f} s, ratio {ideal / took:.3f} (goal {GOAL}); bare connections {ideal / plain:.3f}; "
                f"{1000 * spent / judged.asked:.2f} CPU-ms each"
            )
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
