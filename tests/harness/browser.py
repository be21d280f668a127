"""Real Chromium from Debian, driven by selenium: a page, its console, and pictures of it."""
import importlib.util
import shutil

import pytest

needs_browser = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")
         and importlib.util.find_spec("selenium")),
    reason="Chromium is not installed: deploy/deps.sh browser")


class Browser:
    """One window. `dark` is the system's wish, `width` the page's, in CSS pixels."""

    def __init__(self, profile, width=1280, height=900, dark=False):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--hide-scrollbars",
                     f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options,
                                       service=Service(shutil.which("chromedriver")))
        self.resize(width, height)
        self.wish(dark)

    def resize(self, width, height=900):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def wish(self, dark):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def open(self, url):
        self.driver.get(url)

    def run(self, script, *arguments):
        return self.driver.execute_script(f"return {script}", *arguments)

    def text(self, selector):
        return self.run("(document.querySelector(arguments[0]) || {}).innerText || ''", selector)

    def count(self, selector):
        return self.run("document.querySelectorAll(arguments[0]).length", selector)

    def complaints(self):
        """What the console has said since the last look, but for what was only told."""
        return [line for line in self.driver.get_log("browser")
                if line["level"] in ("WARNING", "SEVERE")]

    def picture(self, path):
        """The whole page, however long."""
        height = self.run("document.documentElement.scrollHeight")
        width = self.run("window.innerWidth")
        self.resize(width, height)
        self.driver.save_screenshot(str(path))
        self.resize(width)

    def close(self):
        self.driver.quit()
