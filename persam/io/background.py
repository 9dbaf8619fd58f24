"""Work that goes on in threads beside the caller's own: photos are read before their turn, and written after it."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")


def in_background(
    calls: Iterable[Callable[[], Made]], *, ahead: int, threads: int = 1
) -> Generator[Future[Made], None, None]:
    """What each call makes, in their order, as futures; so many calls are drawn and begun before one is asked for.

    What has begun is finished also when the caller stops early, and handed out before an error that drawing raises.

    Args:
        calls: drawn in the caller's thread, one at a time.
        ahead: how many are under way beside the one that is handed out; 0 for one after the other.
        threads: how many run at the same time.
    """
    waiting: deque[Future[Made]] = deque()
    drawn, stopped = iter(calls), None
    with ThreadPoolExecutor(threads, thread_name_prefix="persam") as pool:
        while stopped is None:
            try:
                waiting.append(pool.submit(next(drawn)))
            except BaseException as error:  # also when there are no more, and when a person interrupts
                stopped = error
            if len(waiting) > ahead:
                yield waiting.popleft()
        yield from waiting
    if not isinstance(stopped, StopIteration):
        raise stopped
