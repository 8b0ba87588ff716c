/* The beginning and the end of the addon: what JavaScript gets, and the loading of the library. */
#include <stdlib.h>
#include "addon.h"

#ifdef _WIN32
#include <windows.h>
#define FIND(library, name) ((void *)GetProcAddress(library, name))
#else
#include <dlfcn.h>
#define FIND(library, name) dlsym(library, name)
#endif

static const struct { const char *name; napi_callback call; } methods[] = {
#define METHOD_ENTRY(name) { #name, js_##name },
    METHODS(METHOD_ENTRY)
};

/* The constants of the library that lib/ uses. */
static const struct { const char *name; int32_t number; } constants[] = {
#define CONSTANT(name) { #name, LUAT_KV_##name },
    CONSTANT(ABI_VERSION)
    CONSTANT(OPEN_READONLY) CONSTANT(OPEN_NOWAIT) CONSTANT(OPEN_NO_CACHE)
    CONSTANT(LIMITS_DEFAULT) CONSTANT(LIMITS_CLOUDFLARE)
    CONSTANT(DURABILITY_NORMAL) CONSTANT(DURABILITY_FULL)
    CONSTANT(LIST_REVERSE) CONSTANT(LIST_VALUES)
    CONSTANT(FORMAT_JSON) CONSTANT(FORMAT_JSON_LINES)
    CONSTANT(IMPORT_REPLACE)
    CONSTANT(WATCH_VALUES) CONSTANT(WATCH_EXISTING)
    CONSTANT(CHANGE_PUT) CONSTANT(CHANGE_DELETE) CONSTANT(CHANGE_EXPIRE)
    CONSTANT(INVALID) CONSTANT(CORRUPT)
};

/* version(): the library's version. */
napi_value js_version(napi_env env, napi_callback_info info)
{
    addon *own = arguments(env, info, NULL, 0);
    napi_value text;
    return made(env, napi_create_string_utf8(env, own->kv.version(), NAPI_AUTO_LENGTH, &text), &text);
}

/* ---- Loading */

/* Opens a library, which then stays in the process. Throws if it cannot be opened. */
static void *open_library(napi_env env, const char *path)
{
#ifdef _WIN32
    void *library = LoadLibraryA(path);
    if (library == NULL) napi_throw_error(env, NULL, "the file is missing, or is not a library for this system");
#else
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) napi_throw_error(env, NULL, dlerror());
#endif
    return library;
}

/* Finds the functions, and appends the names of those that are missing to an array. */
static bool find_functions(napi_env env, void *library, struct library *kv, napi_value missing)
{
    uint32_t count = 0;
    napi_value name;
#define FIND_FUNCTION(function) \
    *(void **)&kv->function = FIND(library, "luat_kv_" #function); \
    if (kv->function == NULL) { \
        if (napi_create_string_utf8(env, "luat_kv_" #function, NAPI_AUTO_LENGTH, &name) != napi_ok) return false; \
        if (napi_set_element(env, missing, count++, name) != napi_ok) return false; \
    }
    LIBRARY(FIND_FUNCTION)
    return true;
}

static bool set(napi_env env, napi_value object, const char *name, napi_value value)
{
    return value != NULL && napi_set_named_property(env, object, name, value) == napi_ok;
}

static bool set_methods(napi_env env, addon *own, napi_value object)
{
    for (size_t index = 0; index < sizeof methods / sizeof *methods; index++) {
        napi_value function = NULL;
        const char *name = methods[index].name;
        napi_create_function(env, name, NAPI_AUTO_LENGTH, methods[index].call, own, &function);
        if (!set(env, object, name, function)) return false;
    }
    return true;
}

/* Keeps what the functions need: the class of errors, and push(). Sets the functions and the room. */
static bool set_up(napi_env env, addon *own, const napi_value *arg, napi_value result)
{
    napi_value table = NULL, room = NULL;
    void *memory = NULL;
    if (napi_create_buffer(env, ROOM, &memory, &room) != napi_ok) return false;
    own->room = memory;
    return napi_create_reference(env, arg[1], 1, &own->error_class) == napi_ok &&
        napi_create_reference(env, arg[2], 1, &own->push) == napi_ok &&
        napi_create_reference(env, room, 1, &own->room_owner) == napi_ok &&
        napi_create_object(env, &table) == napi_ok && set_methods(env, own, table) &&
        set(env, result, "methods", table) && set(env, result, "room", room);
}

/* All that load() has made in a thread. */
typedef struct thread {
    addon *last;
} thread;

/*
 * load(path, LuatKVError, push): opens the library, and returns { abi, missing, methods, room }: the version of its ABI,
 * if it is the library at all; the functions that it lacks; and, if nothing is wrong, the other functions of the addon
 * and the Buffer in which get_bytes() leaves a value. Each call makes new functions, with handles of their own, since
 * lib/ may be loaded again (as test runners do), and then has another LuatKVError.
 */
static napi_value load(napi_env env, napi_callback_info info)
{
    napi_value arg[3], result, missing;
    thread *own = arguments(env, info, arg, 3);
    struct library kv;
    char *path = path_take(env, arg[0]);
    void *file = path == NULL ? NULL : open_library(env, path);
    free(path);
    if (file == NULL) return NULL;
    missing = new_array(env);
    if (missing == NULL || made(env, napi_create_object(env, &result), &result) == NULL) return NULL;
    if (!find_functions(env, file, &kv, missing) || !set(env, result, "missing", missing)) return NULL;
    if (kv.abi_version == NULL) return result;
    uint32_t abi = kv.abi_version(), lacking = 0;
    if (!set(env, result, "abi", new_number(env, abi))) return NULL;
    if (napi_get_array_length(env, missing, &lacking) != napi_ok) return NULL;
    if (abi != LUAT_KV_ABI_VERSION || lacking > 0) return result;
    addon *made_addon = calloc(1, sizeof *made_addon);
    if (made_addon == NULL) return throw_no_memory(env);
    made_addon->kv = kv;
    made_addon->next = own->last;
    own->last = made_addon;
    return set_up(env, made_addon, arg, result) ? result : NULL;
}

/* ---- A thread */

static void thread_free(napi_env env, void *data, void *hint)
{
    thread *own = data;
    (void)env, (void)hint;
    for (addon *one = own->last, *next; one != NULL; one = next) {
        next = one->next;
        handles_free(one);
        free(one);
    }
    free(own);
}

NAPI_MODULE_INIT()
{
    thread *own = calloc(1, sizeof *own);
    napi_value function = NULL, numbers = NULL;
    if (own == NULL) return throw_no_memory(env);
    if (napi_set_instance_data(env, own, thread_free, NULL) != napi_ok) {
        free(own);
        return NULL;
    }
    napi_create_function(env, "load", NAPI_AUTO_LENGTH, load, own, &function);
    if (!set(env, exports, "load", function) || napi_create_object(env, &numbers) != napi_ok) return NULL;
    for (size_t index = 0; index < sizeof constants / sizeof *constants; index++) {
        if (!set(env, numbers, constants[index].name, new_number(env, constants[index].number))) return NULL;
    }
    return set(env, exports, "constants", numbers) ? exports : NULL;
}
