"""cachelib's own tests, beside which this file lies when it runs, for the cache that the package has."""

from datetime import timedelta
from typing import Any

import luat_kv
import luat_kv.cachelib
import pytest
from clear import ClearTests
from common import CommonTests
from has import HasTests


@pytest.fixture(autouse=True)
def cache_factory(request: Any, tmp_path: Any) -> Any:
    with luat_kv.open(str(tmp_path / "kv.db")) as store:
        request.cls.cache_factory = lambda self, *args, **kwargs: luat_kv.cachelib.Cache(
            store.namespace("cache"), *args, **kwargs
        )
        yield


class TestCache(CommonTests, ClearTests, HasTests):
    def test_a_sum_is_exact_beside_others(self) -> None:
        cache = self.cache_factory()
        cache.set("n", 5, timeout=100)
        assert (cache.inc("n"), cache.dec("n", 2), cache.get("n")) == (6, 4, 4)

    def test_keys_may_be_functions(self) -> None:
        cache = self.cache_factory()
        key = lambda: "spam"  # noqa: E731
        assert cache.set(key, "sausages") and cache.has(key) and cache.get_many(key) == ["sausages"]

    def test_timeouts_are_those_of_other_caches(self) -> None:
        cache = self.cache_factory(default_timeout=timedelta(seconds=1000))
        left = lambda: cache._namespace.get_entry("k").expiration  # noqa: E731
        for store in (cache.set, lambda key, value, timeout: cache.set_many({key: value}, timeout)):
            store("k", 1, timeout=timedelta(seconds=1000))
            assert left() is not None
            for endless in (0, timedelta(0), 10**12, 10**400, float("inf")):
                store("k", 1, timeout=endless)
                assert left() is None
            for over in (-1, -0.5, timedelta(days=-1)):
                store("k", 1, timeout=100)
                store("k", 2, timeout=over)
                assert not cache.has("k")
        assert cache.add("k", 1, timeout=-1) and not cache.has("k")
        assert cache.set("k", 1) and not cache.add("k", 2, timeout=-1) and left() is not None
        assert cache.add("endless", 1, timeout=10**12)

    def test_any_number_of_keys(self) -> None:
        cache = self.cache_factory()
        keys = [f"k{number}" for number in range(12345)]
        assert cache.set_many(dict.fromkeys(keys, "v")) == keys
        assert cache.get_many(*keys, "none") == ["v"] * len(keys) + [None]

    def test_a_key_that_is_too_long_is_not_there(self) -> None:
        cache = self.cache_factory()
        key = "k" * 5000
        cache.set("k", 1)
        assert cache.get(key) is None and not cache.has(key) and not cache.delete(key)
        assert cache.get_many("k", key) == [1, None]
        with pytest.raises(luat_kv.LimitError):
            cache.set(key, 1)

    def test_an_integer_of_thousands_of_digits_is_a_value(self) -> None:
        cache = self.cache_factory()
        for value in (2**63 - 1, -(2**63), 2**63, 10**5000):
            assert cache.set("n", value) and cache.get("n") == value
