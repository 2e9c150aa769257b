%% Runs scenarios under OTP's own supervisor and writes down what happened, one line for each.
%%
%% Usage: erl +S 1:1 -noshell -pa DIR -run otp_driver main IN OUT. One scheduler, so that a process's death is seen by
%% all who monitor it before any of them acts on it. What IN holds is written by _otp.py.
-module(otp_driver).
-behaviour(supervisor).
-export([main/1, init/1, start_leaf/2, start_sub/2, log/2]).

-define(PERIOD, 1000000).
-define(AT_ONCE, 100).

main(Arguments) ->
    try
        run_files(Arguments),
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "~p: ~p~n~p~n", [Class, Reason, Stack]),
            halt(1)
    end.

run_files([In, Out]) ->
    process_flag(trap_exit, true),
    logger:remove_handler(default),
    ets:new(collectors, [named_table, public]),
    ok = logger:add_handler(gave_up, ?MODULE, #{level => error}),
    {ok, Scenarios} = file:consult(In),
    Lines = run_all(Scenarios, 0, []),
    ok = file:write_file(Out, [[integer_to_list(N), " ", Line, "\n"] || {N, Line} <- lists:sort(Lines)]).

run_all([], 0, Lines) ->
    Lines;
run_all([Scenario | Rest], Running, Lines) when Running < ?AT_ONCE ->
    Main = self(),
    spawn_link(fun() -> Main ! {done, run(Scenario)} end),
    run_all(Rest, Running + 1, Lines);
run_all(Scenarios, Running, Lines) ->
    receive
        {done, Line} -> run_all(Scenarios, Running - 1, [Line | Lines]);
        {'EXIT', _, Reason} when Reason =/= normal -> error(Reason)
    end.

%% One scenario: a collector that keeps the trace, and this process as the supervisor's parent.
run({Number, Root, Steps}) ->
    process_flag(trap_exit, true),
    Collector = spawn_link(fun() -> collect(#{trace => [], attempts => #{}, pids => #{}, refs => #{}}) end),
    case start_supervisor(Collector, root, Root) of
        {ok, Sup} ->
            settle(Collector),
            lists:foreach(fun(Step) -> step(Step, Collector), settle(Collector) end, Steps),
            note(Collector, "close"),
            case is_process_alive(Sup) of
                true -> exit(Sup, shutdown), wait_dead(Sup);
                false -> ok
            end;
        {error, _} ->
            note(Collector, "start root fail")
    end,
    #{trace := Trace} = ask(Collector, state),
    {Number, lists:join("; ", lists:reverse(Trace))}.

start_supervisor(Collector, Name, Flags) ->
    case supervisor:start_link(?MODULE, {Collector, Name, Flags}) of
        {ok, Pid} ->
            ask(Collector, {started, Name, Pid, supervisor}),
            {ok, Pid};
        Error ->
            Error
    end.

init({Collector, _Name, {Strategy, Max, Auto, Children}}) ->
    ets:insert(collectors, {self(), Collector}),
    Flags = #{strategy => Strategy, intensity => Max, period => ?PERIOD, auto_shutdown => Auto},
    {ok, {Flags, [spec(Collector, Child) || Child <- Children]}}.

spec(Collector, {Name, Restart, Shutdown, Significant, _, _, Sub} = Child) ->
    {Start, Type} = case Sub of none -> {start_leaf, worker}; _ -> {start_sub, supervisor} end,
    #{id => Name, start => {?MODULE, Start, [Collector, Child]}, restart => Restart, shutdown => Shutdown,
      significant => Significant, type => Type}.

%% Children.

start_leaf(Collector, {Name, _, _, _, OnStop, Starts, _}) ->
    case ask(Collector, {attempt, Name, Starts}) of
        ok ->
            Pid = spawn_link(fun() -> process_flag(trap_exit, OnStop =/= obey), live(OnStop) end),
            Pid ! {ready, self()},
            receive {ready, Pid} -> ok end,
            ask(Collector, {started, Name, Pid, worker}),
            {ok, Pid};
        Other ->
            refused(Collector, Name, Other)
    end.

start_sub(Collector, {Name, _, _, _, _, Starts, Sub}) ->
    case ask(Collector, {attempt, Name, Starts}) of
        ok ->
            case start_supervisor(Collector, Name, Sub) of
                {ok, Pid} -> {ok, Pid};
                {error, _} -> refused(Collector, Name, fail)
            end;
        Other ->
            refused(Collector, Name, Other)
    end.

refused(Collector, Name, Outcome) ->
    note(Collector, io_lib:format("start ~s ~s", [Name, Outcome])),
    case Outcome of fail -> {error, scripted}; ignore -> ignore end.

live(OnStop) ->
    receive
        {ready, From} -> From ! {ready, self()}, live(OnStop);
        {leave, Reason} -> exit(Reason);
        {'EXIT', _, _} ->
            case OnStop of
                stuck -> live(OnStop);
                return -> exit(normal);
                raise -> exit(crash)
            end
    end.

%% Steps.

%% Answers are written down when all is quiet, so that their place in the trace is no matter of who runs first.
step({do, Action}, Collector) ->
    Waiting = act(Action, Collector),
    settle(Collector),
    wait(Waiting);
step({burst, Name, Actions}, Collector) ->
    case pid_of(Collector, Name) of
        none ->
            ok;
        Sup ->
            sys:suspend(Sup),
            Waiting = [act(Action, Collector) || Action <- Actions],
            sys:resume(Sup),
            settle(Collector),
            [wait(One) || One <- Waiting]
    end.

%% Does what takes effect at once; returns what is to be waited for.
act({leave, Sup, Name, Reason}, Collector) ->
    case pid_of(Collector, Name) of
        none ->
            none;
        Pid ->
            Pid ! {leave, Reason},
            wait_dead(Pid),
            wait_told(pid_of(Collector, Sup), Pid),
            none
    end;
act({Call, Name, Argument} = Action, Collector) ->
    Request = case Call of
        start -> {start_child, spec(Collector, Argument)};
        terminate -> {terminate_child, Argument};
        restart -> {restart_child, Argument};
        delete -> {delete_child, Argument}
    end,
    ask_supervisor(Action, Name, Request, Collector);
act({which, Name} = Action, Collector) ->
    ask_supervisor(Action, Name, which_children, Collector);
act({count, Name} = Action, Collector) ->
    ask_supervisor(Action, Name, count_children, Collector).

ask_supervisor(Action, Name, Request, Collector) ->
    case pid_of(Collector, Name) of
        none -> {said, Action, closed, Collector};
        Sup -> {asked, Action, gen_server:send_request(Sup, Request), Collector}
    end.

wait(none) ->
    ok;
wait({said, Action, Answer, Collector}) ->
    note(Collector, io_lib:format("~s: ~s", [title(Action), Answer]));
wait({asked, Action, Request, Collector}) ->
    Answer = case gen_server:receive_response(Request, infinity) of
        {reply, Reply} -> answer(Action, Reply);
        {error, _} -> closed
    end,
    wait({said, Action, Answer, Collector}).

title({start, Sup, Child}) -> io_lib:format("start ~s in ~s", [element(1, Child), Sup]);
title({Call, Sup, Name}) -> io_lib:format("~s ~s in ~s", [Call, Name, Sup]);
title({Call, Sup}) -> io_lib:format("~s ~s", [Call, Sup]).

answer({which, _}, Children) ->
    lists:join(",", [io_lib:format("~s=~s", [Name, state_of(Pid)]) || {Name, Pid, _, _} <- lists:reverse(Children)]);
answer({count, _}, Counts) ->
    lists:join(",", [integer_to_list(proplists:get_value(Key, Counts)) || Key <- [specs, active, supervisors, workers]]);
answer(_, ok) -> ok;
answer(_, {ok, _}) -> ok;
answer(_, {error, already_present}) -> exists;
answer(_, {error, {already_started, _}}) -> exists;
answer(_, {error, running}) -> running;
answer(_, {error, restarting}) -> restarting;
answer(_, {error, not_found}) -> not_found;
answer(_, {error, _}) -> failed.

state_of(undefined) -> stopped;
state_of(restarting) -> restarting;
state_of(_) -> running.

%% Nothing goes on any more: every supervisor has answered twice, had nothing to do, and the trace has not grown.
settle(Collector) ->
    Before = settled(Collector),
    case settled(Collector) of
        {true, Length} when Before =:= {true, Length} -> ok;
        _ -> settle(Collector)
    end.

settled(Collector) ->
    #{pids := Pids} = ask(Collector, state),
    Quiet = [quiet(Pid) || {Pid, supervisor} <- maps:values(Pids)],
    #{trace := Trace} = ask(Collector, state),
    {lists:all(fun(One) -> One end, Quiet), length(Trace)}.

quiet(Sup) ->
    try supervisor:which_children(Sup) of
        Children ->
            lists:all(fun({_, Pid, _, _}) -> Pid =/= restarting andalso (Pid =:= undefined orelse is_process_alive(Pid)) end,
                      Children) andalso process_info(Sup, message_queue_len) =:= {message_queue_len, 0}
    catch
        exit:_ -> false
    end.

wait_dead(Pid) ->
    Ref = monitor(process, Pid),
    receive {'DOWN', Ref, process, Pid, _} -> ok end.

wait_told(none, _) ->
    ok;
wait_told(Sup, Pid) ->
    case process_info(Sup, links) of
        undefined ->
            ok;
        {links, Links} ->
            case lists:member(Pid, Links) of
                true -> erlang:yield(), wait_told(Sup, Pid);
                false -> ok
            end
    end.

%% The collector.

collect(#{trace := Trace, attempts := Attempts, pids := Pids, refs := Refs} = State) ->
    receive
        {From, Ref, {attempt, Name, Starts}} ->
            Before = maps:get(Name, Attempts, 0),
            From ! {Ref, if Before < length(Starts) -> lists:nth(Before + 1, Starts); true -> ok end},
            collect(State#{attempts := Attempts#{Name => Before + 1}});
        {From, Ref, {started, Name, Pid, Kind}} ->
            Monitor = monitor(process, Pid),
            From ! {Ref, ok},
            collect(State#{trace := [io_lib:format("start ~s ok", [Name]) | Trace],
                           pids := Pids#{Name => {Pid, Kind}}, refs := Refs#{Monitor => Name}});
        {From, Ref, state} ->
            From ! {Ref, State},
            collect(State);
        {From, Ref, {note, Text}} ->
            From ! {Ref, ok},
            collect(State#{trace := [Text | Trace]});
        {gave_up, Sup} ->
            [Name] = [Name || {Name, {Pid, _}} <- maps:to_list(Pids), Pid =:= Sup],
            collect(State#{trace := [io_lib:format("give up ~s", [Name]) | Trace]});
        {'DOWN', Ref, process, Pid, Reason} ->
            {Name, Left} = maps:take(Ref, Refs),
            Text = io_lib:format("end ~s ~s", [Name, Reason]),
            Now = case Pids of #{Name := {Pid, _}} -> maps:remove(Name, Pids); _ -> Pids end,
            collect(State#{trace := [Text | Trace], refs := Left, pids := Now})
    end.

ask(Collector, Question) ->
    Ref = make_ref(),
    Collector ! {self(), Ref, Question},
    receive {Ref, Answer} -> Answer end.

note(Collector, Text) ->
    ask(Collector, {note, Text}).

pid_of(Collector, Name) ->
    #{pids := Pids} = ask(Collector, state),
    case Pids of #{Name := {Pid, _}} -> Pid; _ -> none end.

%% The logger's handler: the only place where OTP tells that it gives up, and not that it ends for another reason.
log(#{msg := {report, #{label := {supervisor, shutdown}, report := Report}}}, _) ->
    case proplists:get_value(reason, Report) of
        reached_max_restart_intensity ->
            {Sup, _} = proplists:get_value(supervisor, Report),
            [{Sup, Collector}] = ets:lookup(collectors, Sup),
            Collector ! {gave_up, Sup};
        _ ->
            ok
    end;
log(_, _) ->
    ok.
