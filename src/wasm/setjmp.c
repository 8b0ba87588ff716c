/* The functions that clang calls for setjmp and longjmp when they are implemented with WebAssembly's exceptions. */

#include <setjmp.h>

void __wasm_setjmp(struct luat_kv_jump *buffer, unsigned label, void *invocation) {
    buffer->invocation = invocation;
    buffer->label = label;
}

/* The label where this invocation of the function continues, or 0 if the jump is for an outer one. */
unsigned __wasm_setjmp_test(struct luat_kv_jump *buffer, void *invocation) {
    return buffer->invocation == invocation ? buffer->label : 0;
}

_Noreturn void __wasm_longjmp(struct luat_kv_jump *buffer, int value) {
    buffer->thrown.buffer = buffer;
    buffer->thrown.value = value ? value : 1;
    __builtin_wasm_throw(1, &buffer->thrown); /* 1 is the tag of C's jumps */
}
