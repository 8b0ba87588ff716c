// The examples. Those of lua/examples are the real files, with their real names.

import basics from "../examples/basics.lua?raw";
import empty from "../examples/empty.lua?raw";
import error from "../examples/error.lua?raw";
import expiry from "../examples/expiry.lua?raw";
import json from "../examples/json.lua?raw";
import list from "../examples/list.lua?raw";
import many from "../examples/many.lua?raw";
import metadata from "../examples/metadata.lua?raw";

const FOLDER = "lua/examples/";
const SITE = `${FOLDER}site/`;
const HOST = `${FOLDER}host.lua`;

/** The files by their paths from the repository's root, which are also their paths in Lua's file system. */
const files = new Map(
  Object.entries(
    import.meta.glob("../../../lua/examples/**/*.lua", { query: "?raw", import: "default", eager: true }),
  ).map(([path, text]) => [path.replace("../../../", ""), text]),
);

/** A script of this page. */
const own = (id, title, about, text) => ({ id, title, about, files: [{ path: `${id}.lua`, text }] });

/** An example of lua/examples, and the files of its site that are shown. Lua finds all files. */
function real(id, title, about, ...shown) {
  const paths = [`${FOLDER}${id}.lua`, ...shown.map((path) => SITE + path), HOST];
  return { id, title, about, files: paths.map((path) => ({ path, text: files.get(path) })) };
}

export const groups = [
  {
    title: "The basics",
    examples: [
      own("basics", "Basic usage", "Namespaces, and how a value is stored, retrieved and deleted.", basics),
      own("json", "JSON and bytes", "Tables are stored as JSON; strings as they are, whatever bytes they have.", json),
      own("metadata", "Metadata", "Something about a value, kept beside it.", metadata),
      own("expiry", "Expiry", "Keys that go by themselves, after some seconds or at a time.", expiry),
      own("list", "Lists, prefixes and pages", "Keys in their order, by what they begin with, some at a time.", list),
    ],
  },
  {
    title: "In a site",
    examples: [
      real("session", "Session storage", "Who is logged in, for 24 hours at most.", "src/lib/session.lua"),
      real(
        "cache",
        "Caching API responses",
        "Asks a slow database once in 5 minutes.",
        "src/routes/api/posts/+server.lua",
      ),
      real("blog", "A blog", "Its posts stay in the store: run it twice.", "src/lib/blog.lua"),
      real(
        "forms",
        "Form actions",
        "A page that edits and deletes a post.",
        "src/routes/blog/[slug]/edit/+page.server.lua",
        "src/lib/blog.lua",
      ),
      real("listing", "A front page", "The newest posts in one call, values included.", "src/lib/blog.lua"),
    ],
  },
  {
    title: "Together or not at all",
    examples: [
      real("stock", "A shop's stock", "The count goes down and the order is written, or neither."),
      real("rate_limiter", "A rate limiter", "A counter for each client, that begins anew each minute."),
      real("job_lock", "A lock", "A job that one at a time may do."),
    ],
  },
  {
    title: "To try out",
    examples: [
      own("many", "10 000 keys", "How fast it is, and how the table takes it.", many),
      own("error", "An error", "What happens when a script fails.", error),
      own("empty", "An empty script", "Write your own. The globals are KV, json and Lua’s libraries.", empty),
    ],
  },
];

export const examples = groups.flatMap((group) => group.examples);

/** All files for a script, including the edited state of those that the example shows. */
export function filesFor(example, textOf) {
  const all = example.files.length > 1 ? new Map(files) : new Map();
  for (const { path } of example.files) all.set(path, textOf(path));
  return all;
}
