"""Exemplar fields: their specs as text, and what they refuse."""

import pytest
import torch

from helpers.memory_samples import FIELDS
from seit_cl.core.errors import UserError
from seit_cl.memory import TensorSpec
from seit_cl.memory.exemplar_fields import field_arrays, read_fields, write_fields


def test_specs_as_text_come_back():
    assert write_fields(FIELDS) == "logits=float16:5;step=int32:"
    assert read_fields(write_fields(FIELDS)) == FIELDS
    assert read_fields("") == {}


def test_names_must_be_identifiers():
    with pytest.raises(ValueError, match="identifiers"):
        write_fields({"a;b": TensorSpec("int8", ())})


@pytest.mark.parametrize("dtype", ["float17", "object", "str"])
def test_a_dtype_that_is_not_numeric_is_refused(dtype):
    with pytest.raises(UserError, match=dtype):
        TensorSpec(dtype, (2,))


def test_values_take_the_dtype_of_their_field():
    arrays = field_arrays({"logits": torch.ones(3, 5)}, FIELDS, 3)
    assert arrays["logits"].dtype == "float16"
    assert arrays["logits"].shape == (3, 5)


def test_values_of_an_unknown_field_are_refused():
    with pytest.raises(ValueError, match=r"'depth'\], but the memory stores"):
        field_arrays({"depth": torch.ones(3)}, FIELDS, 3)


def test_fields_may_be_missing_unless_all_are_required():
    values = {"logits": torch.ones(3, 5)}
    assert set(field_arrays(values, FIELDS, 3)) == {"logits"}
    with pytest.raises(ValueError, match="'step'"):
        field_arrays(values, FIELDS, 3, complete=True)
