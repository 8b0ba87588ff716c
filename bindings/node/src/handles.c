/* The table of handles. */
#include <stdlib.h>
#include "addon.h"

static void free_pointer(addon *own, enum kind kind, void *pointer)
{
    switch (kind) {
    case STORE: own->kv.close(pointer); break;
    case NAMESPACE: own->kv.namespace_free(pointer); break;
    case BATCH: own->kv.batch_free(pointer); break;
    case WATCH: watch_free(own, pointer); break;
    case UNUSED: break;
    }
}

/* Appends unused handles to the table. */
static bool grow(addon *own)
{
    uint32_t count = own->handle_count == 0 ? 16 : 2 * own->handle_count;
    struct handle *handles = count > own->handle_count ? realloc(own->handles, count * sizeof *handles) : NULL;
    if (handles == NULL) return false;
    uint32_t first = own->handle_count == 0 ? 1 : own->handle_count;
    for (uint32_t index = first; index < count; index++) {
        handles[index] = (struct handle){ .kind = UNUSED, .next_free = index + 1 < count ? index + 1 : 0 };
    }
    handles[0] = (struct handle){ .kind = UNUSED };
    own->handles = handles;
    own->handle_count = count;
    own->first_free = first;
    return true;
}

napi_value handle_new(napi_env env, addon *own, enum kind kind, void *pointer)
{
    if (own->first_free == 0 && !grow(own)) {
        free_pointer(own, kind, pointer);
        return throw_no_memory(env);
    }
    uint32_t index = own->first_free;
    own->first_free = own->handles[index].next_free;
    own->handles[index] = (struct handle){ .pointer = pointer, .kind = kind };
    return new_number(env, index);
}

/* The index of a handle that is not closed; 0 if there is none. */
static uint32_t open_index(napi_env env, const addon *own, napi_value number)
{
    uint32_t index = take_uint32(env, number);
    return index < own->handle_count && !own->handles[index].closed && own->handles[index].kind != UNUSED ? index : 0;
}

void *handle_pointer(napi_env env, addon *own, napi_value number, enum kind kind)
{
    uint32_t index = open_index(env, own, number);
    if (index != 0 && own->handles[index].kind == kind) return own->handles[index].pointer;
    throw_closed(env, own);
    return NULL;
}

static void free_handle(addon *own, uint32_t index)
{
    struct handle *handle = &own->handles[index];
    void *pointer = handle->pointer;
    enum kind kind = handle->kind;
    *handle = (struct handle){ .kind = UNUSED, .next_free = own->first_free };
    own->first_free = index;
    free_pointer(own, kind, pointer);
}

uint32_t handle_retain(napi_env env, addon *own, napi_value number)
{
    uint32_t index = open_index(env, own, number);
    if (index != 0) own->handles[index].uses++;
    return index;
}

void handle_release(addon *own, uint32_t index)
{
    if (index == 0) return;
    struct handle *handle = &own->handles[index];
    if (--handle->uses == 0 && handle->closed) free_handle(own, index);
}

/* close(handle): frees it; later if a call in another thread uses it. A handle that is closed is ignored. */
napi_value js_close(napi_env env, napi_callback_info info)
{
    napi_value arg[1];
    addon *own = arguments(env, info, arg, 1);
    uint32_t index = open_index(env, own, arg[0]);
    if (index == 0) return undefined(env);
    if (own->handles[index].uses > 0) own->handles[index].closed = true;
    else free_handle(own, index);
    return undefined(env);
}

/* Node has waited for the calls in other threads before, so no handle is in use. */
void handles_free(addon *own)
{
    for (uint32_t index = 1; index < own->handle_count; index++) {
        if (own->handles[index].kind != UNUSED && own->handles[index].uses == 0) free_handle(own, index);
    }
    free(own->handles);
}
