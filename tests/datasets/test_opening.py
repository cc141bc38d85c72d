"""Opening of data at a location."""

import pytest

from seit_cl.core.errors import UserError
from seit_cl.datasets._opening import list_data


def test_an_unknown_kind_of_data_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"no kind of data is 'hugingface'.*huggingface"):
        list_data("hugingface:photos")


def test_a_path_that_is_missing_is_no_unknown_kind() -> None:
    for path in (r"C:\photos", "photos", "a/b:c"):
        with pytest.raises(UserError, match="no such folder"):
            list_data(path)
