"""The cases of OTP's own test suite of its supervisor, each carried over or explained.

:data:`CASES` has the names of stdlib's ``supervisor_SUITE`` (OTP 18 to 25), and for each the test here that shows the
same, or why there is nothing to show. The tests are written anew from what the names and OTP's manual say.
"""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from alloy_trio import ChildExists, ChildNotFound, ChildRunning, ConfigurationError, RestartLimitExceeded
from alloy_trio.supervision import ChildCount, ChildSpec, Supervisor, open_supervisor, supervisor_child

from ._children import Boom, Stage, holds_out

NO_INIT = "there is no init callback: children and rules are arguments, and what is wrong with them raises"
NO_MODULES = (
    "there is no hot code change, and so no callback module to ask and no spec to exchange under a child"
)
DYNAMIC = "dynamic children take the place of simple_one_for_one: "

CASES = {
    # Start.
    "sup_start_normal": "test_a_supervisor_without_children_starts_and_ends",
    "sup_start_ignore_init": NO_INIT,
    "sup_start_ignore_child": "test_a_child_that_ignores_its_start_is_kept",
    "sup_start_ignore_temporary_child": "test_a_temporary_child_that_ignores_its_start_is_not_kept",
    "sup_start_ignore_temporary_child_start_child": "test_a_temporary_child_that_ignores_its_start_is_not_kept",
    "sup_start_ignore_temporary_child_start_child_simple": "test_a_temporary_child_that_ignores_its_start_is_not_kept",
    "sup_start_ignore_permanent_child_start_child_simple": "test_a_child_that_ignores_its_start_is_kept",
    "sup_start_error_return": NO_INIT,
    "sup_start_fail": "test_a_child_that_does_not_start_fails_the_opening",
    "sup_start_child_returns_error": "test_a_child_that_does_not_start_fails_the_opening",
    "sup_start_restart_child_returns_error": "test_restart_of_a_child_that_does_not_start",
    "sup_start_map": "test_defaults_of_a_spec",
    "sup_start_map_simple": "test_defaults_of_a_spec",
    "sup_start_map_faulty_specs": "test_faulty_specs",
    "already_started_outside_supervisor": "a child is a function and not a name in a registry: it has not been started"
    " by somebody else before",
    # Stop.
    "sup_stop_infinity": "test_stop_with_all_the_time",
    "sup_stop_timeout": "test_stop_within_a_time",
    "sup_stop_brutal_kill": "test_stop_without_time",
    "sup_stop_brutal_kill_dynamic": "test_stop_without_time",
    "sup_stop_manual": "test_child_adm",
    "sup_stop_manual_timeout": "test_stop_within_a_time",
    # Calls.
    "child_adm": "test_child_adm",
    "child_adm_simple": DYNAMIC + "test_child_adm",
    "child_specs": "test_faulty_specs",
    "extra_return": "test_extra_return",
    "sup_flags": "test_faulty_flags",
    "get_callback_module": NO_MODULES,
    "which_children": "test_which_children",
    "which_children_simple_one_for_one": "test_which_children",
    "order_of_children": "test_order_of_children",
    # Restarts.
    "multiple_restarts": "test_many_restarts_within_a_long_limit",
    "one_for_one": "test_one_for_one",
    "one_for_one_escalation": "test_escalation",
    "one_for_one_other_child_fails_restart": "test_another_child_fails_its_restart",
    "one_for_all": "test_one_for_all",
    "one_for_all_escalation": "test_escalation",
    "one_for_all_other_child_fails_restart": "test_another_child_fails_its_restart",
    "simple_one_for_one": "test_one_for_one",
    "simple_one_for_one_escalation": "test_escalation",
    "simple_one_for_one_extra": "test_extra_return",
    "simple_one_for_one_shutdown": DYNAMIC + "they are stopped in reverse order, not all at once",
    "rest_for_one": "test_rest_for_one",
    "rest_for_one_escalation": "test_escalation",
    "rest_for_one_other_child_fails_restart": "test_another_child_fails_its_restart",
    "external_start_no_progress_log": "there are no progress reports; a start from outside is child_start, see"
    " test_events",
    # Kinds of exits.
    "permanent_normal": "test_exits",
    "transient_normal": "test_exits",
    "temporary_normal": "test_exits",
    "permanent_shutdown": "test_exits",
    "transient_shutdown": "test_exits",
    "temporary_shutdown": "test_exits",
    "permanent_abnormal": "test_exits",
    "transient_abnormal": "test_exits",
    "temporary_abnormal": "test_exits",
    "temporary_bystander": "test_a_temporary_bystander",
    "faulty_application_shutdown": "test_a_child_that_fails_while_it_is_stopped_does_not_stop_the_shutdown",
    # Significant children.
    "significant_temporary": "test_significant",
    "significant_transient": "test_significant",
    "significant_simple": "test_significant",
    "significant_bystander": "test_a_significant_bystander",
    "significant_escalation": "test_a_significant_supervisor_ends_the_one_above",
    "significant_upgrade_never_any": NO_MODULES,
    "significant_upgrade_any_never": NO_MODULES,
    "significant_upgrade_never_all": NO_MODULES,
    "significant_upgrade_all_never": NO_MODULES,
    "significant_upgrade_any_all": NO_MODULES,
    "significant_upgrade_all_any": NO_MODULES,
    "significant_upgrade_child": NO_MODULES,
    # The rest.
    "child_unlink": "nothing is linked: a child's task is in the supervisor's nursery, and cannot leave it",
    "tree": "test_a_tree",
    "count_children": "test_count_children",
    "count_children_memory": "test_counting_makes_nothing_that_stays",
    "count_children_allocator_test": "the allocator is Python's",
    "count_restarting_children": "test_count_restarting_children",
    "do_not_save_start_parameters_for_temporary_children": "test_nothing_is_kept_of_a_temporary_child",
    "do_not_save_child_specs_for_temporary_children": "test_nothing_is_kept_of_a_temporary_child",
    "simple_one_for_one_scale_many_temporary_children": "test_many_temporary_children",
    "scale_start_stop_many_children": "test_many_temporary_children",
    "simple_global_supervisor": "names are not registered, neither in a node nor in a cluster",
    "hanging_restart_loop": "test_a_restart_loop_lets_calls_through",
    "hanging_restart_loop_rest_for_one": "test_a_restart_loop_lets_calls_through",
    "hanging_restart_loop_simple": "test_a_restart_loop_lets_calls_through",
    "code_change": NO_MODULES,
    "code_change_map": NO_MODULES,
    "code_change_simple": NO_MODULES,
    "code_change_simple_map": NO_MODULES,
    "format_log_1": "messages go through logging, with the exception as it is; see test_supervisor",
    "format_log_2": "messages go through logging, with the exception as it is; see test_supervisor",
}


def test_each_case_has_a_test_or_a_reason() -> None:
    tests = {name for name in globals() if name.startswith("test_")}
    assert {entry for entry in CASES.values() if entry.startswith("test_")} <= tests
    assert all(" " in entry for entry in CASES.values() if not entry.startswith("test_"))


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def ignores(*, task_status: trio.TaskStatus[None]) -> None:
    """Has nothing to do."""


async def test_a_supervisor_without_children_starts_and_ends() -> None:
    async with open_supervisor(max_restarts=2, within=3600) as supervisor:
        assert supervisor.children() == ()


async def test_a_child_that_ignores_its_start_is_kept(stage: Stage) -> None:
    async with open_supervisor() as supervisor:
        await supervisor.start(ChildSpec("a", ignores))
        await supervisor.start(stage.spec("b"))
        assert [(child.name, child.status) for child in supervisor.children()] == [
            ("a", "stopped"),
            ("b", "running"),
        ]
        assert supervisor.count() == ChildCount(specs=2, active=1, supervisors=0, workers=2)


async def test_a_temporary_child_that_ignores_its_start_is_not_kept(stage: Stage) -> None:
    spec = ChildSpec("a", ignores, restart="temporary")
    async with open_supervisor([spec, stage.spec("b", restart="temporary")]) as supervisor:
        for _ in range(2):
            assert [child.name for child in supervisor.children()] == ["b"]
            assert supervisor.count() == ChildCount(specs=1, active=1, supervisors=0, workers=1)
            await supervisor.start(spec)


async def test_a_child_that_does_not_start_fails_the_opening(stage: Stage) -> None:
    stage.refuses["b"] = 1
    with pytest.raises(Boom):
        async with open_supervisor(stage.specs("abc")):
            pytest.fail("the body must not run")
    assert stage.take() == "+a !b -a"


async def test_restart_of_a_child_that_does_not_start(stage: Stage) -> None:
    async with open_supervisor(stage.specs("a")) as supervisor:
        await supervisor.terminate("a")
        stage.refuses["a"] = 1
        with pytest.raises(Boom):
            await supervisor.restart("a")
        assert supervisor.child("a").status == "stopped"


def test_defaults_of_a_spec() -> None:
    worker = ChildSpec("a", ignores)
    assert (worker.restart, worker.shutdown, worker.kind) == ("permanent", 5.0, "worker")
    below = supervisor_child("b")
    assert (below.restart, below.shutdown, below.kind) == ("permanent", math.inf, "supervisor")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"fn": "not a function"},
        {"restart": "prmanent"},
        {"shutdown": -100},
        {"shutdown": "kill"},
        {"kind": "manager"},
        {"significant": "yes"},
        {"significant": True},
    ],
)
async def test_faulty_specs(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ChildSpec(**{"name": "a", "fn": ignores, **wrong})
    async with open_supervisor() as supervisor:
        with pytest.raises(ConfigurationError):
            await supervisor.start("child")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError):
            await supervisor.start(ChildSpec("a", ignores, restart="temporary", significant=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "none_for_one"},
        {"max_restarts": -1},
        {"max_restarts": "2"},
        {"within": 0},
        {"within": "3600"},
        {"auto_shutdown": "sometimes"},
    ],
)
async def test_faulty_flags(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        async with open_supervisor(**wrong):
            pytest.fail("the body must not run")


async def test_stop_with_all_the_time(autojump_clock: MockClock) -> None:
    log: list[str] = []
    specs: list[ChildSpec] = [
        ChildSpec("a", holds_out, args=(log, 1e6), shutdown=math.inf, kind="supervisor"),
        ChildSpec("b", holds_out, args=(log, 1e6), shutdown=math.inf),
    ]
    async with open_supervisor(specs):
        pass
    assert log == ["done after 1e+06"] * 2


async def test_stop_within_a_time(autojump_clock: MockClock) -> None:
    log: list[str] = []
    specs = [
        ChildSpec("a", holds_out, args=(log, 0.5), shutdown=1.0),
        ChildSpec("b", holds_out, args=(log, 200.0), shutdown=1.0),
    ]
    async with open_supervisor(specs) as supervisor:
        await supervisor.terminate("b")
        assert log == ["cut off after 1"]
        await supervisor.restart("b")
    assert log == ["cut off after 1", "cut off after 1", "done after 0.5"]


async def test_stop_without_time(autojump_clock: MockClock) -> None:
    log: list[str] = []
    specs = [
        ChildSpec("a", holds_out, args=(log, 0.5), shutdown=1.0),
        ChildSpec("b", holds_out, args=(log, 0.5), shutdown="brutal"),
    ]
    async with open_supervisor(specs):
        pass
    assert log == ["cut off after 0", "done after 0.5"]


async def test_child_adm(stage: Stage) -> None:
    async with open_supervisor(stage.specs("a"), max_restarts=2, within=3600) as supervisor:
        with pytest.raises(ChildExists):
            await supervisor.start(stage.spec("a"))
        with pytest.raises(ChildRunning):
            await supervisor.restart("a")
        with pytest.raises(ChildRunning):
            supervisor.delete("a")
        await supervisor.terminate("a")
        with pytest.raises(ChildExists):
            await supervisor.start(stage.spec("a"))
        await supervisor.restart("a")
        await supervisor.terminate("a")
        await supervisor.terminate("a")
        supervisor.delete("a")
        for call in (supervisor.terminate, supervisor.restart):
            with pytest.raises(ChildNotFound):
                await call("a")
        with pytest.raises(ChildNotFound):
            supervisor.delete("a")
        await supervisor.start(stage.spec("a"))
        assert supervisor.count() == ChildCount(specs=1, active=1, supervisors=0, workers=1)
    assert stage.take() == "+a -a +a -a +a -a"


async def test_extra_return(stage: Stage) -> None:
    async with open_supervisor(stage.specs("a")) as supervisor:
        child = await supervisor.start(stage.spec("b"))
        assert child.value == "b is ready"
        await stage.crash("b")
        assert await child.wait_running() == "b is ready"
        await supervisor.terminate("b")
        assert (await supervisor.restart("b")).value == "b is ready"


async def test_which_children(stage: Stage) -> None:
    async with open_supervisor([*stage.specs("ab"), supervisor_child("low")]) as supervisor:
        await supervisor.terminate("b")
        assert [(child.name, child.status, child.kind) for child in supervisor.children()] == [
            ("a", "running", "worker"),
            ("b", "stopped", "worker"),
            ("low", "running", "supervisor"),
        ]


async def test_order_of_children(stage: Stage) -> None:
    async with open_supervisor(stage.specs("abcde"), "rest_for_one", max_restarts=9) as supervisor:
        stage.take()
        stage.refuses["d"] = 1
        await stage.crash("c")
        assert stage.take() == "-c -e -d +c !d +d +e"
        await supervisor.terminate("b")
        await supervisor.restart("b")
        await supervisor.start(stage.spec("f"))
        assert "".join(child.name for child in supervisor.children()) == "abcdef"
        stage.take()
    assert stage.take() == "-f -e -d -c -b -a"


async def test_many_restarts_within_a_long_limit(stage: Stage) -> None:
    async with open_supervisor(stage.specs("a"), max_restarts=4, within=3600) as supervisor:
        for _ in range(4):
            await stage.crash("a")
        assert supervisor.children()[0].restarts == 4


async def test_one_for_one(stage: Stage) -> None:
    async with open_supervisor(stage.specs("ab"), max_restarts=2, within=3600):
        await stage.crash("a", "b")
        assert stage.take() == "+a +b -a +a -b +b"


async def test_one_for_all(stage: Stage) -> None:
    async with open_supervisor(stage.specs("ab"), "one_for_all", max_restarts=2, within=3600):
        await stage.crash("a", "b")
        assert stage.take() == "+a +b -a -b +a +b -b -a +a +b"


async def test_rest_for_one(stage: Stage) -> None:
    async with open_supervisor(stage.specs("abc"), "rest_for_one", max_restarts=3, within=3600):
        await stage.crash("b", "a")
        assert stage.take() == "+a +b +c -b -c +b +c -a -c -b +a +b +c"


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
async def test_escalation(stage: Stage, strategy: Any) -> None:
    with pytest.raises(RestartLimitExceeded):
        async with open_supervisor(stage.specs("ab"), strategy, max_restarts=4, within=3600):
            stage.take()
            stage.refuses["a"] = 9
            await stage.crash("a")
            await trio.sleep_forever()
    stopped_first = {"one_for_one": "-a !a !a !a !a -b", "one_for_all": "-a -b !a !a !a !a"}
    assert stage.take() == stopped_first.get(strategy, "-a -b !a !a !a !a")


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", "-b !b +b"),
        ("one_for_all", "-b -c -a +a +b !c -b -a +a +b +c"),
        ("rest_for_one", "-b -c +b !c +c"),
    ],
)
async def test_another_child_fails_its_restart(stage: Stage, strategy: Any, expected: str) -> None:
    async with open_supervisor(stage.specs("abc"), strategy, max_restarts=3, within=3600) as supervisor:
        stage.take()
        stage.refuses["b" if strategy == "one_for_one" else "c"] = 1
        await stage.crash("b")
        assert stage.take() == expected
        assert supervisor.count().active == 3


@pytest.mark.parametrize(
    ("restart", "how", "restarted", "kept"),
    [
        ("permanent", "normal", True, True),
        ("transient", "normal", False, True),
        ("temporary", "normal", False, False),
        ("permanent", "shutdown", True, True),
        ("transient", "shutdown", False, True),
        ("temporary", "shutdown", False, False),
        ("permanent", "abnormal", True, True),
        ("transient", "abnormal", True, True),
        ("temporary", "abnormal", False, False),
    ],
)
async def test_exits(stage: Stage, restart: Any, how: str, restarted: bool, kept: bool) -> None:
    async with open_supervisor([stage.spec("a", restart=restart)]) as supervisor:
        if how == "shutdown":
            supervisor.child("a").cancel()
            await trio.testing.wait_all_tasks_blocked()
        else:
            await stage.leave("a", Boom() if how == "abnormal" else None)
        assert stage.take() == ("+a -a +a" if restarted else "+a -a")
        assert supervisor.count() == ChildCount(specs=kept, active=restarted, supervisors=0, workers=kept)


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_a_temporary_bystander(stage: Stage, strategy: Any) -> None:
    specs = [stage.spec("a"), stage.spec("b", restart="temporary")]
    async with open_supervisor(specs, strategy, max_restarts=2, within=3600) as supervisor:
        await stage.crash("a")
        assert stage.take() == "+a +b -a -b +a"
        assert [child.name for child in supervisor.children()] == ["a"]


async def test_a_child_that_fails_while_it_is_stopped_does_not_stop_the_shutdown(stage: Stage) -> None:
    async def faulty() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Boom

    async with open_supervisor([stage.spec("a"), ChildSpec("faulty", faulty), stage.spec("b")]):
        pass
    assert stage.take() == "+a +b -b -a"


@pytest.mark.parametrize("auto_shutdown", ["any_significant", "all_significant"])
@pytest.mark.parametrize("restart", ["transient", "temporary"])
@pytest.mark.parametrize("how", ["normal", "abnormal"])
async def test_significant(stage: Stage, auto_shutdown: Any, restart: Any, how: str) -> None:
    specs = [*stage.specs("ab", restart=restart, significant=True), stage.spec("c", restart=restart)]
    error = Boom() if how == "abnormal" else None
    seen: list[str] = []
    async with open_supervisor(specs, auto_shutdown=auto_shutdown, max_restarts=9):
        stage.take()
        for name in "ca":
            await stage.leave(name, error)
            seen.append(stage.take())
            await trio.lowlevel.checkpoint()
        await stage.leave("b")
        if auto_shutdown == "all_significant" and restart == "transient" and error is not None:
            await stage.leave("a")  # it was restarted, and so goes on
        await trio.sleep_forever()
    if left := stage.take():
        seen.append(left)
    if restart == "transient" and how == "abnormal":
        assert seen[:2] == ["-c +c", "-a +a"]
        assert seen[2] == ("-b -c -a" if auto_shutdown == "any_significant" else "-b -a -c")
    elif auto_shutdown == "any_significant":
        assert seen == ["-c", "-a -b"]  # this block was cancelled before it came to b
    else:
        assert seen == ["-c", "-a", "-b"]


async def test_a_significant_bystander(stage: Stage) -> None:
    significant: dict[str, Any] = {"restart": "temporary", "significant": True}
    specs = [stage.spec("a", restart="permanent"), stage.spec("b", **significant)]
    async with open_supervisor(specs, "one_for_all", auto_shutdown="any_significant") as supervisor:
        # Stopped as a bystander it did not end by itself, and so ends nothing.
        await stage.crash("a")
        assert stage.take() == "+a +b -a -b +a"
        await supervisor.start(stage.spec("b", **significant))
        await supervisor.terminate("b")
        assert supervisor.count().active == 1


async def test_a_significant_supervisor_ends_the_one_above(stage: Stage) -> None:
    leaf = stage.spec("a", restart="temporary", significant=True)
    low = supervisor_child(
        "low", [leaf], auto_shutdown="any_significant", restart="temporary", significant=True
    )
    async with open_supervisor([stage.spec("b"), low], auto_shutdown="any_significant"):
        await stage.leave("a")
        await trio.sleep_forever()
    assert stage.take() == "+b +a -a -b"


async def test_a_tree(stage: Stage) -> None:
    left = supervisor_child("left", stage.specs("ab"), strategy="one_for_one", max_restarts=1)
    right = supervisor_child("right", stage.specs("cd"), strategy="one_for_all", max_restarts=1)
    async with open_supervisor([left, right], "one_for_all", max_restarts=1) as supervisor:
        await stage.crash("a")
        assert stage.take() == "+a +b +c +d -a +a"
        await stage.crash("c")
        assert stage.take() == "-c -d +c +d"
        await stage.crash("c")
        # Right gives up; that takes left along, and both begin anew.
        assert stage.take() == "-c -d -b -a +a +b +c +d"
        assert isinstance(supervisor.child("right").value, Supervisor)


async def test_count_children(stage: Stage) -> None:
    async with open_supervisor([*stage.specs("abc"), supervisor_child("low")]) as supervisor:
        assert supervisor.count() == ChildCount(specs=4, active=4, supervisors=1, workers=3)
        await supervisor.terminate("a")
        assert supervisor.count() == ChildCount(specs=4, active=3, supervisors=1, workers=3)
        supervisor.delete("a")
        assert supervisor.count() == ChildCount(specs=3, active=3, supervisors=1, workers=2)


async def test_counting_makes_nothing_that_stays(stage: Stage) -> None:
    async with open_supervisor(stage.specs("abc")) as supervisor:
        supervisor.count(), supervisor.children()
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(100):
            supervisor.count(), supervisor.children()
        gc.collect()
        assert len(gc.get_objects()) - before < 50


async def test_count_restarting_children(autojump_clock: MockClock) -> None:
    stage = Stage()
    stage.refuses["a"] = 0

    async def slow_to_start(*, task_status: trio.TaskStatus[None]) -> None:
        stage.refuses["a"] += 1
        if stage.refuses["a"] > 1:
            await trio.sleep(10)
            raise Boom
        task_status.started()
        await trio.sleep(1)

    specs = [ChildSpec("a", slow_to_start), stage.spec("b")]
    async with open_supervisor(specs, max_restarts=100) as supervisor:
        await trio.sleep(15)
        assert supervisor.count() == ChildCount(specs=2, active=1, supervisors=0, workers=2)
        await supervisor.terminate("a")
        assert supervisor.count() == ChildCount(specs=2, active=1, supervisors=0, workers=2)
        supervisor.delete("a")
        assert supervisor.count() == ChildCount(specs=1, active=1, supervisors=0, workers=1)


async def test_nothing_is_kept_of_a_temporary_child() -> None:
    class Big:
        pass

    async def child(big: Big, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.lowlevel.checkpoint()

    big = Big()
    gone = weakref.ref(big)
    async with open_supervisor() as supervisor:
        await supervisor.start(ChildSpec("a", child, args=(big,), restart="temporary"))
        del big
        await trio.testing.wait_all_tasks_blocked()
        assert supervisor.children() == ()
        gc.collect()
        assert gone() is None


async def test_many_temporary_children() -> None:
    async def child() -> None:
        await trio.sleep_forever()

    async with open_supervisor() as supervisor:
        for number in range(1_000):
            await supervisor.start(ChildSpec(str(number), child, restart="temporary"))
        assert supervisor.count().active == 1_000
        for number in range(1_000):
            await supervisor.terminate(str(number))
        assert supervisor.count() == ChildCount(specs=0, active=0, supervisors=0, workers=0)


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
async def test_a_restart_loop_lets_calls_through(
    autojump_clock: MockClock, stage: Stage, strategy: Any
) -> None:
    async def hangs(*, task_status: trio.TaskStatus[None]) -> None:
        if stage.log.count("hangs"):
            await trio.sleep(1)
            raise Boom
        stage.log.append("hangs")
        task_status.started()
        await trio.sleep(1)

    specs = [stage.spec("a"), ChildSpec("hangs", hangs)]
    async with open_supervisor(specs, strategy, max_restarts=10**6, within=10**6) as supervisor:
        await trio.sleep(100)
        with pytest.raises(ChildExists):
            await supervisor.start(stage.spec("a"))
        with pytest.raises(ChildRunning, match="is being restarted"):
            await supervisor.restart("hangs")
        with pytest.raises(ChildRunning):
            supervisor.delete("hangs")
        await supervisor.terminate("hangs")
        assert supervisor.child("hangs").status == "stopped"
        assert trio.current_time() < 10**5
