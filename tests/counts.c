// counts.c - one call of attn_fwd for tests/counts.sh: counts PASS CASE. All but the call is done before, also finding
// out what the machine has. The implementation is another object, so that the call stays a call.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attn.h"

static float *values(ptrdiff_t n) {
    static unsigned long long x = 1;
    float *p = (float *)malloc((size_t)n * sizeof(float));
    if (!p) exit(2);
    for (ptrdiff_t i = 0; i < n; i++) {
        x ^= x >> 12; x ^= x << 25; x ^= x >> 27;
        p[i] = (float)(x * 2685821657736338717ull >> 40) / 8388608.0f - 1;
    }
    return p;
}
static int is(const char *name, const char *other) { return !strcmp(name, other); }
int main(int argc, char **argv) {
    static const int32_t lengths[1] = { 200 };
    attn_desc d = ATTN_ZERO;
    ptrdiff_t H = 2, N = 256, M = 256, D = 64;
    const char *name = argc > 2 ? argv[2] : "";
    uint8_t *keep;
    int known = 0;
    for (int i = 1; argc > 1 && i < attn_isa_count(); i++)
        if (is(argv[1], attn_isa_name(i)) && attn_isa_has(i)) d.isa = i;
    if (!d.isa) return 77;                                       // not here
    if (is(name, "plain")) { H = 8; N = M = 512; known = 1; }
    if (!strncmp(name, "decode", 6)) { H = 4; N = 1; M = 4096; known = is(name, "decode"); }
    d.q = values(H * N * D); d.k = values(H * M * D); d.v = values(H * M * D); d.o = values(H * N * D);
    d.heads = H; d.queries = N; d.keys = M; d.dim = D;
    keep = (uint8_t *)malloc((size_t)(N * M));
    if (!keep) return 2;
    for (ptrdiff_t i = 0; i < N * M; i++) keep[i] = (uint8_t)(i * 2654435761u % 7 > 1);
    if (is(name, "small")) known = 1;
    if (is(name, "causal")) { d.causal = ATTN_CAUSAL_LOWER_RIGHT; known = 1; }
    if (is(name, "window")) {
        d.causal = ATTN_CAUSAL_LOWER_RIGHT; d.window = known = 1; d.window_left = 63; d.window_right = -1;
    }
    if (is(name, "lengths")) { d.key_lengths = lengths; known = 1; }
    if (is(name, "keep")) { d.keep = keep; known = 1; }
    if (is(name, "bias")) { d.bias = values(N * M); known = 1; }
    if (is(name, "alibi")) { d.alibi = known = 1; }
    if (is(name, "softcap")) { d.softcap = 30; known = 1; }
    if (is(name, "sink")) { d.sink = values(H); known = 1; }
    if (is(name, "lse")) { d.lse = values(H * N); known = 1; }
    if (is(name, "weights")) { d.weights = values(H * N * M); known = 1; }
    if (is(name, "short")) { d.heads = 1; d.queries = d.keys = 16; known = 1; }
    if (is(name, "decode-gqa")) { d.kv_heads = 1; known = 1; }
    if (!known) { fprintf(stderr, "counts: no case %s\n", name); return 2; }
    d.workspace_bytes = attn_workspace(&d);
    d.workspace = malloc(d.workspace_bytes);
    return attn_fwd(&d) == ATTN_OK ? 0 : 1;
}
