"""The page in a real browser, wide and narrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headless import Browser, browser, chromium
from run_folders import LABELS

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH")


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as one:
        yield one


def _open(window: Browser, page: Path, width: int) -> None:
    window.errors.clear()
    window.requests.clear()
    window.open(page, width)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("task", ["detection", "classification"])
def test_it_opens_without_errors_requests_or_sideways_scrolling(
    task: str, width: int, window: Browser, request: pytest.FixtureRequest
) -> None:
    page = request.getfixturevalue(f"{task}_page")
    _open(window, page, width)
    assert window.errors == []
    assert window.requests == [page.as_uri()]
    assert window.ask("document.documentElement.scrollWidth") == width
    assert window.ask("document.body.scrollWidth") <= width
    shown = window.ask("Array.from(document.querySelectorAll('.plot')).filter(plot => plot.offsetParent).length")
    drawn = window.ask("Array.from(document.querySelectorAll('.plot')).filter(plot => plot.querySelector('svg.main-svg')).length")
    assert drawn == shown >= 3
    beyond = "Array.from(document.querySelectorAll('.plot svg.main-svg')).filter(svg => svg.getBoundingClientRect().right > innerWidth + 1)"
    assert window.ask(f"{beyond}.length") == 0


def test_the_maps_are_painted_and_pointing_at_one_names_the_window(window: Browser, detection_page: Path) -> None:
    _open(window, detection_page, 1280)
    painted = """Array.from(document.querySelectorAll('canvas[data-panel]')).filter(canvas => canvas.clientWidth).map(canvas =>
        canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.filter((value, at) => at % 4 === 3 && value > 0).length)"""
    assert [count > 500 for count in window.ask(painted)] == [True] * 5
    window.ask("document.querySelector('canvas[data-panel]').scrollIntoView({block: 'center', behavior: 'instant'})")
    box = window.ask("(box => [box.left, box.top, box.width])(document.querySelector('canvas[data-panel]').getBoundingClientRect())")
    window.move_to(box[0] + box[2] / 2, box[1] + box[2] / 2)
    label, recording, time = window.ask("document.querySelector('.tip').hidden ? '' : document.querySelector('.tip').textContent").split(
        "\n"
    )
    assert label in [*LABELS, "background"]
    assert recording.endswith("/dawn <chorus> & co.wav")
    assert " to " in time
    assert window.errors == []


def test_switching_shows_another_figure_and_draws_it(window: Browser, detection_page: Path) -> None:
    _open(window, detection_page, 390)
    window.ask("document.querySelectorAll('#tuning .switch button')[1].click()")
    window.ask("new Promise(done => setTimeout(done, 200))")
    assert window.ask("Array.from(document.querySelectorAll('#tuning .pane')).map(pane => pane.hidden)") == [True, False, True]
    assert window.ask("document.querySelectorAll('#tuning .pane')[1].querySelectorAll('svg.main-svg').length") >= 2
    assert window.ask("document.documentElement.scrollWidth") == 390
    assert window.errors == []


def test_the_leaderboard_sorts_and_unfolds(window: Browser, detection_page: Path) -> None:
    _open(window, detection_page, 1280)
    visible = "Array.from(document.querySelectorAll('.board tbody tr')).filter(row => row.offsetParent)"
    assert window.ask(f"{visible}.length") == 12
    window.ask("document.querySelector('.all-rows').click()")
    assert window.ask(f"{visible}.length") == 18
    separation = "Array.from(document.querySelectorAll('.board td[data-name=Separation]')).map(cell => Number(cell.dataset.value))"
    unsorted = window.ask(separation)
    assert unsorted != sorted(unsorted, reverse=True)
    heading = "Array.from(document.querySelectorAll('.board th')).find(heading => heading.textContent === 'Separation')"
    window.ask(f"{heading}.click()")
    assert window.ask(separation) == sorted(unsorted, reverse=True)
    window.ask(f"{heading}.click()")
    assert window.ask(separation) == sorted(unsorted)


def test_a_hostile_label_runs_nothing(window: Browser, detection_page: Path) -> None:
    _open(window, detection_page, 1280)
    text = "Array.from(document.querySelectorAll('#classes th[scope=row]')).map(cell => cell.textContent)"
    assert sorted(window.ask(text)) == sorted(LABELS)
    # The policy refuses a script and a request that the page did not come with.
    window.ask("document.body.insertAdjacentHTML('beforeend', '<img src=\"x.png\" onerror=\"window.ran = true\">')")
    window.ask("(script => { script.textContent = 'window.ran = true'; document.body.append(script); })(document.createElement('script'))")
    window.ask("new Promise(done => setTimeout(done, 100))")
    assert window.ask("window.ran === undefined")
    assert len([error for error in window.errors if "Content Security Policy" in error]) >= 2
