import torch

from benchmarks import poincare


def test_rows():
    rows = poincare.rows(points=30, size=3, edges=2000, rounds=1, peers=False)
    assert [row.subject for row in rows[:3]] == [
        "float64: edge_dist",
        "float64: dist of gathered points",
        "float64: edge_dist, Adam",
    ]
    assert [row.peer for row in rows] == ["geoopt is not installed"] * 6
    assert all(row.ratio is None and row.met is None for row in rows)


def test_a_graph_has_edges_from_points_to_themselves():
    data = poincare.graph(30, 3, 2000, torch.float32)
    assert (data.i == data.j).sum() == 2 and data.x.dtype is data.lengths.dtype is torch.float32
