import torch

from benchmarks import optimizer_step


def test_rows():
    rows = optimizer_step.rows(steps=3, rounds=1, peers=False)
    assert [row.target for row in rows] == [None, None, None, ("<=", 1.0)] * 2
    assert [row.subject for row in rows[::4]] == ["torch.optim.SGD", "torch.optim.Adam"]
    # time over what is allowed, which is 1.05 times the time of torch's or a number of microseconds, if that is more
    for n, limit in ((0, 45.0), (4, 65.0)):
        theirs, ours = rows[n].figure.median, rows[n + 1].figure.median
        torch.testing.assert_close(rows[n + 3].ratio.median, ours / max(limit, 1.05 * theirs))


def test_it_descends_on_the_sphere():
    x = optimizer_step._run(optimizer_step._makers("SGD", "")["ours"], 50)()
    torch.testing.assert_close(x.norm(), torch.ones((), dtype=x.dtype), rtol=0, atol=1e-15)
    assert optimizer_step.cost(x) < optimizer_step.cost(optimizer_step.start()) - 0.5
