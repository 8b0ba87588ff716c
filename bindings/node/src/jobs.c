/*
 * Operations that may take long, each in two forms: in the thread that calls it, or in a thread of libuv's pool, which
 * returns a promise. Such a call uses neither JavaScript's memory nor the addon's, except for the table of functions.
 */
#include <stdlib.h>
#include "addon.h"

struct job {
    addon *own;
    void (*run)(struct job *);
    void *pointer;    /* the store or the namespace */
    char *path;       /* NULL for a descriptor */
    int fd;
    uint32_t setting; /* the format or the flags */
    luat_kv_status status;
    luat_kv_error *error;
    int results;      /* how many of the numbers below the job returns */
    uint64_t numbers[2];
    /* Only for the pool: */
    uint32_t handle;
    napi_async_work work;
    napi_deferred deferred;
};

static void run_compact(struct job *job)
{
    job->status = job->own->kv.compact(job->pointer, &job->error);
}

static void run_backup(struct job *job)
{
    job->status = job->own->kv.backup(job->pointer, job->path, &job->error);
}

static void run_export(struct job *job)
{
    const struct library *kv = &job->own->kv;
    job->results = 1;
    job->status = job->path == NULL
        ? kv->export_fd(job->pointer, job->fd, job->setting, job->numbers, &job->error)
        : kv->export(job->pointer, job->path, job->setting, job->numbers, &job->error);
}

static void run_import(struct job *job)
{
    const struct library *kv = &job->own->kv;
    uint64_t *stored = &job->numbers[0], *skipped = &job->numbers[1];
    job->results = 2;
    job->status = job->path == NULL
        ? kv->import_fd(job->pointer, job->fd, job->setting, stored, skipped, &job->error)
        : kv->import(job->pointer, job->path, job->setting, stored, skipped, &job->error);
}

/* What the operation returns: undefined, a number, or an array of two. */
static napi_value job_result(napi_env env, const struct job *job)
{
    napi_value first = undefined(env), second, array;
    if (job->results > 0) first = new_number(env, (double)job->numbers[0]);
    if (job->results < 2 || first == NULL) return first;
    second = new_number(env, (double)job->numbers[1]);
    array = second == NULL ? NULL : new_array(env);
    return array != NULL && push_all(env, job->own, array, 2, (napi_value[]){ first, second }) ? array : NULL;
}

static void execute(napi_env env, void *data)
{
    struct job *job = data;
    (void)env;
    job->run(job);
}

static void job_free(napi_env env, struct job *job)
{
    handle_release(job->own, job->handle);
    if (job->work != NULL) napi_delete_async_work(env, job->work);
    free(job->path);
    free(job);
}

/* Back in the thread of the call. If that thread is ending, no value can be made, and nobody waits for the promise. */
static void complete(napi_env env, napi_status ran, void *data)
{
    struct job *job = data;
    napi_deferred deferred = job->deferred;
    napi_value value = NULL;
    bool failed = ran != napi_ok || job->status < 0; // it does not run if its thread ends before
    if (ran == napi_ok) value = failed ? new_error(env, job->own, job->status, job->error) : job_result(env, job);
    job_free(env, job);
    if (value == NULL) {
        failed = true;
        if (napi_get_and_clear_last_exception(env, &value) != napi_ok) return;
    }
    if (failed) napi_reject_deferred(env, deferred, value);
    else napi_resolve_deferred(env, deferred, value);
}

/* Starts a job in the pool, and returns its promise. */
static napi_value start(napi_env env, const struct job *given, napi_value number)
{
    napi_value name, promise;
    struct job *job = malloc(sizeof *job);
    if (job == NULL) {
        free(given->path);
        return throw_no_memory(env);
    }
    *job = *given;
    job->handle = handle_retain(env, job->own, number);
    napi_status status = napi_create_string_latin1(env, "luat_kv", NAPI_AUTO_LENGTH, &name);
    if (status == napi_ok) status = napi_create_async_work(env, NULL, name, execute, complete, job, &job->work);
    if (status == napi_ok) status = napi_create_promise(env, &job->deferred, &promise);
    if (status == napi_ok) status = napi_queue_async_work(env, job->work);
    if (status != napi_ok) job_free(env, job);
    return made(env, status, &promise);
}

/* Calls an operation: its arguments are a handle, then, if it has any, a place (a path or a descriptor) and a number. */
static napi_value call(napi_env env, napi_callback_info info, enum kind kind, void (*run)(struct job *), bool in_pool)
{
    napi_value arg[3];
    napi_valuetype type = napi_undefined;
    struct job job = { .own = arguments(env, info, arg, 3), .run = run };
    if ((job.pointer = handle_pointer(env, job.own, arg[0], kind)) == NULL) return NULL;
    napi_typeof(env, arg[1], &type);
    if (type == napi_number) job.fd = (int)take_uint32(env, arg[1]);
    else if (run != run_compact && (job.path = path_take(env, arg[1])) == NULL) return NULL;
    job.setting = take_uint32(env, arg[2]);
    if (in_pool) return start(env, &job, arg[0]);
    run(&job);
    free(job.path);
    return job.status < 0 ? fail(env, job.own, job.status, job.error) : job_result(env, &job);
}

/* compact(store) */
napi_value js_compact(napi_env env, napi_callback_info info)
{
    return call(env, info, STORE, run_compact, false);
}

napi_value js_compact_async(napi_env env, napi_callback_info info)
{
    return call(env, info, STORE, run_compact, true);
}

/* backup(store, path) */
napi_value js_backup(napi_env env, napi_callback_info info)
{
    return call(env, info, STORE, run_backup, false);
}

napi_value js_backup_async(napi_env env, napi_callback_info info)
{
    return call(env, info, STORE, run_backup, true);
}

/* export(namespace, path or descriptor, format): how many entries there were. */
napi_value js_export(napi_env env, napi_callback_info info)
{
    return call(env, info, NAMESPACE, run_export, false);
}

napi_value js_export_async(napi_env env, napi_callback_info info)
{
    return call(env, info, NAMESPACE, run_export, true);
}

/* import(namespace, path or descriptor, flags): how many entries were stored, and how many were skipped. */
napi_value js_import(napi_env env, napi_callback_info info)
{
    return call(env, info, NAMESPACE, run_import, false);
}

napi_value js_import_async(napi_env env, napi_callback_info info)
{
    return call(env, info, NAMESPACE, run_import, true);
}
