from benchmarks import modular


def test_modular():
    rows = modular.rows(tensors=3, size=2, rounds=1, calls=1, peers=False)
    assert [row.subject for row in rows] == [
        "torch.optim.Adam, foreach=False",
        "ModularOptimizer, Adam and LR",
        "ModularOptimizer, clipping, Adam, decay and LR",
    ]
    assert [row.target for row in rows] == [None, ("<=", 1.15), None]
