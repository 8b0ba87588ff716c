import luat_kv
def test_a():
    with luat_kv.open_memory() as s:
        kv = s.namespace("a")
        kv["a"]="b"; assert kv["a"]==b"b"; assert list(kv.items())==[("a",b"b")]
        assert kv.pop("a")==b"b" and not kv
