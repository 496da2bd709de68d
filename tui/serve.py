"""The workbench in a browser, through textual-serve: one process of it for each window."""

import hmac
import secrets
import shlex
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

COOKIE = "simplegpt_token"
FOCUS_TERMINAL = """\
<script>
new MutationObserver((_, observer) => {
  const input = document.querySelector(".xterm-helper-textarea");
  if (input) { input.focus(); observer.disconnect(); }
}).observe(document.body, {childList: true, subtree: true});
</script>
"""
"""Without it, keys do nothing until the page is clicked."""


def serve(arguments: Sequence[str], host: str, port: int) -> None:
    """Serve ``simplegpt-tui ARGUMENTS`` until Ctrl+C. Raises OSError if the port is in use."""
    command = shlex.join([sys.executable, "-m", "tui", *arguments])
    token = "" if is_loopback(host) else secrets.token_urlsafe(24)
    WorkbenchServer(command, host, port, token).serve()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class WorkbenchServer(Server):
    """Who can reach it can run programs, so it requires a token where others can.

    The token is in the address that is printed; a cookie then carries it to the websocket. Pages of
    other sites are refused: a browser opens a websocket to any address for them.
    """

    def __init__(self, command: str, host: str, port: int, token: str = "") -> None:
        super().__init__(command, host=host, port=port, title="SimpleGPT")
        self.token = token

    @property
    def address(self) -> str:
        """The address to open in the browser."""
        return f"{self.public_url}/?token={self.token}" if self.token else self.public_url

    async def on_startup(self, app: web.Application) -> None:
        self.console.print(f"SimpleGPT is on {self.address}", highlight=False, soft_wrap=True)
        self.console.print("Ctrl+C to quit")

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        self._check(request, request.query.get("token", ""))
        self.public_url = f"{request.scheme}://{request.host}"  # as the browser reaches it
        response: web.StreamResponse = await super().handle_index(request)
        assert isinstance(response, web.Response)
        response.text = (response.text or "").replace("</body>", f"{FOCUS_TERMINAL}</body>")
        if self.token:
            response.set_cookie(COOKIE, self.token, httponly=True, samesite="Strict")
        return response

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        self._check(request)
        return await super().handle_websocket(request)

    async def handle_download(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        return await super().handle_download(request)

    def _check(self, request: web.Request, token: str = "") -> None:
        """Refuse a request without the token, for another host, or by another site's page."""
        given = token or request.cookies.get(COOKIE, "")
        if self.token and not hmac.compare_digest(given.encode(), self.token.encode()):
            raise web.HTTPForbidden(text="Open the address with the token that was printed.")
        host = urlsplit(f"//{request.host}").hostname or ""
        if not self.token and not is_loopback(host):  # another name may point here
            raise web.HTTPForbidden(text=f"Open {self.address}")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="The page of another site cannot connect.")
