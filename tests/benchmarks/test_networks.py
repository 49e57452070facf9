"""The benchmark of networks runs, in a tiny configuration and without the peer."""

import pytest

from benchmarks import networks


def test_rows():
    table = networks.rows(rounds=1, peers=False, points=400, epochs=2, digit_epochs=0, seeds=2)
    assert [row.subject.split(":")[0] for row in table] == ["sinc"] * 4
    assert [row.target for row in table] == [None, ("<=", 1.15), None, None]
    assert table[0].peer == table[3].peer == "torch-levenberg-marquardt is not installed"
    assert 1e-6 < table[3].figure.median < 0.1 and "over 2 starts" in table[3].note


@pytest.mark.parametrize(("make", "number"), [(networks.sinc_network, 61), (networks.digits_network, 1022)])
def test_sizes_of_the_networks(make, number):
    assert sum(p.numel() for p in make(0).parameters()) == number
