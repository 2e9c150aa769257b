"""The running counterpart, as the tests of one test function see it."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from typing import Any

import attrs
import pytest

from alloy_trio import abc
from alloy_trio.providers import provider_from_name

from .hosts import SPOKEN

URL = "ALLOY_TRIO_COUNTERPART"


@attrs.frozen
class Counterpart:
    """A server that others wrote, and what one test has asked it.

    Args:
        url: where it listens.
        test_id: it counts requests, and keeps its journal of them, apart by this name.
    """

    url: str
    test_id: str

    def provider(self, name: str, **options: Any) -> abc.Provider:
        """The provider of a row of the table, pointed here."""
        row = SPOKEN[name]
        return provider_from_name(
            name.partition("/")[0],
            options.pop("model", row.model),
            base_url=self.url + row.path,
            api_key="key-of-no-worth",
            headers={"X-Test-Id": self.test_id},
            **row.options,
            **options,
        )

    def journal(self) -> list[dict[str, Any]]:
        """What this test asked, in order: path, status, body as the counterpart understood it, …"""
        with urllib.request.urlopen(
            f"{self.url}/__aimock/journal?testId={self.test_id}", timeout=10
        ) as answer:
            entries: list[dict[str, Any]] = json.load(answer)
        return sorted(entries, key=lambda entry: entry["timestamp"])

    def statuses(self) -> list[int]:
        """What it answered to each request."""
        return [entry["response"]["status"] for entry in self.journal()]


@pytest.fixture
def counterpart() -> Counterpart:
    """The server whose address is in the environment."""
    url = os.environ.get(URL)
    if not url:
        pytest.skip(f"{URL} holds no address; `nox -s counterpart` starts a server and sets it")
    return Counterpart(url.rstrip("/"), uuid.uuid4().hex)
