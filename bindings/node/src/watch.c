/*
 * Watches. A watch is only asked for what has changed by now, in the thread of JavaScript. libuv polls its descriptor
 * and tells that thread when there is something to ask for, so no thread of libuv's pool waits.
 */
#include <stdlib.h>
#include "addon.h"

struct watch {
    luat_kv_watch *core;
    luat_kv_page *page; /* changes that could not be returned yet */
    struct poll *poll;  /* NULL until JavaScript waits */
    bool is_ref;        /* whether the wait keeps the process alive */
};

#ifdef __linux__ /* Elsewhere, watches have no descriptor. */

/*
 * What is used of libuv. Its header is not in node-api-headers, but all its versions 1.x have this, with these numbers,
 * and Node exports it.
 */
typedef struct uv_poll_s uv_poll_t;
typedef struct uv_handle_s uv_handle_t;
enum { UV_POLL = 8, UV_READABLE = 1 };
size_t uv_handle_size(int type);
void *uv_handle_get_data(const uv_handle_t *handle);
void uv_handle_set_data(uv_handle_t *handle, void *data);
void uv_ref(uv_handle_t *handle);
void uv_unref(uv_handle_t *handle);
void uv_close(uv_handle_t *handle, void (*closed)(uv_handle_t *));
int uv_poll_init(struct uv_loop_s *loop, uv_poll_t *handle, int fd);
int uv_poll_start(uv_poll_t *handle, int events, void (*ready)(uv_poll_t *, int status, int events));
int uv_poll_stop(uv_poll_t *handle);

/* A descriptor that libuv polls. It is freed when libuv has closed it, some time after its watch. */
struct poll {
    struct watch *watch; /* NULL after poll_close() */
    napi_env env;
    uv_poll_t *handle;
    napi_ref callback;   /* of the current wait, or NULL. It keeps the watch of JavaScript from being collected. */
    napi_async_context context;
    napi_async_cleanup_hook_handle hook;
};

static uv_handle_t *uv(struct poll *poll)
{
    return (uv_handle_t *)poll->handle;
}

static void poll_stop(struct poll *poll)
{
    if (poll->callback == NULL) return;
    uv_poll_stop(poll->handle);
    napi_delete_reference(poll->env, poll->callback);
    poll->callback = NULL;
}

static void closed(uv_handle_t *handle)
{
    struct poll *poll = uv_handle_get_data(handle);
    napi_async_destroy(poll->env, poll->context);
    napi_remove_async_cleanup_hook(poll->hook); // the thread may end now
    free(poll->handle);
    free(poll);
}

/* The descriptor itself can be closed then. */
static void poll_close(struct poll *poll)
{
    if (poll->watch == NULL) return;
    poll_stop(poll);
    poll->watch->poll = NULL;
    poll->watch = NULL;
    uv_close(uv(poll), closed);
}

/* Node waits until closed() is called before it goes on to end the thread, and with it the handles of the addon. */
static void thread_ends(napi_async_cleanup_hook_handle hook, void *data)
{
    (void)hook;
    poll_close(data);
}

/* Calls the callback, once for each wait. */
static void ready(uv_poll_t *handle, int status, int events)
{
    struct poll *poll = uv_handle_get_data((uv_handle_t *)handle);
    napi_env env = poll->env;
    napi_handle_scope scope;
    napi_value callback, global, error;
    (void)status, (void)events; // after an error, too, the watch is asked
    if (napi_open_handle_scope(env, &scope) != napi_ok) return;
    napi_status done = napi_get_reference_value(env, poll->callback, &callback);
    if (done == napi_ok) done = napi_get_global(env, &global);
    poll_stop(poll);
    if (done == napi_ok) done = napi_make_callback(env, poll->context, global, callback, 0, NULL, NULL);
    if (done == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok) {
        napi_fatal_exception(env, error);
    }
    napi_close_handle_scope(env, scope);
}

/* Returns false after throwing. */
static bool poll_start_context(napi_env env, struct poll *poll)
{
    napi_value name;
    napi_status status = napi_create_string_latin1(env, "luat_kv", NAPI_AUTO_LENGTH, &name);
    if (status == napi_ok) status = napi_async_init(env, NULL, name, &poll->context);
    if (status == napi_ok) status = napi_add_async_cleanup_hook(env, thread_ends, poll, &poll->hook);
    if (status == napi_ok) return true;
    made(env, status, NULL);
    if (poll->context != NULL) napi_async_destroy(env, poll->context);
    return false;
}

/* Gives a watch a poll. Returns false after throwing. */
static bool poll_new(napi_env env, struct watch *watch, int fd)
{
    struct uv_loop_s *loop;
    struct poll *poll = calloc(1, sizeof *poll);
    uv_poll_t *handle = malloc(uv_handle_size(UV_POLL));
    bool done = poll != NULL && handle != NULL;
    if (!done) {
        throw_no_memory(env);
    } else {
        *poll = (struct poll){ .watch = watch, .env = env, .handle = handle };
        done = poll_start_context(env, poll);
    }
    if (done && (napi_get_uv_event_loop(env, &loop) != napi_ok || uv_poll_init(loop, handle, fd) != 0)) {
        napi_throw_error(env, NULL, "libuv cannot poll the descriptor of the watch");
        napi_remove_async_cleanup_hook(poll->hook);
        napi_async_destroy(env, poll->context);
        done = false;
    }
    if (!done) {
        free(handle);
        free(poll);
        return false;
    }
    uv_handle_set_data(uv(poll), poll);
    watch->poll = poll;
    return true;
}

static void poll_ref(struct watch *watch)
{
    if (watch->poll == NULL) return;
    if (watch->is_ref) uv_ref(uv(watch->poll));
    else uv_unref(uv(watch->poll));
}

/* Lets libuv call a function when the descriptor of a watch is readable. */
static napi_value wait_for(napi_env env, addon *own, struct watch *watch, napi_value callback)
{
    luat_kv_error *error = NULL;
    int fd = -1;
    luat_kv_status status = own->kv.watch_fd(watch->core, &fd, &error);
    if (status < 0) return fail(env, own, status, error);
    if (fd < 0) return new_bool(env, false);
    if (watch->poll == NULL && !poll_new(env, watch, fd)) return NULL;
    struct poll *poll = watch->poll;
    napi_status done = napi_create_reference(env, callback, 1, &poll->callback);
    if (done != napi_ok) return made(env, done, NULL);
    poll_ref(watch);
    if (uv_poll_start(poll->handle, UV_READABLE, ready) == 0) return new_bool(env, true);
    poll_stop(poll);
    napi_throw_error(env, NULL, "libuv cannot poll the descriptor of the watch");
    return NULL;
}

#else

static void poll_stop(struct poll *poll)
{
    (void)poll;
}

static void poll_close(struct poll *poll)
{
    (void)poll;
}

static void poll_ref(struct watch *watch)
{
    (void)watch;
}

static napi_value wait_for(napi_env env, addon *own, struct watch *watch, napi_value callback)
{
    (void)own, (void)watch, (void)callback;
    return new_bool(env, false);
}

#endif

void watch_free(addon *own, struct watch *watch)
{
    if (watch->poll != NULL) poll_close(watch->poll);
    own->kv.page_free(watch->page);
    own->kv.watch_free(watch->core);
    free(watch);
}

/* watch_open(namespace, flags, keys or null, prefix or null, token or null): the handle. */
napi_value js_watch_open(napi_env env, napi_callback_info info)
{
    napi_value arg[5], result = NULL;
    addon *own = arguments(env, info, arg, 5);
    luat_kv_namespace *ns = handle_pointer(env, own, arg[0], NAMESPACE);
    luat_kv_watch_options options;
    luat_kv_error *error = NULL;
    struct keys all = { 0 };
    input prefix = { 0 }, since = { 0 };
    char room[KEY_ROOM], since_room[KEY_ROOM];
    napi_valuetype type = napi_undefined;
    if (ns == NULL) return NULL;
    own->kv.watch_options_init(&options, sizeof options);
    options.flags = take_uint32(env, arg[1]);
    napi_typeof(env, arg[2], &type);
    if ((type != napi_object || keys_take(env, arg[2], &all)) &&
        input_take_optional(env, arg[3], &prefix, room, sizeof room) &&
        input_take_optional(env, arg[4], &since, since_room, sizeof since_room)) {
        struct watch *watch = calloc(1, sizeof *watch);
        options.keys = all.keys;
        options.key_count = all.count;
        options.prefix = (luat_kv_bytes){ prefix.data, prefix.len };
        options.since = (luat_kv_bytes){ since.data, since.len };
        luat_kv_status status = LUAT_KV_OK;
        if (watch == NULL) throw_no_memory(env);
        else if ((status = own->kv.watch_open(ns, &options, &watch->core, &error)) < 0) fail(env, own, status, error);
        else result = handle_new(env, own, WATCH, watch);
        if (status < 0) free(watch);
    }
    input_free(&since);
    input_free(&prefix);
    keys_free(&all);
    return result;
}

/*
 * watch_next(watch, as): a page of the changes by now; null for none. Changes that JavaScript has no memory for are
 * kept, and returned by the next call.
 */
napi_value js_watch_next(napi_env env, napi_callback_info info)
{
    napi_value arg[2], result;
    addon *own = arguments(env, info, arg, 2);
    struct watch *watch = handle_pointer(env, own, arg[0], WATCH);
    luat_kv_error *error = NULL;
    if (watch == NULL) return NULL;
    if (watch->page == NULL) {
        luat_kv_status status = own->kv.watch_next(watch->core, 0, &watch->page, &error);
        if (status < 0) return fail(env, own, status, error);
        if (status == LUAT_KV_TIMEOUT) return new_null(env);
    }
    result = page_array(env, own, watch->page, take_uint32(env, arg[1]), true);
    if (result == NULL) return NULL;
    own->kv.page_free(watch->page);
    watch->page = NULL;
    return result;
}

/* watch_token(watch, handled): text. The number of changes of the last watch_next(); -1 is all of them. */
napi_value js_watch_token(napi_env env, napi_callback_info info)
{
    napi_value arg[2];
    addon *own = arguments(env, info, arg, 2);
    struct watch *watch = handle_pointer(env, own, arg[0], WATCH);
    luat_kv_error *error = NULL;
    luat_kv_bytes token;
    if (watch == NULL) return NULL;
    size_t handled = watch->page == NULL ? (size_t)take_int64(env, arg[1]) : 0;
    luat_kv_status status = own->kv.watch_token(watch->core, handled, &token, &error);
    return status < 0 ? fail(env, own, status, error) : new_text(env, token.data, token.len);
}

/*
 * watch_wait(watch, callback): calls the callback once, as soon as watch_next() may return something, instead of an
 * earlier one; null for the callback ends the wait. Returns false, and does nothing, if the system has no descriptors
 * for this.
 */
napi_value js_watch_wait(napi_env env, napi_callback_info info)
{
    napi_value arg[2];
    addon *own = arguments(env, info, arg, 2);
    struct watch *watch = handle_pointer(env, own, arg[0], WATCH);
    napi_valuetype type = napi_undefined;
    if (watch == NULL) return NULL;
    if (watch->poll != NULL) poll_stop(watch->poll);
    napi_typeof(env, arg[1], &type);
    return type == napi_function ? wait_for(env, own, watch, arg[1]) : new_bool(env, false);
}

/* watch_ref(watch, flag): sets whether a wait keeps the process alive. At first it does not. */
napi_value js_watch_ref(napi_env env, napi_callback_info info)
{
    napi_value arg[2];
    addon *own = arguments(env, info, arg, 2);
    struct watch *watch = handle_pointer(env, own, arg[0], WATCH);
    if (watch == NULL) return NULL;
    napi_get_value_bool(env, arg[1], &watch->is_ref);
    poll_ref(watch);
    return undefined(env);
}
