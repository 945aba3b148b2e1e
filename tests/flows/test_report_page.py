"""The report's page as its readers see it: in Chromium, without a network, on a wide screen, a phone and paper."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream.flows.project import load_project
from millstream.flows.report import report_run
from millstream.flows.steps import Workspace
from tests.chromium import Page, browser, program
from tests.report_world import AS_OF, SCRIPT, fill, write_project

DRAWN = "document.documentElement.dataset.drawn !== undefined"
WIDE, PHONE, NARROW = (1280, 900), (390, 844), (320, 640)

COLOURS = """
(async () => {
  const bytes = Uint8Array.from(atob("%s"), (letter) => letter.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
  const canvas = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  canvas.drawImage(picture, 0, 0);
  const pixels = new Uint32Array(canvas.getImageData(0, 0, picture.width, picture.height).data.buffer);
  const counted = new Map();
  for (const pixel of pixels) counted.set(pixel, (counted.get(pixel) ?? 0) + 1);
  return {width: picture.width, colours: counted.size, most: Math.max(...counted.values()) / pixels.length};
})()
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    try:
        program()
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)
    with browser() as page:
        page.offline()
        yield page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a project that knows four hundred people."""
    folder = tmp_path_factory.mktemp("report")
    workspace = Workspace.open(load_project(write_project(folder)))
    with workspace.store.transaction() as connection:
        fill(connection, 400, as_of=AS_OF)
    written = report_run(workspace, output=folder / "report.html").path
    workspace.journal.close()
    assert written is not None
    return written


@pytest.fixture
def page(chromium: Page, report: Path) -> Page:
    """The page on a wide screen in daylight."""
    chromium.size(*WIDE)
    chromium.prefer("light")
    if chromium.value("location.href") != report.as_uri():
        chromium.complaints.clear()
        chromium.requests.clear()
        chromium.open(report, until=DRAWN)
    return chromium


def test_it_opens_without_a_network_and_without_complaints(page: Page, report: Path) -> None:
    assert page.complaints == []
    assert page.requests == [report.as_uri()]


def test_every_chart_is_drawn_with_marks(page: Page) -> None:
    charts = page.value(
        """
        [...document.querySelectorAll("[data-chart]")].map((place) => ({
          name: place.parentElement.getAttribute("aria-label"),
          marks: place.querySelectorAll(
            ".mark-rect > path, .mark-line > path, .mark-symbol > path, .mark-rule > line"
          ).length,
          width: place.querySelector("svg")?.getBoundingClientRect().width ?? 0,
        }))
        """
    )
    assert len(charts) >= 14
    assert not [chart["name"] for chart in charts if not chart["marks"] or chart["width"] < 200]


def test_what_is_seen_is_not_blank(page: Page) -> None:
    picture = page.screenshot()
    assert picture.startswith(b"\x89PNG")
    seen = page.value(COLOURS % base64.b64encode(picture).decode())
    assert seen["width"] == WIDE[0]
    assert seen["colours"] > 50
    assert 0.5 < seen["most"] < 0.995


@pytest.mark.parametrize("size", [PHONE, NARROW], ids=["phone", "narrow"])
def test_nothing_overflows_on_a_phone(page: Page, report: Path, size: tuple[int, int]) -> None:
    page.size(*size)
    page.open(report, until=DRAWN)
    page.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.value("document.scrollingElement.scrollWidth") == size[0]
    too_wide = """
        [...document.querySelectorAll(".plot svg")].filter((one) => !one.closest(".scroll"))
          .filter((one) => one.getBoundingClientRect().right > innerWidth).length
    """
    assert page.value(too_wide) == 0


def test_the_dark_is_dark_and_charts_follow(page: Page, report: Path) -> None:
    colours = """
        [getComputedStyle(document.body).backgroundColor,
         getComputedStyle(document.querySelector(".mark-rect > path")).fill,
         getComputedStyle(document.querySelector(".role-axis-label text")).fill]
    """
    by_day = page.value(colours)
    page.prefer("dark")
    by_night = page.value(colours)
    assert by_day[0] == "rgb(255, 255, 255)"
    assert all(day != night for day, night in zip(by_day, by_night, strict=True))


def test_it_can_be_printed(page: Page) -> None:
    page.prefer("dark")
    paper = page.paper()
    assert paper.startswith(b"%PDF")
    assert len(paper) > 30_000
    page.media("print")
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    page.media("")


def test_the_projects_text_does_not_run(page: Page) -> None:
    assert page.value(f"document.body.textContent.includes({SCRIPT!r})")
    assert page.value("[...document.scripts].filter((one) => one.textContent.includes('alert(1)')).length") == 0
    assert page.value("document.querySelectorAll('td b').length") == 0


def test_a_script_that_got_in_all_the_same_would_not_run(page: Page) -> None:
    page.value("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.got = 1'}))")
    page.value("fetch('http://127.0.0.1:9/').catch(() => 0)")
    assert page.value("window.got") is None
    refused = [complaint for complaint in page.complaints if "Content Security Policy" in complaint]
    assert any("inline script" in complaint for complaint in refused)
    assert any("127.0.0.1:9" in complaint for complaint in refused)


def test_it_can_be_read_without_seeing_it(page: Page) -> None:
    found = page.value(
        """
        (() => {
          const all = (what) => [...document.querySelectorAll(what)];
          const levels = all("h1, h2, h3").map((one) => Number(one.tagName[1]));
          return {
            language: document.documentElement.lang,
            landmarks: all("header, nav[aria-label], main, footer").length,
            heads: all("h1").length,
            skipped: levels.filter((level, place) => place && level > levels[place - 1] + 1).length,
            unnamed: all("section").filter((one) => {
              const head = document.getElementById(one.getAttribute("aria-labelledby"));
              return head?.tagName !== "H2";
            }).length,
            undescribed: all("[data-chart]").filter((one) => {
              const told = one.closest("[role=img]")?.ariaLabel ?? "";
              return told.length < 30;
            }).length,
            unnumbered: all("figure").filter((one) => !one.querySelector("details table tbody tr")).length,
            uncaptioned: all("table").filter((one) => !one.caption?.textContent).length,
            unscoped: all("th:not([scope])").length,
            unreachable: all(".scroll").filter((one) => one.tabIndex !== 0 || !one.ariaLabel).length,
            twice: all("[id]").length - new Set(all("[id]").map((one) => one.id)).size,
            lost: all("nav a, .skip").filter((one) => !document.querySelector(one.getAttribute("href"))).length,
          };
        })()
        """
    )
    assert found.pop("language") == "en"
    assert (found.pop("landmarks"), found.pop("heads")) == (4, 1)
    assert found == dict.fromkeys(found, 0)


def test_the_page_of_a_fresh_project_says_what_fills_it(chromium: Page, tmp_path: Path) -> None:
    workspace = Workspace.open(load_project(write_project(tmp_path)))
    path = report_run(workspace).path
    workspace.journal.close()
    assert path is not None
    chromium.complaints.clear()
    chromium.open(path)
    assert chromium.complaints == []
    assert chromium.value("document.querySelectorAll('.missing code').length") >= 9
    assert chromium.value("document.querySelectorAll('[data-chart], script').length") == 0
