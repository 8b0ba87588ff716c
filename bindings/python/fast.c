/* The frequent operations of a namespace, as functions of CPython's own interface. Through cffi, a call and the objects
 * for its outputs take longer than what the library does. _operations.py has the same in Python, for where this module
 * was not compiled.
 *
 * Each takes the namespace as two arguments: cffi's object for it, which is None after the store was closed, and the
 * address of the library's handle. The handle is freed with that object, so the caller's reference keeps it until the
 * call ends.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "luat_kv.h"

#if defined(Py_LIMITED_API) && Py_LIMITED_API < 0x030A0000
/* CPython 3.9 has both, and later versions promise them. Only the headers hide them from those who compile for 3.9. */
#define METH_FASTCALL 0x0080
PyAPI_FUNC(const char *) PyUnicode_AsUTF8AndSize(PyObject *str, Py_ssize_t *len);
#endif

typedef struct {
    /* Functions of the library that the package has loaded. This module is not linked with it. */
    __typeof__(luat_kv_get) *get;
    __typeof__(luat_kv_has) *has;
    __typeof__(luat_kv_put_versioned) *put;
    /* fail(status, address of the error) raises the error. */
    PyObject *fail;
    /* utf8(key) returns the bytes of a str with lone surrogates, and raises a TypeError for other types. */
    PyObject *utf8;
} fast_state;

static fast_state *state_of(PyObject *module)
{
    return (fast_state *)PyModule_GetState(module);
}

/* The bytes of a str or of bytes, which belong to that object, or to owner if it is not NULL. */
typedef struct {
    char *data;
    Py_ssize_t len;
    PyObject *owner;
} bytes;

static int key_of(fast_state *state, PyObject *key, bytes *out)
{
    out->owner = NULL;
    if (PyUnicode_Check(key)) {
        out->data = (char *)PyUnicode_AsUTF8AndSize(key, &out->len);
        if (out->data)
            return 0;
        /* A lone surrogate, which the library reports. */
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            return -1;
        PyErr_Clear();
    } else if (PyBytes_Check(key)) {
        return PyBytes_AsStringAndSize(key, &out->data, &out->len);
    }
    out->owner = PyObject_CallFunctionObjArgs(state->utf8, key, NULL);
    return out->owner ? PyBytes_AsStringAndSize(out->owner, &out->data, &out->len) : -1;
}

static PyObject *fail(fast_state *state, luat_kv_status status, luat_kv_error *error)
{
    return PyObject_CallFunction(state->fail, "iN", (int)status, PyLong_FromVoidPtr(error));
}

/* Converts the arguments that each operation begins with: namespace, address, key. Returns NULL after an error. */
static luat_kv_namespace *begin(fast_state *state, PyObject *const *args, Py_ssize_t count, Py_ssize_t wanted,
                                bytes *key)
{
    if (count != wanted) {
        PyErr_Format(PyExc_TypeError, "%zd arguments are wanted, not %zd", wanted, count);
        return NULL;
    }
    if (args[0] == Py_None) {
        Py_XDECREF(fail(state, LUAT_KV_INVALID, NULL));
        return NULL;
    }
    luat_kv_namespace *namespace = (luat_kv_namespace *)PyLong_AsVoidPtr(args[1]);
    return namespace && key_of(state, args[2], key) == 0 ? namespace : NULL;
}

/* Reads a value that is longer than the buffer. Another call may replace it by a still longer one meanwhile. */
static luat_kv_status read_long(fast_state *state, luat_kv_namespace *namespace, bytes key, size_t len, PyObject **out,
                                luat_kv_error **error)
{
    luat_kv_status status;
    do {
        size_t size = len;
        Py_XDECREF(*out);
        *out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
        if (!*out)
            return LUAT_KV_NOMEM;
        uint8_t *data = (uint8_t *)PyBytes_AsString(*out);
        Py_BEGIN_ALLOW_THREADS
        status = state->get(namespace, key.data, (size_t)key.len, data, size, &len, error);
        Py_END_ALLOW_THREADS
    } while (status == LUAT_KV_TOO_SMALL);
    PyObject *full = *out;
    if (status != LUAT_KV_OK || len != (size_t)PyBytes_Size(full)) {
        /* There is no value, or it was replaced by a shorter one. */
        *out = status == LUAT_KV_OK ? PyBytes_FromStringAndSize(PyBytes_AsString(full), (Py_ssize_t)len) : NULL;
        Py_DECREF(full);
    }
    return status;
}

/* read(namespace, address, key, default) returns the value, or the default if the key is missing. */
static PyObject *fast_read(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    static _Thread_local uint8_t buffer[65536];
    fast_state *state = state_of(module);
    bytes key;
    luat_kv_namespace *namespace = begin(state, args, count, 4, &key);
    if (!namespace)
        return NULL;
    size_t len = 0;
    luat_kv_error *error = NULL;
    luat_kv_status status;
    Py_BEGIN_ALLOW_THREADS
    status = state->get(namespace, key.data, (size_t)key.len, buffer, sizeof buffer, &len, &error);
    Py_END_ALLOW_THREADS
    PyObject *value = NULL;
    if (status == LUAT_KV_OK)
        value = PyBytes_FromStringAndSize((char *)buffer, (Py_ssize_t)len);
    else if (status == LUAT_KV_TOO_SMALL)
        status = read_long(state, namespace, key, len, &value, &error);
    Py_XDECREF(key.owner);
    if (status == LUAT_KV_NOT_FOUND) {
        value = args[3];
        Py_INCREF(value);
    } else if (status < 0 && !PyErr_Occurred()) {
        return fail(state, status, error);
    }
    return value;
}

/* has(namespace, address, key) returns whether there is the key. */
static PyObject *fast_has(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    fast_state *state = state_of(module);
    bytes key;
    luat_kv_namespace *namespace = begin(state, args, count, 3, &key);
    if (!namespace)
        return NULL;
    luat_kv_error *error = NULL;
    luat_kv_status status;
    Py_BEGIN_ALLOW_THREADS
    status = state->has(namespace, key.data, (size_t)key.len, &error);
    Py_END_ALLOW_THREADS
    Py_XDECREF(key.owner);
    return status < 0 ? fail(state, status, error) : PyBool_FromLong(status == LUAT_KV_OK);
}

/* put(namespace, address, key, value) stores a value without options, and returns its version. A value that is neither
 * str nor bytes is left to the caller: the result is NotImplemented. */
static PyObject *fast_put(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    fast_state *state = state_of(module);
    bytes key;
    luat_kv_namespace *namespace = begin(state, args, count, 4, &key);
    if (!namespace)
        return NULL;
    /* (PyUnicode_AsUTF8AndSize() would keep the bytes for as long as the str lives, and values may be large.) */
    PyObject *encoded = PyUnicode_Check(args[3]) ? PyUnicode_AsUTF8String(args[3]) : args[3];
    PyObject *result = NULL;
    if (encoded && PyBytes_Check(encoded)) {
        const char *value = PyBytes_AsString(encoded);
        size_t value_len = (size_t)PyBytes_Size(encoded);
        char version[LUAT_KV_VERSION_SIZE];
        luat_kv_error *error = NULL;
        luat_kv_status status;
        Py_BEGIN_ALLOW_THREADS
        status = state->put(namespace, key.data, (size_t)key.len, value, value_len, NULL, version, &error);
        Py_END_ALLOW_THREADS
        result = status < 0 ? fail(state, status, error) : PyUnicode_FromString(version);
    } else if (encoded) {
        result = Py_NotImplemented;
        Py_INCREF(result);
    }
    if (encoded != args[3])
        Py_XDECREF(encoded);
    Py_XDECREF(key.owner);
    return result;
}

static int fast_clear(PyObject *module)
{
    fast_state *state = state_of(module);
    Py_CLEAR(state->fail);
    Py_CLEAR(state->utf8);
    return 0;
}

/* connect(get, has, put, fail, utf8) takes the addresses of three functions of the library, and two Python functions. */
static PyObject *fast_connect(PyObject *module, PyObject *args)
{
    fast_state *state = state_of(module);
    PyObject *get, *has, *put, *fails, *utf8;
    if (!PyArg_UnpackTuple(args, "connect", 5, 5, &get, &has, &put, &fails, &utf8))
        return NULL;
    state->get = (__typeof__(state->get))PyLong_AsVoidPtr(get);
    state->has = (__typeof__(state->has))PyLong_AsVoidPtr(has);
    state->put = (__typeof__(state->put))PyLong_AsVoidPtr(put);
    if (PyErr_Occurred())
        return NULL;
    fast_clear(module);
    Py_INCREF(fails);
    Py_INCREF(utf8);
    state->fail = fails;
    state->utf8 = utf8;
    Py_RETURN_NONE;
}

static int fast_traverse(PyObject *module, visitproc visit, void *arg)
{
    fast_state *state = state_of(module);
    Py_VISIT(state->fail);
    Py_VISIT(state->utf8);
    return 0;
}

static PyMethodDef functions[] = {
    {"read", (PyCFunction)(void (*)(void))fast_read, METH_FASTCALL, NULL},
    {"has", (PyCFunction)(void (*)(void))fast_has, METH_FASTCALL, NULL},
    {"put", (PyCFunction)(void (*)(void))fast_put, METH_FASTCALL, NULL},
    {"connect", fast_connect, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "luat_kv._fast",
    .m_size = sizeof(fast_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = fast_traverse,
    .m_clear = fast_clear,
};

PyMODINIT_FUNC PyInit__fast(void)
{
    return PyModuleDef_Init(&definition);
}
