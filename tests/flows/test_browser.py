"""The Prefect UI in a real browser: start a tiny experiment from the form, watch it, open its artifacts, follow a link.

Screenshots are kept under `test-output/`. Chromium comes from the system: `apt-get install chromium`.
"""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.flows.operating import Operator, operating

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
SCREENSHOTS = Path(__file__).parents[2] / "test-output"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def operator(tmp_path_factory):
    with operating(tmp_path_factory.mktemp("browser")) as running:
        running.start_worker("cpu")
        yield running


@pytest.fixture
def page():
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        pytest.fail("no Chromium on this machine: the UI is not tested; install it with `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def shoot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.wait_for_load_state("networkidle")  # the timeline and pictures are drawn after the rest
    page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")


def field(page: Page, label: str) -> Locator:
    """The form's input under a label; the form does not tie the two together."""
    below = "/following::*[self::input or self::textarea][1]"
    return page.locator(f'xpath=//*[normalize-space(text())="{label}"]{below}').first


TINY = {
    "Iterations": "1",
    "Train Size": "7",
    "Val Size": "7",
    "Test Size": "7",
    "Samples Per Problem": "2",
    "Max New Tokens": "32",
}
"""The quickstart made so small that a language model is through in a minute."""


def test_the_quickstart_from_the_form_to_its_report(operator: Operator, page: Page, tmp_path: Path):
    deployment = operator.get("/deployments/name/experiment/quickstart")["id"]
    page.goto(f"{operator.url}/deployments/deployment/{deployment}/run")
    expect(page.get_by_text("Rounds of expert iteration").first).to_be_visible()
    shoot(page, "form")
    for label, value in {"Name": "from-the-form", **TINY, "root": str(tmp_path)}.items():
        field(page, f"{label} (Optional)").fill(value)
    shoot(page, "form-filled")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(re.compile("tab=Runs"))
    started = operator.post("/flow_runs/filter", flow_runs={"deployment_id": {"any_": [deployment]}})
    run = next(row["id"] for row in started if row["parameters"]["root"] == str(tmp_path))

    page.goto(f"{operator.url}/runs/flow-run/{run}")
    expect(page.get_by_text("iteration 0").first).to_be_visible(timeout=240_000)
    shoot(page, "running")
    assert operator.await_state(run, seconds=500) == "COMPLETED", operator.logs(run)[-5:]
    page.reload()
    expect(page.get_by_text("Completed").first).to_be_visible()
    expect(page.get_by_text("iteration 1: train").first).to_be_visible()
    shoot(page, "finished")

    page.get_by_text("Artifacts", exact=True).first.click()
    for key in ("from-the-form-progress", "from-the-form-accuracy", "from-the-form-curve", "from-the-form-iterations"):
        expect(page.get_by_text(key).first).to_be_visible()
    shoot(page, "artifacts")
    for name, text in {
        "accuracy": "Wilson intervals",
        "curve": "Accuracy by iteration",
        "progress": "iteration 1 of 1",
    }.items():
        open_artifact(page, f"from-the-form-{name}")
        expect(page.get_by_text(text).first).to_be_visible()
        shoot(page, f"artifact-{name}")
        page.go_back()
    open_artifact(page, "from-the-form-iterations")
    own = page.get_by_role("link", name="iteration 1", exact=True)
    expect(own).to_be_visible()
    shoot(page, "artifact-iterations")
    with page.context.expect_page() as opened:  # Prefect opens the links of an artifact in a tab of their own
        own.click()
    iteration = opened.value
    expect(iteration.get_by_text("inspect from-the-form --iteration 1").first).to_be_visible(timeout=30_000)
    expect(iteration.get_by_text("Programs that failed").first).to_be_visible()
    shoot(iteration, "artifact-iteration")
    iteration.close()
    page.goto(f"{operator.url}/runs/flow-run/{run}")
    open_artifact(page, "from-the-form-report")
    link = page.get_by_role("link", name=re.compile(r"report\.html"))
    expect(link).to_be_visible()
    shoot(page, "artifact-report")
    page.goto(link.get_attribute("href"))  # as typed: a browser opens no file from a page of another origin
    expect(page.get_by_role("heading", name="from-the-form")).to_be_visible()
    shoot(page, "report")


def open_artifact(page: Page, key: str) -> None:
    """From a run's page; the timeline above the list names artifacts as well."""
    page.get_by_text("Artifacts", exact=True).first.click()
    page.get_by_text(key, exact=True).last.click()
    page.wait_for_url(re.compile("artifacts/artifact/"))
    expect(page.get_by_text("Last Updated").first).to_be_visible()


def test_the_form_shows_what_is_wrong(operator: Operator, page: Page):
    deployment = operator.get("/deployments/name/experiment/modular")["id"]
    page.goto(f"{operator.url}/deployments/deployment/{deployment}/run")
    field(page, "Iterations (Optional)").fill("-3")
    before = operator.post("/flow_runs/count")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("-3 is less than the minimum of 0").first).to_be_visible()
    shoot(page, "refused")
    assert "/run" in page.url
    assert operator.post("/flow_runs/count") == before
