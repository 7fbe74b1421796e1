"""The page in a real browser, opened from disk: it draws, plays, filters and searches, and hostile texts stay texts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.compare_sides import side_of_run
from lavit_eval.report import folder as report_folder
from lavit_eval.report.folder import ReportOptions, write_report
from lavit_eval.report.reading import read_task
from tests.report.made_runs import HOSTILE, HOSTILE_NAME, again, film_run, question_runs, with_hostile_names

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PATIENCE = 20.0

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver (Debian: chromium, chromium-driver)"
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of answers against a BASE, and that of generated films; file names are hostile in both."""
    answers, films = tmp_path_factory.mktemp("answers"), tmp_path_factory.mktemp("films")
    run, base = question_runs(answers)
    found = {}
    with pytest.MonkeyPatch.context() as patch:

        def renamed(*given: Any, with_samples: bool = True) -> Any:
            reading = read_task(*given, with_samples=with_samples)
            return with_hostile_names(reading) if with_samples else reading

        patch.setattr(report_folder, "read_task", renamed)
        found["answers"] = write_report(run, side_of_run(base), answers / "page", ReportOptions(again(answers))).page
        found["films"] = write_report(film_run(films), None, films / "page", ReportOptions(again(films))).page
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Page:
    """A report that is open."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.browser = browser
        browser.get("about:blank")
        browser.get(path.as_uri())
        self.until(lambda: self.rows() and self.ask("!!document.querySelector('#detail .heading')"))

    def ask(self, expression: str, *arguments: Any) -> Any:
        """Return what an expression is in the page."""
        return self.browser.execute_script(f"return {expression}", *arguments)

    def rows(self) -> list[str]:
        """Return the titles of the rows in sight."""
        found: list[str] = self.ask(
            "[...document.querySelectorAll('.row')].sort((a, b) => a.dataset.row - b.dataset.row)"
            ".map(row => row.querySelector('.title').textContent)"
        )
        return found

    def count(self) -> str:
        """Return the sentence above the list."""
        return str(self.ask("document.getElementById('count').textContent"))

    def heading(self) -> str:
        """Return the id of the sample that is shown."""
        return str(self.ask("(document.querySelector('#detail h3') || {}).textContent"))

    def press(self, keys: str) -> None:
        """Press keys where the focus is."""
        self.browser.switch_to.active_element.send_keys(keys)

    def choose(self, name: str, value: str) -> None:
        """Set one of the filters as a hand would."""
        self.ask(
            "(() => { const one = document.getElementById(arguments[0]); one.value = arguments[1];"
            " one.dispatchEvent(new Event(one.type === 'search' ? 'input' : 'change', {bubbles: true})); })()",
            name,
            value,
        )

    def until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds; fail when it does not within a while."""
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, f"still not so; the page says {self.count()!r}"
            time.sleep(0.03)

    def errors(self) -> list[str]:
        """Return what stands in the console."""
        return [entry["message"] for entry in self.browser.get_log("browser")]


def test_it_draws_without_an_error_and_hostile_texts_are_inert(browser: Any, pages: dict[str, Path]) -> None:
    for name, path in pages.items():
        page = Page(browser, path)
        page.choose("order", "official")
        page.until(lambda page=page: page.ask("document.querySelector('#row-0').ariaSelected === 'true'"))
        page.until(lambda page=page: HOSTILE_NAME in page.ask("document.getElementById('detail').textContent"))
        shown = page.ask("document.body.textContent")
        assert HOSTILE in shown, name
        assert page.ask("window.hurt") is None
        assert page.ask("document.querySelectorAll('img[onerror], [src=x]').length") == 0
        assert page.errors() == []


def test_charts_have_a_size_and_marks_within(browser: Any, pages: dict[str, Path]) -> None:
    page = Page(browser, pages["answers"])
    found = page.ask(
        "(() => { const svg = document.querySelector('svg.strip').getBoundingClientRect();"
        " return [...document.querySelectorAll('svg.strip')[0].querySelectorAll('circle, .whisker')].map(mark => {"
        " const box = mark.getBoundingClientRect();"
        " return box.left >= svg.left - 1 && box.right <= svg.right + 1 && svg.width > 100; }); })()"
    )
    assert len(found) >= 4
    assert all(found)
    page.ask("document.querySelectorAll('.card details').forEach(one => { one.open = true; })")
    bars = page.ask("[...document.querySelectorAll('.bars rect')].map(one => getComputedStyle(one).display)")
    # Three categories of each of two metrics.
    assert len(bars) == 6
    assert set(bars) == {"inline"}


def test_filters_and_search_find_what_they_say(browser: Any, pages: dict[str, Path]) -> None:
    page = Page(browser, pages["answers"])
    assert page.count().startswith("24 samples")
    assert page.ask("document.getElementById('order').value") == "worse"
    first = page.ask("document.querySelector('#row-0 .score').textContent")
    assert first == "worse: 100 → 0"
    page.choose("outcome", "f")
    page.until(lambda: page.count().startswith("1 of 24"))
    page.until(lambda: "run.jsonl has no answer to it." in page.ask("document.getElementById('detail').textContent"))
    page.choose("outcome", "")
    page.choose("search", "onerror i see")
    page.until(lambda: page.count().startswith("1 of 24"))
    page.until(lambda: page.heading() == "102")
    page.choose("search", "no such words")
    page.until(lambda: page.count().startswith("0 of 24"))
    assert page.rows() == []
    page.choose("search", "IS NUMBER what 603")
    page.until(lambda: page.heading() == "603")
    assert page.rows() == ["what is number 3?"]
    assert page.errors() == []


def test_worst_against_base_comes_first_and_best_last(browser: Any, pages: dict[str, Path]) -> None:
    page = Page(browser, pages["answers"])
    drops = "(async () => { const index = await lavitReport.index(0); return lavitReport.query.select(index, {"
    drops += "order: arguments[0], outcome: '', axis: -1, category: -1, search: ''"
    drops += "}).map(place => lavitReport.query.drop(index, place)).filter(drop => !Number.isNaN(drop)); })()"
    worst, best = page.ask(drops, "worse"), page.ask(drops, "better")
    assert worst == sorted(worst, reverse=True)
    assert best == sorted(best)
    assert worst[0] == 100
    assert len(worst) == len(best) == 23


def test_keys_walk_the_list_and_reach_the_search(browser: Any, pages: dict[str, Path]) -> None:
    page = Page(browser, pages["answers"])
    page.choose("order", "official")
    page.until(lambda: page.heading() == "100")
    page.press("j")
    page.until(lambda: page.heading() == "101")
    page.press("jj")
    page.until(lambda: page.heading() == "103")
    page.press("k")
    page.until(lambda: page.heading() == "102")
    assert page.ask("document.getElementById('list').getAttribute('aria-activedescendant')") == "row-2"
    assert page.ask("document.querySelectorAll('[aria-selected=true]').length") == 1
    page.press("/")
    assert page.ask("document.activeElement.id") == "search"
    page.press("number 1 j")
    page.until(lambda: page.count().startswith("0 of 24"))
    page.press("\ue00c")
    assert page.ask("document.activeElement.id") == "list"


def test_an_avi_plays(browser: Any, pages: dict[str, Path]) -> None:
    page = Page(browser, pages["answers"])
    page.until(lambda: page.ask("document.querySelector('#detail video').readyState >= 2"))
    page.ask("void document.getElementById('list').focus()")
    page.press(" ")
    page.until(lambda: page.ask("document.querySelector('#detail video').currentTime > 0.2"))
    assert page.errors() == []


def test_generated_and_real_play_in_step(browser: Any, pages: dict[str, Path]) -> None:
    page = Page(browser, pages["films"])
    videos = "[...document.querySelectorAll('#detail video')]"
    captions = page.ask("[...document.querySelectorAll('#detail figcaption b')].map(one => one.textContent)")
    assert captions == ["generated", "real"]
    page.until(lambda: page.ask(f"{videos}.every(video => video.readyState >= 2)"))
    lefts = page.ask(f"{videos}.map(video => video.getBoundingClientRect().top)")
    assert lefts[0] == lefts[1]
    page.ask("void document.querySelector('#detail .play').click()")
    page.until(lambda: page.ask(f"{videos}.every(video => video.currentTime > 0.5)"))
    gaps = []
    for _ in range(10):
        # Once the shorter one is at its end, it waits there.
        gaps.append(
            page.ask(
                "(([a, b]) => Math.abs(Math.min(a.currentTime, b.duration) - Math.min(b.currentTime, a.duration)))"
                f"({videos})"
            )
        )
        time.sleep(0.1)
    assert sorted(gaps)[5] < 0.25
    page.ask("void document.querySelector('#detail .play').click()")
    assert page.ask(f"{videos}.every(video => video.paused)")
    assert page.errors() == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "dark")])
def test_it_fits_a_phone_and_the_dark(browser: Any, pages: dict[str, Path], width: int, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page = Page(browser, pages["answers"])
        assert page.ask("document.documentElement.scrollWidth") <= width
        ground, ink = page.ask(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        light = [sum(int(part) for part in colour[4:-1].split(",")) for colour in (ground, ink)]
        assert (light[0] < light[1]) == (scheme == "dark")
        assert abs(light[0] - light[1]) > 400
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
