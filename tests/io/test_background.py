"""Threads beside the caller: order, bounds, and what happens to errors."""

import threading
from functools import partial

import pytest

from persam.io.background import in_background


@pytest.mark.parametrize(("ahead", "threads"), [(0, 1), (1, 1), (3, 2), (50, 4)])
def test_what_is_made_comes_in_order(ahead, threads):
    made = in_background((partial(pow, number, 2) for number in range(20)), ahead=ahead, threads=threads)
    assert [future.result() for future in made] == [number**2 for number in range(20)]


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_only_so_many_are_drawn_before_they_are_needed(ahead):
    drawn = 0

    def calls():
        nonlocal drawn
        for number in range(20):
            drawn += 1
            yield partial(int, number)

    for number, _ in enumerate(in_background(calls(), ahead=ahead)):
        assert drawn == min(20, number + 1 + ahead)


def test_calls_run_beside_the_caller_and_several_at_a_time():
    both = threading.Barrier(2)  # neither passes before the other is there
    made = in_background(2 * [lambda: (both.wait(10), threading.current_thread())[1]], ahead=1, threads=2)
    names = {future.result() for future in made}
    assert len(names) == 2
    assert threading.main_thread() not in names


def test_one_calls_error_is_its_own():
    first, bad, last = in_background([partial(int, text) for text in ("1", "one", "2")], ahead=1)
    assert (first.result(), last.result()) == (1, 2)
    with pytest.raises(ValueError, match="one"):
        bad.result()


def test_what_has_begun_comes_before_the_error_that_ends_the_drawing():
    def calls():
        yield partial(int, "1")
        yield partial(int, "2")
        raise KeyboardInterrupt

    seen = []
    with pytest.raises(KeyboardInterrupt):
        seen += [1 for _ in in_background(calls(), ahead=5)]
    made = in_background(calls(), ahead=5)
    assert [next(made).result(), next(made).result()] == [1, 2]
    with pytest.raises(KeyboardInterrupt):
        next(made)


def test_no_thread_is_left_when_the_caller_stops_early():
    done = []
    made = in_background((partial(done.append, number) for number in range(20)), ahead=2)
    next(made)
    made.close()
    assert done == [0, 1, 2]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("persam")]
