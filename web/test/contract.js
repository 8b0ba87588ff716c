// Runs the Lua contract suite on a Lua state, in Node or in a page. Prints TAP, and returns the number of failed tests.

/** Folders that page.lua can use. */
const FOLDERS = 400;

/** `files` are luaunit.lua, this folder's contract.lua, and the files of tests/lua ("tests/lua/contract.lua"). */
export async function runContract(Lua, files, print) {
  const lua = await Lua.create({ print, maxMemory: 4096 * 1024 * 1024 }); // one test needs much
  try {
    for (const [name, text] of Object.entries(files)) lua.writeFile(`/${name}`, text);
    lua.module("luaunit", files["luaunit.lua"]);
    for (let folder = 1; folder <= FOLDERS; folder++) lua.writeFile(`/folders/${folder}/empty`, "");
    await lua.run(`for folder = 1, ${FOLDERS} do assert(os.remove("/folders/" .. folder .. "/empty")) end`);
    const [failures] = await lua.run(files["contract.lua"], { name: "contract.lua" });
    return failures;
  } finally {
    lua.close();
  }
}
