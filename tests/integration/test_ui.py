"""The page for people, in real Chromium: live load, light and dark, wide and on a phone."""
import os
import re
import subprocess
from pathlib import Path

import pytest

from harness.browser import Browser, needs_browser
from harness.demo import GENERATE, PROMPT, demo_command
from harness.gateway import service
from harness.keys import KeyFile, entry
from harness.wait import wait_until

pytestmark = needs_browser
LOOKS = [pytest.param(width, dark, id=f"{width}-{'dark' if dark else 'light'}")
         for width in (360, 768, 1280) for dark in (False, True)]
PICTURES = os.environ.get("SLOTGATE_PICTURES")  # a folder, for those who want to look

# What is wider than the page, or than the box that it stands in.
CUT_OFF = """(() => {
    const bad = [];
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > room)
        bad.push(`the page is ${document.documentElement.scrollWidth} wide`);
    for (const it of document.querySelectorAll('#content *, header *')) {
        const box = it.getBoundingClientRect();
        const scrolls = it.closest('.scroll');
        if (box.width && !scrolls && (box.right > room + 1 || box.left < -1))
            bad.push(`${it.tagName}.${it.className} ends at ${box.right}`);
        const clips = ['hidden', 'clip'].includes(getComputedStyle(it).overflowX);
        if (clips && it.tagName !== 'svg' && it.scrollWidth > it.clientWidth + 1
            && getComputedStyle(it).textOverflow !== 'ellipsis')
            bad.push(`${it.tagName}.${it.className} is cut off`);
    }
    for (const drawing of document.querySelectorAll('.chart svg')) {
        const frame = drawing.getBoundingClientRect();
        for (const text of drawing.querySelectorAll('text')) {
            const box = text.getBoundingClientRect();
            if (box.left < frame.left - 1 || box.right > frame.right + 1)
                bad.push(`the label ${text.textContent} is cut off`);
        }
    }
    return bad;
})()"""

# Boxes that lie on each other.
OVERLAPS = """(() => {
    const bad = [];
    for (const group of ['#figures > div', '.pod', 'section', '.keys > span']) {
        const all = [...document.querySelectorAll(group)].map((it) => it.getBoundingClientRect())
            .filter((box) => box.width);
        all.forEach((a, i) => all.slice(i + 1).forEach((b) => {
            if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1
                && b.top < a.bottom - 1)
                bad.push(group);
        }));
    }
    return bad;
})()"""

# WCAG's contrast of every text with what is behind it; 4.5 is wanted.
CONTRAST = """(() => {
    const channel = (c) => c <= 10 ? c / 3294 : ((c / 255 + 0.055) / 1.055) ** 2.4;
    const light = (rgb) => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1])
        + 0.0722 * channel(rgb[2]);
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const behind = (it) => {
        for (; it; it = it.parentElement) {
            const rgb = parse(getComputedStyle(it).backgroundColor);
            if (rgb.length < 4 || rgb[3] > 0)
                return rgb;
        }
        return [255, 255, 255];
    };
    const bad = [];
    for (const it of document.querySelectorAll('body *')) {
        const says = [...it.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!says || !it.getClientRects().length || it.closest('script, noscript, option'))
            continue;
        const style = getComputedStyle(it);
        const pair = [parse(it instanceof SVGElement ? style.fill : style.color), behind(it)]
            .map(light).sort((a, b) => b - a);
        const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
        if (ratio < 4.5)
            bad.push(`${it.tagName}.${it.className.baseVal ?? it.className} ${ratio.toFixed(2)}`);
    }
    return bad;
})()"""


@pytest.fixture(scope="module")
def front(shared_gateway, tmp_path_factory):
    """A service under load whose clients are too many, and one whose pods are not there."""
    keys = KeyFile(tmp_path_factory.mktemp("keys") / "keys.json", entry("acme", maxWorking=2))
    command = demo_command("--port", "{port}", "--service-time", "200ms", "--cold-start", "300ms")
    busy = {"name": "busy", "slots": ["POST " + GENERATE], "hosts": ["busy"],
            "pods": {"process": {"command": command, "stopGracePeriod": "2s"}},
            "readiness": {"httpGet": "/sdapi/v1/memory", "period": "20ms"},
            "queue": {"maxRequests": 3},
            "autoscaling": {"initialScale": 0, "maxScale": 3, "tickInterval": "50ms"}}
    away = service(name="a-service-with-quite-a-long-name-and-no-pods", hosts=["away"],
                   containerConcurrency=4, apiKeys=keys.option(),
                   pods={"static": ["127.0.0.1:9", "127.0.0.1:10"]})
    return shared_gateway(services=[busy, away])


@pytest.fixture(scope="module")
def load(front):
    """Ten requests a second and client, from six of them, of which the queue takes five."""
    host, port = front.address
    process = subprocess.Popen(
        ["hey", "-z", "50s", "-c", "7", "-q", "5", "-host", "busy", "-m", "POST", "-d",
         PROMPT.decode(), f"http://{host}:{port}{GENERATE}"], stdout=subprocess.DEVNULL)
    yield
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


def url(front, path="/ui"):
    host, port = front.admin_address
    return f"http://{host}:{port}{path}"


def open_page(browser, front):
    browser.open(url(front))
    wait_until(lambda: browser.count("#figures > div") == 6, "the figures are there")


def choose(browser, name):
    browser.run("(() => { const it = document.getElementById('service'); it.value = arguments[0];"
                "it.dispatchEvent(new Event('change')); })()".replace("arguments[0]", f"'{name}'"))


def test_it_shows_the_live_load(browser, front, load):
    open_page(browser, front)
    wait_until(lambda: browser.count(".pod.tone-working") == 3, "three pods work", timeout=20)
    wait_until(lambda: browser.count("#chart-times polyline, #chart-times circle") >= 4,
               "there are percentiles", timeout=20)
    wait_until(lambda: browser.count("#chart-answers rect") >= 1, "answers", timeout=20)
    assert browser.count("#starts li") == 3
    wait_until(lambda: browser.count("#starts .bars .teal") >= 3, "phases")
    wait_until(lambda: "listen" in browser.text("#starts"), "their names")
    wait_until(lambda: "refused: queue full" in browser.text("#troubles"), "the refusals")
    assert "3 wanted, at most 3" in browser.text("#figures")
    assert browser.count(".slot.working") >= 1
    assert browser.text("#status") == "live"
    assert browser.complaints() == []


def test_it_follows(browser, front, load):
    """The figures change without a reload."""
    open_page(browser, front)
    before = browser.text("#figures")
    wait_until(lambda: browser.text("#figures") != before, "another figure", timeout=15)


@pytest.mark.parametrize("width, dark", LOOKS)
def test_it_is_readable(browser, front, load, width, dark):
    browser.resize(width)
    browser.wish(dark)
    open_page(browser, front)
    wait_until(lambda: browser.count("#chart-scale polyline") >= 3, "the charts", timeout=20)
    for name in ("busy", "a-service-with-quite-a-long-name-and-no-pods"):
        choose(browser, name)
        assert browser.run(CUT_OFF) == []
        assert browser.run(OVERLAPS) == []
        assert browser.run(CONTRAST) == []
        if PICTURES:
            Path(PICTURES).mkdir(exist_ok=True)
            browser.picture(Path(PICTURES) / f"{name[:4]}-{width}-{'dark' if dark else 'light'}.png")
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    shades = [int(shade) for shade in re.findall(r"\d+", ground)]
    assert max(shades) < 60 if dark else min(shades) > 200
    assert browser.complaints() == []


def test_a_pod_that_is_away_says_why(browser, front):
    browser.resize(1280)
    open_page(browser, front)
    choose(browser, "a-service-with-quite-a-long-name-and-no-pods")
    wait_until(lambda: "its port takes no connections" in browser.text("#pods"), "lastAnswer")
    assert "acme" in browser.text("#tenants")


def test_it_is_usable_without_a_mouse_and_without_eyes(browser, front, load):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys
    open_page(browser, front)
    for _ in range(2):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
    assert browser.run("document.activeElement.id") == "service"
    ActionChains(browser.driver).send_keys(Keys.TAB).perform()
    assert browser.run("document.activeElement.closest('.chart').id") == "chart-times"
    wait_until(lambda: browser.count("#chart-times polyline") >= 1, "two points", timeout=20)
    ActionChains(browser.driver).send_keys(Keys.ARROW_LEFT).perform()
    assert browser.count("#chart-times .cursor") == 1
    unnamed = browser.run("""[...document.querySelectorAll('input, select, button, svg[role=img]')]
        .filter((it) => !(it.labels && it.labels.length) && !it.getAttribute('aria-label')
            && !it.textContent.trim()).map((it) => it.id || it.tagName)""")
    assert unnamed == []
    assert browser.run("document.documentElement.lang") == "en"
    assert browser.count("h1") == 1


def test_it_comes_back_when_the_gateway_does(browser, front):
    open_page(browser, front)
    with front.paused():
        wait_until(lambda: browser.text("#status") != "live", "it tells", timeout=30)
    wait_until(lambda: browser.text("#status") == "live", "it is back", timeout=20)
    browser.complaints()


def test_a_secret_is_asked_for_and_kept_in_the_tab(browser, gateway, pods, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("open-yourself-sesame\n")
    front = gateway(pods(), ready=False, top={"admin": {
        "address": "localhost:0", "bearerTokenFile": str(secret)}})
    browser.open(url(front))
    wait_until(lambda: "asks for a secret" in browser.text("#sign-in"), "the form")
    assert browser.run("document.activeElement.id") == "secret"
    for word in ("wrong", "open-yourself-sesame"):
        field = browser.driver.find_element("id", "secret")
        field.send_keys(word)
        field.submit()
        if word == "wrong":
            wait_until(lambda: "not the secret" in browser.text("#refused"), "it is refused")
    wait_until(lambda: browser.count(".pod") == 1, "the page")
    browser.driver.refresh()
    wait_until(lambda: browser.count(".pod") == 1, "it is remembered")
    assert browser.run("localStorage.length") == 0
    assert all("401" in line["message"] for line in browser.complaints())
    browser.driver.find_element("id", "forget").click()
    wait_until(lambda: "asks for a secret" in browser.text("#sign-in"), "the form again")
    browser.complaints()
