"""Django's own tests of caches, beside which this file lies when it runs, for the cache that the package has."""

import os
import tempfile

from django.core.cache import cache, caches
from django.test import TestCase, override_settings

from .tests import BaseCacheTests, caches_setting_for_tests

_folder = tempfile.TemporaryDirectory()


@override_settings(
    CACHES=caches_setting_for_tests(
        BACKEND="luat_kv.django.Cache",
        LOCATION=os.path.join(_folder.name, "kv.db"),
        exclude={"cull", "zero_cull"},  # nothing is removed before its time
    )
)
class CacheTests(BaseCacheTests, TestCase):
    incr_decr_type_error = TypeError

    def test_a_file_is_opened_once(self) -> None:
        caches["v2"].set("n", 1)
        self.assertEqual(cache._namespace.get_many([cache.make_key("n", version=2)]), {cache.make_key("n", version=2): b"1"})

    def test_sums_keep_their_expiration(self) -> None:
        cache.set("n", 1, timeout=1000)
        before = cache._namespace.get_entry(cache.make_key("n")).expiration
        self.assertEqual(cache.incr("n", 2**70), 2**70 + 1)
        self.assertEqual(cache._namespace.get_entry(cache.make_key("n")).expiration, before)
