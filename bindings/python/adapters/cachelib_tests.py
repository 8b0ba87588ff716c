"""cachelib's own tests, beside which this file lies when it runs, for the cache that the package has."""

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
