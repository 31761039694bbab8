// ref.h - the oracle of test_attention.c and test_axes.c: attention as attn_desc says it, one row at a time, plain
// loops in double. It shares nothing with the implementation but attn_desc. ref_attend knows every axis of the forward,
// with strides >= 0. Beside each number it gives a unit: what the rounding of that number is relative to, carried
// through the stages to first order, so that a test may ask for |got - want| <= few eps * unit.
#ifndef REF_H
#define REF_H
#include <math.h>
#include <string.h>

enum { REF_COLS = 1024, REF_KEYS = 8192 };

// ---- functions without libm, good to a few units in the last place of a double

static double ref_exp(double x) {
    double k, r, y = 1, half = 0.5;
    if (x > 0) return 1 / ref_exp(-x);
    if (x < -745) return 0;
    k = (double)(int)(-x * 1.4426950408889634 + 0.5);
    r = (x + k * 0.693147180369123816490) + k * 1.90821492927058770002e-10;
    for (int n = 16; n; n--) y = 1 + y * r / n;
    for (int n = x == x ? (int)k : 0; n; n >>= 1, half *= half) if (n & 1) y *= half;
    return y;
}
static double ref_log(double x) {
    double y = 0;
    if (x < 1) return x > 0 ? -ref_log(1 / x) : -HUGE_VAL;
    if (x == HUGE_VAL) return x;
    for (double t = x; t > 1.5; t /= 2) y += 0.693147180559945309417;
    for (int n = 0; n < 4; n++) { double e = 1 / ref_exp(-y); y += 2 * (x - e) / (x + e); }
    return y;
}
static double ref_sqrt(double x) {
    double y = 1;
    if (!(x > 0) || x == HUGE_VAL) return x;
    for (double t = x; t >= 4; t /= 4) y *= 2;
    for (double t = x; t < 1; t *= 4) y /= 2;
    for (int n = 0; n < 7; n++) y = 0.5 * (y + x / y);
    return y;
}
static double ref_tanh(double x) {                               // Lambert's fraction; from 1 on by exp
    double a = fabs(x), y = 0, e;
    if (a < 1) {
        for (int n = 29; n > 1; n -= 2) y = a * a / (n + y);
        return x / (1 + y);
    }
    e = ref_exp(-2 * a);
    return x < 0 ? (e - 1) / (1 + e) : (1 - e) / (1 + e);
}
static double ref_cos_sin(double x, double *sine) {
    double k = x * 0.15915494309189533577, r, c = 1, s, square;
    k = (double)(int64_t)(k < 0 ? k - 0.5 : k + 0.5);
    r = (x - k * 6.28318530717958623200) - k * 2.44929359829470641435e-16;
    square = r * r; s = 1;
    for (int n = 30; n; n -= 2) { c = 1 - c * square / (n * (n - 1)); s = 1 - s * square / (n * (n + 1)); }
    *sine = s * r;
    return c;
}

// ---- elements

static double ref_half(unsigned bits) {
    double x = (double)(bits & 1023);
    int e = (int)(bits >> 10 & 31);
    if (e == 31) return bits & 1023 ? (double)NAN : bits >> 15 ? -HUGE_VAL : HUGE_VAL;
    if (e) x += 1024; else e = 1;
    for (; e > 25; e--) x *= 2;
    for (; e < 25; e++) x *= 0.5;
    return bits >> 15 ? -x : x;
}
static unsigned ref_u16(const void *p) { uint16_t u; memcpy(&u, p, 2); return u; }
static double ref_bf16(unsigned bits) {
    uint32_t u = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &u, 4);
    return (double)x;
}
// Element of an array; *m = what its rounding is relative to where it is made of parts, 0 where it is exact.
static double ref_element(const void *array, int type, ptrdiff_t index, double *m) {
    const unsigned char *p = (const unsigned char *)array;
    ptrdiff_t at = index % 32;
    double d, low = 0;
    int n;
    *m = 0;
    switch (type) {
    case ATTN_F64: return ((const double *)array)[index];
    case ATTN_F16: return ref_half(ref_u16(p + index * 2));
    case ATTN_BF16: return ref_bf16(ref_u16(p + index * 2));
    case ATTN_Q8_0:
        p += index / 32 * 34;
        n = p[2 + at];
        return ref_half(ref_u16(p)) * (n < 128 ? n : n - 256);
    case ATTN_Q4_0: case ATTN_Q4_1:
        p += index / 32 * (type == ATTN_Q4_0 ? 18 : 20);
        d = ref_half(ref_u16(p));
        if (type == ATTN_Q4_1) low = ref_half(ref_u16(p + 2));
        n = p[(type == ATTN_Q4_0 ? 2 : 4) + at % 16] >> (at < 16 ? 0 : 4) & 15;
        *m = (n + (type == ATTN_Q4_0 ? 8 : 0)) * fabs(d) + fabs(low);
        return type == ATTN_Q4_0 ? (n - 8) * d : n * d + low;
    default: return (double)((const float *)array)[index];
    }
}
static double ref_at(const void *array, int type, ptrdiff_t index) {
    double m;
    return ref_element(array, type, index, &m);
}

// ---- sizes with their defaults put in, places of elements

static ptrdiff_t ref_batch(const attn_desc *d) { return d->batch ? d->batch : 1; }
static ptrdiff_t ref_kv_heads(const attn_desc *d) { return d->kv_heads ? d->kv_heads : d->heads; }
static ptrdiff_t ref_vdim(const attn_desc *d) { return d->vdim ? d->vdim : d->dim; }
static ptrdiff_t ref_min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
// Rows and keys that batch entry b has in its arrays, and those in use.
static ptrdiff_t ref_rows(const attn_desc *d, ptrdiff_t b) {
    return d->cu_q ? d->cu_q[b + 1] - d->cu_q[b] : d->queries;
}
static ptrdiff_t ref_queries(const attn_desc *d, ptrdiff_t b) {
    return d->query_lengths ? ref_min(d->query_lengths[b], ref_rows(d, b)) : ref_rows(d, b);
}
static ptrdiff_t ref_keys(const attn_desc *d, ptrdiff_t b) {
    ptrdiff_t keys = d->cu_k ? d->cu_k[b + 1] - d->cu_k[b] : d->keys;
    return d->key_lengths ? ref_min(d->key_lengths[b], keys) : keys;
}
// 1 where batch entry b has a key j: of a ring only the last are there.
static int ref_exists(const attn_desc *d, ptrdiff_t b, ptrdiff_t j) {
    ptrdiff_t keys = ref_keys(d, b);
    return j < keys && !(d->ring && j < keys - d->ring);
}

static int ref_all_zero(const ptrdiff_t s[4]) { return !s[0] && !s[1] && !s[2] && !s[3]; }

// Where element (b,h,i,c) of an array [B,heads,rows,cols] lies; all-zero strides mean contiguous.
static ptrdiff_t ref_index(const ptrdiff_t s[4], ptrdiff_t heads, ptrdiff_t rows, ptrdiff_t cols,
                           ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t c) {
    if (ref_all_zero(s)) return ((b * heads + h) * rows + i) * cols + c;
    return b * s[0] + h * s[1] + i * s[2] + c * s[3];
}
// The same in an array [T,heads,cols] of packed sequences.
static ptrdiff_t ref_packed(const ptrdiff_t s[4], ptrdiff_t heads, ptrdiff_t cols,
                            ptrdiff_t t, ptrdiff_t h, ptrdiff_t c) {
    if (ref_all_zero(s)) return (t * heads + h) * cols + c;
    return h * s[1] + t * s[2] + c * s[3];
}
// The same for masks and bias, whose all-zero strides mean [N,M] shared by batch and heads.
static ptrdiff_t ref_mask_index(const ptrdiff_t s[4], ptrdiff_t keys,
                                ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j) {
    if (ref_all_zero(s)) return i * keys + j;
    return b * s[0] + h * s[1] + i * s[2] + j * s[3];
}

static ptrdiff_t ref_q(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t c) {
    if (d->cu_q) return ref_packed(d->q_stride, d->heads, d->dim, d->cu_q[b] + i, h, c);
    return ref_index(d->q_stride, d->heads, d->queries, d->dim, b, h, i, c);
}
static ptrdiff_t ref_o(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t c) {
    if (d->cu_q) return ref_packed(d->o_stride, d->heads, ref_vdim(d), d->cu_q[b] + i, h, c);
    return ref_index(d->o_stride, d->heads, d->queries, ref_vdim(d), b, h, i, c);
}
static ptrdiff_t ref_lse(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i) {
    if (d->cu_q) return h * d->cu_q[ref_batch(d)] + d->cu_q[b] + i;
    return (b * d->heads + h) * d->queries + i;
}
static ptrdiff_t ref_token(const attn_desc *d, const ptrdiff_t s[4], ptrdiff_t cols,
                           ptrdiff_t b, ptrdiff_t hk, ptrdiff_t j, ptrdiff_t c) {
    ptrdiff_t heads = ref_kv_heads(d);
    if (d->cu_k) return ref_packed(s, heads, cols, d->cu_k[b] + j, hk, c);
    if (d->block_table) {
        ptrdiff_t page = d->block_table[b * d->pages_per_row + j / d->page];
        return ref_index(s, heads, d->page, cols, page, hk, j % d->page, c);
    }
    if (d->ring) return ref_index(s, heads, d->ring, cols, b, hk, j % d->ring, c);
    return ref_index(s, heads, d->keys, cols, b, hk, j, c);
}
static ptrdiff_t ref_k(const attn_desc *d, ptrdiff_t b, ptrdiff_t hk, ptrdiff_t j, ptrdiff_t c) {
    return ref_token(d, d->k_stride, d->dim, b, hk, j, c);
}
static ptrdiff_t ref_v(const attn_desc *d, ptrdiff_t b, ptrdiff_t hk, ptrdiff_t j, ptrdiff_t c) {
    return ref_token(d, d->v_stride, ref_vdim(d), b, hk, j, c);
}

// ---- positions and masks

// p_i - i of batch entry b.
static int64_t ref_offset(const attn_desc *d, ptrdiff_t b) {
    int align = d->align;
    if (d->causal == ATTN_CAUSAL_LOWER_RIGHT) align = ATTN_ALIGN_LOWER_RIGHT;
    if (d->causal == ATTN_CAUSAL_UPPER_LEFT) align = ATTN_ALIGN_UPPER_LEFT;
    if (d->causal == ATTN_CAUSAL_AT) align = ATTN_ALIGN_AT;
    if (align == ATTN_ALIGN_LOWER_RIGHT) return ref_keys(d, b) - ref_queries(d, b);
    if (align == ATTN_ALIGN_AT) return d->query_offsets ? d->query_offsets[b] : d->query_offset;
    return 0;
}
// Key j is no node of the tree, or node i itself, or one of its ancestors.
static int ref_tree_sees(const attn_desc *d, ptrdiff_t b, ptrdiff_t i, ptrdiff_t j) {
    ptrdiff_t node = j - (ref_keys(d, b) - ref_queries(d, b)), up = i;
    while (up >= 0 && up != node) up = d->tree_parent[up];
    return node < 0 || up == node;
}
static int ref_masks_show(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j) {
    ptrdiff_t N = d->queries, M = d->keys;
    if (d->keep && !d->keep[ref_mask_index(d->keep_stride, M, b, h, i, j)]) return 0;
    if (d->drop && d->drop[ref_mask_index(d->drop_stride, M, b, h, i, j)]) return 0;
    if (d->doc_q && d->doc_q[b * N + i] != d->doc_k[b * M + j]) return 0;
    if (d->block_mask) {
        ptrdiff_t rows = (N + d->block_q - 1) / d->block_q, cols = (M + d->block_k - 1) / d->block_k;
        if (!d->block_mask[((d->block_heads > 1 ? h : 0) * rows + i / d->block_q) * cols + j / d->block_k]) return 0;
    }
    return !d->tree_parent || ref_tree_sees(d, b, i, j);
}
// 1 where query (b,h,i) may attend to key j by every mask and length; a score of -inf hides it besides.
static int ref_sees(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j) {
    int64_t p = i + ref_offset(d, b);
    if (i >= ref_queries(d, b) || !ref_exists(d, b, j)) return 0;
    if (d->row_lengths && j >= d->row_lengths[b * d->queries + i]) return 0;
    if (d->causal && (int64_t)j > p && !(d->prefix && j < d->prefix[b])) return 0;
    if (d->window && d->window_left >= 0 && (int64_t)j < p - d->window_left) return 0;
    if (d->window && d->window_right >= 0 && (int64_t)j > p + d->window_right) return 0;
    return ref_masks_show(d, b, h, i, j);
}

// ---- tables added to scores

// The slope that ALiBi's paper gives head h of n: a geometric row for the power of two, then every other of twice that.
static double ref_slope(ptrdiff_t h, ptrdiff_t heads) {
    ptrdiff_t n = 1;
    while (n * 2 <= heads) n *= 2;
    if (h < n) return ref_exp(-0.693147180559945309417 * 8 * (double)(h + 1) / (double)n);
    return ref_exp(-0.693147180559945309417 * 8 * (double)(2 * (h - n) + 1) / (double)(2 * n));
}
// T5's bucket of key position less query position: half of the buckets exact, half logarithmic up to max_distance.
static ptrdiff_t ref_t5_bucket(int64_t relative, ptrdiff_t buckets, ptrdiff_t max_distance, int both_ways) {
    int64_t n = relative < 0 ? -relative : both_ways ? relative : 0;
    ptrdiff_t first = 0, exact, at;
    double share;
    if (both_ways) { buckets /= 2; if (relative > 0) first = buckets; }
    exact = buckets / 2;
    if (n < exact) return first + (ptrdiff_t)n;
    if (exact == 0) return first;
    share = ref_log((double)n / (double)exact) / ref_log((double)max_distance / (double)exact);
    at = exact + (ptrdiff_t)(1e-12 + share * (double)(buckets - exact));
    return first + ref_min(at, buckets - 1);
}
// ALiBi and relative tables for (b,h,i,j); their sizes go to *e.
static double ref_tables(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j, double *e) {
    int64_t relative = (int64_t)j - (i + ref_offset(d, b));
    ptrdiff_t row = 0, height = d->rel_height, width = d->rel_width;
    double slope = 0, rel = 0;
    if (d->alibi_slopes) slope = (double)d->alibi_slopes[h];
    else if (d->alibi) slope = ref_slope(h, d->heads);
    if (d->rel_kind == ATTN_REL_OFFSET) {
        int64_t most = d->rel_count / 2;
        row = (ptrdiff_t)((relative < -most ? -most : relative > most ? most : relative) + most);
    }
    if (d->rel_kind == ATTN_REL_T5) row = ref_t5_bucket(relative, d->rel_count, d->rel_max_distance, d->rel_both_ways);
    if (d->rel_kind == ATTN_REL_WINDOW_2D)
        row = (i / width - j / width + height - 1) * (2 * width - 1) + i % width - j % width + width - 1;
    if (d->rel_kind) rel = (double)d->rel_table[row * d->heads + h];
    slope *= fabs((double)relative);
    *e += fabs(slope) + fabs(rel);
    return rel - slope;
}

// ---- rows of q and k as they enter the score

typedef struct ref_vec { double x[REF_COLS], m[REF_COLS]; } ref_vec;   // values, and what their rounding is relative to
static ref_vec ref_query, ref_key, ref_value;
static ref_vec ref_probe;                       // the query made ready for a dot with keys; for a sum (additive)

static void ref_fits(ptrdiff_t n, ptrdiff_t most) { if (n > most) { puts("ref.h is too small"); exit(2); } }
static void ref_normalise(const attn_desc *d, ref_vec *r, const float *factor) {
    double sum = 0, eps = (double)d->norm_eps, scale;
    for (ptrdiff_t c = 0; c < d->dim; c++) sum += r->x[c] * r->x[c];
    if (d->qk_norm == ATTN_QK_NORM_RMS) scale = 1 / ref_sqrt(sum / (double)d->dim + (eps != 0 ? eps : 1e-6));
    else { if (eps == 0) eps = 1e-12; sum = ref_sqrt(sum); scale = 1 / (sum > eps ? sum : eps); }
    for (ptrdiff_t c = 0; c < d->dim; c++) {
        double g = scale * (factor ? (double)factor[c] : 1);
        r->x[c] *= g;
        r->m[c] = r->m[c] * fabs(g) + 2 * fabs(r->x[c]);
    }
}
static void ref_rotate(const attn_desc *d, ref_vec *r, ptrdiff_t position) {
    ptrdiff_t dim = d->rope_dim ? d->rope_dim : d->dim, half = dim / 2;
    int pairs = d->rope_kind == ATTN_ROPE_INTERLEAVED;
    for (ptrdiff_t t = 0; t < half; t++) {
        double c = (double)d->rope_cos[position * half + t], s = (double)d->rope_sin[position * half + t];
        ptrdiff_t i = pairs ? 2 * t : t, k = pairs ? 2 * t + 1 : t + half;
        double a = r->x[i], b = r->x[k], am = r->m[i] + fabs(a), bm = r->m[k] + fabs(b);
        r->x[i] = a * c - b * s; r->m[i] = am * fabs(c) + bm * fabs(s);
        r->x[k] = a * s + b * c; r->m[k] = am * fabs(s) + bm * fabs(c);
    }
}
static void ref_load(ref_vec *r, const void *array, int type, ptrdiff_t first, ptrdiff_t step, ptrdiff_t n) {
    ref_fits(n, REF_COLS);
    if (type == ATTN_F32)
        for (ptrdiff_t c = 0; c < n; c++) { r->x[c] = (double)((const float *)array)[first + c * step]; r->m[c] = 0; }
    else for (ptrdiff_t c = 0; c < n; c++) r->x[c] = ref_element(array, type, first + c * step, &r->m[c]);
}
static void ref_load_query(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i) {
    ptrdiff_t D = d->dim, first = ref_q(d, b, h, i, 0), rows = D;
    ref_vec *q = &ref_query, *y = &ref_probe;
    const float *w = d->score == ATTN_SCORE_BILINEAR ? d->w_score : d->score == ATTN_SCORE_ADDITIVE ? d->w_q : NULL;
    ref_load(q, d->q, d->q_type, first, ref_q(d, b, h, i, 1) - first, D);
    if (d->qk_norm) ref_normalise(d, q, d->q_norm);
    if (d->rope_kind && d->rope_q_pos) ref_rotate(d, q, d->rope_q_pos[b * d->queries + i]);
    else if (d->rope_kind) ref_rotate(d, q, i + (ptrdiff_t)ref_offset(d, b));
    if (d->score == ATTN_SCORE_ADDITIVE) rows = d->score_width;
    ref_fits(rows, REF_COLS);
    for (ptrdiff_t r = 0; r < rows; r++) {
        y->x[r] = q->x[r]; y->m[r] = q->m[r] + fabs(q->x[r]);
        if (!w) continue;
        y->x[r] = y->m[r] = 0;
        for (ptrdiff_t c = 0; c < D; c++) {
            double f = (double)(d->score == ATTN_SCORE_BILINEAR ? w[c * D + r] : w[r * D + c]);
            y->x[r] += q->x[c] * f; y->m[r] += (q->m[c] + fabs(q->x[c])) * fabs(f);
        }
    }
}
// A cache holds keys that attn_append has normalised and rotated already.
static void ref_load_key(const attn_desc *d, ptrdiff_t b, ptrdiff_t hk, ptrdiff_t j) {
    ptrdiff_t first = ref_k(d, b, hk, j, 0);
    ref_load(&ref_key, d->k_cache ? d->k_cache : d->k, d->k_type, first, ref_k(d, b, hk, j, 1) - first, d->dim);
    if (d->k_cache) return;
    if (d->qk_norm) ref_normalise(d, &ref_key, d->k_norm);
    if (d->rope_kind) ref_rotate(d, &ref_key, d->rope_k_pos ? d->rope_k_pos[b * d->keys + j] : j);
}

// ---- scores

// What desc.custom does to a scaled score, set by the test that sets desc.custom; *e is the unit before and after.
static double (*ref_custom)(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j,
                            const ref_vec *q, const ref_vec *k, double s, double *e);

// Rounding of a test's arithmetic that is in order, relative to a unit.
static double ref_rel(const attn_desc *d) { return d->q_type == ATTN_F64 ? 3e-14 : 2e-6; }

typedef struct ref_score {
    double s, e;              // the number and its unit
    int unsure;               // rounding decides whether it is -inf
} ref_score;

static ref_score ref_dot(const attn_desc *d) {
    ref_score r = { 0, 0, 0 };
    for (ptrdiff_t c = 0; c < d->dim; c++) {
        r.s += ref_probe.x[c] * ref_key.x[c];
        r.e += ref_probe.m[c] * (ref_key.m[c] + fabs(ref_key.x[c]));
    }
    return r;
}
static ref_score ref_additive(const attn_desc *d) {
    ref_score r = { 0, 0, 0 };
    for (ptrdiff_t w = 0; w < d->score_width; w++) {
        double sum = ref_probe.x[w], m = ref_probe.m[w], t, f = (double)d->w_v[w];
        for (ptrdiff_t c = 0; c < d->dim; c++) {
            double p = (double)d->w_k[w * d->dim + c];
            sum += p * ref_key.x[c]; m += fabs(p) * (ref_key.m[c] + fabs(ref_key.x[c]));
        }
        t = ref_tanh(sum);
        r.s += f * t; r.e += fabs(f) * (2 * fabs(t) + (1 - t * t) * m);
    }
    return r;
}
static ref_score ref_cosine(const attn_desc *d) {
    ref_score r = ref_dot(d);
    double q = 0, k = 0;
    for (ptrdiff_t c = 0; c < d->dim; c++) { q += ref_query.x[c] * ref_query.x[c]; k += ref_key.x[c] * ref_key.x[c]; }
    q = ref_sqrt(q) * ref_sqrt(k);
    r.s /= q; r.e = r.e / q + 2 * fabs(r.s);
    return r;
}
// log K(u), and -u^2 / 2, - |q - k|: all from the distance u.
static ref_score ref_distance(const attn_desc *d, ptrdiff_t h) {
    ref_score r = { 0, 0, 0 };
    double square = 0, spread = 0, width = d->kernel_width ? (double)d->kernel_width[h] : 1, u, e, K = 1, slope = 0;
    for (ptrdiff_t c = 0; c < d->dim; c++) {
        double x = ref_query.x[c] - ref_key.x[c], m = ref_query.m[c] + ref_key.m[c];
        square += x * x; spread += m * m;
    }
    u = ref_sqrt(square); e = u + ref_sqrt(spread);
    if (d->score == ATTN_SCORE_NEG_L2) { r.s = -u; r.e = e; return r; }
    u /= width; e /= width;
    if (d->score == ATTN_SCORE_GAUSSIAN) { r.s = -0.5 * u * u; r.e = u * e + e * e * ref_rel(d); return r; }
    if (d->score == ATTN_SCORE_EPANECHNIKOV) { K = 1 - u * u; slope = 2 * u; }
    if (d->score == ATTN_SCORE_TRIANGLE) { K = 1 - u; slope = 1; }
    if (d->score == ATTN_SCORE_TRICUBE) { K = 1 - u * u * u; slope = 9 * u * u; }
    r.unsure = fabs(u - 1) <= 4 * ref_rel(d) * e;
    if (u > 1 || !(K > 0)) { r.s = -HUGE_VAL; return r; }
    r.s = ref_log(K) * (d->score == ATTN_SCORE_TRICUBE ? 3 : 1);
    r.e = d->score == ATTN_SCORE_BOXCAR ? 0 : slope * e / K + fabs(r.s) + 1;
    return r;
}
// A score and its stages: scaled, capped, biased.
typedef struct ref_stages { ref_score scaled, capped, biased; } ref_stages;
static ref_stages ref_scores(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j) {
    double scale = (double)d->scale, cap = (double)d->softcap, bias;
    int hidden;
    ref_stages r;
    ref_score *s = &r.scaled;
    ref_load_key(d, b, h / (d->heads / ref_kv_heads(d)), j);
    if (d->score <= ATTN_SCORE_BILINEAR || d->score == ATTN_SCORE_CUSTOM) *s = ref_dot(d);
    else if (d->score == ATTN_SCORE_ADDITIVE) *s = ref_additive(d);
    else if (d->score == ATTN_SCORE_COSINE) *s = ref_cosine(d);
    else *s = ref_distance(d, h);
    hidden = d->score >= ATTN_SCORE_BOXCAR && d->score <= ATTN_SCORE_TRICUBE && s->s == -HUGE_VAL;   // K = 0
    if (scale == 0) scale = d->score == ATTN_SCORE_DOT ? 1.0 / ref_sqrt((double)d->dim) : 1;
    if (d->logit_scale) scale *= (double)d->logit_scale[h];
    if (!hidden) { s->s *= scale; s->e *= fabs(scale); }
    r.capped = r.scaled; s = &r.capped;
    if (d->custom && ref_custom) s->s = ref_custom(d, b, h, i, j, &ref_query, &ref_key, s->s, &s->e);
    if (cap != 0) {
        double t = ref_tanh(s->s / cap);
        s->s = cap * t; s->e = (1 - t * t) * (hidden ? 0 : s->e) + 2 * fabs(cap * t);
    }
    r.biased = r.capped; s = &r.biased;
    if (d->bias) {
        bias = ref_at(d->bias, d->bias_type, ref_mask_index(d->bias_stride, d->keys, b, h, i, j));
        s->s += bias; s->e += bias == -HUGE_VAL ? 0 : fabs(bias);
    }
    s->s += ref_tables(d, b, h, i, j, &s->e);
    if (hidden) s->s = -HUGE_VAL;
    if (hidden && cap != 0) r.capped.e = HUGE_VAL;               // -inf or -cap: the API does not say
    return r;
}

// ---- normalisers

typedef struct ref_row {
    ptrdiff_t seen;           // keys that take part
    double lse;
    double peak;              // the greatest score; -inf where no key is seen
    double size;              // 1 + the greatest unit of a score
    double vmax;              // the greatest |v| seen
    double lse_unit;
    int unsure;               // the row hangs on a difference that rounding may turn: not to be compared
} ref_row;
static double ref_s[REF_KEYS], ref_e[REF_KEYS];                  // scores and units of the row at hand
static double ref_w_unit[REF_KEYS], ref_o_unit[REF_COLS];        // of ref_attend's w and o; HUGE_VAL: not compared
static char ref_in[REF_KEYS];                                    // 1: the key takes part

// 1 where rounding may turn the order of two scores. Keys alike give the very same score, so a tie is one, but where
// something saturates or is divided.
static int ref_close(const attn_desc *d, ptrdiff_t a, ptrdiff_t b) {
    double gap = fabs(ref_s[a] - ref_s[b]);
    if (gap == 0) return d->softcap != 0.0f || d->score == ATTN_SCORE_COSINE || d->qk_norm;
    return gap <= ref_rel(d) * (ref_e[a] + ref_e[b]);
}
static ptrdiff_t ref_greatest(ptrdiff_t M, const char *among) {
    ptrdiff_t best = -1;
    for (ptrdiff_t j = 0; j < M; j++) if (among[j] && (best < 0 || ref_s[j] > ref_s[best])) best = j;
    return best;
}
// Leaves the top_k greatest in ref_in, the first of equals.
static void ref_keep_top(const attn_desc *d, ref_row *r) {
    static char rest[REF_KEYS], top[REF_KEYS];
    ptrdiff_t M = d->keys, last = -1;
    if (d->top_k >= r->seen) return;
    memcpy(rest, ref_in, (size_t)M); memset(top, 0, (size_t)M);
    for (int n = 0; n < d->top_k; n++) { last = ref_greatest(M, rest); rest[last] = 0; top[last] = 1; }
    for (ptrdiff_t a = 0; a < M; a++) for (ptrdiff_t c = 0; top[a] && ref_s[a] - ref_s[last] <= 1 && c < M; c++)
        if (rest[c] && ref_close(d, a, c)) r->unsure = 1;
    memcpy(ref_in, top, (size_t)M);
}
// What adding up that many terms in a chain costs: a long one may round the same way again and again.
static double ref_long(const ref_row *r) { return 1 + (double)r->seen / 64; }
static void ref_softmax(const attn_desc *d, ptrdiff_t h, double *w, ref_row *r) {
    double sinks[2], peak = r->peak, sum = 0, mean = 0;
    ptrdiff_t M = d->keys;
    int n = 0;
    if (d->sink) sinks[n++] = (double)d->sink[h];
    if (d->off_by_one) sinks[n++] = 0;
    for (int k = 0; k < n; k++) if (sinks[k] > peak) peak = sinks[k];
    if (!n && !r->seen) return;
    for (int k = 0; k < n; k++) sum += ref_exp(sinks[k] - peak);
    for (ptrdiff_t j = 0; j < M; j++) if (ref_in[j]) sum += w[j] = ref_exp(ref_s[j] - peak);
    for (int k = 0; k < n; k++) mean += ref_exp(sinks[k] - peak) / sum * fabs(sinks[k]);
    for (ptrdiff_t j = 0; j < M; j++) if (ref_in[j]) { w[j] /= sum; if (w[j] > 0) mean += w[j] * ref_e[j]; }
    for (ptrdiff_t j = 0; j < M; j++)
        if (w[j] > 0) ref_w_unit[j] = w[j] * (1 + ref_long(r) + mean + ref_e[j] + fabs(ref_s[j] - peak));
    r->lse = peak + ref_log(sum);
    r->lse_unit = ref_long(r) + mean + fabs(r->lse);
}
// Sparsemax (power 1: w = s - t) and entmax of 1.5 (power 2: w = (s/2 - t)^2): t by bisection, so that the sum is 1.
static void ref_sparse(ptrdiff_t M, int power, double *w, const ref_row *r) {
    double low = r->peak / power - 1, high = r->peak / power, mean = 0, weight = 0;
    for (int n = 0; n < 100; n++) {
        double t = 0.5 * (low + high), sum = 0;
        for (ptrdiff_t j = 0; j < M; j++) {
            double x = ref_s[j] / power - t;
            if (ref_in[j] && x > 0) sum += power == 2 ? x * x : x;
        }
        if (sum >= 1) low = t; else high = t;
    }
    for (ptrdiff_t j = 0; j < M; j++) {
        double x = ref_s[j] / power - low;
        if (!ref_in[j] || !(x > 0)) continue;
        mean += (power == 2 ? x : 1) * (ref_e[j] + fabs(ref_s[j])); weight += power == 2 ? x : 1;
    }
    mean /= weight;
    for (ptrdiff_t j = 0; j < M; j++) {
        double x = ref_s[j] / power - low, e = 1 + ref_e[j] + fabs(ref_s[j]) + mean;
        if (!ref_in[j]) continue;
        if (x > 0) w[j] = power == 2 ? x * x : x;
        ref_w_unit[j] = power == 1 ? e : (2 * (x > 0 ? x : 0) + 1e-3) * e;
        if (x < -1e-3 * e) ref_w_unit[j] = 0;                    // far below the threshold: exactly 0
    }
}
static void ref_weigh(const attn_desc *d, ptrdiff_t h, double *w, ref_row *r) {
    ptrdiff_t M = d->keys, best;
    if (d->norm == ATTN_NORM_TOP_K) ref_keep_top(d, r);
    if (d->norm == ATTN_NORM_SOFTMAX || d->norm == ATTN_NORM_TOP_K) { ref_softmax(d, h, w, r); return; }
    if (!r->seen) return;
    if (d->norm == ATTN_NORM_SPARSEMAX || d->norm == ATTN_NORM_ENTMAX15) {
        ref_sparse(M, d->norm == ATTN_NORM_SPARSEMAX ? 1 : 2, w, r);
        return;
    }
    best = ref_greatest(M, ref_in);
    for (ptrdiff_t j = 0; j < M; j++) {
        double x = ref_s[j], div = d->relu_div != 0.0f ? (double)d->relu_div : 1, e = ref_e[j] + fabs(x);
        if (!ref_in[j]) continue;
        if (d->norm == ATTN_NORM_HARD) { w[j] = j == best; r->unsure |= j != best && ref_close(d, j, best); }
        else if (d->norm == ATTN_NORM_AVERAGE) ref_w_unit[j] = w[j] = 1 / (double)r->seen;
        else if (d->norm == ATTN_NORM_SIGMOID) {
            x += (double)d->sigmoid_bias; e += fabs((double)d->sigmoid_bias);
            w[j] = 1 / (1 + ref_exp(-x));
            ref_w_unit[j] = w[j] * (2 + (1 - w[j]) * e);
        } else if (d->norm == ATTN_NORM_RELU) { w[j] = (x > 0 ? x : 0) / div; ref_w_unit[j] = e / fabs(div); }
        else { w[j] = x; ref_w_unit[j] = e; }
    }
}

// ---- dropout

// Philox4x32-10 of Salmon, Moraes, Dror and Shaw.
static void ref_philox(const uint32_t counter[4], uint32_t k0, uint32_t k1, uint32_t c[4]) {
    for (int i = 0; i < 4; i++) c[i] = counter[i];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)c[0] * 0xD2511F53u, b = (uint64_t)c[2] * 0xCD9E8D57u;
        uint32_t c1 = c[1], c3 = c[3];
        c[0] = (uint32_t)(b >> 32) ^ c1 ^ k0; c[1] = (uint32_t)b;
        c[2] = (uint32_t)(a >> 32) ^ c3 ^ k1; c[3] = (uint32_t)a;
        k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
    }
}
static int ref_kept(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j) {
    uint32_t counter[4], word[4];
    if (d->keep_weights) return d->keep_weights[((b * d->heads + h) * d->queries + i) * d->keys + j] != 0;
    counter[0] = (uint32_t)(j / 4); counter[1] = (uint32_t)i; counter[2] = (uint32_t)h; counter[3] = (uint32_t)b;
    ref_philox(counter, (uint32_t)d->seed, (uint32_t)(d->seed >> 32), word);
    return (double)word[j % 4] >= (double)d->dropout * 4294967296.0;
}
static void ref_drop(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, double *w) {
    double p = (double)d->dropout;
    if (p == 0 && !d->keep_weights) return;
    for (ptrdiff_t j = 0; j < d->keys; j++) {
        double factor = ref_in[j] && ref_kept(d, b, h, i, j) && p < 1 ? 1 / (1 - p) : 0;
        w[j] *= factor; ref_w_unit[j] = ref_w_unit[j] * factor + fabs(w[j]);
    }
}

// ---- a row

// Scores of every key of row (b,h,i): into ref_s, ref_e, ref_in; into w what desc.weights_stage asks for, but the last.
static void ref_score_row(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, double *w, ref_row *r) {
    int stage = d->weights_stage, early = stage == ATTN_WEIGHTS_SCORES || stage == ATTN_WEIGHTS_CAPPED;
    int row_there = i < ref_queries(d, b);
    if (row_there) ref_load_query(d, b, h, i);
    for (ptrdiff_t j = 0; j < d->keys; j++) {
        int there = row_there && ref_exists(d, b, j), sees = ref_sees(d, b, h, i, j);
        ref_stages s;
        ref_s[j] = -HUGE_VAL; ref_e[j] = ref_w_unit[j] = 0; ref_in[j] = 0;
        w[j] = stage == ATTN_WEIGHTS_BIASED ? -HUGE_VAL : 0;
        if (!row_there ? stage != ATTN_WEIGHTS_SOFTMAX : early && !there) ref_w_unit[j] = HUGE_VAL;
        if (there && (sees || early)) {
            s = ref_scores(d, b, h, i, j);
            if (early) {
                w[j] = stage == ATTN_WEIGHTS_SCORES ? s.scaled.s : s.capped.s;
                ref_w_unit[j] = stage == ATTN_WEIGHTS_SCORES ? s.scaled.e : s.capped.e;
                r->unsure |= s.scaled.unsure;
            }
            if (sees) {
                ref_s[j] = s.biased.s; ref_e[j] = s.biased.e; ref_in[j] = (char)(ref_s[j] != -HUGE_VAL);
                r->unsure |= s.scaled.unsure;
            }
        }
        if (d->masked_score != 0.0f && row_there && !ref_in[j] &&
            (d->k_cache ? there : !d->cu_k || j < d->cu_k[b + 1] - d->cu_k[b])) {
            ref_s[j] = (double)d->masked_score; ref_e[j] = 0; ref_in[j] = 1;
        }
        if (!ref_in[j]) continue;
        if (stage == ATTN_WEIGHTS_BIASED) { w[j] = ref_s[j]; ref_w_unit[j] = ref_e[j]; }
        r->seen++;
        if (ref_s[j] > r->peak) r->peak = ref_s[j];
        if (1 + ref_e[j] > r->size && ref_e[j] < HUGE_VAL) r->size = 1 + ref_e[j];
    }
}
// One row: o [E], w [M] as desc.weights wants them (0 for keys that are not seen), units in ref_o_unit and ref_w_unit.
// Not finite in, not finite out, by plain arithmetic.
static ref_row ref_attend(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, double *o, double *w) {
    static double p[REF_KEYS], asked_unit[REF_KEYS];
    ref_row r = { 0, -HUGE_VAL, -HUGE_VAL, 1, 0, 0, 0 };
    ptrdiff_t hk = h / (d->heads / ref_kv_heads(d)), E = ref_vdim(d), M = d->keys, first, step;
    int plain = d->norm == ATTN_NORM_SOFTMAX && d->dropout == 0.0f && !d->keep_weights;
    ref_fits(M, REF_KEYS); ref_fits(E, REF_COLS);
    ref_score_row(d, b, h, i, w, &r);
    memcpy(asked_unit, ref_w_unit, (size_t)M * sizeof(double));
    for (ptrdiff_t j = 0; j < M; j++) p[j] = ref_w_unit[j] = 0;
    for (ptrdiff_t e = 0; e < E; e++) o[e] = ref_o_unit[e] = 0;
    ref_weigh(d, h, p, &r);
    ref_drop(d, b, h, i, p);
    for (ptrdiff_t j = 0; r.seen && j < M; j++) {
        if (!ref_in[j] || (p[j] == 0 && ref_w_unit[j] == 0 && !plain)) continue;
        first = ref_v(d, b, hk, j, 0); step = ref_v(d, b, hk, j, 1) - first;
        ref_load(&ref_value, d->k_cache ? d->v_cache : d->v, d->v_type, first, step, E);
        for (ptrdiff_t e = 0; e < E; e++) {
            double m = ref_value.m[e], v = ref_value.x[e];
            o[e] += p[j] * v;
            ref_o_unit[e] += ref_w_unit[j] * fabs(v) + fabs(p[j]) * (m + ref_long(&r) * fabs(v));
            if (fabs(v) > r.vmax && fabs(v) < HUGE_VAL) r.vmax = fabs(v);
        }
    }
    for (ptrdiff_t j = 0; j < M; j++) {
        if (d->weights_stage == ATTN_WEIGHTS_SOFTMAX) w[j] = p[j];
        else ref_w_unit[j] = asked_unit[j];
    }
    return r;
}
static void ref_keep(void) {
    (void)ref_cos_sin; (void)ref_lse; (void)ref_custom; (void)ref_keep;
}
#endif
