"""Django's own tests of caches, beside which this file lies when it runs, for the cache that the package has."""

import os
import tempfile

import luat_kv
from django.core.cache import cache, caches
from django.test import TestCase, override_settings

from luat_kv.django import Cache

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

    def test_a_sum_of_what_expires_meanwhile_finds_nothing(self) -> None:
        class Slow(int):
            def __radd__(self, value: int) -> int:
                while cache.has_key("n"):
                    pass
                return value

        cache.set("n", 1, timeout=1)
        with self.assertRaisesMessage(ValueError, "Key ':1:n' not found"):
            cache.incr("n", Slow())

    def test_lifetimes_past_the_year_9999_have_no_end(self) -> None:
        for timeout in (10**12, 10**400, float("inf")):
            cache.set("set", 1, timeout)
            cache.set_many({"many": 1}, timeout)
            cache.delete("add")
            self.assertTrue(cache.add("add", 1, timeout))
            cache.set("touch", 1, 100)
            self.assertTrue(cache.touch("touch", timeout))
            for key in ("set", "many", "add", "touch"):
                self.assertIsNone(cache._namespace.get_entry(cache.make_key(key)).expiration)

    def test_any_number_of_keys(self) -> None:
        items = {f"k{number}": number for number in range(12345)}
        cache.set_many(items)
        self.assertEqual(cache.get_many([*items, "none"]), items)
        cache.delete_many(items)
        self.assertEqual(cache.get_many(items), {})

    def test_an_integer_of_thousands_of_digits_is_a_value(self) -> None:
        for value in (2**63 - 1, -(2**63), 2**63, 10**5000):
            cache.set("n", value)
            self.assertEqual(cache.get("n"), value)

    def test_each_cache_has_its_own_options(self) -> None:
        cache.set("k", 1)
        location = os.path.join(_folder.name, "kv.db")
        reader = Cache(location, {"OPTIONS": {"readonly": True}})
        self.assertEqual(reader.get("k"), 1)
        with self.assertRaises(luat_kv.ReadonlyError):
            reader.set("k", 2)
        with self.assertRaisesMessage(TypeError, "timeout"):
            Cache(location, {"OPTIONS": {"timeout": 1}}).get("k")
