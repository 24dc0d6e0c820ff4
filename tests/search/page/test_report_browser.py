"""The report as a browser shows it: Debian's chromium and chromium-driver, where they are installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import evaluated_front
import finished_run
from search import report
from search.runs.members import StoredRun

TIMEOUT = 60
"""Seconds to wait for a condition in the browser."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    folder = finished_run.make(place)
    front = evaluated_front.export(folder, place / "front")
    evaluated_front.evaluate([front / "detectors" / "0"], place / "corpus", place / "cache", place / "elsewhere")
    assert report.main([str(folder), "--front", str(front), "--evaluation", str(place / "elsewhere")]) == 0
    return folder


@pytest.fixture(scope="module")
def browser(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser without network access that shows the report."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no browser: apt install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = chromium
    home = tmp_path_factory.mktemp("browser")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={home}"):
        options.add_argument(argument)
    options.add_argument("--proxy-server=127.0.0.1:9")  # a closed port
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    shown = Chrome(options=options, service=Service(driver))
    shown.set_window_size(1280, 900)
    shown.get((run / "report.html").as_uri())
    yield shown
    shown.quit()


def until(browser: Chrome, script: str) -> None:
    WebDriverWait(browser, TIMEOUT).until(lambda one: one.execute_script(f"return {script}"))


def test_the_page_draws_everything_without_an_error(browser: Chrome) -> None:
    until(browser, "document.querySelectorAll('[data-figure]').length > 0")
    empty = "[...document.querySelectorAll('[data-figure]')].filter(one => !one.querySelector('svg.main-svg')).length"
    assert browser.execute_script(f"return {empty}") == 0
    assert browser.get_log("browser") == []


def test_as_many_points_are_drawn_as_trials_have_an_eer(browser: Chrome, run: Path) -> None:
    drawn = browser.find_elements(By.CSS_SELECTOR, "#plot-front .scatterlayer .points path.point")
    trials = [one for one in StoredRun.open(run).records if one.eer is not None and one.eer < 0.5]
    assert len(drawn) == len(trials) + 2  # the base, and the highlighted point


def test_a_click_on_a_member_shows_its_card(browser: Chrome) -> None:
    trace = "[...document.querySelectorAll('#plot-front .scatterlayer .trace')]"
    points = browser.execute_script(
        f"return {trace}.map(one => [...one.querySelectorAll('path.point')]).find(found => found.length == 2)"
    )
    card = browser.find_element(By.ID, "card")
    for point, number in ((points[0], "2"), (points[1], "3")):
        browser.execute_script("scrollTo(0, 0)")
        ActionChains(browser).move_to_element(point).perform()
        until(browser, f"document.querySelector('.hoverlayer')?.textContent.includes('trial {number}')")
        ActionChains(browser).click().perform()
        until(browser, f"document.getElementById('card').dataset.shown == '{number}'")
        assert card.find_element(By.TAG_NAME, "h3").text.startswith(f"Trial {number}")
    assert "10.00 %" in card.text


def test_another_corpus_has_its_line_and_tables_that_fold_out(browser: Chrome) -> None:
    drawn = "document.querySelectorAll('#plot-corpora .scatterlayer .points path.point').length"
    assert browser.execute_script(f"return {drawn}") == 2 + 2 + 1  # dev, eval, and the one that was evaluated
    folded = browser.find_element(By.TAG_NAME, "details")
    assert not folded.find_element(By.TAG_NAME, "table").is_displayed()
    browser.execute_script("arguments[0].click()", folded.find_element(By.TAG_NAME, "summary"))
    assert folded.find_element(By.TAG_NAME, "table").is_displayed()
    button = folded.find_element(By.CSS_SELECTOR, "button[data-trial='2']")
    browser.execute_script("arguments[0].click()", button)
    assert browser.find_element(By.ID, "card").find_element(By.TAG_NAME, "h3").text.startswith("Trial 2")


def test_a_failed_trial_is_reached_from_its_table(browser: Chrome) -> None:
    button = browser.find_element(By.CSS_SELECTOR, f".texts button[data-trial='{finished_run.FAILED}']")
    browser.execute_script("arguments[0].click()", button)
    assert "Diverged: the loss is nan" in browser.find_element(By.ID, "card").text


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_plots_take_the_colours_of_the_page(scheme: str, browser: Chrome) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    style = "getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()"
    until(browser, f"document.getElementById('plot-front').layout.font.color == {style}")
    ink = browser.execute_script(f"return {style}")
    assert ink == {"dark": "#e4e7eb", "light": "#22262b"}[scheme]


def test_nothing_is_wider_than_a_phone(browser: Chrome) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    until(browser, "innerWidth == 390 && document.querySelector('#plot-front svg').clientWidth < 390")
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    assert browser.get_log("browser") == []
