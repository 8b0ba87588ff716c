/* What clang turns setjmp and longjmp into, where they are made of WebAssembly's exceptions. */

#include <setjmp.h>

void __wasm_setjmp(struct luat_kv_jump *buffer, unsigned label, void *invocation) {
    buffer->invocation = invocation;
    buffer->label = label;
}

/* The label where this call of the function goes on, or 0: the jump is for somebody further out. */
unsigned __wasm_setjmp_test(struct luat_kv_jump *buffer, void *invocation) {
    return buffer->invocation == invocation ? buffer->label : 0;
}

_Noreturn void __wasm_longjmp(struct luat_kv_jump *buffer, int value) {
    buffer->thrown.buffer = buffer;
    buffer->thrown.value = value ? value : 1;
    __builtin_wasm_throw(1, &buffer->thrown); /* 1 is the tag of C's jumps */
}
