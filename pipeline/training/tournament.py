"""Who meets whom when: an epoch as rounds of matches between teams of words, in which no team plays twice in a round.

All matches of a round can be trained at the same time by any number of threads, up to eight of use, with the result of one thread.
"""

import numpy as np

from kernels.draws import Purpose, derive_key
from kernels.glove import N_TEAMS, shuffle

Match = tuple[int, int]  # two teams, the lower first; the same one twice: its cells of one team

N_ROUNDS = N_TEAMS  # one less in which pairs of teams meet, and one in which every team meets itself


def rounds(seed: int, epoch: int) -> list[list[Match]]:
    """The rounds of an epoch in their order: every two teams meet once, and every team itself.

    Both the order of the rounds and who plays in which are drawn anew for every epoch.

    Notes
    -----
    The circle method: one team stays, the others walk around.
    """
    key = np.uint64(derive_key(np.uint64(derive_key(np.uint64(seed), np.uint64(Purpose.MATCHES))), np.uint64(epoch)))
    teams, order = np.arange(N_TEAMS), np.arange(N_ROUNDS)
    shuffle(teams, np.uint64(derive_key(key, np.uint64(0))))
    shuffle(order, np.uint64(derive_key(key, np.uint64(1))))
    drawn = [_round(number, teams.tolist()) for number in order.tolist()]
    return [sorted((min(match), max(match)) for match in matches) for matches in drawn]


def _round(number: int, teams: list[int]) -> list[Match]:
    if number == N_ROUNDS - 1:
        return [(team, team) for team in teams]
    *circle, fixed = teams
    n = len(circle)
    others = [(circle[(number + k) % n], circle[(number - k) % n]) for k in range(1, N_TEAMS // 2)]
    return [(circle[number], fixed), *others]
