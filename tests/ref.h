// ref.h - the oracle of test_attention.c: attention as attn_desc says it, one row at a time, plain loops in double.
// It shares nothing with the implementation but attn_desc, and reads f32 or f64 arrays of any strides >= 0.
// Covered: dot scores, scale, grouped heads, causal in its three kinds, key_lengths, query_lengths, row_lengths, keep,
// drop, bias, lse, weights. Everything else of the descriptor must be zero.
#ifndef REF_H
#define REF_H
#include <math.h>

static double ref_at(const void *array, int type, ptrdiff_t index) {
    if (type == ATTN_F64) return ((const double *)array)[index];
    return (double)((const float *)array)[index];
}

// Sizes with their defaults put in.
static ptrdiff_t ref_batch(const attn_desc *d) { return d->batch ? d->batch : 1; }
static ptrdiff_t ref_kv_heads(const attn_desc *d) { return d->kv_heads ? d->kv_heads : d->heads; }
static ptrdiff_t ref_vdim(const attn_desc *d) { return d->vdim ? d->vdim : d->dim; }

// Functions without libm, good to a few units in the last place of a double; exp for x <= 0, log for x >= 1.
static double ref_exp(double x) {
    double k, r, y = 1, half = 0.5;
    if (x < -745) return 0;
    k = (double)(int)(-x * 1.4426950408889634 + 0.5);
    r = (x + k * 0.693147180369123816490) + k * 1.90821492927058770002e-10;
    for (int n = 16; n; n--) y = 1 + y * r / n;
    for (int n = x == x ? (int)k : 0; n; n >>= 1, half *= half) if (n & 1) y *= half;
    return y;
}
static double ref_log(double x) {
    double y = 0;
    for (double t = x; t > 1.5; t /= 2) y += 0.693147180559945309417;
    for (int n = 0; n < 4; n++) { double e = 1 / ref_exp(-y); y += 2 * (x - e) / (x + e); }
    return y;
}
static double ref_sqrt(double x) {
    double y = x > 1 ? x : 1;
    for (int n = 0; n < 60; n++) y = 0.5 * (y + x / y);
    return y;
}

static int ref_all_zero(const ptrdiff_t s[4]) { return !s[0] && !s[1] && !s[2] && !s[3]; }

// Where element (b,h,i,c) of an array [B,heads,rows,cols] lies; all-zero strides mean contiguous.
static ptrdiff_t ref_index(const ptrdiff_t s[4], ptrdiff_t heads, ptrdiff_t rows, ptrdiff_t cols,
                           ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t c) {
    if (ref_all_zero(s)) return ((b * heads + h) * rows + i) * cols + c;
    return b * s[0] + h * s[1] + i * s[2] + c * s[3];
}

// The same for masks and bias, whose all-zero strides mean [N,M] shared by batch and heads.
static ptrdiff_t ref_mask_index(const ptrdiff_t s[4], ptrdiff_t keys,
                                ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j) {
    if (ref_all_zero(s)) return i * keys + j;
    return b * s[0] + h * s[1] + i * s[2] + j * s[3];
}

static ptrdiff_t ref_q(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t c) {
    return ref_index(d->q_stride, d->heads, d->queries, d->dim, b, h, i, c);
}
static ptrdiff_t ref_k(const attn_desc *d, ptrdiff_t b, ptrdiff_t hk, ptrdiff_t j, ptrdiff_t c) {
    return ref_index(d->k_stride, ref_kv_heads(d), d->keys, d->dim, b, hk, j, c);
}
static ptrdiff_t ref_v(const attn_desc *d, ptrdiff_t b, ptrdiff_t hk, ptrdiff_t j, ptrdiff_t c) {
    return ref_index(d->v_stride, ref_kv_heads(d), d->keys, ref_vdim(d), b, hk, j, c);
}
static ptrdiff_t ref_o(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t c) {
    return ref_index(d->o_stride, d->heads, d->queries, ref_vdim(d), b, h, i, c);
}

// 1 where query (b,h,i) may attend to key j.
static int ref_sees(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j) {
    ptrdiff_t keys = d->key_lengths ? d->key_lengths[b] : d->keys;
    ptrdiff_t queries = d->query_lengths ? d->query_lengths[b] : d->queries;
    int64_t offset = 0;
    if (i >= queries || j >= keys) return 0;
    if (d->row_lengths && j >= d->row_lengths[b * d->queries + i]) return 0;
    if (d->causal == ATTN_CAUSAL_LOWER_RIGHT) offset = keys - queries;
    if (d->causal == ATTN_CAUSAL_AT) offset = d->query_offsets ? d->query_offsets[b] : d->query_offset;
    if (d->causal && (int64_t)j > (int64_t)i + offset) return 0;
    if (d->keep && !d->keep[ref_mask_index(d->keep_stride, d->keys, b, h, i, j)]) return 0;
    if (d->drop && d->drop[ref_mask_index(d->drop_stride, d->keys, b, h, i, j)]) return 0;
    return 1;
}

typedef struct ref_row {
    ptrdiff_t seen;           // keys that the row sees
    double lse;
    double peak;              // the greatest score; -inf where no key is seen
    double size;              // 1 + the greatest sum of |scale q k| + |bias|: what rounding of a score is relative to
    double vmax;              // the greatest |v| seen: what rounding of o is relative to
} ref_row;

static double ref_score(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j, double *size) {
    double scale = d->scale != 0.0f ? (double)d->scale : 1.0 / ref_sqrt((double)d->dim);
    double dot = 0, absolute = 0, bias = 0;
    ptrdiff_t hk = h / (d->heads / ref_kv_heads(d));
    ptrdiff_t q = ref_q(d, b, h, i, 0), k = ref_k(d, b, hk, j, 0);
    ptrdiff_t q_step = ref_q(d, b, h, i, 1) - q, k_step = ref_k(d, b, hk, j, 1) - k;
    for (ptrdiff_t c = 0; c < d->dim; c++) {
        double product = ref_at(d->q, d->q_type, q + c * q_step) * ref_at(d->k, d->k_type, k + c * k_step);
        dot += product; absolute += fabs(product);
    }
    if (d->bias) bias = ref_at(d->bias, d->bias_type, ref_mask_index(d->bias_stride, d->keys, b, h, i, j));
    *size = 1 + absolute * fabs(scale) + fabs(bias);
    return dot * scale + bias;
}

// One row: o [E], w [M] (0 for keys that are not seen). Not finite in, not finite out, by plain arithmetic.
static ref_row ref_attend(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, double *o, double *w) {
    ref_row r = { 0, -HUGE_VAL, -HUGE_VAL, 1, 0 };
    ptrdiff_t hk = h / (d->heads / ref_kv_heads(d)), E = ref_vdim(d), first, step;
    double sum = 0, size = 0;
    int nothing = 1;          // every score is -inf: zeros, as if no key were seen
    for (ptrdiff_t e = 0; e < E; e++) o[e] = 0;
    for (ptrdiff_t j = 0; j < d->keys; j++) {
        w[j] = 0;
        if (!ref_sees(d, b, h, i, j)) continue;
        w[j] = ref_score(d, b, h, i, j, &size);
        r.seen++;
        nothing &= w[j] == -HUGE_VAL;
        if (w[j] > r.peak) r.peak = w[j];
        if (size > r.size && size < HUGE_VAL) r.size = size;
    }
    if (!r.seen || nothing) return r;
    for (ptrdiff_t j = 0; j < d->keys; j++)
        if (ref_sees(d, b, h, i, j)) sum += w[j] = ref_exp(w[j] - r.peak);
    for (ptrdiff_t j = 0; j < d->keys; j++) {
        if (!ref_sees(d, b, h, i, j)) continue;
        w[j] /= sum;
        first = ref_v(d, b, hk, j, 0); step = ref_v(d, b, hk, j, 1) - first;
        for (ptrdiff_t e = 0; e < E; e++) {
            double v = ref_at(d->v, d->v_type, first + e * step);
            o[e] += w[j] * v;
            if (fabs(v) > r.vmax && fabs(v) < HUGE_VAL) r.vmax = fabs(v);
        }
    }
    r.lse = r.peak + ref_log(sum);
    return r;
}
#endif
