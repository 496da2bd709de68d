"""The workbench in a browser: what the server shows, and whom it refuses."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from simplegpt.cli import UserError
from tui.__main__ import main

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def served(folder: Path, host: str) -> Iterator[str]:
    """Run a server; the address that it prints."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tui", "--serve", str(port), "--host", host]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            address = server.stdout.readline().split()[-1].replace("0.0.0.0", "127.0.0.1")
            wait_for_port(port)
            yield address
        finally:
            server.terminate()


def wait_for_port(port: int) -> None:
    """Wait until something listens: the address is printed a moment before."""
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nothing listens"
            time.sleep(0.05)
        else:
            return


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        yield client


async def status(client: aiohttp.ClientSession, address: str, **headers: str) -> int:
    async with client.get(address, headers=headers) as response:
        return response.status


async def test_browser_shows_the_workbench_and_other_sites_are_refused(
    workplace: Path, client: aiohttp.ClientSession
) -> None:
    with served(workplace, "127.0.0.1") as address:
        assert await status(client, address) == 200
        assert await status(client, f"{address}/ws", Origin="http://elsewhere.example") == 403
        assert await status(client, address, Host="elsewhere.example") == 403
        async with client.ws_connect(f"{address}/ws?width=80&height=24") as terminal:
            shown = b""
            while b"Tokenizer" not in shown:  # the Data screen of a newcomer
                shown += await terminal.receive_bytes(timeout=60)
            await terminal.send_json(["stdin", "\x11"])  # Ctrl+Q
            while (await terminal.receive(timeout=60)).type is aiohttp.WSMsgType.BINARY:
                pass


async def test_other_machines_need_the_token(
    workplace: Path, client: aiohttp.ClientSession
) -> None:
    with served(workplace, "0.0.0.0") as address:
        page, _, token = address.partition("?token=")
        assert len(token) > 20
        assert await status(client, page) == 403
        assert await status(client, f"{page}?token=wrong") == 403
        assert await status(client, f"{page}ws") == 403
        assert await status(client, address) == 200
        async with client.ws_connect(f"{page}ws") as terminal:  # the cookie lets it in
            assert not terminal.closed


@pytest.mark.browser
async def test_keys_reach_the_workbench_in_a_browser_at_once(workplace: Path) -> None:
    playwright = pytest.importorskip("playwright.async_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with served(workplace, "0.0.0.0") as address:
        async with playwright.async_playwright() as api:
            browser = await api.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = await browser.new_page()
            assert (await page.goto(address.partition("?")[0])).status == 403
            assert (await page.goto(address)).status == 200
            await page.wait_for_selector("body.-first-byte")
            await page.keyboard.press("F10")
            await page.wait_for_selector("body.-closed")
            await browser.close()


def test_port_in_use_is_an_error(workplace: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="cannot serve"):
            main(["--serve", str(taken.getsockname()[1])])
