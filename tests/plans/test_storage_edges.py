"""Storage: what a reader's look leaves behind, tuples, and values that no field has."""

from types import SimpleNamespace

import pytest
import torch

from manopt_torch import UnknownSymbolError
from manopt_torch.plans.storage import StoreOptionsAction, detached, get_storage, storage_with, update_storage


def test_a_look_stores_for_all_what_it_sees() -> None:
    a = StoreOptionsAction("x")
    assert a.look("reader", None, SimpleNamespace(x=1.0), 1) == {}
    assert get_storage(a, ":x") == 1.0 and a.last_stored == 1
    # once an iteration, for all but the reader itself
    assert a.look("reader", None, SimpleNamespace(x=2.0), 1) == {"x": 1.0}
    assert get_storage(a, "x") == 1.0
    assert a.look("other", None, SimpleNamespace(x=3.0), 2) == {"x": 1.0}
    assert a.look("reader", None, SimpleNamespace(x=4.0), 3) == {"x": 2.0}
    assert get_storage(a, "x") == 4.0


def test_no_part_of_a_tuple_carries_a_graph() -> None:
    leaf = torch.ones(2, requires_grad=True)
    inner = (2 * leaf, torch.zeros(1))
    kept = detached((leaf, inner))
    assert not kept[0].requires_grad and not kept[1][0].requires_grad and kept[1][1] is inner[1]
    a = StoreOptionsAction(("x",))
    a(None, SimpleNamespace(x=inner), 1)
    update_storage(a, {"mine": inner})
    assert not any(get_storage(a, key)[0].requires_grad for key in ("x", "mine"))
    assert torch.equal(get_storage(a, "x")[0], torch.full((2,), 2.0))


def test_values_that_are_no_fields_stay_beside_those_that_are() -> None:
    a = storage_with(StoreOptionsAction(("x",)), "mine", 3.0)
    a(None, SimpleNamespace(x=1.0), 1)
    assert a.values == {"x": 1.0, "mine": 3.0}
    a.add_key("lost")
    with pytest.raises(UnknownSymbolError, match="no field lost to store; it has x"):
        a(None, SimpleNamespace(x=2.0), 2)
    assert a.values == {"x": 1.0, "mine": 3.0}
    a.forget()
    assert a.values == {"mine": 3.0} and a.last_stored == -1
