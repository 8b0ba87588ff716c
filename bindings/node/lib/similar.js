// Finds the known name that is most similar to a misspelled one.

const plain = (name) => name.replace(/[_-]/g, "").toLowerCase();

/** The names of these options in other stores and libraries. */
const ELSEWHERE = {
  expirationttl: ["ttlseconds", "ex", "maxage", "lifetime", "expiresin"],
  limit: ["max", "count", "pagesize"],
  start: ["from", "gte"],
  stop: ["end", "until", "lt"],
  type: ["as", "format", "json"],
  replace: ["overwrite", "force"],
  persist: ["storage"],
  wait: ["timeout"],
  kv: ["store"],
};

/** Returns those of `names` that `name` is most similar to: none, one, or several if they are equally similar. */
export function similar(name, names) {
  const one = plain(name);
  const alike = [
    (other) => one === other || ELSEWHERE[other]?.includes(one),
    (other) => isMisspelled(one, other),
    (other) => isPart(one, other) || isPart(other, one) || (one.length > 4 && other.startsWith(one.slice(0, 5))),
  ];
  for (const isAlike of alike) {
    const near = names.filter((other) => isAlike(plain(other)));
    if (near.length > 0) return near;
  }
  return [];
}

/** Whether a name begins or ends with another one: "ttl" with "expirationTtl". */
const isPart = (part, name) => part.length > 2 && (name.startsWith(part) || name.endsWith(part));

const isMisspelled = (one, other) => distance(one, other) <= (Math.min(one.length, other.length) < 6 ? 1 : 2);

/** The edit distance of two names. If their lengths differ by more than 2, the result is just 3 or more. */
function distance(one, other) {
  if (Math.abs(one.length - other.length) > 2) return 3;
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const change = row[j - 1] + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[other.length];
}
