"""The tournament: who meets whom, and that nobody plays twice at the same time."""

import itertools

from kernels.glove import N_TEAMS
from pipeline.training.tournament import N_ROUNDS, rounds


def test_rounds__let_every_two_teams_meet_once_and_no_team_play_twice_at_a_time() -> None:
    for seed, epoch in itertools.product((1, 2**63 - 1), (0, 1, 24)):
        drawn = rounds(seed, epoch)
        assert len(drawn) == N_ROUNDS
        matches = [match for matches in drawn for match in matches]
        assert sorted(matches) == [(p, q) for p in range(N_TEAMS) for q in range(p, N_TEAMS)]
        for of_round in drawn:
            players = [team for match in of_round for team in set(match)]
            assert sorted(players) == list(range(N_TEAMS))


def test_rounds__are_drawn_anew_for_every_epoch_and_seed_and_the_same_again() -> None:
    drawn = {(seed, epoch): str(rounds(seed, epoch)) for seed in (1, 2) for epoch in range(20)}
    assert len(set(drawn.values())) == 40
    assert drawn[1, 3] == str(rounds(1, 3))
    partners = {next(match for match in rounds(1, epoch)[0] if 0 in match) for epoch in range(20)}
    assert len(partners) > 5
