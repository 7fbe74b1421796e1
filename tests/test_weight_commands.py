"""The commands about weight files as a user meets them, against a real server on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lavit_eval import downloads, weights
from lavit_eval.cli import main
from lavit_eval.downloads import Progress
from lavit_eval.errors import UsageError
from lavit_eval.weights import WeightFile, git_blob_id, require

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = CONTENT[::-1]
PAGE = b"\n<!DOCTYPE html><html><body>Virus scan warning</body></html>"
REFUSED = b"weights of another network"


def scripted() -> bytes:
    """Return what looks like a TorchScript archive from outside."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("net/code/__torch__.py", "x = 1\n" * 1000)
    return made.getvalue()


SCRIPTED = scripted()
CODE_SHA256 = hashlib.sha256(SCRIPTED).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves what a test lays out and remembers what it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def gives(
        self, path: str, content: bytes, kind: str = "application/octet-stream", length: int | None = None
    ) -> str:
        def answer(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(content) if length is None else length))
            handler.end_headers()
            handler.wfile.write(content)

        self.answers[path] = answer
        return self.url(path)

    def says(self, path: str, code: int, **headers: str) -> str:
        def answer(handler: Handler) -> None:
            handler.send_response(code)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.answers[path] = answer
        return self.url(path)

    def in_turn(self, path: str, *paths: str) -> str:
        """Answer one path as others, one after another."""
        left = [self.answers[other] for other in paths]
        self.answers[path] = lambda handler: left.pop(0)(handler)
        return self.url(path)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        self.server.asked.append(path)
        if path in self.server.answers:
            self.server.answers[path](self)
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads, "PAUSES", (0.0, 0.0))
    # A proxy of the environment must not stand between this machine and itself.
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9")
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights folder; files of the catalogue are set by `catalogue`."""
    monkeypatch.delenv("LAVIT_EVAL_WEIGHTS", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return Path(os.environ["LAVIT_EVAL_CACHE"]) / "weights"


def net(*urls: str, **fields: object) -> WeightFile:
    made = WeightFile("net.pt", urls or ("https://example.org/net.pt",), "MIT", "a test", len(CONTENT), SHA256)
    return replace(made, **fields)  # type: ignore[arg-type]


def code(*urls: str) -> WeightFile:
    return WeightFile("code.pt", urls or ("https://example.org/code.pt",), "MIT", "a test", carries_code=True)


@pytest.fixture
def refused(tmp_path: Path) -> WeightFile:
    path = tmp_path / "refused"
    path.write_bytes(REFUSED)
    return WeightFile("bad.pt", (), "MIT", "nothing", git_blob=git_blob_id(path), refused_because="is another network")


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch, refused: WeightFile) -> Callable[..., None]:
    def known(*files: WeightFile) -> None:
        monkeypatch.setattr(weights, "CATALOGUE", (*files, refused))

    return known


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> tuple[int, str, str]:
        result = main(["weights", *map(str, arguments)])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err and "internal error" not in captured.err, captured.err
        return result, captured.out, captured.err

    return command


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_is_fetched_verified_and_then_left_alone(
    server: Server, folder: Path, catalogue: Callable[..., None], run: Run
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
    server: Server, tmp_path: Path, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    catalogue(net(server.gives("net.pt", CONTENT)))
    assert run("fetch", "net.pt", "--weights-dir", tmp_path / "mine")[0] == 0
    assert (names(tmp_path / "mine"), names(folder)) == (["net.pt"], [])


@pytest.mark.parametrize("first", ["wrong", "page", "kind", "absent", "shorter", "empty", "elsewhere", "garbled"])
def test_what_is_not_the_file_is_refused_and_the_next_address_tried(
    server: Server, folder: Path, catalogue: Callable[..., None], run: Run, first: str
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
    server: Server, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    there = server.gives("there", CONTENT)
    catalogue(net(server.says("here", 302, Location=there)))
    assert run("fetch", "net.pt")[0] == 0
    assert server.asked == ["here", "there"]


@pytest.mark.parametrize("url", ["http://example.org/net.pt", "file:///etc/passwd", "ftp://127.0.0.1/net.pt"])
def test_only_https_is_fetched(folder: Path, catalogue: Callable[..., None], run: Run, url: str) -> None:
    catalogue(net(url))
    result, _, err = run("fetch", "net.pt")
    assert (result, f"{url} is no https address" in err, names(folder)) == (2, True, [])


def test_a_web_page_is_recognised_where_no_digest_is_known(
    server: Server, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    catalogue(code(server.gives("code.pt", PAGE)))
    result, _, err = run("fetch", "code.pt")
    assert (result, "gives a web page instead of the file" in err, names(folder)) == (2, True, [])


@pytest.mark.parametrize("fault", ["cut", "busy"])
def test_a_passing_fault_is_tried_again_a_lasting_one_three_times(
    server: Server, folder: Path, catalogue: Callable[..., None], run: Run, fault: str
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
    server: Server, folder: Path, catalogue: Callable[..., None], run: Run, monkeypatch: pytest.MonkeyPatch
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
    server: Server, folder: Path, catalogue: Callable[..., None], run: Run
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
    server: Server, folder: Path, catalogue: Callable[..., None], run: Run
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


def test_another_file_that_lay_there_is_kept(
    server: Server, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    catalogue(net(server.gives("net.pt", CONTENT)))
    folder.mkdir()
    (folder / "net.pt").write_bytes(OTHER)
    result, out, _ = run("fetch", "--all")
    assert (result, names(folder)) == (0, ["net.pt", "net.pt.replaced"])
    assert f"is now {folder / 'net.pt.replaced'}" in out
    assert (folder / "net.pt").read_bytes() == CONTENT
    assert (folder / "net.pt.replaced").read_bytes() == OTHER


def test_a_folder_that_cannot_be_written_is_a_sentence(
    server: Server, tmp_path: Path, catalogue: Callable[..., None], run: Run
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
    server: Server, folder: Path, catalogue: Callable[..., None], run: Run, number: signal.Signals
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


def test_code_of_unknown_digest_is_stored_and_used_only_when_trusted(
    server: Server, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    catalogue(code(server.gives("code.pt", SCRIPTED)))
    path = folder / "code.pt"
    result, out, _ = run("fetch", "--all")
    assert (result, path.read_bytes() == SCRIPTED) == (0, True)
    for said in ("unverified", CODE_SHA256, f"--trust {path}", f"lavit-eval weights add {path} --trust"):
        assert said in out
    with pytest.raises(UsageError, match=f"lavit-eval weights add {path} --trust"):
        require("code.pt")
    found = require("code.pt", trusted=[path.parent / ".." / "weights" / "code.pt"])
    assert (found.path, found.published, found.trusted) == (path, None, True)
    with pytest.raises(UsageError, match="no digest"):
        require("code.pt", trusted=[folder / "other.pt"])
    result, out, _ = run("add", path, "--trust")
    assert (result, "trusted" in out, names(folder)) == (0, True, ["code.pt", "trusted.json"])
    assert require("code.pt").trusted
    assert "already there, trusted" in run("fetch", "--all")[1]
    path.write_bytes(SCRIPTED + b"more")
    with pytest.raises(UsageError, match="no digest"):
        require("code.pt")


def test_half_an_archive_is_refused_though_no_digest_is_known(
    server: Server, tmp_path: Path, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    half = SCRIPTED[: len(SCRIPTED) // 2]
    catalogue(code(server.gives("code.pt", half)))
    result, _, err = run("fetch", "code.pt")
    assert (result, "only the beginning of one" in err, names(folder)) == (2, True, [])
    (tmp_path / "code.pt").write_bytes(half)
    result, _, err = run("add", tmp_path / "code.pt", "--trust")
    assert (result, "only the beginning of one" in err, names(folder)) == (2, True, [])


def test_a_file_is_recognised_by_its_digest_then_its_name(
    tmp_path: Path, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    catalogue(net(), code())
    source = tmp_path / "download (1).bin"
    source.write_bytes(CONTENT)
    result, out, _ = run("add", source)
    assert (result, "net.pt: added, its digest is the published one" in out) == (0, True)
    assert (folder / "net.pt").read_bytes() == source.read_bytes() == CONTENT
    source.write_bytes(SCRIPTED)
    result, _, err = run("add", source)
    assert (result, "no file of the catalogue" in err, "--as NAME" in err) == (2, True, True)
    result, out, _ = run("add", source, "--as", "code.pt")
    assert (result, "unverified" in out, CODE_SHA256 in out) == (0, True, True)
    assert names(folder) == ["code.pt", "net.pt"]
    source = tmp_path / "code.pt"
    source.write_bytes(SCRIPTED)
    assert run("add", source)[0] == 0
    source = tmp_path / "nett.pt"
    source.write_bytes(b"something")
    result, _, err = run("add", source)
    assert (result, "Did you mean net.pt" in err) == (2, True)
    result, _, err = run("add", source, "--as", "nett.pt")
    assert (result, "Did you mean net.pt" in err) == (2, True)
    result, _, err = run("add", tmp_path / "absent.pt")
    assert (result, "There is no file" in err) == (2, True)


def test_another_file_is_added_only_when_the_user_vouches_for_it(
    tmp_path: Path, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    catalogue(net(), code())
    source = tmp_path / "net.pt"
    source.write_bytes(OTHER)
    other = hashlib.sha256(OTHER).hexdigest()
    result, _, err = run("add", source)
    assert (result, names(folder)) == (2, [])
    assert other in err and SHA256 in err and "--trust" in err
    result, out, _ = run("add", source, "--trust")
    assert (result, f"trusted, sha256 {other}" in out) == (0, True)
    found = require("net.pt")
    assert (found.sha256, found.published, found.trusted) == (other, False, True)
    (tmp_path / "code.pt").write_bytes(SCRIPTED)
    assert run("add", tmp_path / "code.pt", "--trust")[0] == 0
    stored = json.loads((folder / "trusted.json").read_text())
    assert stored == {"schema": 1, "sha256": {"net.pt": other, "code.pt": CODE_SHA256}}
    # The same bytes under a name that nobody vouched for are not trusted.
    catalogue(net(), net(name="net2.pt"))
    (folder / "net2.pt").write_bytes(OTHER)
    with pytest.raises(UsageError, match="not the published"):
        require("net2.pt")


def test_a_published_file_needs_no_record(
    tmp_path: Path, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    catalogue(net())
    (tmp_path / "net.pt").write_bytes(CONTENT)
    assert run("add", tmp_path / "net.pt", "--trust")[0] == 0
    assert names(folder) == ["net.pt"]
    assert not require("net.pt", trusted=[folder / "net.pt"]).trusted


def test_a_file_that_must_not_be_used_is_never_taken(
    tmp_path: Path, server: Server, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    catalogue(net(server.gives("net.pt", REFUSED), size=None))
    source = tmp_path / "net.pt"
    source.write_bytes(REFUSED)
    for more in ([], ["--trust"], ["--as", "net.pt", "--trust"], ["--as", "bad.pt"]):
        result, _, err = run("add", source, *more)
        assert (result, "is another network" in err, names(folder)) == (2, True, [])
    source.write_bytes(OTHER)
    result, _, err = run("add", source, "--as", "bad.pt", "--trust")
    assert (result, "must not be used" in err, names(folder)) == (2, True, [])
    result, _, err = run("fetch", "net.pt")
    assert (result, "is another network" in err, names(folder)) == (2, True, [])
    (folder / "net.pt").write_bytes(REFUSED)
    with pytest.raises(UsageError, match="is another network"):
        require("net.pt", trusted=[folder / "net.pt"])
    with pytest.raises(UsageError, match=r"bad\.pt must not be used: it is another network"):
        require("bad.pt")


def test_a_web_page_is_never_taken(tmp_path: Path, folder: Path, catalogue: Callable[..., None], run: Run) -> None:
    catalogue(net())
    (tmp_path / "net.pt").write_bytes(PAGE)
    result, _, err = run("add", tmp_path / "net.pt", "--trust")
    assert (result, "it is a web page" in err, names(folder)) == (2, True, [])


def test_a_named_folder_stays_named_in_what_is_advised(
    tmp_path: Path, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    catalogue(code())
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "code.pt").write_bytes(SCRIPTED)
    with pytest.raises(UsageError) as caught:
        require("code.pt", mine)
    advice = str(caught.value).rpartition("lavit-eval weights ")[2].split()
    assert run(*advice)[0] == 0
    assert require("code.pt", mine).trusted
    assert names(folder) == []


def test_a_broken_record_of_trust_is_a_sentence(folder: Path, catalogue: Callable[..., None], run: Run) -> None:
    catalogue(code())
    folder.mkdir()
    (folder / "code.pt").write_bytes(SCRIPTED)
    for broken in ("", "[]", '{"schema": 1}', '{"schema": 2, "sha256": {}}', '{"schema": 1, "sha256": {"code.pt": 1}}'):
        (folder / "trusted.json").write_text(broken)
        with pytest.raises(UsageError, match=r"trusted\.json cannot be read"):
            require("code.pt")
        assert run("list")[0] == 2


def test_check_reads_what_is_there_and_tells_by_its_exit_code(
    tmp_path: Path, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    catalogue(net(), code(), net(name="far.pt"))
    result, out, _ = run("check")
    assert (result, "Missing: net.pt, code.pt, far.pt." in out) == (0, True)
    result, out, _ = run("check", "far.pt")
    assert (result, "missing" in out, "lavit-eval weights fetch far.pt" in out) == (2, True, True)
    assert run("check", "fra.pt")[0] == 2
    folder.mkdir()
    (folder / "net.pt").write_bytes(CONTENT)
    (folder / "code.pt").write_bytes(SCRIPTED)
    (folder / "bad.pt").write_bytes(REFUSED)
    result, out, _ = run("check")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert (result, sorted(lines)) == (0, ["Missing:", "bad.pt", "code.pt", "net.pt"])
    assert "present" in lines["net.pt"] and "unverified" in lines["code.pt"]
    assert "must not be used" in lines["bad.pt"]
    assert run("check", "bad.pt")[0] == 2
    assert run("check", "net.pt", "code.pt")[0] == 0
    # Damage that leaves size and times as they were is found: the content is read, not remembered.
    require("net.pt")
    times = (folder / "net.pt").stat()
    (folder / "net.pt").write_bytes(OTHER)
    os.utime(folder / "net.pt", ns=(times.st_atime_ns, times.st_mtime_ns))
    result, out, _ = run("check")
    assert (result, hashlib.sha256(OTHER).hexdigest() in out, "lavit-eval weights fetch net.pt" in out) == (
        2,
        True,
        True,
    )
    result, out, _ = run("check", "code.pt")
    assert (result, "net.pt" in out) == (0, False)


def test_the_list_shows_every_state_at_100_columns(
    tmp_path: Path, folder: Path, catalogue: Callable[..., None], run: Run
) -> None:
    files = {name: net(name=f"{name}.pt") for name in ("right", "wrong", "absent", "other")}
    catalogue(*files.values(), code())
    folder.mkdir()
    (folder / "right.pt").write_bytes(CONTENT)
    (folder / "wrong.pt").write_bytes(OTHER)
    (folder / "code.pt").write_bytes(SCRIPTED)
    (tmp_path / "other.pt").write_bytes(OTHER)
    assert run("add", tmp_path / "other.pt", "--trust")[0] == 0
    result, out, _ = run("list")
    assert result == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line and not line.startswith(" ")}
    for name, state in [
        ("right.pt", "present"),
        ("wrong.pt", "wrong digest"),
        ("absent.pt", "missing"),
        ("other.pt", "trusted"),
        ("code.pt", "unverified"),
        ("bad.pt", "refused"),
    ]:
        assert f" {state} " in rows[name], rows[name]
    assert "0.3 MB" in rows["absent.pt"] and SHA256[:12] in rows["absent.pt"]
    assert "must not be used: it is another network" in out
    assert "for a test; licence MIT" in out
    assert out.rstrip().splitlines()[-1] == "  https://example.org/net.pt", "only where to get what is missing"
    assert all(len(line) <= 100 for line in out.splitlines() if " " in line.strip())


def test_the_list_of_the_real_catalogue_names_all_files(folder: Path, run: Run) -> None:
    result, out, _ = run("list")
    assert result == 0
    for file in weights.CATALOGUE:
        assert any(line.startswith(f"{file.name} ") for line in out.splitlines())
        assert file.refused_because or f"  {file.urls[0]}" in out.splitlines()
    assert all(len(line) <= 100 for line in out.splitlines() if " " in line.strip())


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
