local kv = KV.namespace("mine")

