// test_steps.c - steps of decoding (attn_append, attn_fwd) with a workspace given: no allocation, and no system call.
// The steps run in a child under seccomp's strict mode, where any call but read, write and exit is death.
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"

enum { TOKENS = 300, STEPS = 24, HEADS = 8, KV_HEADS = 2, BATCH = 2, DIM = 64, PAGE = 16, RING = 90 };
enum { LINEAR, PAGED, RINGED, KINDS };
enum { CACHE_BYTES = BATCH * KV_HEADS * (TOKENS + PAGE) * DIM * 8, OUT_BYTES = STEPS * BATCH * HEADS * DIM * 8 };

static unsigned char k_cache[CACHE_BYTES], v_cache[CACHE_BYTES], expected[OUT_BYTES], lse[BATCH * HEADS * 8];
static double k_new[BATCH * KV_HEADS * TOKENS * DIM], v_new[BATCH * KV_HEADS * TOKENS * DIM];
static double q_bytes[BATCH * HEADS * DIM];                      // the arrays hold f32 or f64
static float rope_cos[TOKENS * DIM / 2], rope_sin[TOKENS * DIM / 2], sink[HEADS];
static int32_t lengths[BATCH], table[BATCH * (TOKENS / PAGE + 1)];
static unsigned char *space;

static void fill(double *p, int type, int n) {
    for (int i = 0; i < n; i++) {
        float x = test_float(1);
        if (type == ATTN_F64) p[i] = (double)x; else memcpy((unsigned char *)p + 4 * i, &x, 4);
    }
}
static void run_here(void *user, void (*task)(void *arg, ptrdiff_t i, int worker), void *arg, ptrdiff_t n) {
    (void)user;
    for (ptrdiff_t i = n - 1; i >= 0; i--) task(arg, i, (int)(i % 3));
}
// The desc of a stream whose first TOKENS - STEPS tokens are in the cache.
static attn_desc stream(int isa, int type, int stored, int kind, const attn_parallel *parallel) {
    attn_desc d = ATTN_ZERO;
    d.q_type = d.o_type = d.bias_type = type; d.k_type = d.v_type = stored; d.isa = isa; d.parallel = parallel;
    d.batch = BATCH; d.heads = HEADS; d.kv_heads = KV_HEADS; d.queries = 1; d.keys = TOKENS; d.dim = DIM;
    d.causal = ATTN_CAUSAL_LOWER_RIGHT;
    d.key_lengths = lengths; d.k_cache = k_cache; d.v_cache = v_cache; d.k_new = k_new; d.v_new = v_new;
    d.rope_kind = ATTN_ROPE_HALF; d.rope_cos = rope_cos; d.rope_sin = rope_sin; d.rope_positions = TOKENS;
    d.sink = sink; d.lse = lse; d.q = q_bytes;
    if (kind == PAGED) {
        d.page = PAGE; d.pages_per_row = TOKENS / PAGE + 1; d.page_count = COUNT(table); d.block_table = table;
        for (int i = 0; i < COUNT(table); i++) table[i] = COUNT(table) - 1 - i;
    }
    if (kind == RINGED) { d.ring = RING; d.window = 1; d.window_left = RING - 1 - STEPS; d.window_right = -1; }
    memset(k_cache, 0, sizeof(k_cache)); memset(v_cache, 0, sizeof(v_cache));
    fill(q_bytes, type, BATCH * HEADS * DIM);
    fill(k_new, type, BATCH * KV_HEADS * TOKENS * DIM); fill(v_new, type, BATCH * KV_HEADS * TOKENS * DIM);
    CHECK(attn_rope_table(rope_cos, rope_sin, TOKENS, DIM, 0) == ATTN_OK);
    for (int h = 0; h < HEADS; h++) sink[h] = 0.5f * (float)h;
    lengths[0] = lengths[1] = 0;
    d.new_keys = TOKENS - STEPS;
    CHECK(attn_append(&d) == ATTN_OK);
    lengths[0] = lengths[1] = TOKENS - STEPS;
    d.new_keys = 1;
    d.workspace_bytes = attn_workspace(&d);
    d.workspace = space = (unsigned char *)malloc(d.workspace_bytes + 1);
    if (!space) { puts("no memory for the test"); exit(2); }
    return d;
}
// A token a step; 1 when every call was taken. out receives the rows of all steps. The ring has room for a second time.
static int decode(attn_desc d, unsigned char *out) {
    for (int step = 0; step < STEPS; step++) {
        d.o = out + (size_t)step * BATCH * HEADS * DIM * (d.o_type == ATTN_F64 ? 8 : 4);
        if (attn_append(&d) != ATTN_OK) return 0;
        lengths[0]++; lengths[1]++;
        if (attn_fwd(&d) != ATTN_OK) return 0;
    }
    lengths[0] = lengths[1] = TOKENS - STEPS;
    return 1;
}

#if defined(__linux__)
#include <signal.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
enum { STRICT = 1, REFUSED = 77, KILLED = -1 };
static int strict(void) {
#ifdef PR_SET_SECCOMP
    return prctl(PR_SET_SECCOMP, STRICT) == 0;
#else
    return 0;
#endif
}
// Exit status of a child that runs the steps (of d, or one system call where d is NULL) in strict mode; KILLED when it
// was killed.
static int alone(const attn_desc *d, unsigned char *out) {
    int status = 0;
    pid_t child;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        int ok = 1;
        if (!strict()) _exit(REFUSED);
        if (d) ok = decode(*d, out); else syscall(SYS_getpid);
        syscall(SYS_exit, ok ? 0 : 1);                           // exit_group, as _exit calls it, is not allowed
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return REFUSED;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? KILLED : WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
static unsigned char *shared_bytes(size_t n) {
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) { puts("no memory for the test"); exit(2); }
    return (unsigned char *)p;
}
#endif

static void each_stream(void (*check)(const attn_desc *d)) {
    static const int stored[] = { ATTN_F32, ATTN_F16, ATTN_BF16, ATTN_Q8_0, ATTN_Q4_0, ATTN_Q4_1 };
    attn_parallel here = { run_here, NULL, 3 };
    int f64 = 0;
#if !defined(ATTN_NO_F64) && !defined(ATTN_NO_DISPATCH)
    f64 = 1;
#endif
    for (int isa = 1 - f64; isa < attn_isa_count(); isa++) {
        int type = isa ? ATTN_F32 : ATTN_F64;
        if (isa && !attn_isa_has(isa)) continue;
        for (int kind = 0; kind < KINDS; kind++) for (int t = 0; t < (isa ? COUNT(stored) : 1); t++) {
            attn_desc d = stream(isa, type, isa ? stored[t] : type, kind, t % 2 ? &here : NULL);
            check(&d);
            free(space);
        }
    }
}
static void check_heap(const attn_desc *d) {
    heap_plan(-1, 0);
    CHECK(decode(*d, expected));
    CHECK(heap_calls == 0);
}
TEST(steps, nothing_is_allocated_where_a_workspace_is_given) {
    attn_desc d;
    each_stream(check_heap);
    d = stream(0, ATTN_F32, ATTN_F32, LINEAR, NULL);             // the counter counts
    d.workspace = NULL;
    heap_plan(-1, 0);
    CHECK(decode(d, expected) && heap_calls == 2 * STEPS);
    free(space);
}
#if defined(__linux__)
static unsigned char *strict_out;
static void check_strict(const attn_desc *d) {
    int status;
    CHECK(decode(*d, expected));                                 // the first call finds out what the machine has
    lengths[0] = lengths[1] = TOKENS - STEPS;
    memset(strict_out, 0, OUT_BYTES);
    status = alone(d, strict_out);
    CHECK(status == 0);
    CHECK(!memcmp(strict_out, expected, (size_t)STEPS * BATCH * HEADS * DIM * (d->o_type == ATTN_F64 ? 8 : 4)));
    if (status) printf("    %s, cache %s%s%s: status %d\n", d->isa ? attn_isa_name(d->isa) : "f64",
                       attn_type_str(d->k_type), d->ring ? ", ring" : "", d->block_table ? ", paged" : "", status);
}
TEST(steps, no_system_call_is_made) {
    int control;
    strict_out = shared_bytes(OUT_BYTES);
    control = alone(NULL, NULL);
    if (control == REFUSED) {
        test_skip("steps: no_system_call_is_made", "seccomp's strict mode is not to be had");
        munmap(strict_out, OUT_BYTES);
        return;
    }
    CHECK(control == KILLED);                                    // a call that is made would be seen
    each_stream(check_strict);
    munmap(strict_out, OUT_BYTES);
}
#endif

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(steps, nothing_is_allocated_where_a_workspace_is_given);
#if defined(__linux__)
    RUN(steps, no_system_call_is_made);
#else
    test_skip("steps: no_system_call_is_made", "seccomp is of Linux");
#endif
    tools_keep();
    return test_end();
}
