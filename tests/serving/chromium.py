"""Headless Chromium, and what a user does on the viewer's page."""

import contextlib
import time

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1000,800",
    "--force-device-scale-factor=1",
    # What a page finds is on this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextlib.contextmanager
def opened_browser():
    """Yields a driver of the browser."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ARGUMENTS:
        options.add_argument(argument)
    service = webdriver.ChromeService("/usr/bin/chromedriver")
    driver = webdriver.Chrome(options, service)
    driver.set_script_timeout(20)
    try:
        yield driver
    finally:
        driver.quit()


def find(page, selector):
    return page.find_element("css selector", selector)


def choose(page, path):
    """Chooses a file and returns what the page says then."""
    find(page, "#file").send_keys(str(path))
    end = time.monotonic() + 30
    while time.monotonic() < end:
        text = find(page, "#status").text
        if text and not text.startswith(("Asking", "Loading")):
            return text
        time.sleep(0.05)
    raise TimeoutError(text)


def set_threshold(page, value):
    page.execute_script(
        "const x = document.getElementById('threshold');"
        "x.value = arguments[0];"
        "x.dispatchEvent(new Event('input'))",
        value,
    )
