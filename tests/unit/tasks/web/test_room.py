"""What the room for searches promises, in simulated time: nobody starves, and what is let in is answered."""

import pytest

from tasks.web.room import FEWEST, Full, Room, Seen
from tests.unit.tasks.web.simulated_queue import Simulation, at_rate

FAST = 40.0  # answers per second


def simulation(per_second: float = FAST, **options: float) -> Simulation:
    return Simulation(at_rate(per_second), **options)  # type: ignore[arg-type]


# -- shares ------------------------------------------------------------------------------------------------------


def test_one_client_that_asks_for_everything_gets_half_of_the_room_and_all_of_the_answers() -> None:
    service = simulation()
    service.loops("user:1", 60)
    service.run(10).count_anew()
    service.run(70)
    assert service.room.shares.of("user:1") == 32
    assert service.answered["user:1"] == pytest.approx(60 * FAST, rel=0.03)


def test_two_clients_that_ask_for_everything_get_equal_shares() -> None:
    service = simulation()
    service.loops("user:1", 60)
    service.loops("user:2", 90, begin=5)
    service.run(20).count_anew()
    service.run(80)
    one, other = service.answered["user:1"], service.answered["user:2"]
    assert one == pytest.approx(other, rel=0.1)
    assert one + other == pytest.approx(60 * FAST, rel=0.03)


@pytest.mark.parametrize("honours", [True, False], ids=["as asked", "at once"])
def test_a_client_that_asks_once_a_second_is_answered_every_time_beside_one_that_floods(honours: bool) -> None:
    service = simulation()
    service.loops("flooder", 200, honours=honours)
    service.every("careful", 1.0, begin=10)
    service.run(130)
    assert service.refused["careful"] == 0
    assert service.answered["careful"] >= 117
    assert service.refused["flooder"] > 0


def test_refusals_go_to_whoever_uses_most() -> None:
    service = simulation()
    for number in range(10):
        service.loops(f"user:{number}", 2)
    service.loops("flooder", 100)
    service.run(5).count_anew()
    service.run(65)
    assert service.refused["flooder"] > 100
    assert sum(service.refused[f"user:{number}"] for number in range(10)) == 0


def test_a_command_is_bounded_by_the_room_alone() -> None:
    room = Room(most=4, timeout_seconds=30)
    for _ in range(4):
        room.check("", at=0)
        room.enter("")
    with pytest.raises(Full):
        room.check("", at=0)


def test_searches_of_other_processes_count_for_room_and_shares() -> None:
    room = Room(most=8, timeout_seconds=30)
    room.look(Seen(waiting=0, others={"user:1": 4}), at=0)
    with pytest.raises(Full):
        room.check("user:1", at=0)
    room.check("user:2", at=0)
    room.look(Seen(waiting=0, others={"user:1": 4, "user:3": 4}), at=1)
    with pytest.raises(Full):
        room.check("user:2", at=1)


def test_messages_that_no_process_accounts_for_take_room_too() -> None:
    room = Room(most=8, timeout_seconds=30)
    room.look(Seen(waiting=8), at=0)
    with pytest.raises(Full):
        room.check("user:1", at=0)


# -- the bound, and the deadline ------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_second", [0.5, 1, 3, 10, 40, 300])
def test_what_is_let_in_is_started_before_its_deadline_whatever_the_rate(per_second: float) -> None:
    service = simulation(per_second, most=1000)
    for number in range(500):
        service.loops(f"user:{number}", 1)
    service.run(300)
    assert service.expired == 0
    assert service.longest_wait_seconds < service.timeout_seconds
    assert service.answered.total() >= 0.95 * per_second * 300 - 2 * service.slots


@pytest.mark.parametrize(("slower", "most"), [(2, 1000), (5, 1000), (10, 64)])
def test_nothing_expires_when_the_workers_become_slower_under_load(slower: float, most: int) -> None:
    service = Simulation(lambda now: 8 / 20 * (slower if now > 60 else 1), most=most)
    for number in range(1000):
        service.loops(f"user:{number}", 1)
    service.run(240)
    assert service.expired == 0


def test_a_burst_after_a_quiet_hour_meets_a_cautious_room() -> None:
    service = Simulation(lambda now: 8 / (40 if now < 100 else 1.0), most=1000)
    service.loops("user:1", 60)
    service.run(40)
    assert service.room.bound() > 100
    service._events = [event for event in service._events if event[2] == service._look]  # everybody goes home
    service.run(3700)
    for number in range(500):
        service.loops(f"user:{number}", 1, begin=3700)
    service.run(3900)
    assert service.expired == 0


def test_the_room_shrinks_while_nobody_answers_and_grows_again() -> None:
    room = Room(most=64, timeout_seconds=30)
    for tick in range(200):
        room.rate.count_answer()
        room.look(Seen(waiting=5), at=tick * 0.1)
    assert room.bound() > 32
    for tick in range(200, 500):
        room.look(Seen(waiting=5), at=tick * 0.1)
    assert room.bound() == FEWEST
    for tick in range(500, 600):
        room.rate.count_answer()
        room.look(Seen(waiting=0), at=tick * 0.1)
    assert room.bound() > 30


def test_an_old_search_closes_the_room() -> None:
    room = Room(most=64, timeout_seconds=30)
    room.look(Seen(waiting=1, oldest_seconds=14), at=0)
    room.check("user:1", at=0)
    room.look(Seen(waiting=1, oldest_seconds=16), at=0.2)
    with pytest.raises(Full):
        room.check("user:1", at=0.2)


def test_an_expired_message_that_is_delivered_again_does_not_close_the_room() -> None:
    room = Room(most=64, timeout_seconds=30)
    room.look(Seen(waiting=1, oldest_seconds=600), at=0)
    room.check("user:1", at=0)


def test_a_queue_of_expired_messages_that_nobody_takes_leaves_no_room() -> None:
    room = Room(most=64, timeout_seconds=30)
    room.look(Seen(waiting=20, oldest_seconds=600), at=0)
    with pytest.raises(Full):
        room.check("user:1", at=0)


def test_a_search_with_a_short_deadline_meets_a_smaller_room() -> None:
    room = Room(most=64, timeout_seconds=30)
    for tick in range(200):
        room.rate.count_answer()
        room.look(Seen(waiting=5), at=tick * 0.1)
    assert room.bound(2.0) < 3 < 36 < room.bound()


# -- returning --------------------------------------------------------------------------------------------------------


def test_a_thousand_users_cause_about_one_refusal_for_each_answer_and_keep_the_workers_busy() -> None:
    service = simulation()
    for number in range(1000):
        service.loops(f"user:{number}", 1, begin=number * 0.01)
    service.run(60).count_anew()
    service.run(180)
    assert service.answered.total() == pytest.approx(120 * FAST, rel=0.03)
    assert service.refused.total() / service.answered.total() < 2


def test_a_thousand_users_all_get_their_turn() -> None:
    service = simulation()
    for number in range(1000):
        service.loops(f"user:{number}", 1)
    service.run(60).count_anew()
    service.run(180)
    mean = service.answered.total() / 1000
    answered = [service.answered[f"user:{number}"] for number in range(1000)]
    assert min(answered) >= 1
    assert max(answered) < 3 * mean


def test_a_client_that_does_not_wait_as_asked_lengthens_only_its_own_time() -> None:
    room = Room(most=2, timeout_seconds=30)
    room.look(Seen(waiting=2), at=0)

    def told(client: str) -> float:
        with pytest.raises(Full) as refused:
            room.check(client, at=0)
        return refused.value.return_seconds

    assert max(told("flooder") for _ in range(1000)) > 20
    assert max(told(f"user:{number}") for number in range(4)) < 4
