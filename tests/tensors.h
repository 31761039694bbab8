// tensors.h - reading tensors element by element and making random views of any shape. Include it after attn.h.
#ifndef TENSORS_H
#define TENSORS_H

// Element of a view at an index of a shape of that rank, as broadcasting pairs them: aligned at the last axis.
static double at(const attn_tensor *t, const ptrdiff_t *index, int rank) {
    ptrdiff_t offset = 0;
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] != 1) offset += index[rank - t->rank + i] * t->stride[i];
    if (t->type == ATTN_F64) return ((const double *)t->data)[offset];
    if (t->type == ATTN_I32) return ((const int32_t *)t->data)[offset];
    return (double)((const float *)t->data)[offset];
}
// for (EACH_INDEX(index, t)): every index of t, row-major; index has ATTN_MAX_RANK places.
#define EACH_INDEX(index, t) int more_ = index_first(index, (t)->rank, (t)->shape); more_; \
                             more_ = index_next(index, (t)->rank, (t)->shape)
static int index_first(ptrdiff_t *index, int rank, const ptrdiff_t *shape) {
    for (int i = 0; i < rank; i++) { index[i] = 0; if (shape[i] == 0) return 0; }
    return 1;
}
static int index_next(ptrdiff_t *index, int rank, const ptrdiff_t *shape) {
    for (int i = rank; i-- > 0; ) {
        if (++index[i] < shape[i]) return 1;
        index[i] = 0;
    }
    return 0;
}
static int same_shape(const attn_tensor *t, int rank, const ptrdiff_t *shape) {
    if (t->rank != rank) return 0;
    for (int i = 0; i < rank; i++) if (t->shape[i] != shape[i]) return 0;
    return 1;
}
static ptrdiff_t extent_product(int rank, const ptrdiff_t *shape) {
    ptrdiff_t n = 1;
    for (int i = 0; i < rank; i++) n *= shape[i];
    return n;
}
// Contiguous, uniform in [low, high), values that a float holds.
static attn_tensor *random_plain(attn_ctx *c, int type, int rank, const ptrdiff_t *shape, double low, double high) {
    ptrdiff_t n = extent_product(rank, shape);
    attn_tensor *t;
    void *p = malloc((size_t)n * 8 + 8);
    if (!p) { puts("no memory for the test"); exit(2); }
    for (ptrdiff_t i = 0; i < n; i++) {
        float x = (float)(low + (high - low) * test_uniform());
        if (type == ATTN_F64) ((double *)p)[i] = (double)x; else ((float *)p)[i] = x;
    }
    t = attn_from(c, type, rank, shape, p);
    free(p);
    return t;
}
// The same shape as a plain tensor, a transposed one, a slice, or a broadcast one.
static attn_tensor *random_view(attn_ctx *c, int type, int rank, const ptrdiff_t *shape, double low, double high) {
    ptrdiff_t s[ATTN_MAX_RANK] = { 0 };
    int kind = rank ? test_below(4) : 0, i = rank ? test_below(rank) : 0, j = rank ? test_below(rank) : 0;
    for (int k = 0; k < rank; k++) s[k] = shape[k];
    if (kind == 1) {
        s[i] = shape[j]; s[j] = shape[i];
        return attn_transpose(c, random_plain(c, type, rank, s, low, high), i, j - rank);
    }
    if (kind == 2) {
        ptrdiff_t first = test_below(4);
        s[i] += first + test_below(3);
        return attn_slice(c, random_plain(c, type, rank, s, low, high), i, first, shape[i]);
    }
    if (kind == 3) {
        int drop = test_below(rank + 1);
        s[i] = 1;
        return attn_broadcast(c, random_plain(c, type, rank - drop, s + drop, low, high), rank, shape);
    }
    return random_plain(c, type, rank, shape, low, high);
}
static attn_ctx *open_with(int isa, size_t chunk, uint64_t seed) {
    attn_ctx_desc d = ATTN_ZERO;
    attn_ctx *c;
    d.isa = isa; d.chunk = chunk; d.seed = seed;
    c = attn_open(NULL, 0, &d);
    if (!c) { puts("attn_open gave NULL"); exit(2); }
    return c;
}
// All is well and nothing leaks.
static void close_clean(attn_ctx *c) {
    if (attn_error(c)) printf("    %s\n", attn_message(c));
    CHECK(attn_error(c) == ATTN_OK);
    attn_close(c);
    CHECK(heap_live == 0);
}
static void tensors_keep(void) {
    (void)at; (void)index_first; (void)index_next; (void)same_shape; (void)random_view; (void)open_with;
    (void)close_clean; (void)tools_keep; (void)tensors_keep;
}
#endif
