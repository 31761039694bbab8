// cache.c - the key/value cache of a language model: prefill in chunks, decoding token by token, draft tokens that are
// taken back, pages scattered over a pool, and a ring for a stream without end. A row of attention depends on nothing
// but itself, so each gives the very bits of one call over the whole sequence; a difference is exit code 1.
//     decode   212 tokens, one at a time                       same bits
//     cc -O2 -I. examples/cache.c -o cache && ./cache
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A small model's layer: 8 query heads share 2 key heads. A token's q and o are [H,D], its k and v [G,D].
enum { H = 8, G = 2, D = 64, T = 512, PROMPT = 300, CHUNK = 64 };
enum { PAGE = 16, PAGES = T / PAGE, POOL = PAGES + 8, RING = 128 };
enum { BACK = 400, DRAFT = 8, RIGHT = 3 }; // at token 400, 8 tokens are guessed, of which the first 3 are right
static float q[T][H][D], k[T][G][D], v[T][G][D], o[T][H][D], whole[T][H][D], draft[2][DRAFT][G][D];
static float k_cache[G][T][D], v_cache[G][T][D];                 // one row a token
static float k_pool[POOL][G][PAGE][D], v_pool[POOL][G][PAGE][D]; // pages of 16 tokens
static float k_ring[G][RING][D], v_ring[G][RING][D];             // the last 128 tokens
static const char usage[] = "usage: cache [--isa NAME]   caches of keys and values against one call over everything\n"
                            "Exit code: 0 the same bits everywhere, 1 not, or a call failed, 2 wrong use.\n";
static int differences;

// Token-major arrays are strides in the order B, H, N, D. The queries stand at the end of the keys.
static attn_desc layer(int isa) {
    attn_desc d = ATTN_ZERO;
    const ptrdiff_t at_q[4] = {0, D, H * D, 1}, at_k[4] = {0, D, G * D, 1};
    memcpy(d.q_stride, at_q, sizeof at_q), memcpy(d.o_stride, at_q, sizeof at_q);
    memcpy(d.k_new_stride, at_k, sizeof at_k), memcpy(d.v_new_stride, at_k, sizeof at_k);
    d.heads = H, d.kv_heads = G, d.dim = D, d.keys = T, d.causal = ATTN_CAUSAL_LOWER_RIGHT, d.isa = isa;
    return d;
}
static void run(attn_status (*call)(const attn_desc *), const attn_desc *d) {
    char why[160];
    attn_status s = call(d);
    if (s == ATTN_OK) return;
    fflush(stdout), fprintf(stderr, "cache: %s\n", attn_explain(s, d, why, sizeof why));
    exit(1);
}
// One step of a model: tokens first .. first+n-1 go into the cache, then their queries look at all that is in it.
static void step(attn_desc *d, int32_t *length, int n, const void *keys, const void *values) {
    d->key_lengths = length;
    d->k_new = keys, d->v_new = values, d->new_keys = n;
    run(attn_append, d);
    d->q = q[*length], d->o = o[*length], d->queries = n;
    *length += n; // the caller counts
    run(attn_fwd, d);
}
static void steps(attn_desc *d, int32_t *length, int to, int most) {
    while (*length < to) {
        int n = to - *length < most ? to - *length : most;
        step(d, length, n, k[*length], v[*length]);
    }
}
static void compare(int from, int to, const char *form, ...) { // rows from .. to-1; o is emptied for the next
    va_list list;
    char text[80];
    int same = !memcmp(o[from], whole[from], (size_t)(to - from) * sizeof o[0]);
    va_start(list, form);
    vsnprintf(text, sizeof text, form, list);
    va_end(list);
    printf("%-56s %s\n", text, same ? "same bits" : "DIFFERENT");
    differences += !same;
    memset(o[from], 0, (size_t)(to - from) * sizeof o[0]);
}
static attn_desc linear(int isa) {
    attn_desc d = layer(isa);
    d.k_cache = k_cache, d.v_cache = v_cache;
    return d;
}
static void rollback(int isa, int32_t *length) {
    attn_desc d = linear(isa);
    memcpy(draft[0], k[BACK], RIGHT * sizeof k[0]), memcpy(draft[1], v[BACK], RIGHT * sizeof v[0]);
    *length = BACK;
    step(&d, length, DRAFT, draft[0], draft[1]);
    *length = BACK + RIGHT; // the whole rollback: what lies beyond the length does not exist
    steps(&d, length, T, DRAFT);
}
static void pages(int isa) { // page i of the sequence is page 4 + (7 i + 5) mod 32 of the pool
    int32_t table[PAGES], length = 0;
    attn_desc d = layer(isa);
    for (int i = 0; i < PAGES; i++) table[i] = 4 + (7 * i + 5) % PAGES;
    d.k_cache = k_pool, d.v_cache = v_pool;
    d.block_table = table, d.pages_per_row = PAGES, d.page = PAGE, d.page_count = POOL;
    steps(&d, &length, PROMPT, CHUNK), steps(&d, &length, T, 1);
}
static void ring(int isa) { // token t overwrites slot t % RING; keys = 0: without end
    int32_t length = 0;
    attn_desc d = layer(isa);
    d.k_cache = k_ring, d.v_cache = v_ring, d.ring = RING, d.keys = 0;
    steps(&d, &length, T, 1);
}

int main(int argc, char **argv) {
    int32_t length = 0;
    int isa = 0;
    if (argc == 2 && !strcmp(argv[1], "--help")) return fputs(usage, stdout) < 0;
    if (argc == 3 && !strcmp(argv[1], "--isa")) {
        for (isa = 1; isa < attn_isa_count() && strcmp(attn_isa_name(isa), argv[2]); isa++) continue;
        if (!attn_isa_has(isa)) return fprintf(stderr, "--isa %s: not on this machine\n%s", argv[2], usage), 2;
    } else if (argc > 1) return fprintf(stderr, "%s: not known, or its value is missing\n%s", argv[1], usage), 2;

    attn_ctx *c = attn_open(NULL, 0, NULL); // random numbers: a stream that is the same everywhere
    ptrdiff_t q_size = T * H * D, k_size = T * G * D, draft_size = 2 * DRAFT * G * D;
    if (c == NULL) return fprintf(stderr, "cache: out of memory\n"), 1;
    attn_normal(c, attn_wrap(c, ATTN_F32, 1, &q_size, NULL, q), 0, 1);
    attn_normal(c, attn_wrap(c, ATTN_F32, 1, &k_size, NULL, k), 0, 1);
    attn_normal(c, attn_wrap(c, ATTN_F32, 1, &k_size, NULL, v), 0, 1);
    attn_normal(c, attn_wrap(c, ATTN_F32, 1, &draft_size, NULL, draft), 0, 1);
    attn_close(c);

    printf("%d tokens, %d query heads on %d key heads of %d, f32, %s\n"
           "cache %d KB, pool of %d pages %d KB, ring of %d tokens %d KB\n\n",
           T, H, G, D, attn_isa_name(isa ? isa : attn_isa()), (int)(2 * sizeof k_cache >> 10), POOL,
           (int)(2 * sizeof k_pool >> 10), RING, (int)(2 * sizeof k_ring >> 10));
    attn_desc all = layer(isa), d = linear(isa); // everything at once, without a cache
    memcpy(all.k_stride, all.k_new_stride, sizeof all.k_stride);
    memcpy(all.v_stride, all.v_new_stride, sizeof all.v_stride);
    all.q = q, all.k = k, all.v = v, all.o = whole, all.queries = T;
    run(attn_fwd, &all);

    steps(&d, &length, PROMPT, CHUNK);
    compare(0, PROMPT, "prefill  %d tokens, %d at a time", PROMPT, CHUNK);
    steps(&d, &length, T, 1);
    compare(PROMPT, T, "decode   %d tokens, one at a time", T - PROMPT);
    rollback(isa, &length);
    compare(BACK, T, "rollback %d drafted tokens, %d taken back", DRAFT, DRAFT - RIGHT);
    pages(isa);
    compare(0, T, "pages    of %d tokens, out of order", PAGE);
    all.window = 1, all.window_left = RING - 1, all.window_right = 0; // what a ring still holds, over all the keys
    run(attn_fwd, &all);
    ring(isa);
    compare(0, T, "ring     of %d tokens, against a window over the whole", RING);
    puts(differences ? "\nNOT the same bits: a bug of attn.h" : "\nThe same bits in every way of getting there.");
    return differences != 0 || fflush(stdout) != 0 || ferror(stdout);
}
