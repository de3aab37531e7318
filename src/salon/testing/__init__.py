"""The contract suites as plain functions, for our own tests and for authors of plugins.

    from salon.testing import check_recommender
    def test_contract() -> None:
        check_recommender(MyModel)

Each raises AssertionError with a sentence that says which part of the contract does not hold.
"""

from salon.testing.others import check_encoder, check_fuser, check_index
from salon.testing.recommenders import check_recommender

__all__ = ["check_encoder", "check_fuser", "check_index", "check_recommender"]
