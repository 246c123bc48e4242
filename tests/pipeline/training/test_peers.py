"""Workers in a tree: the sum that they make, and connections that end."""

import threading

import pytest

from kernels.merge import half
from pipeline.training.peers import Peer, PeerLost, Place, answer, call, listen, places


def expected_sum(first: int, last: int) -> str:
    if last - first == 1:
        return str(first)
    middle = first + half(last - first)
    return f"({expected_sum(first, middle)}+{expected_sum(middle, last)})"


def sum_at(place: Place, tree: list[Place]) -> str:
    total = expected_sum(place.first, place.last)
    for child in place.children:
        total = f"({total}+{sum_at(tree[child], tree)})"
    return total


def test_places__make_the_sum_of_one_process_with_any_number_of_workers() -> None:
    for n_shards in range(1, 65):
        for n_workers in range(1, 66):
            tree = places(n_shards, n_workers)
            assert [place.rank for place in tree] == list(range(min(n_shards, n_workers)))
            assert [place.rank for place in tree if place.parent is None] == [0]
            assert all(tree[child].parent == place.rank for place in tree for child in place.children)
            assert sum_at(tree[0], tree) == expected_sum(0, n_shards)


@pytest.mark.parametrize(("n_shards", "n_workers", "largest"), [(4, 2, 2), (4, 3, 2), (8, 3, 4), (64, 16, 4), (64, 64, 1)])
def test_places__divide_the_shards_evenly(n_shards: int, n_workers: int, largest: int) -> None:
    sizes = [place.last - place.first for place in places(n_shards, n_workers)]
    assert (sum(sizes), max(sizes)) == (n_shards, largest)


def connected() -> tuple[Peer, Peer]:
    with listen("127.0.0.1") as listener:
        found: dict[int, Peer] = {}
        waiting = threading.Thread(target=lambda: found.update(answer(listener, b"t" * 32, [3])))
        waiting.start()
        caller = call(listener.getsockname()[:2], b"t" * 32, 3)
        waiting.join()
    return caller, found[3]


def test_peers__carry_many_bytes_in_many_parts() -> None:
    caller, listener = connected()
    parts = [bytes([n]) * n_bytes for n, n_bytes in enumerate((1, 0, 5_000_000, 3, 2_000_000))]
    got = bytearray(sum(map(len, parts)))
    receiving = threading.Thread(target=listener.receive, args=(memoryview(got),))
    receiving.start()
    caller.send([memoryview(part) for part in parts])
    receiving.join()
    assert bytes(got) == b"".join(parts)
    assert caller.sent_bytes == len(got) + 40  # and the hello
    caller.close()
    listener.close()


def test_peers__hear_at_once_that_the_other_is_gone() -> None:
    caller, listener = connected()
    caller.close()
    with pytest.raises(PeerLost):
        listener.receive(memoryview(bytearray(1)))
    with pytest.raises(PeerLost):
        listener.send([memoryview(bytes(1_000_000))] * 100)
    listener.close()
    with pytest.raises(PeerLost):
        call(("127.0.0.1", 1), b"t" * 32, 1)


def test_peers__turn_strangers_away() -> None:
    with listen("127.0.0.1") as listener:
        address = listener.getsockname()[:2]
        found: dict[int, Peer] = {}
        waiting = threading.Thread(target=lambda: found.update(answer(listener, b"t" * 32, [1])))
        waiting.start()
        strangers = [call(address, b"x" * 32, 1), call(address, b"t" * 32, 2)]
        child = call(address, b"t" * 32, 1)
        waiting.join()
    assert list(found) == [1]
    for stranger in strangers:
        with pytest.raises(PeerLost):
            stranger.receive(memoryview(bytearray(1)))
    for peer in (*strangers, child, *found.values()):
        peer.close()
