// The complete output of each example.

export const PRINTED = {
  basics: /^Alice\nnil\nvalue1\tvalue2$/,
  json: /^\{".*\}\ndark\t3\ttrue\ttrue\nnil\n\{\}\t\[\]\n16 bytes$/,
  metadata: /^\{".*\}\nnil\nalice\npost:123\talice\nnil$/,
  expiry: /^session:abc expires at \d\d:\d\d:\d\d UTC\nnil$/,
  list: /^13 keys\ngroup:1\npage 1: user:001 to user:005\n.*\npage 3: user:011 to user:012\nuser:012\tMember 12\n.*11$/,
  session: /^Alice logs in\. {3}Her session is [0-9a-f]{32}, good.*\nA request comes\. .*user-42,.*\n.*nil\.\n.*nil\.$/,
  cache: /^request 1: status 200, X-Cache MISS, 2 posts\nrequest 2: .* HIT ,.*\n.*\nThe database was asked 1 time\.$/,
  blog: /^found no posts: this is the first run here\nwrote {2}001-hello: Hello, world\n(.*\n){2}Now run me again\.$/,
  forms:
    /^GET {2}\/blog\/draft\/edit: A draft\nPOST .*saved\nGET .*A better title\nPOST .*\nGET .*404.*\nPOST .*400.*$/,
  listing: /^003: Newest first, by alice\n/,
  stock:
    /^alice buys an apple: yes\nbob {3}buys an apple: yes\ncarol buys an apple: sold out\n2 orders, 0 apples left$/,
  rate_limiter: /^request 1: 200 OK, 4 left\n(.*\n){5}request 7: 429 Too Many Requests, 0 left$/,
  job_lock:
    /^alice makes the report\nbob is let in: {2}false\nalice is let in: true\ncarol makes it again\ncarol .*true$/,
  many: /^10000 keys in \d+ ms\n5 of them begin with garden:0001$/,
  error:
    /^alice has 70\n.*unknown option 'expiration_ttl'.*\nerror\.lua:7: attempt to perform arithmetic on a nil value/,
  empty: /^$/,
};
