/* setjmp for WebAssembly, which this wasi-libc has none of: the compiler makes it of exceptions (-wasm-enable-sjlj), and
   setjmp.c is what it calls. */

#ifndef LUAT_KV_SETJMP_H
#define LUAT_KV_SETJMP_H

struct luat_kv_jump {
    void *invocation; /* which call of a function set it */
    unsigned label;   /* and where in that function, from 1 */
    struct {
        void *buffer;
        int value;
    } thrown;
};

typedef struct luat_kv_jump jmp_buf[1];

int setjmp(jmp_buf buffer) __attribute__((returns_twice));
_Noreturn void longjmp(jmp_buf buffer, int value);

#endif
