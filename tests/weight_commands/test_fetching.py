"""Fetching weight files as a user meets it, against a real server on this machine."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lavit_eval import downloads
from lavit_eval.downloads import Progress
from lavit_eval.weights import require
from tests.weight_commands.server import CONTENT, OTHER, PAGE, SHA256, Catalogue, Handler, Run, Server, code, names, net


def test_a_file_is_fetched_verified_and_then_left_alone(
    server: Server, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    catalogue(net(server.gives("net.pt", CONTENT)))
    result, out, err = run("fetch", "net.pt")
    assert (result, names(folder)) == (0, ["net.pt"])
    assert (folder / "net.pt").read_bytes() == CONTENT
    assert f"its digest is the published one ({folder / 'net.pt'})" in out
    assert len(err.splitlines()) == 1
    found = require("net.pt")
    assert (found.sha256, found.published, found.trusted) == (SHA256, True, False)
    before = (folder / "net.pt").stat().st_mtime_ns
    result, out, err = run("fetch", "--all")
    assert (result, "already there" in out, err) == (0, True, "")
    assert (folder / "net.pt").stat().st_mtime_ns == before
    assert server.asked == ["net.pt"]


def test_a_named_folder_gets_what_is_fetched(
    server: Server, tmp_path: Path, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    catalogue(net(server.gives("net.pt", CONTENT)))
    assert run("fetch", "net.pt", "--weights-dir", tmp_path / "mine")[0] == 0
    assert (names(tmp_path / "mine"), names(folder)) == (["net.pt"], [])


@pytest.mark.parametrize("first", ["wrong", "page", "kind", "absent", "shorter", "empty", "elsewhere", "garbled"])
def test_what_is_not_the_file_is_refused_and_the_next_address_tried(
    server: Server, folder: Path, catalogue: Catalogue, run: Run, first: str
) -> None:
    addresses = {
        "wrong": (server.gives("wrong", OTHER), f"its sha256 is {hashlib.sha256(OTHER).hexdigest()}, not {SHA256}"),
        "page": (server.gives("page", PAGE), f"gives {len(PAGE)} bytes instead of {len(CONTENT)}"),
        "kind": (server.gives("kind", CONTENT, "text/html; charset=utf-8"), "gives a web page instead of the file"),
        "absent": (server.url("absent"), "answers 404"),
        "shorter": (server.gives("shorter", CONTENT[:-1]), "gives 255999 bytes instead of 256000"),
        "empty": (server.gives("empty", b""), "gives 0 bytes instead of 256000"),
        "elsewhere": (server.says("elsewhere", 302, Location="http://example.org/x"), "http://example.org/x, which is"),
        "garbled": (server.says("garbled", 302, Location="http://[x/"), "leads to no address"),
    }
    address, why = addresses[first]
    catalogue(net(address))
    result, out, err = run("fetch", "net.pt")
    assert (result, out, names(folder)) == (2, "", [])
    assert why in err
    assert f"download it by hand from {address}, then: lavit-eval weights add FILE" in err
    assert server.asked == [first], "what will not change is not asked for again"
    catalogue(net(address, server.gives("right", CONTENT)))
    result, out, err = run("fetch", "net.pt")
    assert (result, names(folder)) == (0, ["net.pt"])
    assert why in err


def test_a_redirection_on_this_machine_is_followed(
    server: Server, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    there = server.gives("there", CONTENT)
    catalogue(net(server.says("here", 302, Location=there)))
    assert run("fetch", "net.pt")[0] == 0
    assert server.asked == ["here", "there"]


@pytest.mark.parametrize("url", ["http://example.org/net.pt", "file:///etc/passwd", "ftp://127.0.0.1/net.pt"])
def test_only_https_is_fetched(folder: Path, catalogue: Catalogue, run: Run, url: str) -> None:
    catalogue(net(url))
    result, _, err = run("fetch", "net.pt")
    assert (result, f"{url} is no https address" in err, names(folder)) == (2, True, [])


def test_a_web_page_is_recognised_where_no_digest_is_known(
    server: Server, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    catalogue(code(server.gives("code.pt", PAGE)))
    result, _, err = run("fetch", "code.pt")
    assert (result, "gives a web page instead of the file" in err, names(folder)) == (2, True, [])


@pytest.mark.parametrize("fault", ["cut", "busy"])
def test_a_passing_fault_is_tried_again_a_lasting_one_three_times(
    server: Server, folder: Path, catalogue: Catalogue, run: Run, fault: str
) -> None:
    server.gives("whole", CONTENT)
    server.gives("cut", CONTENT[:1000], length=len(CONTENT))
    server.says("busy", 503)
    catalogue(net(server.url(fault)))
    result, _, err = run("fetch", "net.pt")
    assert (result, names(folder)) == (2, [])
    assert ("broke off after 1000 of 256000 bytes" if fault == "cut" else "answers 503") in err
    assert server.asked == [fault] * 3
    catalogue(net(server.in_turn("better", fault, fault, "whole")))
    assert run("fetch", "net.pt")[0] == 0
    assert (folder / "net.pt").read_bytes() == CONTENT


def test_a_silent_server_is_given_up(
    server: Server, folder: Path, catalogue: Catalogue, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.1)
    release = threading.Event()

    def silent(handler: Handler) -> None:
        release.wait(20)

    server.answers["silent"] = silent
    catalogue(net(server.url("silent")))
    began = time.monotonic()
    try:
        result, _, err = run("fetch", "net.pt")
    finally:
        release.set()
    assert (result, "silent for 0.1 s" in err, names(folder)) == (2, True, [])
    assert time.monotonic() - began < 10


def test_without_a_network_one_sentence_says_what_to_do(
    server: Server, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    nobody = "http://127.0.0.1:1"
    catalogue(net(f"{nobody}/net.pt"))
    result, out, err = run("fetch", "net.pt")
    said = [line for line in err.splitlines() if line.startswith("lavit-eval: ")]
    assert (result, out, len(said)) == (2, "", 1)
    assert "cannot be reached (Connection refused)" in said[0]
    assert f"download it by hand from {nobody}/net.pt, then: lavit-eval weights add FILE" in said[0]
    files = [net(f"{nobody}/{name}", name=name) for name in ("a.pt", "b.pt", "c.pt")]
    catalogue(*files)
    result, _, err = run("fetch", "--all")
    said = [line for line in err.splitlines() if line.startswith("lavit-eval: ")]
    assert (result, len(said), names(folder)) == (2, 1, [])
    assert said[0].count("cannot be reached") == 1
    assert err.count("fetching") == 1, "a server that does not answer is not asked again"
    assert "a.pt, b.pt, c.pt" in said[0] and "lavit-eval weights add FILE" in said[0]
    catalogue(*files, net(server.gives("net.pt", CONTENT)))
    result, out, _ = run("fetch", "--all")
    assert (result, "net.pt: fetched" in out, names(folder)) == (2, True, ["net.pt"])


def test_what_cannot_be_fetched_is_said_before_anything_is_asked_for(
    server: Server, folder: Path, catalogue: Catalogue, run: Run
) -> None:
    catalogue(net(server.gives("net.pt", CONTENT)))
    for arguments, said in [
        (["net.pt", "nett.pt"], "Did you mean net.pt?"),
        (["net.pt", "bad.pt"], "bad.pt must not be used: it is another network"),
        ([], "Name the files to fetch, or say --all"),
        (["net.pt", "--all"], "Name the files to fetch, or say --all"),
    ]:
        result, _, err = run("fetch", *arguments)
        assert (result, said in err) == (2, True), err
    assert server.asked == []


def test_another_file_that_lay_there_is_kept(server: Server, folder: Path, catalogue: Catalogue, run: Run) -> None:
    catalogue(net(server.gives("net.pt", CONTENT)))
    folder.mkdir()
    (folder / "net.pt").write_bytes(OTHER)
    result, out, _ = run("fetch", "--all")
    assert (result, names(folder)) == (0, ["net.pt", "net.pt.replaced"])
    assert f"is now {folder / 'net.pt.replaced'}" in out
    assert (folder / "net.pt").read_bytes() == CONTENT
    assert (folder / "net.pt.replaced").read_bytes() == OTHER


def test_a_folder_that_cannot_be_written_is_a_sentence(
    server: Server, tmp_path: Path, catalogue: Catalogue, run: Run
) -> None:
    catalogue(net(server.gives("net.pt", CONTENT)))
    (tmp_path / "file").touch()
    result, _, err = run("fetch", "net.pt", "--weights-dir", tmp_path / "file")
    assert (result, "cannot be written" in err, "--weights-dir" in err) == (2, True, True)


SCRIPT = """
import signal, sys

# A shell that started the tests in the background made them deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
from lavit_eval import weights
from lavit_eval.cli import main
weights.CATALOGUE = (weights.WeightFile("net.pt", (sys.argv[1],), "MIT", "a test", int(sys.argv[2]), sys.argv[3]),)
sys.exit(main(["weights", "fetch", "net.pt"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_kill_in_the_middle_leaves_nothing_under_the_name(
    server: Server, folder: Path, catalogue: Catalogue, run: Run, number: signal.Signals
) -> None:
    release, begun = threading.Event(), threading.Event()

    def half(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[: len(CONTENT) // 2])
        handler.wfile.flush()
        begun.set()
        release.wait(60)

    server.answers["net.pt"] = half
    arguments = [sys.executable, "-c", SCRIPT, server.url("net.pt"), str(len(CONTENT)), SHA256]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    try:
        assert begun.wait(60)
        while not list(folder.glob(".net.pt.*.part")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        release.set()
        process.kill()
    assert not (folder / "net.pt").exists()
    if number == signal.SIGINT:
        assert (process.returncode, names(folder), "Traceback" in said) == (130, [], False)
    for left in folder.glob(".net.pt.*.part"):
        os.utime(left, (time.time() - 2 * 24 * 3600,) * 2)
    catalogue(net(server.gives("net.pt", CONTENT)))
    assert run("fetch", "net.pt")[0] == 0
    assert names(folder) == ["net.pt"], "what a killed process left long ago is swept away"


def test_a_terminal_shows_one_line_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    now = iter([0.0, 0.1, 1.0, 2.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    monkeypatch.setenv("COLUMNS", "60")
    terminal, elsewhere = Terminal(), io.StringIO()
    with Progress("net.pt", "https://example.org/net.pt", 10_000_000, terminal) as progress:
        for received in (1_000_000, 5_000_000, 8_000_000):
            progress.told(received, 10_000_000)
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert drawn[0] == "" and drawn[-1] == "" and "\n" not in terminal.getvalue()
    assert drawn[1:-1] == [
        "net.pt: fetching (10.0 MB) from example.org",
        "net.pt: 5.0 MB of 10.0 MB, 5.0 MB/s, about 1 s left",
        "net.pt: 8.0 MB of 10.0 MB, 4.0 MB/s, about 0 s left",
    ]
    now = iter([0.0, 1.0])
    with Progress("net.pt", "https://example.org/net.pt", None, elsewhere) as progress:
        progress.told(1, None)
    assert elsewhere.getvalue() == "net.pt: fetching from example.org\n"
