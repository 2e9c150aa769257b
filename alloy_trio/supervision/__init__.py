"""Nurseries as supervision: Erlang/OTP's supervisor on trio."""

from __future__ import annotations

from ._application import application
from ._handle import ChildHandle
from ._nesting import run_supervisor, supervisor_child
from ._report import ChildCount, ChildExit, ChildInfo, SupervisorStatistics
from ._running import grace
from ._spec import Backoff, ChildSpec
from ._subscriptions import ChildEvents
from ._supervisor import Supervisor, open_supervisor

__all__ = [
    "open_supervisor",
    "Supervisor",
    "ChildSpec",
    "Backoff",
    "grace",
    "ChildHandle",
    "ChildInfo",
    "ChildCount",
    "ChildExit",
    "ChildEvents",
    "SupervisorStatistics",
    "run_supervisor",
    "supervisor_child",
    "application",
]
