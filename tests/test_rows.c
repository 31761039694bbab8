// test_rows.c - room attention: the bits of a row depend on the row alone. A case is arrays and options without a place
// in memory; a view is a call that computes some of its rows: some entries, heads and queries, in any order and group,
// from arrays of any layout or a cache of any kind, by any number of threads. Every view must give the whole's bits.
// -DROUNDS=N changes the length of the sweeps. To repeat a failure: test_rows --seed 123 any
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"

#ifndef ROUNDS
#define ROUNDS 900
#endif

// ---- memory: arrays of a view end at fences, filled with 0xFF: NaN; those of a case lie in one store

enum { Q, K, V, O, LSE, W, SPACE, SMALL, SLOTS = SMALL + 32 };
static fence slots[SLOTS];
static size_t slot_bytes[SLOTS];
static int small_slots;

static unsigned char *take(int slot, size_t bytes) {
    if (!slots[slot].end) slots[slot] = fence_open((size_t)1 << (slot == SPACE ? 27 : slot < SMALL ? 26 : 24));
    slot_bytes[slot] = bytes;
    return (unsigned char *)memset(fence_array(&slots[slot], bytes), 0xFF, bytes);
}
static void *take_small(size_t bytes) {
    if (SMALL + small_slots >= SLOTS) { puts("too few slots for the test"); exit(2); }
    return take(SMALL + small_slots++, bytes);
}
static int guards_intact(void) {
    int ok = 1;
    for (int i = 0; i < SMALL + small_slots; i++)
        if (slots[i].end) ok &= fence_holds(&slots[i], slots[i].end - slot_bytes[i]);
    return ok;
}
static unsigned char *store;
static size_t store_used;
static const size_t store_size = (size_t)1 << 27;
static void *keep_bytes(size_t bytes) {
    void *p;
    if (!store) store = (unsigned char *)malloc(store_size);
    if (!store || store_used + bytes + 64 > store_size) { puts("the store is too small for the test"); exit(2); }
    p = store + store_used;
    store_used += (bytes + 63) / 64 * 64;
    return p;
}

// ---- elements

static ptrdiff_t elements_of(int type) { return type >= ATTN_Q8_0 && type <= ATTN_Q4_1 ? 32 : 1; }
static ptrdiff_t bytes_of(int type, ptrdiff_t n) {
    ptrdiff_t block = type == ATTN_F64 ? 8 : type == ATTN_F32 ? 4 : 2;
    if (elements_of(type) > 1) block = type == ATTN_Q8_0 ? 34 : type == ATTN_Q4_0 ? 18 : 20;
    return n / elements_of(type) * block;
}
// x in a type that is not in blocks; an f16 is cut, and 0 where it would be a denormal.
static void put(void *p, int type, ptrdiff_t i, double x) {
    float narrow = (float)x;
    uint32_t u, e;
    memcpy(&u, &narrow, 4);
    e = u >> 23 & 255;
    if (type == ATTN_F64) ((double *)p)[i] = x;
    else if (type == ATTN_F32) ((float *)p)[i] = narrow;
    else if (type == ATTN_BF16) ((uint16_t *)p)[i] = (uint16_t)(u >> 16);
    else if (e > 142) ((uint16_t *)p)[i] = (uint16_t)((u >> 16 & 0x8000) | (x == x ? 0x7C00 : 0x7E00));
    else ((uint16_t *)p)[i] = (uint16_t)(e < 113 ? 0 : (u >> 16 & 0x8000) | (e - 112) << 10 | (u >> 13 & 1023));
}
static double root(double x) {
    double y = x;
    for (int i = 0; i < 40; i++) y = 0.5 * (y + x / y);
    return y;
}
static double random_in(double low, double high) { return low + (high - low) * test_uniform(); }
static void copy_row(unsigned char *to, ptrdiff_t col, const unsigned char *from, int type, ptrdiff_t n) {
    ptrdiff_t size = bytes_of(type, 1);
    if (col == 1) { memcpy(to, from, (size_t)bytes_of(type, n)); return; }
    for (ptrdiff_t i = 0; i < n; i++) memcpy(to + i * col * size, from + i * size, (size_t)size);
}

// ---- a case

enum { MOST_B = 3, MOST_H = 16 };
typedef struct grid { unsigned char *at; int vary[3]; } grid;        // [B or 1, H or 1, N or 1, M]
typedef struct origin {
    attn_desc d;                            // sizes, options, arrays that no view moves
    int32_t length[MOST_B], offset[MOST_B]; // keys in use; position of query 0
    unsigned char *q, *k, *v;               // [B,H,N,D], [B,Hk,M,D], [B,Hk,M,E] of q_type: as they are appended
    unsigned char *k_kept, *v_kept;         // k and v as a cache has them
    unsigned char *o, *lse, *weights;       // results of the whole
    grid keep, drop, bias, kept;
    int plain, fixed_rows, fixed_heads;     // k and v need no cache; numbers of rows, heads matter
} origin;
static origin one;                          // the case at hand

static ptrdiff_t vdim_of(const attn_desc *d) { return d->vdim; }
static int own_type(const attn_desc *d) { return d->q_type == ATTN_F64 ? ATTN_F64 : ATTN_F32; }
static int is_raw(const attn_desc *d) {
    return d->weights_stage == ATTN_WEIGHTS_SCORES || d->weights_stage == ATTN_WEIGHTS_CAPPED;
}
static ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static ptrdiff_t larger(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
// Keys lo .. hi-1 that lengths, causal and window leave to query i of entry b.
static void limits(const origin *c, ptrdiff_t b, ptrdiff_t i, ptrdiff_t *lo, ptrdiff_t *hi) {
    const attn_desc *d = &c->d;
    ptrdiff_t p = i + c->offset[b];
    *lo = 0; *hi = c->length[b];
    if (d->row_lengths) *hi = smaller(*hi, d->row_lengths[b * d->queries + i]);
    if (d->causal) *hi = smaller(*hi, larger(p + 1, d->prefix ? d->prefix[b] : 0));
    if (d->window && d->window_left >= 0) *lo = larger(0, p - d->window_left);
    if (d->window && d->window_right >= 0) *hi = smaller(*hi, p + d->window_right + 1);
    if (*lo >= *hi) *lo = *hi = 0;
}
static const float *keep_floats(ptrdiff_t n, double low, double high) {
    float *p = (float *)keep_bytes((size_t)n * 4);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = (float)random_in(low, high);
    return p;
}
static int32_t *keep_ints(ptrdiff_t n, ptrdiff_t low, ptrdiff_t high) {
    int32_t *p = (int32_t *)keep_bytes((size_t)n * 4);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = (int32_t)(low + test_below((int)(high - low) + 1));
    return p;
}
// Rows that grow by the factor 1 + ramp along a period.
static unsigned char *keep_values(int type, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t period, double gain,
                                  double ramp) {
    unsigned char *p = (unsigned char *)keep_bytes((size_t)bytes_of(type, rows * cols));
    for (ptrdiff_t r = 0; r < rows; r++) {
        double g = gain * (1 + ramp * (double)(r % period) / (double)period);
        for (ptrdiff_t i = 0; i < cols; i++) put(p, type, r * cols + i, random_in(-1.7 * g, 1.7 * g));
    }
    return p;
}
static ptrdiff_t grid_at(const origin *c, const grid *g, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i) {
    ptrdiff_t row = g->vary[0] ? b : 0;
    row = row * (g->vary[1] ? c->d.heads : 1) + (g->vary[1] ? h : 0);
    return (row * (g->vary[2] ? c->d.queries : 1) + (g->vary[2] ? i : 0)) * c->d.keys;
}
static ptrdiff_t keep_grid(const origin *c, grid *g, ptrdiff_t size, int all) {
    ptrdiff_t n = c->d.keys;
    for (int i = 0; i < 3; i++) {
        ptrdiff_t more = i == 0 ? c->d.batch : i == 1 ? c->d.heads : c->d.queries;
        g->vary[i] = all || (test_below(2) && n * more < 400000);
        if (g->vary[i]) n *= more;
    }
    g->at = (unsigned char *)keep_bytes((size_t)(n * size));
    return n;
}
static void keep_bits(const origin *c, grid *g, double ones, int all) {
    ptrdiff_t n = keep_grid(c, g, 1, all);
    for (ptrdiff_t i = 0; i < n; i++) g->at[i] = test_uniform() < ones;
}
// k and v as attn_append leaves them in a linear cache of their types.
static void append_all(origin *c) {
    static int32_t zeros[MOST_B];
    attn_desc d = c->d;
    ptrdiff_t rows = d.batch * d.kv_heads * d.keys;
    d.weights = NULL;
    c->k_kept = (unsigned char *)keep_bytes((size_t)bytes_of(d.k_type, rows * d.dim));
    c->v_kept = (unsigned char *)keep_bytes((size_t)bytes_of(d.v_type, rows * d.vdim));
    d.k_cache = c->k_kept; d.v_cache = c->v_kept; d.k_new = c->k; d.v_new = c->v; d.new_keys = d.keys;
    d.key_lengths = zeros; d.queries = 0; d.keys = larger(1, d.keys);
    CHECK(attn_append(&d) == ATTN_OK);
}
// A custom score of the rows alone.
static void custom_score(const attn_tile *t, float *s) {
    for (ptrdiff_t j = 0; j < t->nj; j++) for (ptrdiff_t i = 0; i < t->ni; i++)
        s[j * t->ld + i] += 0.5f * t->q[i][t->dim - 1] * t->k[j][0];
}

// ---- a view

enum { PLAIN, LINEAR, PAGED, RING };
enum { CONTIGUOUS, BNHD, PADDED, EVERY_SECOND, POWER_OF_TWO, LAYOUTS };
enum { ALONE, BACKWARDS, POOL };
typedef struct place { unsigned char *at; int type; ptrdiff_t s[4]; } place;
typedef struct view {
    int nb, nk, group, b[4], kv[8], h[64];  // entries, key heads, query heads of the case; group: of a key head
    ptrdiff_t i0, n, rows[4], used[4];      // queries from i0 on: n, and of each entry; keys in use
    int kind, appended, packed, threads, workers;
    int layout[4], contiguous[4];           // of q, k, v, o; contiguous: given by strides of 0
    int lse, weights, extra;                // outputs that are wanted; slots beyond the keys in use
    ptrdiff_t page, ring, cut;              // cut: keys from there on become garbage; -1 = none
    place p[4];
    int32_t *cu_q, *cu_k, *table;
    ptrdiff_t per_row;
} view;

static unsigned char *cell(const place *p, ptrdiff_t a, ptrdiff_t b, ptrdiff_t c) {
    return p->at + bytes_of(p->type, a * p->s[0] + b * p->s[1] + c * p->s[2]);
}
static unsigned char *token(const view *w, const place *p, ptrdiff_t b, ptrdiff_t hk, ptrdiff_t j) {
    if (w->kind == PAGED) return cell(p, w->table[b * w->per_row + j / w->page], hk, j % w->page);
    if (w->cu_k) return cell(p, 0, hk, w->cu_k[b] + j);
    return cell(p, b, hk, w->kind == RING ? j % w->ring : j);
}
static unsigned char *row_of(const view *w, const place *p, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i) {
    return w->cu_q ? cell(p, 0, h, w->cu_q[b] + i) : cell(p, b, h, i);
}
static void set4(ptrdiff_t s[4], ptrdiff_t a, ptrdiff_t b, ptrdiff_t c, ptrdiff_t e) {
    s[0] = a; s[1] = b; s[2] = c; s[3] = e;
}
// An array [n0,n1,n2,n3] of one layout, and its strides for the desc.
static void lay(view *w, int which, int type, ptrdiff_t n0, ptrdiff_t n1, ptrdiff_t n2, ptrdiff_t n3,
                ptrdiff_t given[4]) {
    place *p = &w->p[which];
    ptrdiff_t row = n3, col = 1, per = elements_of(type), count = 0;
    ptrdiff_t most = ((ptrdiff_t)1 << 24) / larger(1, bytes_of(type, per) / per);
    int layout = w->layout[which];
    if (layout == POWER_OF_TWO) row = n0 * n1 * n2 * 1024 > most || n3 > 1024 ? n3 : 1024;
    if (layout == PADDED) row = n3 + (per > 1 ? per : 1 + n3 % 19);
    if (layout == EVERY_SECOND && per == 1) { row = 2 * n3; col = 2; }
    if (n0 * n1 * n2 * row > most) { row = n3; col = 1; }
    set4(p->s, n1 * n2 * row, n2 * row, row, col);
    if (layout == BNHD) set4(p->s, n1 * n2 * row, row, n1 * row, 1);
    p->type = type;
    if (n0 && n1 && n2 && n3) count = (n0 - 1) * p->s[0] + (n1 - 1) * p->s[1] + (n2 - 1) * p->s[2] + (n3 - 1) * col + 1;
    p->at = take(which, (size_t)bytes_of(type, count));
    memcpy(given, p->s, sizeof(p->s));
    if (w->contiguous[which] && layout == CONTIGUOUS) set4(given, 0, 0, 0, 0);
}
// The same for packed sequences: [T,H,cols], or heads first.
static void lay_packed(view *w, int which, int type, ptrdiff_t T, ptrdiff_t heads, ptrdiff_t cols, ptrdiff_t given[4]) {
    int first = w->layout[which] == BNHD;
    ptrdiff_t s[4];
    if (first) w->layout[which] = PADDED;
    lay(w, which, type, 1, first ? heads : T, first ? T : heads, cols, given);
    memcpy(s, w->p[which].s, sizeof(s));
    if (!first) set4(w->p[which].s, 0, s[2], s[1], s[3]); else w->p[which].s[0] = 0;
    if (!first && w->layout[which] == CONTIGUOUS && w->contiguous[which]) set4(given, 0, 0, 0, 0);
    else memcpy(given, w->p[which].s, sizeof(s));
}
// One array [B,N,H+2Hk,D] with q, k and v.
static void lay_qkv(view *w, attn_desc *d) {
    ptrdiff_t all = d->heads + 2 * d->kv_heads, from = 0, N = d->queries, D = d->dim;
    unsigned char *at = take(Q, (size_t)bytes_of(d->q_type, d->batch * N * all * D));
    take(K, 0); take(V, 0);
    for (int i = 0; i < 3; i++) {
        w->p[i].type = d->q_type; w->p[i].at = at + bytes_of(d->q_type, from * D);
        set4(w->p[i].s, N * all * D, D, all * D, 1);
        memcpy(i == 0 ? d->q_stride : i == 1 ? d->k_stride : d->v_stride, w->p[i].s, sizeof(w->p[i].s));
        from += i ? d->kv_heads : d->heads;
    }
}
static int32_t *lay_cu(const view *w, const ptrdiff_t *n) {
    int32_t *cu = (int32_t *)take_small(sizeof(int32_t) * (size_t)(w->nb + 1));
    cu[0] = test_below(3);
    for (int b = 0; b < w->nb; b++) cu[b + 1] = cu[b] + (int32_t)n[b];
    return cu;
}
// Pages in any order; entries that are the same may share full pages.
static void lay_table(const origin *c, view *w, attn_desc *d) {
    static int32_t pages[1 << 15];
    ptrdiff_t longest = 0, left;
    w->per_row = d->pages_per_row = (d->keys + w->page - 1) / w->page + test_below(2);
    left = d->page_count = w->nb * w->per_row + test_below(3);
    if (left > COUNT(pages)) { puts("too many pages for the test"); exit(2); }
    for (ptrdiff_t i = 0; i < left; i++) pages[i] = (int32_t)i;
    d->page = w->page;
    d->block_table = w->table = (int32_t *)take_small(sizeof(int32_t) * (size_t)(w->nb * w->per_row));
    for (int b = 0; b < w->nb; b++) longest = larger(longest, w->used[b]);
    for (int b = 0; b < w->nb; b++) for (ptrdiff_t t = 0; t < w->per_row; t++) {
        int32_t *slot = &w->table[b * w->per_row + t];
        int i = test_below((int)left);
        if (t * w->page >= (w->appended ? longest : w->used[b])) continue;               // -1
        if (b && !w->appended && w->b[b] == w->b[b - 1] && (t + 1) * w->page <= w->used[b - 1] && c->d.batch == 1) {
            *slot = slot[-w->per_row];
            continue;
        }
        *slot = pages[i]; pages[i] = pages[--left];
    }
}
static void fill_keys(const origin *c, view *w, const attn_desc *d) {
    const attn_desc *from = &c->d;
    for (int b = 0; b < w->nb; b++) for (int hk = 0; hk < w->nk; hk++) {
        ptrdiff_t first = w->kind == RING ? larger(0, w->used[b] - w->ring) : 0;
        for (ptrdiff_t j = first; j < w->used[b]; j++) {
            ptrdiff_t row = (w->b[b] * from->kv_heads + w->kv[hk]) * from->keys + j;
            int raw = w->kind == PLAIN && (from->rope_kind || from->qk_norm);
            copy_row(token(w, &w->p[K], b, hk, j), w->p[K].s[3],
                     (raw ? c->k : c->k_kept) + bytes_of(d->k_type, row * d->dim), d->k_type, d->dim);
            copy_row(token(w, &w->p[V], b, hk, j), w->p[V].s[3],
                     c->v_kept + bytes_of(d->v_type, row * vdim_of(d)), d->v_type, vdim_of(d));
        }
    }
}
// The same by attn_append, in pieces. Entries that are shorter get more than they keep, and are rolled back.
static void append_piece(const origin *c, const view *w, const attn_desc *d, ptrdiff_t from, ptrdiff_t n,
                         int b0, int nb) {
    int32_t lengths[4];
    attn_desc a = *d;
    ptrdiff_t sizes[2], t = 0;
    unsigned char *at[2];
    sizes[0] = d->dim; sizes[1] = vdim_of(d);
    for (int i = 0; i < 2; i++) {
        int slot = small_slots;
        at[i] = (unsigned char *)take_small((size_t)bytes_of(d->q_type, nb * w->nk * n * sizes[i]));
        small_slots = slot + 1;
        for (int b = 0; b < nb; b++) for (int hk = 0; hk < w->nk; hk++) {
            ptrdiff_t row = (w->b[b0 + b] * c->d.kv_heads + w->kv[hk]) * c->d.keys + from;
            t = bytes_of(d->q_type, n * sizes[i]);
            memcpy(at[i] + (b * w->nk + hk) * t, (i ? c->v : c->k) + bytes_of(d->q_type, row * sizes[i]), (size_t)t);
        }
    }
    for (int b = 0; b < nb; b++) lengths[b] = (int32_t)from;
    a.key_lengths = lengths; a.new_keys = n; a.k_new = at[0]; a.v_new = at[1]; a.batch = nb;
    a.queries = 0;
    if (nb != w->nb) { a.k_cache = cell(&w->p[K], b0, 0, 0); a.v_cache = cell(&w->p[V], b0, 0, 0); }
    if (a.block_table) a.block_table += b0 * d->pages_per_row;
    if (a.rope_k_pos) a.rope_k_pos += b0 * d->keys;
    CHECK(attn_append(&a) == ATTN_OK);
    small_slots -= 2;
}
static void append_keys(const origin *c, const view *w, const attn_desc *d) {
    ptrdiff_t longest = 0, shortest = PTRDIFF_MAX, n;
    for (int b = 0; b < w->nb; b++) { longest = larger(longest, w->used[b]); shortest = smaller(shortest, w->used[b]); }
    if (w->kind == RING && longest != shortest) {                 // what is overwritten in a ring does not come back
        for (int b = 0; b < w->nb; b++) for (ptrdiff_t j = 0; j < w->used[b]; j += n) {
            n = smaller(w->used[b] - j, 1 + test_below((int)(longest / 6) + 2));
            append_piece(c, w, d, j, n, b, 1);
        }
        return;
    }
    for (ptrdiff_t j = 0; j < longest; j += n) {
        n = smaller(longest - j, 1 + test_below((int)(longest / 6) + 2));
        append_piece(c, w, d, j, n, 0, w->nb);
    }
}
static void spoil_keys(const origin *c, const view *w, const attn_desc *d) {
    static const unsigned char fills[] = { 0xFF, 0x7F, 0x00, 0xFB };
    (void)c;
    for (int b = 0; b < w->nb; b++) for (int hk = 0; hk < w->nk; hk++)
        for (ptrdiff_t j = larger(w->cut, w->kind == RING ? w->used[b] - w->ring : 0); j < w->used[b]; j++)
            for (int keys = 0; keys < 2; keys++) {
                const place *p = &w->p[keys ? K : V];
                unsigned char *at = token(w, p, b, hk, j);
                ptrdiff_t n = keys ? d->dim : vdim_of(d);
                int poison = test_below(5);
                for (ptrdiff_t i = 0; i < n; i += elements_of(p->type)) {
                    unsigned char *x = at + bytes_of(p->type, i * p->s[3]);
                    memset(x, fills[poison % 4], (size_t)bytes_of(p->type, elements_of(p->type)));
                    if (poison == 4 && elements_of(p->type) == 1) put(x, p->type, 0, i % 2 ? -HUGE_VAL : HUGE_VAL);
                }
            }
}
// The rows of a grid for a view, along an axis or repeated by a stride of 0.
static void *lay_grid(const origin *c, const view *w, const attn_desc *d, const grid *g, ptrdiff_t size, int all,
                      ptrdiff_t s[4]) {
    ptrdiff_t n[3], row = d->keys + (all ? 0 : test_below(4)), count;
    unsigned char *p;
    int vary[3];
    n[0] = w->nb; n[1] = w->nk * w->group; n[2] = w->n;
    count = larger(1, row) * n[0] * n[1] * n[2] * size;
    for (int i = 0; i < 3; i++) vary[i] = g->vary[i] || all || (test_below(2) && count < 2000000);
    for (int i = 0; i < 3; i++) if (!vary[i]) n[i] = 1;
    set4(s, vary[0] ? n[1] * n[2] * row : 0, vary[1] ? n[2] * row : 0, vary[2] ? row : 0, 1);
    p = (unsigned char *)take_small((size_t)(n[0] * n[1] * n[2] * row * size));
    for (ptrdiff_t b = 0; b < n[0]; b++) for (ptrdiff_t h = 0; h < n[1]; h++) for (ptrdiff_t i = 0; i < n[2]; i++)
        memcpy(p + (b * s[0] + h * s[1] + i * s[2]) * size,
               g->at + grid_at(c, g, w->b[b], w->h[h], smaller(w->i0 + i, c->d.queries - 1)) * size,
               (size_t)(smaller(c->d.keys, d->keys) * size));
    return p;
}
// [B,n] of the case -> the view's own
static const int32_t *lay_ints(const origin *c, const view *w, const int32_t *x, int by_key, ptrdiff_t n,
                               ptrdiff_t most) {
    int32_t *p;
    ptrdiff_t have = by_key ? c->d.keys : c->d.queries, from = by_key ? 0 : w->i0;
    if (!x) return NULL;
    p = (int32_t *)take_small((size_t)(w->nb * n) * 4);
    for (ptrdiff_t i = 0; i < w->nb * n; i++)
        p[i] = from + i % n < have ? (int32_t)smaller(most, x[w->b[i / n] * have + from + i % n]) : 0;
    return p;
}
static const float *lay_heads(const view *w, const float *x, ptrdiff_t rows, ptrdiff_t heads) {
    float *p;
    ptrdiff_t n = w->nk * w->group;
    if (!x) return NULL;
    p = (float *)take_small((size_t)(rows * n) * 4);
    for (ptrdiff_t i = 0; i < rows * n; i++) p[i] = x[i / n * heads + w->h[i % n]];
    return p;
}
static const uint8_t *lay_blocks(const origin *c, const view *w, const attn_desc *d) {
    const attn_desc *f = &c->d;
    ptrdiff_t rows = (d->queries + d->block_q - 1) / d->block_q, cols = (d->keys + d->block_k - 1) / d->block_k;
    ptrdiff_t rows_f = (f->queries + d->block_q - 1) / d->block_q, cols_f = (f->keys + d->block_k - 1) / d->block_k;
    uint8_t *p = (uint8_t *)take_small((size_t)(d->block_heads * rows * cols));
    for (ptrdiff_t h = 0; h < d->block_heads; h++) for (ptrdiff_t r = 0; r < rows; r++) {
        ptrdiff_t plane = f->block_heads > 1 ? w->h[h] : 0, row = smaller(w->i0 / d->block_q + r, rows_f - 1);
        const uint8_t *from = f->block_mask + (plane * rows_f + row) * cols_f;
        memcpy(p + (h * rows + r) * cols, from, (size_t)smaller(cols, cols_f));
    }
    return p;
}
// Lengths, offsets and what goes by position.
static void lay_positions(const origin *c, view *w, attn_desc *d) {
    int lower = 1, upper = 1, same = 1, some = 0, fewer = 0;
    int32_t *offset = (int32_t *)take_small(4 * (size_t)w->nb), *keys = (int32_t *)take_small(4 * (size_t)w->nb);
    int32_t *queries = (int32_t *)take_small(4 * (size_t)w->nb);
    for (int b = 0; b < w->nb; b++) {
        offset[b] = c->offset[w->b[b]] + (int32_t)w->i0;
        keys[b] = (int32_t)w->used[b]; queries[b] = (int32_t)w->rows[b];
        lower &= offset[b] == w->used[b] - w->rows[b]; upper &= offset[b] == 0; same &= offset[b] == offset[0];
        some |= w->used[b] != d->keys; fewer |= w->rows[b] != w->n;
    }
    if (w->kind != PLAIN || (some && !w->cu_k) || (!w->cu_k && test_below(3) == 0)) d->key_lengths = keys;
    if (!w->cu_q && (fewer || test_below(4) == 0)) d->query_lengths = queries;
    d->align = ATTN_ALIGN_AT;
    if (upper && test_below(3)) d->align = ATTN_ALIGN_UPPER_LEFT;
    if (lower && test_below(3)) d->align = ATTN_ALIGN_LOWER_RIGHT;
    if (d->causal)
        d->causal = d->align == ATTN_ALIGN_LOWER_RIGHT ? ATTN_CAUSAL_LOWER_RIGHT :
                    d->align == ATTN_ALIGN_UPPER_LEFT ? ATTN_CAUSAL_UPPER_LEFT : ATTN_CAUSAL_AT;
    if (d->align != ATTN_ALIGN_AT) return;
    if (same && test_below(2)) d->query_offset = offset[0]; else d->query_offsets = offset;
}
static void lay_options(const origin *c, view *w, attn_desc *d) {
    const attn_desc *f = &c->d;
    ptrdiff_t H = f->heads, any[4], rel = (2 * (ptrdiff_t)f->rel_height - 1) * (2 * (ptrdiff_t)f->rel_width - 1);
    lay_positions(c, w, d);
    d->row_lengths = lay_ints(c, w, f->row_lengths, 0, w->n, d->keys);
    d->doc_q = lay_ints(c, w, f->doc_q, 0, w->n, INT32_MAX); d->doc_k = lay_ints(c, w, f->doc_k, 1, d->keys, INT32_MAX);
    d->rope_q_pos = lay_ints(c, w, f->rope_q_pos, 0, w->n, INT32_MAX);
    d->rope_k_pos = lay_ints(c, w, f->rope_k_pos, 1, d->keys, INT32_MAX);
    if (f->prefix) {
        int32_t *p = (int32_t *)take_small(4 * (size_t)w->nb);
        for (int b = 0; b < w->nb; b++) p[b] = f->prefix[w->b[b]];
        d->prefix = p;
    }
    d->logit_scale = lay_heads(w, f->logit_scale, 1, H); d->sink = lay_heads(w, f->sink, 1, H);
    d->alibi_slopes = lay_heads(w, f->alibi_slopes, 1, H); d->kernel_width = lay_heads(w, f->kernel_width, 1, H);
    d->rel_table = lay_heads(w, f->rel_table, f->rel_kind == ATTN_REL_WINDOW_2D ? rel : f->rel_count, H);
    if (f->block_mask) {
        d->block_heads = f->block_heads > 1 || test_below(2) ? (int32_t)d->heads : 1;
        d->block_mask = lay_blocks(c, w, d);
    }
    if (c->keep.at) d->keep = (const uint8_t *)lay_grid(c, w, d, &c->keep, 1, 0, d->keep_stride);
    if (c->drop.at) d->drop = (const uint8_t *)lay_grid(c, w, d, &c->drop, 1, 0, d->drop_stride);
    if (c->bias.at) d->bias = lay_grid(c, w, d, &c->bias, bytes_of(d->bias_type, 1), 0, d->bias_stride);
    if (c->kept.at) d->keep_weights = (const uint8_t *)lay_grid(c, w, d, &c->kept, 1, 1, any);
}
// The desc of a view.
static attn_desc desc_of(const origin *c, view *w) {
    attn_desc d = c->d;
    ptrdiff_t longest = 0, E = vdim_of(&d), slots_k;
    int mixed, size = (int)bytes_of(own_type(&d), 1);
    small_slots = 0;
    d.weights = NULL;
    w->cu_q = w->cu_k = w->table = NULL;
    for (int b = 0; b < w->nb; b++) longest = larger(longest, w->used[b]);
    d.batch = w->nb; d.heads = w->nk * w->group; d.kv_heads = w->nk; d.queries = w->n;
    d.keys = longest + w->extra + (w->kind != PLAIN && longest + w->extra == 0);
    slots_k = d.keys;
    if (w->packed) d.cu_q = w->cu_q = lay_cu(w, w->rows);
    if (w->packed && w->kind == PLAIN) d.cu_k = w->cu_k = lay_cu(w, w->used);
    if (w->kind == RING) slots_k = d.ring = (int32_t)w->ring;
    if (w->kind == PAGED) lay_table(c, w, &d);
    mixed = w->kind == PLAIN && !w->packed && d.queries == d.keys && d.dim == E;
    mixed &= d.q_type == d.k_type && d.q_type == d.v_type;
    if (mixed && w->layout[V] % 2) lay_qkv(w, &d);
    else {
        if (w->packed) lay_packed(w, Q, d.q_type, w->cu_q[w->nb], d.heads, d.dim, d.q_stride);
        else lay(w, Q, d.q_type, d.batch, d.heads, d.queries, d.dim, d.q_stride);
        for (int i = K; i <= V; i++) {
            ptrdiff_t cols = i == K ? d.dim : E, *s = i == K ? d.k_stride : d.v_stride;
            int type = i == K ? d.k_type : d.v_type;
            if (w->cu_k) lay_packed(w, i, type, w->cu_k[w->nb], d.kv_heads, cols, s);
            else if (w->kind == PAGED) lay(w, i, type, d.page_count, d.kv_heads, d.page, cols, s);
            else lay(w, i, type, d.batch, d.kv_heads, slots_k, cols, s);
        }
    }
    if (w->packed) lay_packed(w, O, d.o_type, w->cu_q[w->nb], d.heads, E, d.o_stride);
    else lay(w, O, d.o_type, d.batch, d.heads, d.queries, E, d.o_stride);
    d.q = w->p[Q].at; d.o = w->p[O].at;
    if (w->kind == PLAIN) { d.k = w->p[K].at; d.v = w->p[V].at; }
    else { d.k_cache = w->p[K].at; d.v_cache = w->p[V].at; }
    for (int b = 0; b < w->nb; b++) for (ptrdiff_t h = 0; h < d.heads; h++) for (ptrdiff_t i = 0; i < w->rows[b]; i++) {
        ptrdiff_t row = (w->b[b] * c->d.heads + w->h[h]) * c->d.queries + w->i0 + i;
        copy_row(row_of(w, &w->p[Q], b, h, i), w->p[Q].s[3], c->q + bytes_of(d.q_type, row * d.dim), d.q_type, d.dim);
    }
    lay_options(c, w, &d);
    if (w->kind != PLAIN && w->appended) append_keys(c, w, &d); else fill_keys(c, w, &d);
    if (w->cut >= 0) spoil_keys(c, w, &d);
    d.lse = take(LSE, (size_t)(w->lse ? d.heads * (w->cu_q ? w->cu_q[w->nb] : d.batch * d.queries) * size : 0));
    d.weights = take(W, (size_t)(w->weights ? d.batch * d.heads * d.queries * d.keys * size : 0));
    if (!w->lse) d.lse = NULL;
    if (!w->weights) d.weights = NULL;
    return d;
}

// ---- running and comparing

static void run_backwards(void *user, void (*task)(void *arg, ptrdiff_t i, int worker), void *arg, ptrdiff_t n) {
    for (ptrdiff_t i = n - 1; i >= 0; i--) task(arg, i, (int)(i % *(const int *)user));
}
static int run(view *w, attn_desc *d) {
    static const attn_parallel *pools[17];
    attn_parallel backwards = { run_backwards, NULL, 0 };
    int ok;
    backwards.user = &w->workers; backwards.workers = w->workers;
    if (w->threads == BACKWARDS) d->parallel = &backwards;
#ifndef ATTN_NO_THREADS
    if (w->threads == POOL) {
        if (!pools[w->workers]) pools[w->workers] = attn_pool_open(w->workers);
        d->parallel = pools[w->workers];
    }
#else
    (void)pools;
#endif
    if (w->layout[Q] == BNHD) {
        d->workspace_bytes = attn_workspace(d);
        d->workspace = take(SPACE, d->workspace_bytes);
    }
    ok = attn_fwd(d) == ATTN_OK;
    if (!ok) { char why[200]; printf("    %s\n", attn_explain(attn_fwd(d), d, why, sizeof(why))); }
    d->parallel = NULL;
    CHECK(guards_intact());
    return ok;
}
static int all_zero(const unsigned char *p, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) if (p[i]) return 0;
    return 1;
}
// What differs: 1 o, 2 lse, 4 weights.
static int row_differs(const origin *c, const view *w, const attn_desc *d, int b, int h, ptrdiff_t i) {
    const attn_desc *f = &c->d;
    ptrdiff_t row = (w->b[b] * f->heads + w->h[h]) * f->queries + w->i0 + i, at = (b * d->heads + h) * d->queries + i;
    ptrdiff_t size = bytes_of(d->o_type, 1), own = bytes_of(own_type(d), 1), lo, hi, keys, E = vdim_of(d);
    const unsigned char *o = row_of(w, &w->p[O], b, h, i), *x;
    int wrong = 0;
    limits(c, w->b[b], w->i0 + i, &lo, &hi);
    if (w->cut >= 0 && hi > w->cut) return 0;
    for (ptrdiff_t e = 0; e < E; e++)
        if (memcmp(o + e * w->p[O].s[3] * size, c->o + (row * E + e) * size, (size_t)size)) wrong = 1;
    if (w->cu_q) at = h * (ptrdiff_t)w->cu_q[w->nb] + w->cu_q[b] + i;
    if (d->lse && memcmp((const unsigned char *)d->lse + at * own, c->lse + row * own, (size_t)own)) wrong |= 2;
    if (!d->weights) return wrong;
    x = (const unsigned char *)d->weights + ((b * d->heads + h) * d->queries + i) * d->keys * own;
    keys = f->masked_score != 0 ? f->keys : w->used[b];
    if (w->cut >= 0) keys = smaller(keys, w->cut);
    if (memcmp(x, c->weights + row * f->keys * own, (size_t)(keys * own))) wrong |= 4;
    if (!d->weights_stage && !all_zero(x + keys * own, (d->keys - keys) * own)) wrong |= 4;
    return wrong;
}
static void describe(const origin *c, const view *w, const attn_desc *d, unsigned long long seed) {
    static const char *const kinds[] = { "plain", "linear", "paged", "ring" };
    const attn_desc *f = &c->d;
    printf("    --seed %llu: %s; whole: %s %s %s %s B %ld H %ld Hk %ld N %ld M %ld D %ld E %ld\n", seed,
           f->isa ? attn_isa_name(f->isa) : "best", attn_type_str(f->q_type), attn_type_str(f->k_type),
           attn_type_str(f->v_type), attn_type_str(f->o_type), (long)f->batch, (long)f->heads, (long)f->kv_heads,
           (long)f->queries, (long)f->keys, (long)f->dim, (long)f->vdim);
    printf("    causal %d window %d %d %d rel %d score %d norm %d stage %d softcap %g masked %g dropout %g rope %d "
           "qk_norm %d arith %d,", (int)f->causal, (int)f->window, (int)f->window_left, (int)f->window_right,
           (int)f->rel_kind, (int)f->score, (int)f->norm, (int)f->weights_stage, (double)f->softcap,
           (double)f->masked_score,
           (double)f->dropout, (int)f->rope_kind, (int)f->qk_norm, (int)f->arith);
    printf("%s%s%s%s%s%s%s%s%s%s%s\n", c->keep.at ? " keep" : "", c->drop.at ? " drop" : "", c->bias.at ? " bias" : "",
           f->alibi_slopes ? " alibi" : "", f->sink ? " sink" : "", f->off_by_one ? " off by one" : "",
           f->custom ? " custom" : "", f->prefix ? " prefix" : "", f->tree_parent ? " tree" : "",
           f->row_lengths ? " row lengths" : "", f->block_mask ? " blocks" : "");
    printf("    view: B %d Hk %d G %d rows %ld+%ld %s%s%s keys %ld page %ld ring %ld cut %ld", w->nb, w->nk, w->group,
           (long)w->i0, (long)w->n, kinds[w->kind], w->appended ? " appended" : "", w->packed ? " packed" : "",
           (long)d->keys, (long)w->page, (long)w->ring, (long)w->cut);
    printf(" threads %d x %d layouts %d %d %d %d lse %d weights %d\n", w->threads, w->workers, w->layout[0],
           w->layout[1], w->layout[2], w->layout[3], w->lse, w->weights);
}
// Runs a view and compares every row of it.
static int holds(const origin *c, view *w, unsigned long long seed) {
    attn_desc d = desc_of(c, w);
    int wrong = 0, before = test_failed_checks;
    if (!run(w, &d)) { CHECK(0 && "attn_fwd takes the view"); describe(c, w, &d, seed); return 0; }
    for (int b = 0; b < w->nb; b++) for (int h = 0; h < d.heads; h++) for (ptrdiff_t i = 0; i < w->rows[b]; i++) {
        int differs = row_differs(c, w, &d, b, h, i);
        if (differs && !wrong)
            printf("    row %d %d %ld:%s%s%s\n", b, h, (long)i, differs & 1 ? " o" : "", differs & 2 ? " lse" : "",
                   differs & 4 ? " weights" : "");
        wrong |= differs;
    }
    CHECK(!wrong);
    if (test_failed_checks != before) describe(c, w, &d, seed);
    return !wrong;
}
// All of a case as one call: arrays contiguous, a linear cache where there must be one.
static view whole_of(const origin *c) {
    view w;
    memset(&w, 0, sizeof(w));
    w.nb = (int)c->d.batch; w.nk = (int)c->d.kv_heads; w.group = (int)(c->d.heads / c->d.kv_heads);
    for (int b = 0; b < w.nb; b++) { w.b[b] = b; w.rows[b] = c->d.queries; w.used[b] = c->length[b]; }
    for (int hk = 0; hk < w.nk; hk++) w.kv[hk] = hk;
    for (int h = 0; h < w.nk * w.group; h++) w.h[h] = h;
    w.n = c->d.queries; w.kind = c->plain ? PLAIN : LINEAR; w.cut = -1;
    w.lse = c->d.norm == ATTN_NORM_SOFTMAX || c->d.norm == ATTN_NORM_TOP_K;
    w.weights = c->d.weights != NULL;
    return w;
}
// d.keys of the case in every view of the whole: what stands beyond lengths is not there.
static void compute(origin *c) {
    view w = whole_of(c);
    ptrdiff_t longest = 0, rows = c->d.batch * c->d.heads * c->d.queries, own = bytes_of(own_type(&c->d), 1);
    attn_desc d;
    for (int b = 0; b < w.nb; b++) longest = larger(longest, w.used[b]);
    w.extra = (int)(c->d.keys - longest);
    d = desc_of(c, &w);
    CHECK(run(&w, &d));
    CHECK(d.keys == c->d.keys);
    c->o = (unsigned char *)keep_bytes((size_t)bytes_of(d.o_type, rows * d.vdim));
    c->lse = (unsigned char *)keep_bytes((size_t)(rows * own));
    memcpy(c->o, d.o, slot_bytes[O]);
    memcpy(c->lse, slots[LSE].end - slot_bytes[LSE], slot_bytes[LSE]);
    if (!w.weights) return;
    c->weights = (unsigned char *)keep_bytes(slot_bytes[W]);
    memcpy(c->weights, d.weights, slot_bytes[W]);
}

// ---- drawing cases

static int pass_count, pass_type[ATTN_ISA_COUNT + 1], pass_isa[ATTN_ISA_COUNT + 1];
static void list_passes(void) {
    for (int i = 1; i < attn_isa_count() && i < ATTN_ISA_COUNT; i++)
        if (attn_isa_has(i)) { pass_type[pass_count] = ATTN_F32; pass_isa[pass_count++] = i; }
#if !defined(ATTN_NO_F64) && !defined(ATTN_NO_DISPATCH)
    pass_type[pass_count] = ATTN_F64; pass_isa[pass_count++] = 0;
#endif
}
#define EACH_PASS(p) for (int p = 0; p < pass_count; p++)
#define ONE_OF(list) (list)[test_below(COUNT(list))]

static ptrdiff_t draw_columns(void) {
    static const int edges[] = { 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 96, 127, 128, 129, 257 };
    return test_below(3) ? ONE_OF(edges) : 1 + test_below(100);
}
static ptrdiff_t draw_keys(void) {
    static const int edges[] = { 1, 2, 15, 16, 17, 31, 32, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513,
                                 1023, 1024, 1025, 1151, 1152, 1153, 2047, 2048, 2049, 3000 };
    int kind = test_below(10);
    return kind < 4 ? ONE_OF(edges) : kind < 7 ? 1 + test_below(300) : 1000 + test_below(2001);
}
static void draw_sizes(attn_desc *d, double work) {
    ptrdiff_t G = 1 + test_below(test_below(2) ? 3 : 8);
    d->batch = 1 + test_below(MOST_B); d->kv_heads = 1 + test_below(2); d->heads = d->kv_heads * G;
    d->queries = test_below(3) ? 1 + test_below(70) : 1 + test_below(6);
    d->keys = draw_keys(); d->dim = draw_columns(); d->vdim = test_below(2) ? d->dim : draw_columns();
    if (elements_of(d->k_type) > 1) d->dim = 32 * (1 + test_below(4));
    if (elements_of(d->v_type) > 1) d->vdim = 32 * (1 + test_below(4));
    for (int tries = 0; tries < 200; tries++) {
        double cells = (double)d->batch * (double)d->heads * (double)d->queries * (double)d->keys;
        double rows = (double)d->batch * (double)d->kv_heads * (double)d->keys, columns = (double)(d->dim + d->vdim);
        if (cells * columns <= work && rows * columns < 1e6) return;
        switch (test_below(5)) {
        case 0: if (d->batch > 1) d->batch--; break;
        case 1: if (d->heads > d->kv_heads) d->heads -= d->kv_heads; break;
        case 2: if (d->queries > 1) d->queries -= (d->queries + 2) / 3; break;
        case 3: if (d->dim > 32) d->dim = elements_of(d->k_type) > 1 ? d->dim - 32 : d->dim * 2 / 3; break;
        default: if (d->vdim > 32) d->vdim = elements_of(d->v_type) > 1 ? d->vdim - 32 : d->vdim * 2 / 3; break;
        }
    }
}
static int multiplies(int isa, int type) {      // does ATTN_ARITH_NATIVE take the type there?
    const char *name = attn_isa_name(isa ? isa : attn_isa());
    if (type == ATTN_F32 || type == ATTN_F16) return 1;
    return !strcmp(name, "avx512v") || !strcmp(name, "neon86") || (!strcmp(name, "neon82") && type != ATTN_BF16);
}
static void draw_types(attn_desc *d) {
    static const int floats[] = { ATTN_F32, ATTN_F32, ATTN_F32, ATTN_F16, ATTN_BF16 };
    static const int stored[] = { ATTN_F32, ATTN_F32, ATTN_F16, ATTN_BF16, ATTN_Q8_0, ATTN_Q4_0, ATTN_Q4_1 };
    if (d->q_type == ATTN_F64 || test_below(2)) return;
    d->q_type = ONE_OF(floats); d->o_type = ONE_OF(floats); d->bias_type = ONE_OF(floats);
    d->k_type = ONE_OF(stored); d->v_type = test_below(2) ? ONE_OF(stored) : d->k_type;
    if (test_below(2) && multiplies(d->isa, d->k_type) && multiplies(d->isa, d->v_type)) d->arith = ATTN_ARITH_NATIVE;
}
enum { CAUSAL, WINDOW, LENGTHS, ROW_LENGTHS, PREFIX, KEEP, DROP, BIAS, BLOCKS, DOCS, TREE, ALIBI, REL, SCORE, CUSTOM,
       SOFTCAP, SINK, NORM, ROPE, QK_NORM, LOGIT, KEPT, DROPOUT, MASKED, STAGE, WEIGHTS, SCALE, AXES };
static unsigned draw_axes(void) {
    unsigned on = 0;
    for (int n = test_below(6); n > 0; n--) on |= 1u << test_below(AXES);
    if (test_below(2)) on |= 1u << CAUSAL;
    if (test_below(5) == 0) on |= 1u << WINDOW;
    return on;
}
#define ON(axis) (on >> (axis) & 1u)
static void draw_scores(origin *c, unsigned on) {
    static const float scales[] = { 0.05f, 0.4f, 1.3f, ATTN_SCALE_NONE };
    attn_desc *d = &c->d;
    ptrdiff_t H = d->heads;
    int compact;
    if (ON(SCALE)) d->scale = ONE_OF(scales);
    if (ON(SCORE)) d->score = 1 + test_below(ATTN_SCORE_CUSTOM - 1);
    compact = d->score >= ATTN_SCORE_GAUSSIAN && d->score <= ATTN_SCORE_TRICUBE;
    if (ON(CUSTOM) && d->q_type != ATTN_F64 && !compact) {
        d->custom = custom_score;
        if (test_below(2)) d->score = ATTN_SCORE_CUSTOM;
    }
    if (d->score == ATTN_SCORE_BILINEAR) d->w_score = keep_floats(d->dim * d->dim, -0.3, 0.3);
    if (d->score == ATTN_SCORE_ADDITIVE) {
        d->score_width = 1 + test_below(24);
        d->w_q = keep_floats(d->score_width * d->dim, -0.4, 0.4);
        d->w_k = keep_floats(d->score_width * d->dim, -0.4, 0.4);
        d->w_v = keep_floats(d->score_width, -1, 1);
    }
    if (compact) d->kernel_width = keep_floats(H, 1.5 * root((double)d->dim), 4 * root((double)d->dim));
    if (ON(SOFTCAP)) d->softcap = (float)random_in(0.5, 30);
    if (ON(LOGIT)) d->logit_scale = keep_floats(H, 0.3, 2);
    if (ON(ALIBI)) d->alibi_slopes = keep_floats(H, -0.02, 0.2);
    if (ON(SINK)) { if (test_below(2)) d->sink = keep_floats(H, -4, 8); else d->off_by_one = 1; }
    if (ON(QK_NORM)) {
        d->qk_norm = 1 + test_below(ATTN_QK_NORM_COUNT - 1);
        if (test_below(2)) { d->q_norm = keep_floats(d->dim, 0.3, 2); d->k_norm = keep_floats(d->dim, 0.3, 2); }
    }
    if (ON(NORM)) {
        d->norm = 1 + test_below(ATTN_NORM_COUNT - 1);
        if (d->norm == ATTN_NORM_TOP_K) d->top_k = 1 + test_below(test_below(2) ? 5 : (int)d->keys + 2);
        if (d->norm == ATTN_NORM_SIGMOID) d->sigmoid_bias = -3;
        if (d->norm != ATTN_NORM_TOP_K) { d->sink = NULL; d->off_by_one = 0; }
    }
    if (ON(REL)) {
        ptrdiff_t rows;
        d->rel_kind = 1 + test_below(ATTN_REL_COUNT - 1);
        if (d->rel_kind == ATTN_REL_OFFSET) d->rel_count = 1 + 2 * test_below(60);
        if (d->rel_kind == ATTN_REL_T5) {
            d->rel_both_ways = test_below(2); d->rel_count = 4 << test_below(4); d->rel_max_distance = 300;
        }
        if (d->rel_kind == ATTN_REL_WINDOW_2D) {
            d->rel_width = 1 + test_below(64);
            d->rel_height = (int32_t)(larger(d->keys, d->queries) + 64) / d->rel_width + 1;
            c->fixed_rows = 1;
        }
        rows = (2 * (ptrdiff_t)d->rel_height - 1) * (2 * (ptrdiff_t)d->rel_width - 1);
        if (d->rel_kind != ATTN_REL_WINDOW_2D) rows = d->rel_count;
        d->rel_table = keep_floats(rows * H, -2, 2);
    }
}
static void draw_masks(origin *c, unsigned on) {
    static const double ones[] = { 0.95, 0.5, 0.04 };
    static const int sides[] = { 1, 3, 16, 64, 128, 200 };
    attn_desc *d = &c->d;
    ptrdiff_t B = d->batch, N = d->queries, M = d->keys, n;
    for (ptrdiff_t b = 0; b < B; b++) {
        ptrdiff_t low = ON(TREE) ? smaller(N, M) : test_below(6) == 0 ? 0 : M / 2;
        c->length[b] = (int32_t)(ON(LENGTHS) ? low + test_below((int)(M - low) + 1) : M);
        c->offset[b] = (int32_t)(test_below(3) ? c->length[b] - N : test_below(2) ? 0 : test_below((int)M + 1) - N / 2);
        if (ON(ROPE)) c->offset[b] = (int32_t)larger(0, c->offset[b]);
    }
    if (ON(CAUSAL)) d->causal = ATTN_CAUSAL_AT;
    if (ON(WINDOW)) {
        const int widths[] = { -1, 0, 1, 5, 64, 200, (int)M / 3 };
        d->window = 1; d->window_left = ONE_OF(widths); d->window_right = ONE_OF(widths);
    }
    if (ON(ROW_LENGTHS)) d->row_lengths = keep_ints(B * N, 0, M);
    if (ON(PREFIX) && ON(CAUSAL)) d->prefix = keep_ints(B, 0, M);
    if (ON(KEEP)) keep_bits(c, &c->keep, ONE_OF(ones), 0);
    if (ON(DROP)) keep_bits(c, &c->drop, 1 - ONE_OF(ones), 0);
    if (ON(KEPT) && (double)(B * d->heads * N) * (double)M < 1e6) {
        keep_bits(c, &c->kept, 0.6, 1);
        if (test_below(2)) d->dropout = 0.3f;
    }
    if (ON(DROPOUT) && !c->kept.at) { d->dropout = 0.3f; d->seed = test_next(); c->fixed_rows = c->fixed_heads = 1; }
    if (ON(BIAS)) {
        n = keep_grid(c, &c->bias, bytes_of(d->bias_type, 1), 0);
        for (ptrdiff_t i = 0; i < n; i++)
            put(c->bias.at, d->bias_type, i, test_below(9) ? random_in(-3, 3) : -HUGE_VAL);
    }
    if (ON(BLOCKS)) {
        uint8_t *p;
        d->block_q = ONE_OF(sides); d->block_k = ONE_OF(sides); d->block_heads = test_below(2) ? 1 : (int32_t)d->heads;
        n = d->block_heads * ((N + d->block_q - 1) / d->block_q) * ((M + d->block_k - 1) / d->block_k);
        d->block_mask = p = (uint8_t *)keep_bytes((size_t)n);
        for (ptrdiff_t i = 0; i < n; i++) p[i] = (uint8_t)(test_below(3) != 0);
    }
    if (ON(DOCS)) { int ids = test_below(4); d->doc_q = keep_ints(B * N, 0, ids); d->doc_k = keep_ints(B * M, 0, ids); }
    if (ON(TREE) && N <= M) {
        int32_t *p = (int32_t *)keep_bytes((size_t)N * 4);
        for (ptrdiff_t i = 0; i < N; i++) p[i] = test_below(8) ? test_below((int)i + 1) - 1 : (int32_t)i - 1;
        d->tree_parent = p; c->fixed_rows = 1;
    }
}
static void draw_case(origin *c, int pass, double work) {
    static const double gains[] = { 0.4, 1, 2 };
    unsigned on = draw_axes();
    attn_desc *d = &c->d;
    double gain = ONE_OF(gains), ramp = test_below(2) ? random_in(0, 8) : 0;
    ptrdiff_t high = 0;
    memset(c, 0, sizeof(*c));
    store_used = 0;
    d->q_type = d->k_type = d->v_type = d->o_type = d->bias_type = pass_type[pass];
    d->isa = pass_isa[pass];
    draw_types(d);
    draw_sizes(d, work);
    if (d->dim < 2) on &= ~(1u << ROPE);
    draw_scores(c, on);
    draw_masks(c, on);
    for (ptrdiff_t b = 0; b < d->batch; b++) high = larger(high, c->offset[b]);
    if (ON(ROPE)) {
        d->rope_kind = 1 + test_below(ATTN_ROPE_COUNT - 1);
        d->rope_dim = d->dim % 2 || test_below(2) ? (int32_t)(2 * (1 + test_below((int)d->dim / 2))) : 0;
        d->rope_positions = larger(high, d->keys) + d->queries + 64;
        d->rope_cos = keep_floats(d->rope_positions * (d->rope_dim ? d->rope_dim : d->dim) / 2, -1, 1);
        d->rope_sin = keep_floats(d->rope_positions * (d->rope_dim ? d->rope_dim : d->dim) / 2, -1, 1);
        if (test_below(3) == 0) d->rope_q_pos = keep_ints(d->batch * d->queries, 0, d->rope_positions - 1);
        if (test_below(3) == 0) d->rope_k_pos = keep_ints(d->batch * d->keys, 0, d->rope_positions - 1);
    }
    c->q = keep_values(d->q_type, d->batch * d->heads * d->queries, d->dim, 1, gain, 0);
    c->k = keep_values(d->q_type, d->batch * d->kv_heads * d->keys, d->dim, larger(1, d->keys), gain, ramp);
    c->v = keep_values(d->q_type, d->batch * d->kv_heads * d->keys, d->vdim, 1, 1, 0);
    c->plain = !(d->rope_kind || d->qk_norm) || (d->q_type == own_type(d) && d->k_type == d->q_type);
    if (ON(MASKED) && !ON(LENGTHS) && c->plain && !d->tree_parent) d->masked_score = test_below(2) ? -1e6f : 0.75f;
    if (d->score >= ATTN_SCORE_BOXCAR && d->score <= ATTN_SCORE_TRICUBE) d->masked_score = 0;
    if (ON(STAGE)) d->weights_stage = 1 + test_below(ATTN_WEIGHTS_COUNT - 1);
    if (d->weights_stage && d->masked_score != 0) d->weights_stage = ATTN_WEIGHTS_CAPPED;
    if (ON(STAGE) || ON(WEIGHTS)) d->weights = c;                // wanted: a view has its own array
    if ((double)(d->batch * d->heads * d->queries) * (double)d->keys >= 1e6) d->weights = NULL;
    if (!d->weights) d->weights_stage = 0;
    append_all(c);
    compute(c);
}

// ---- drawing views

// Keys in use of entry b that the rows of the view need; with `lo`, the first of them.
static ptrdiff_t need_of(const origin *c, const view *w, int b, ptrdiff_t *first) {
    ptrdiff_t most = 0, lo, hi;
    *first = PTRDIFF_MAX;
    for (ptrdiff_t i = 0; i < w->rows[b]; i++) {
        limits(c, w->b[b], w->i0 + i, &lo, &hi);
        most = larger(most, hi);
        if (hi > lo) *first = smaller(*first, lo);
    }
    return most;
}
// Kind of storage, and how large: what is in use may be cut to what the rows see, as in a step of decoding.
static void choose_storage(const origin *c, view *w, int kind, int shorten) {
    static const int pages[] = { 1, 3, 16, 128, 200 };
    const attn_desc *d = &c->d;
    ptrdiff_t first;
    w->kind = c->plain || kind != PLAIN ? kind : LINEAR;
    if (d->masked_score != 0) { w->kind = PLAIN; w->packed = 0; shorten = 0; }
    if (w->kind == RING && d->weights && is_raw(d) && w->weights) w->kind = PAGED;
    w->page = test_below(4) ? ONE_OF(pages) : 1 + test_below(300);
    w->appended = test_below(2);
    w->extra = w->kind == PLAIN && (w->packed || test_below(2)) ? 0 : test_below(40);
    w->ring = 1;
    for (int b = 0; b < w->nb; b++) {
        ptrdiff_t need = need_of(c, w, b, &first);
        w->used[b] = shorten && !d->tree_parent ? need : c->length[w->b[b]];
        if (first < w->used[b]) w->ring = larger(w->ring, w->used[b] - first);
    }
    for (int b = 0; d->tree_parent && b < w->nb; b++) w->ring = larger(w->ring, w->used[b]);
    w->ring = larger(w->ring, w->n) + (test_below(3) ? 0 : test_below(30));      // fewer slots than queries are refused
    if (d->masked_score != 0) w->extra = 0;
    while (w->kind == PAGED && (w->extra + d->keys) / w->page * w->nb > 16000) w->page += 3;
}
static void choose_heads(const origin *c, view *w) {
    int G = (int)(c->d.heads / c->d.kv_heads), all = c->fixed_heads || test_below(4) == 0;
    if (all) return;
    w->nb = 1 + test_below(test_below(2) ? 1 : MOST_B); w->nk = 1 + test_below(3);
    w->group = test_below(3) == 0 ? 1 : 1 + test_below(G + 1 < 8 ? G + 1 : 8);
    for (int b = 0; b < w->nb; b++) w->b[b] = test_below((int)c->d.batch);
    for (int hk = 0; hk < w->nk; hk++) {
        w->kv[hk] = test_below((int)c->d.kv_heads);
        for (int g = 0; g < w->group; g++) w->h[hk * w->group + g] = w->kv[hk] * G + test_below(G);
    }
}
static void choose_rows(const origin *c, view *w, ptrdiff_t n) {
    ptrdiff_t N = c->d.queries;
    w->n = c->d.tree_parent ? N : smaller(N, n);
    w->i0 = c->fixed_rows ? 0 : test_below((int)(N - w->n) + 1);
    if (c->d.block_mask) { ptrdiff_t back = w->i0 % c->d.block_q; w->i0 -= back; w->n += back; }
    for (int b = 0; b < w->nb; b++) {
        w->rows[b] = w->n;
        if (!c->d.tree_parent && test_below(4) == 0) w->rows[b] = 1 + test_below((int)w->n);
    }
}
static void choose_rest(view *w) {
    w->packed = test_below(4) == 0;
    w->threads = test_below(3); w->workers = 1 + test_below(16);
    if (w->threads == POOL && test_below(4)) w->threads = ALONE;
    for (int i = 0; i < 4; i++) { w->layout[i] = test_below(LAYOUTS); w->contiguous[i] = test_below(2); }
    w->lse = w->lse && test_below(2);
    w->weights = w->weights && test_below(2);
}
static view draw_view(const origin *c) {
    static const int chunks[] = { 1, 1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 1000 };
    view w = whole_of(c);
    choose_heads(c, &w);
    choose_rows(c, &w, ONE_OF(chunks));
    choose_rest(&w);
    choose_storage(c, &w, test_below(4), test_below(2));
    return w;
}

// ---- the properties

TEST(rows, any_view_of_any_case_has_the_same_bits) {
    for (int round = 0; round < ROUNDS; round++) {
        unsigned long long seed = test_seed;
        draw_case(&one, test_below(pass_count), test_below(8) ? 6e5 : 4e6);
        for (int n = 0; n < 6; n++) { view w = draw_view(&one); holds(&one, &w, seed); }
        if (test_failed_checks > 10) return;
    }
}
// What a row cannot see yet is garbage, NaN and infinities, and its neighbours in the tile see it.
TEST(rows, keys_after_a_causal_row_do_not_reach_it) {
    for (int round = 0; round < ROUNDS / 3; round++) {
        unsigned long long seed = test_seed;
        draw_case(&one, test_below(pass_count), 1e6);
        for (int n = 0; n < 4; n++) {
            view w = draw_view(&one);
            ptrdiff_t lo, hi;
            if (one.d.masked_score != 0 || !(one.d.causal || one.d.row_lengths || one.d.window)) break;
            limits(&one, w.b[0], w.i0 + test_below((int)w.rows[0]), &lo, &hi);
            w.cut = hi;
            holds(&one, &w, seed);
        }
        if (test_failed_checks > 10) return;
    }
}
// A case of a stream: N = M, causal, keys that grow. Types of q8_0 and below ask for columns in 32s.
static void stream_case(int pass, int type, ptrdiff_t M, ptrdiff_t group, ptrdiff_t dim, ptrdiff_t vdim, int window,
                        int arith, int score) {
    attn_desc *d = &one.d;
    memset(&one, 0, sizeof(one));
    store_used = 0;
    d->q_type = d->k_type = d->v_type = d->o_type = d->bias_type = pass_type[pass];
    d->isa = pass_isa[pass]; d->arith = arith; d->score = score;
    if (pass_type[pass] != ATTN_F64) d->k_type = d->v_type = type;
    d->batch = 1; d->kv_heads = 1; d->heads = group; d->queries = 48; d->keys = M; d->dim = dim; d->vdim = vdim;
    one.length[0] = (int32_t)M; one.offset[0] = (int32_t)M - 48;
    d->causal = ATTN_CAUSAL_AT;
    if (window) { d->window = 1; d->window_left = window; d->window_right = -1; }
    d->rope_kind = ATTN_ROPE_HALF; d->rope_positions = M + 64;
    if (type == ATTN_F16) { d->rope_kind = ATTN_ROPE_INTERLEAVED; d->qk_norm = ATTN_QK_NORM_RMS; }
    d->rope_cos = keep_floats(d->rope_positions * dim / 2, -1, 1);
    d->rope_sin = keep_floats(d->rope_positions * dim / 2, -1, 1);
    one.q = keep_values(d->q_type, group * 48, dim, 1, 1.5, 0);
    one.k = keep_values(d->q_type, M, dim, M, 1, 7);
    one.v = keep_values(d->q_type, M, vdim, 1, 1, 0);
    one.plain = d->k_type == own_type(d);
    append_all(&one);
    compute(&one);
}
// The last 48 tokens one by one and in chunks: the lengths of a cache at that step, pages and rings of every size.
TEST(rows, prefill_chunks_and_steps_of_decoding_give_the_same_bits) {
    static const int types[] = { ATTN_F32, ATTN_F16, ATTN_BF16, ATTN_Q8_0, ATTN_Q4_0, ATTN_Q4_1 };
    static const int chunks[] = { 1, 3, 7, 15, 16, 47 }, pages[] = { 1, 3, 16, 128, 200 }, groups[] = { 1, 2, 4, 7, 8 };
    static const int lengths[] = { 1040, 150, 2071, 530 };
    int turn = 0;
    EACH_PASS(p) for (int t = 0; t < 6 * COUNT(types); t++, turn++) {
        unsigned long long seed = test_seed;
        const int type = types[t / 6], arith = t % 6 / 2 == 1 ? ATTN_ARITH_NATIVE : ATTN_ARITH_F32;
        const int wide = t % 6 == 4, score = t % 6 == 5 ? ATTN_SCORE_COSINE : ATTN_SCORE_DOT;
        if (pass_type[p] == ATTN_F64 && t > 6) break;
        if (arith && (type == ATTN_F32 || type == ATTN_F16 || !multiplies(pass_isa[p], type))) continue;
        stream_case(p, type, wide ? 150 : lengths[turn % COUNT(lengths)], groups[turn % COUNT(groups)],
                    wide ? 1056 : 64, turn % 3 ? 64 : 96, turn % 3 == 1 ? 100 : 0, arith, score);
        for (int x = 0; x < COUNT(chunks); x++) for (ptrdiff_t i = 0; i < 48; i += chunks[x]) {
            view w = whole_of(&one);
            w.i0 = i; w.n = w.rows[0] = smaller(chunks[x], 48 - i);
            choose_storage(&one, &w, (int)(i / chunks[x] + x) % 4, 1);
            w.page = pages[turn % COUNT(pages)]; w.appended = i % 5 == 0;
            if (!holds(&one, &w, seed)) return;
        }
    }
}
// A row that sees no key beside one that does, in a ring that went round often: norms that keep all scores of a row
// have room for a ring of them.
TEST(rows, one_without_keys_in_a_ring_stays_inside_the_workspace) {
    static const int norms[] = { ATTN_NORM_TOP_K, ATTN_NORM_SPARSEMAX, ATTN_NORM_ENTMAX15 };
    static float q[2 * 8], kv[16 * 8], o[2 * 8];
    static unsigned char space[1 << 22];
    int32_t tokens = 5000, queries = 1;
    for (int isa = 1; isa < attn_isa_count(); isa++) for (int n = 0; n < 3; n++) {
        attn_desc d = ATTN_ZERO;
        if (!attn_isa_has(isa)) continue;
        d.q = q; d.o = o; d.k_cache = kv; d.v_cache = kv; d.isa = isa;
        d.heads = 1; d.queries = 2; d.keys = 6000; d.dim = 8; d.ring = 16;
        d.key_lengths = &tokens; d.query_lengths = &queries; d.norm = norms[n]; d.top_k = 1;
        memset(space, 0xA5, sizeof(space));
        d.workspace = space; d.workspace_bytes = attn_workspace(&d);
        CHECK(d.workspace_bytes < sizeof(space) / 2 && attn_fwd(&d) == ATTN_OK);
        for (size_t i = d.workspace_bytes; i < sizeof(space); i++)
            if (space[i] != 0xA5) { CHECK(0 && "nothing is written behind the workspace"); break; }
    }
}
TEST(rows, threads_change_no_bit) {
    EACH_PASS(p) for (int kind = 0; kind < 3; kind++) {
        static const int types[] = { ATTN_F32, ATTN_BF16, ATTN_Q8_0 };
        unsigned long long seed = test_seed;
        stream_case(p, types[kind], 140, 4, 32, 32, 0, ATTN_ARITH_F32, ATTN_SCORE_DOT);
        for (int workers = 1; workers <= 16; workers++) for (int threads = BACKWARDS; threads <= POOL; threads++) {
            view w = whole_of(&one);
            w.nb = 3; w.b[1] = w.b[2] = 0;
            for (int b = 0; b < 3; b++) { w.rows[b] = 48; w.used[b] = 140; }
            w.threads = threads; w.workers = workers;
            if (!holds(&one, &w, seed)) return;
        }
    }
}
// Fewer tiles than threads: the spans of a tile are shared, also those of one row.
TEST(rows, threads_that_share_the_spans_of_a_row_change_no_bit) {
    static const int types[] = { ATTN_F32, ATTN_BF16, ATTN_Q8_0, ATTN_F32 }, workers[] = { 2, 5, 16 };
    EACH_PASS(p) for (int kind = 0; kind < 4; kind++) {
        unsigned long long seed = test_seed;
        stream_case(p, types[kind], 3500, 2, 64, 64, kind == 1 ? 2300 : 0, ATTN_ARITH_F32, ATTN_SCORE_DOT);
        if (kind == 3) { one.d.norm = ATTN_NORM_SIGMOID; compute(&one); }
        for (int x = 0; x < 3; x++) for (int rows = 1; rows <= 48; rows += 47) {
            view w = whole_of(&one);
            w.i0 = 48 - rows; w.n = w.rows[0] = rows; w.used[0] = 3500;
            w.threads = x == 1 ? POOL : BACKWARDS; w.workers = workers[x];
            w.layout[Q] = x == 2 ? BNHD : 0;                     // and by a workspace of the size asked for
            if (!holds(&one, &w, seed)) return;
        }
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    list_passes();
    RUN(rows, any_view_of_any_case_has_the_same_bits);
    RUN(rows, keys_after_a_causal_row_do_not_reach_it);
    RUN(rows, prefill_chunks_and_steps_of_decoding_give_the_same_bits);
    RUN(rows, one_without_keys_in_a_ring_stays_inside_the_workspace);
    RUN(rows, threads_change_no_bit);
    RUN(rows, threads_that_share_the_spans_of_a_row_change_no_bit);
    tools_keep();
    return test_end();
}
