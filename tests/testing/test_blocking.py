"""Nothing leaves the machine from inside of block_real_requests, and nobody notices it afterwards."""

from __future__ import annotations

import socket
import threading
import urllib.request
from typing import Any

import httpx
import pytest
import trio

from alloy_trio import RemoteError, ToolUse, run, tool
from alloy_trio.providers import Anthropic, Bedrock, Gemini, Mistral, Ollama, OpenAI, Scripted
from alloy_trio.testing import BlockedRequest, block_real_requests, open_replay_server
from alloy_trio.values import ConfigurationError

FAR = "192.0.2.1"  # of a block of addresses that are nobody's (RFC 5737)


@pytest.mark.parametrize(
    "provider",
    [
        Anthropic(model="m", api_key="k"),
        OpenAI(model="m", api_key="k"),
        Gemini(model="m", api_key="k"),
        Mistral(model="m", api_key="k"),
        Bedrock(model="m", api_key="k", region="us-east-1"),
        Ollama(model="m", base_url=f"http://{FAR}:11434"),
    ],
    ids=lambda provider: provider.name,
)
async def test_a_vendor_cannot_be_asked_and_is_not_asked_again(provider: Any, autojump_clock: Any) -> None:
    with block_real_requests() as blocking:
        with pytest.raises(BlockedRequest, match="was blocked") as caught:
            await run("x", provider=provider)
    assert not isinstance(caught.value, RemoteError)
    assert len(blocking.attempts) == 1
    assert trio.current_time() == 0  # it was not tried again


@pytest.mark.parametrize("host", ["api.example.org", FAR, "2001:db8::1", "::ffff:192.0.2.1"])
async def test_other_machines_are_refused_by_name_and_by_address(host: str) -> None:
    with block_real_requests() as blocking:
        with pytest.raises(BlockedRequest, match=r"block_real_requests\(allow="):
            await trio.open_tcp_stream(host, 443)
        with pytest.raises(BlockedRequest):
            socket.create_connection((host, 443))
    assert blocking.attempts == [f"{host}:443"] * 2


def test_bare_sockets_are_refused() -> None:
    with block_real_requests() as blocking:
        with socket.socket() as one, pytest.raises(BlockedRequest):
            one.connect((FAR, 80))
        with socket.socket() as one, pytest.raises(BlockedRequest):
            one.connect_ex((FAR, 81))
        with socket.socket(type=socket.SOCK_DGRAM) as one, pytest.raises(BlockedRequest):
            one.sendto(b"x", (FAR, 82))
        with socket.socket(type=socket.SOCK_DGRAM) as one, pytest.raises(BlockedRequest):
            one.sendto(b"x", 0, (FAR, 83))
    assert blocking.attempts == [f"{FAR}:{port}" for port in (80, 81, 82, 83)]


def test_other_clients_are_refused_too() -> None:
    with block_real_requests():
        with pytest.raises(BlockedRequest):
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{FAR}/")
        with httpx.Client(trust_env=False) as client, pytest.raises(BlockedRequest):
            client.get(f"http://{FAR}/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_this_machine_may_be_reached(host: str) -> None:
    with block_real_requests() as blocking:
        async with open_replay_server([]) as server:
            port = int(server.url.rpartition(":")[2])
            async with await trio.open_tcp_stream(host, port):
                pass
        one, other = socket.socketpair()
        one.close()
        other.close()
    assert blocking.attempts == []


async def test_a_proxy_on_this_machine_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:word@localhost:3128")
    with block_real_requests() as blocking:
        for host in ("localhost", "127.0.0.1"):
            with pytest.raises(BlockedRequest, match="a proxy that the environment names") as caught:
                await trio.open_tcp_stream(host, 3128)
            assert "word" not in str(caught.value)
        assert blocking.admits("localhost", 3129)
    with block_real_requests(allow=["localhost:3128"]) as blocking:
        assert blocking.admits("localhost", 3128)


def test_all_threads_are_met() -> None:
    found: list[BaseException] = []

    def reach() -> None:
        try:
            socket.create_connection((FAR, 80))
        except BlockedRequest as error:
            found.append(error)

    with block_real_requests():
        thread = threading.Thread(target=reach)
        thread.start()
        thread.join()
    assert len(found) == 1


async def test_a_tool_that_reaches_out_is_told_and_found() -> None:
    @tool
    def fetch() -> str:
        """Fetch something."""
        return str(socket.create_connection((FAR, 80)))

    with block_real_requests() as blocking:
        result = await run("x", provider=Scripted([[ToolUse("1", "fetch", {})], "done"]), tools=[fetch])
    assert blocking.attempts == [f"{FAR}:80"]
    assert "blocked" in (result.tool_calls[0].error or "")


def test_the_block_that_was_entered_last_decides() -> None:
    with block_real_requests() as outer:
        with block_real_requests(allow=[FAR]) as inner:
            assert inner.admits(FAR, 80)
            with block_real_requests() as innermost:
                with pytest.raises(BlockedRequest):
                    socket.create_connection((FAR, 80))
        with pytest.raises(BlockedRequest):
            socket.create_connection((FAR, 80))
    assert (len(outer.attempts), len(inner.attempts), len(innermost.attempts)) == (1, 0, 1)


def test_what_an_allowed_name_stands_for_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (FAR, port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
        with block_real_requests(allow=["model.test"]) as blocking:
            assert not blocking.admits(FAR, port)
            assert socket.getaddrinfo("model.test", port) == answer
            assert blocking.admits(FAR, port)
            with pytest.raises(BlockedRequest):
                socket.getaddrinfo("other.test", port)


def test_sockets_are_as_they_were_afterwards() -> None:
    before = (socket.getaddrinfo, socket.socket.connect, socket.socket.sendto)
    with pytest.raises(ZeroDivisionError):
        with block_real_requests(), block_real_requests():
            assert socket.socket.connect is not before[1]
            raise ZeroDivisionError
    assert (socket.getaddrinfo, socket.socket.connect, socket.socket.sendto) == before
    assert not {"connect", "connect_ex", "sendto"} & vars(socket.socket).keys()


@pytest.mark.parametrize("allow", ["example.org", ["https://example.org"], [""], [7]])
def test_hosts_that_cannot_be_are_refused(allow: Any) -> None:
    with pytest.raises(ConfigurationError, match="allow"):
        with block_real_requests(allow=allow):
            pass
