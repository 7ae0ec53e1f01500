"""How the page bears several people: each drags a slider, as fast as answers come, for a while.

    python -m benchmarks.serving [--clients 8] [--seconds 60]

Browsers without a head (Debian's chromium by playwright) open the page of a server of its own and move the slider of a
random AU again and again; a drag's answer is a new picture in the page.
"""

import argparse
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

PORTRAIT = Path(__file__).parent.parent / "examples/portrait.jpg"
CODES = ("AU01", "AU04", "AU12", "AU25", "AU26")
MOVE = """([code, value]) => {
  const slider = document.querySelector(`#${code} input[type=range]`);
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(slider, value);
  slider.dispatchEvent(new Event('input', {bubbles: true}));
}"""
LAST = "[...document.querySelectorAll('#result img')].at(-1)"


def drag(page: Page, seconds: float, seed: int, times: list[float]) -> None:
    """Move sliders for a while; note how long each answer took, in seconds."""
    rng, end = random.Random(seed), time.perf_counter() + seconds
    while time.perf_counter() < end:
        before, code = page.evaluate(f"{LAST}.src"), rng.choice(CODES)
        value, at = f"{rng.uniform(0.3, 1):.2f}", float(page.locator(f"#{code} input[type=range]").input_value())
        if abs(at - float(value)) < 0.01:  # the same picture again has the same address, and nothing would be seen
            continue
        began = time.perf_counter()
        page.evaluate(MOVE, [code, value])
        page.wait_for_function(f"{LAST}.src !== {before!r} && {LAST}.complete", polling=5, timeout=120_000)
        times.append(time.perf_counter() - began)


def visit(url: str, seconds: float, seed: int, times: list[float], errors: list[str], ready: threading.Barrier) -> None:
    """Be one person."""
    try:
        with sync_playwright() as play:
            browser: Any = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(180_000)
            page.goto(url)
            page.wait_for_selector("#photo input[type=file]", state="attached")
            page.set_input_files("#photo input[type=file]", str(PORTRAIT))
            page.wait_for_selector("#result img")
            ready.wait(300)  # starting browsers takes the processor from those that drag
            drag(page, seconds, seed, times)
            if page.locator(".toast-body").count():
                errors.append(page.locator(".toast-body").first.inner_text())
            browser.close()
    except Exception as error:  # whatever it is, it is counted
        errors.append(str(error).splitlines()[0])


def main() -> None:
    """Print a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    command = [sys.executable, "-c", "from ganimation.cli import main; main(['serve', '--port', '0'])"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url, times, errors = server.stdout.readline().split()[1], list[float](), list[str]()
        ready = threading.Barrier(options.clients)
        people = [
            threading.Thread(target=visit, args=(url, options.seconds, seed, times, errors, ready))
            for seed in range(options.clients)
        ]
        for person in people:
            person.start()
        for person in people:
            person.join()
        server.kill()
    cuts = statistics.quantiles(times, n=20)
    print(
        f"{options.clients} clients, {options.seconds:.0f} s: {len(times)} drags, median {1000 * cuts[9]:.0f} ms, "
        f"95th percentile {1000 * cuts[18]:.0f} ms, {len(errors)} errors {errors[:3]}"
    )


if __name__ == "__main__":
    main()
