"""Run the tutorial's code, and photograph the pages that it writes, in Chromium.

    python docs/figures/tutorial.py

So the pictures show what a reader gets. About two minutes; needs `pip install ".[cli,visualization]"` and Chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import optuna
from PIL import Image, ImageChops

TUTORIAL = Path(__file__).parents[1] / "tutorial"
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"!\[[^\]]*\]\((\w+)\.png\)")
WIDTH, HEIGHT = 1000, 900


def main() -> None:
    """Run every page in one namespace and one empty folder, then photograph what its pictures are of."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("Expected chromium or google-chrome in the PATH, found neither.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    namespace: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for page in sorted(TUTORIAL.glob("*.md")):
            text = page.read_text(encoding="utf-8")
            for code in PYTHON_BLOCK.findall(text):
                exec(compile(code, str(page), "exec"), namespace)
            for name in PICTURE.findall(text):
                photograph(browser, Path(folder) / f"{name}.html", TUTORIAL / f"{name}.png")
        os.chdir(TUTORIAL)


def photograph(browser: str, page: Path, picture: Path) -> None:
    """Write the top of a page as a picture, without the white below and beside it.

    Args:
        browser: The program.
        page: A file of HTML.
        picture: The file to write.
    """
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=5000"]
    window = [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={picture}"]
    subprocess.run([browser, *options, *window, page.as_uri()], check=True, capture_output=True, timeout=120)
    image = Image.open(picture).convert("RGB")
    used = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox() or (0, 0, *image.size)
    image.crop((0, 0, WIDTH, min(used[3] + 12, HEIGHT))).quantize(128).save(picture, optimize=True)
    print(picture)


if __name__ == "__main__":
    main()
