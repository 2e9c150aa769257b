"""The tree of exceptions is the one that is promised."""

from __future__ import annotations

import pickle

import pytest

import alloy_trio.values as values
from alloy_trio.values import (
    AlloyError,
    ErrorInfo,
    Halt,
    Lagged,
    LocalError,
    Pause,
    RateLimited,
    Rejected,
    RemoteError,
    ToolError,
)

LOCAL = [
    "ConfigurationError",
    "ToolDefinitionError",
    "AgentBusy",
    "QueueFull",
    "AgentClosed",
    "RequestNotFound",
    "SessionConflict",
    "PriceUnknown",
    "MissingExtra",
    "Lagged",
    "RestartLimitExceeded",
    "ChildExists",
    "ChildNotFound",
    "ChildRunning",
]
TRANSIENT = {
    "TransportError": True,
    "StreamTruncated": True,
    "MalformedReply": True,
    "AuthenticationFailed": False,
    "RateLimited": True,
    "QuotaExhausted": False,
    "Overloaded": True,
    "ServerFault": True,
    "ContextOverflow": False,
    "Rejected": False,
}


@pytest.mark.parametrize("name", LOCAL)
def test_what_goes_wrong_here_is_a_local_error(name: str) -> None:
    assert getattr(values, name).__bases__ == (LocalError,)


@pytest.mark.parametrize("name", TRANSIENT)
def test_what_goes_wrong_there_is_a_remote_error_that_knows_whether_it_passes(name: str) -> None:
    cls = getattr(values, name)
    assert cls.__bases__ == (RemoteError,)
    assert cls("x").transient is TRANSIENT[name]
    assert cls("x", transient=not TRANSIENT[name]).transient is not TRANSIENT[name]


def test_the_roots() -> None:
    assert LocalError.__bases__ == RemoteError.__bases__ == (AlloyError,)
    assert AlloyError.__bases__ == (Exception,)
    # What middleware and tools raise is not an error of the engine's.
    assert ToolError.__bases__ == Halt.__bases__ == Pause.__bases__ == (Exception,)


def test_there_are_no_others() -> None:
    named = [getattr(values, name) for name in values.__all__]
    errors = {each.__name__ for each in named if isinstance(each, type) and issubclass(each, Exception)}
    assert errors == {
        *LOCAL,
        *TRANSIENT,
        "AlloyError",
        "LocalError",
        "RemoteError",
        "ToolError",
        "Halt",
        "Pause",
    }


def test_a_remote_error_carries_what_is_known() -> None:
    error = RateLimited("slow down", status=429, request_id="r", retry_after=1.5, provider="openai")
    assert str(error) == error.message == "slow down"
    assert (error.status, error.request_id, error.retry_after, error.provider, error.result) == (
        429,
        "r",
        1.5,
        "openai",
        None,
    )


def test_errors_survive_pickling_with_all_they_know() -> None:
    error = Rejected("no", status=400, request_id="r", transient=True, provider="p")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is Rejected
    assert copy.args == ("no",)
    assert vars(copy) == vars(error)


def test_lagging_says_how_much_was_missed() -> None:
    assert Lagged("too slow", missed=7).missed == 7


def test_an_error_as_data() -> None:
    assert ErrorInfo.of(Rejected("no", status=400, request_id="r")) == ErrorInfo("Rejected", "no", 400, "r")
    assert ErrorInfo.of(ZeroDivisionError("by zero")) == ErrorInfo("ZeroDivisionError", "by zero")
