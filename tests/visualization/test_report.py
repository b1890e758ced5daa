"""The report, as text and in a browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from llm_prior_bo import save_report
from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.visualization.report import (
    facts,
    render_report,
    trial_rows,
)
from tests.visualization.studies import PLANTED, told_study

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def test_unknown_costs_are_not_zero() -> None:
    study = optuna.create_study()
    told = dict(facts(study, study_statistics(study)))
    assert (told["Cost"], told["Tokens"], told["Trials"]) == ("unknown", "unknown", "0")
    told = dict(facts(told_study(), study_statistics(told_study())))
    assert (told["Cost"], told["Tokens"], told["Trials"]) == ("$0.25", "100", "6, 1 failed")


def test_a_row_for_every_trial() -> None:
    study = told_study()
    study.add_trial(optuna.trial.create_trial(value=50.0))
    rows = trial_rows(study, study_statistics(study))
    assert [row.number for row in rows] == list(range(7))
    assert [row.origin for row in rows[:3]] == ["Start-up: a draw from the prior"] * 2 + ["Best score"]
    assert (rows[4].value, rows[5].is_best, rows[6].origin) == ("fail", True, "elsewhere")
    assert (rows[2].data, rows[2].prior, rows[2].trust, rows[2].bound) == ("-2.00", "+0.25", "90%", "1.5")


def test_nothing_planted_is_markup() -> None:
    page = render_report(told_study(name=PLANTED))
    assert "<script>window" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;window.planted = true&lt;/script&gt;") > 3


def test_the_problem_is_described_and_its_description_is_no_markup() -> None:
    study = told_study()
    assert "A loss to minimise." not in render_report(study)
    study.set_user_attr("problem_description", f"A loss to minimise. {PLANTED}")
    page = render_report(study)
    assert "<p>A loss to minimise. " in page
    assert "<script>window" not in page


def test_no_script_but_the_pages_own_may_run_and_nothing_is_loaded() -> None:
    first, second = render_report(told_study()), render_report(told_study())
    policy = re.compile(r"content=\"default-src 'none'; script-src 'nonce-([\w-]{20,})'; ")
    assert policy.findall(first) != policy.findall(second)
    assert len(policy.findall(first)) == 1
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?!data:)", first.split("<script nonce")[0])


def test_studies_in_which_nothing_has_happened_have_a_report(tmp_path: Path) -> None:
    for i, study in enumerate([optuna.create_study(), told_study(n_answers=0), told_study(n_trials=0)]):
        assert save_report(study, tmp_path / f"{i}.html").stat().st_size > 1_000_000
    without_parameters = told_study(n_trials=0)
    without_parameters.add_trial(optuna.trial.create_trial(value=1.0))
    assert "no trial has finished yet" in render_report(without_parameters)
    several = optuna.create_study(directions=["minimize", "maximize"])
    several.add_trial(optuna.trial.create_trial(values=[1.0, 2.0]))
    assert "1, 2" in render_report(several)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("Debian's chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path / 'browser'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def show(browser: webdriver.Chrome, page: Path, *, width: int, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())


def test_in_a_browser(browser: webdriver.Chrome, tmp_path: Path) -> None:
    page = save_report(told_study(n_answers=2, name=PLANTED), tmp_path / "report.html")
    backgrounds = set()
    for width, scheme in ((1100, "light"), (1100, "dark"), (375, "light")):
        show(browser, page, width=width, scheme=scheme)
        run = browser.execute_script
        assert run("return window.planted === undefined")
        n_plots, n_drawn = run(
            "const all = [...document.querySelectorAll('.plot')];"
            "return [all.length, all.filter(p => p.querySelector('.main-svg .trace, .main-svg .hm')).length];"
        )
        assert n_plots == n_drawn == 8  # four parameters, a pair, best value, trust, attribution
        assert run("return document.documentElement.scrollWidth") <= width
        backgrounds.add(run("return getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2
    log = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry for entry in log if entry["level"] == "SEVERE"] == []
