// axes.h - random descriptors over every axis of attn_desc, and the comparison of a result with the oracle, for
// test_axes.c. Include tools.h, attn.h, ref.h and cases.h before. All arrays lie in fences; gaps between strides, slots
// of caches that hold no token, and what lies beyond lengths are NaN.
#ifndef AXES_H
#define AXES_H

#define AXES(ROW)                                                                                                      \
    ROW(TYPES) ROW(K_TYPE) ROW(V_TYPE) ROW(SCALE) ROW(LOGIT_SCALE) ROW(QK_NORM) ROW(ROPE) ROW(SCORE) ROW(CUSTOM)       \
    ROW(SOFTCAP) ROW(BIAS) ROW(ALIBI) ROW(REL) ROW(CAUSAL) ROW(PREFIX) ROW(WINDOW) ROW(ALIGN) ROW(KEY_LENGTHS)         \
    ROW(QUERY_LENGTHS) ROW(ROW_LENGTHS) ROW(MASKED_SCORE) ROW(KEEP) ROW(DROP) ROW(BLOCKS) ROW(DOCS) ROW(TREE)          \
    ROW(SINK) ROW(NORM) ROW(DROPOUT) ROW(VARLEN) ROW(CACHE) ROW(STAGE)
enum {
#define AXES_ROW(NAME) AX_##NAME,
    AXES(AXES_ROW)
#undef AXES_ROW
    AX_COUNT
};
static const char *const axes_name[] = {
#define AXES_ROW(NAME) #NAME,
    AXES(AXES_ROW)
#undef AXES_ROW
};
typedef uint64_t axes_set;
#define AX(NAME) ((axes_set)1 << AX_##NAME)
#define EACH(i, n) for (int i = 0; i < (n); i++)
static int has(axes_set on, int axis) { return (int)(on >> axis & 1); }

enum { A_Q_NORM = AXES_SLOT, A_K_NORM, A_LOGIT, A_COS, A_SIN, A_Q_POS, A_K_POS, A_W_SCORE, A_W_Q, A_W_K, A_W_V, A_WIDTH,
       A_SINK, A_SLOPES, A_REL, A_BLOCKS, A_DOC_Q, A_DOC_K, A_PREFIX, A_TREE, A_KEPT, A_CU_Q, A_CU_K, A_TABLE, A_NEW_K,
       A_NEW_V, A_END };

// ---- arrays

static const float *lay_floats(int slot, ptrdiff_t n, double low, double high) {
    float *p = (float *)take(slot, (size_t)n * 4);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = (float)(low + (high - low) * test_uniform());
    return p;
}
static int is_blocks(int type) { return type >= ATTN_Q8_0 && type <= ATTN_Q4_1; }
static size_t block_bytes(int type) { return type == ATTN_Q8_0 ? 34 : type == ATTN_Q4_0 ? 18 : 20; }
static size_t bytes_for(int type, ptrdiff_t elements) {
    return is_blocks(type) ? (size_t)(elements / 32) * block_bytes(type) : (size_t)elements * bytes_of(type);
}
// As lay(), of any type; rows of blocks are whole.
static void *lay_any(int slot, int type, int layout, ptrdiff_t n0, ptrdiff_t n1, ptrdiff_t n2, ptrdiff_t n3,
                     ptrdiff_t s[4], double gain) {
    ptrdiff_t row = layout == PADDED ? n3 + 32 : n3, count = 0;
    size_t bytes = is_blocks(type) ? block_bytes(type) : 0;
    unsigned char *p;
    if (!is_blocks(type)) return lay(slot, type, layout, n0, n1, n2, n3, s, gain);
    set4(s, 0, 0, 0, 0);
    if (layout == PADDED || layout == SHARED) set4(s, n1 * n2 * row, n2 * row, row, 1);
    if (layout == BNHD) set4(s, n1 * n2 * row, row, n1 * row, 1);
    if (layout == SHARED) s[test_below(2)] = 0;
    if (n0 && n1 && n2 && n3) count = ref_index(s, n1, n2, n3, n0 - 1, n1 - 1, n2 - 1, n3 - 1) + 1;
    p = (unsigned char *)take(slot, bytes_for(type, count));
    for (ptrdiff_t r = 0; r < n0 * n1 * n2; r++) for (ptrdiff_t c = 0; gain != 0 && c < n3; c += 32) {
        unsigned char *block = p + (size_t)(ref_index(s, n1, n2, n3, r / n2 / n1, r / n2 % n1, r % n2, c) / 32) * bytes;
        double most = type == ATTN_Q8_0 ? 127 : type == ATTN_Q4_0 ? 8 : 15;
        put(block, ATTN_F16, 0, gain * (0.3 + 0.7 * test_uniform()) / most * (test_below(2) ? 1 : -1));
        if (type == ATTN_Q4_1) put(block, ATTN_F16, 1, random_value(gain));
        for (size_t i = type == ATTN_Q4_1 ? 4 : 2; i < bytes; i++) block[i] = (unsigned char)test_below(256);
    }
    return p;
}
static void lay_any_outputs(attn_desc *d, int lse, int weights) {
    ptrdiff_t rows = ref_batch(d) * d->heads * d->queries, lse_rows = rows;
    int type = d->q_type == ATTN_F64 ? ATTN_F64 : ATTN_F32;
    if (d->cu_q) lse_rows = d->heads * d->cu_q[ref_batch(d)];
    d->lse = take(LSE, lse ? bytes_for(type, lse_rows) : 0);
    d->weights = take(W, weights ? bytes_for(type, rows * d->keys) : 0);
    if (!lse) d->lse = NULL;
    if (!weights) d->weights = NULL;
}

// ---- desc.custom and its twin of ref.h: four functions of one score each

enum { CUSTOM_PLACE, CUSTOM_ROWS, CUSTOM_HIDES, CUSTOM_ALONE, CUSTOM_KINDS };
static int custom_kind, custom_broken;
static double custom_place(ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j) {
    return 0.125 * (double)(h - b) - 0.03125 * (double)((i + 3 * j) % 17);
}
static int custom_hides(ptrdiff_t h, ptrdiff_t i, ptrdiff_t j) { return (7 * i + j + 3 * h) % 5 == 0; }
static float custom_one(const attn_tile *t, ptrdiff_t i, ptrdiff_t j, float s) {
    const float *q = t->q[i - t->i0], *k = t->k[j - t->j0];
    float sum = 0;
    if (custom_kind == CUSTOM_PLACE) return 0.75f * s + (float)custom_place(t->b, t->h, i, j);
    if (custom_kind == CUSTOM_ROWS) return s + 0.5f * q[t->dim - 1] * k[0];
    if (custom_kind == CUSTOM_HIDES) return custom_hides(t->h, i, j) ? (float)-HUGE_VAL : s;
    for (ptrdiff_t c = 0; c < t->dim && c < 4; c++) sum += q[c] * k[c];
    return sum;
}
static void custom_tile(const attn_tile *t, float *s) {
    const attn_desc *d = (const attn_desc *)t->user;
    if (t->dim != d->dim || t->b < 0 || t->b >= ref_batch(d) || t->h < 0 || t->h >= d->heads || t->i0 < 0 ||
        t->j0 < 0 || t->i0 + t->ni > d->queries || t->j0 + t->nj > d->keys) { custom_broken = 1; return; }
    for (ptrdiff_t j = t->j0; j < t->j0 + t->nj; j++) for (ptrdiff_t i = t->i0; i < t->i0 + t->ni; i++) {
        float *x = &s[(j - t->j0) * t->ld + (i - t->i0)];
        *x = custom_one(t, i, j, *x);
    }
}
static double custom_twin(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t j,
                          const ref_vec *q, const ref_vec *k, double s, double *e) {
    ptrdiff_t last = d->dim - 1;
    double sum = 0, size = 0;
    if (custom_kind == CUSTOM_PLACE) {
        *e += fabs(custom_place(b, h, i, j));
        return 0.75 * s + custom_place(b, h, i, j);
    }
    if (custom_kind == CUSTOM_ROWS) {
        *e += (fabs(q->x[last]) + q->m[last]) * (fabs(k->x[0]) + k->m[0]);
        return s + 0.5 * q->x[last] * k->x[0];
    }
    if (custom_kind == CUSTOM_HIDES) return custom_hides(h, i, j) ? -HUGE_VAL : s;
    for (ptrdiff_t c = 0; c <= last && c < 4; c++) {
        sum += q->x[c] * k->x[c]; size += (fabs(q->x[c]) + q->m[c]) * (fabs(k->x[c]) + k->m[c]);
    }
    *e = size;
    return sum;
}

// ---- which axes: pairs and triples mostly; left out are combinations without meaning, and those that the comments of
// the API leave open

static int is_distance(const attn_desc *d) {
    return d->score == ATTN_SCORE_NEG_L2 || (d->score >= ATTN_SCORE_GAUSSIAN && d->score <= ATTN_SCORE_TRICUBE);
}
static int is_compact(const attn_desc *d) { return d->score >= ATTN_SCORE_BOXCAR && d->score <= ATTN_SCORE_TRICUBE; }
static int sums_exps(const attn_desc *d) { return d->norm == ATTN_NORM_SOFTMAX || d->norm == ATTN_NORM_TOP_K; }
static axes_set random_axes(void) {
    int n = test_below(20);
    axes_set on = 0;
    for (n = n < 2 ? 1 : n < 11 ? 2 : n < 17 ? 3 : 4 + test_below(9); n; n--) on |= (axes_set)1 << test_below(AX_COUNT);
    return on;
}
// Takes back what does not go with an axis that stays; `first` stays whatever else.
static axes_set agreeing_axes(const attn_desc *d, axes_set on, axes_set first) {
    static const axes_set quarrels[][2] = { { AX(VARLEN), AX(CACHE) } };
    if (has(on, AX_PREFIX)) on |= AX(CAUSAL);
    if (d->q_type == ATTN_F64) on &= ~(AX(TYPES) | AX(K_TYPE) | AX(V_TYPE) | AX(CUSTOM));
    for (int i = 0; i < COUNT(quarrels); i++) {
        if (!(on & quarrels[i][0]) || !(on & quarrels[i][1])) continue;
        if (first & quarrels[i][1]) on &= ~quarrels[i][0]; else on &= ~quarrels[i][1];
    }
    if (has(on, AX_CACHE)) on |= AX(KEY_LENGTHS);
    return on;
}

// ---- choices within an axis

static int one_of(const int *list, int n) { return list[test_below(n)]; }
#define ONE_OF(list) one_of(list, COUNT(list))

static void choose_types(attn_desc *d, axes_set on) {
    static const int any[] = { ATTN_F32, ATTN_F16, ATTN_BF16, ATTN_Q8_0, ATTN_Q4_0, ATTN_Q4_1 };
    if (has(on, AX_TYPES)) { d->q_type = any[test_below(3)]; d->o_type = any[test_below(3)]; }
    if (has(on, AX_K_TYPE)) d->k_type = ONE_OF(any);
    if (has(on, AX_V_TYPE)) d->v_type = ONE_OF(any);
    if (has(on, AX_BIAS) && d->bias_type != ATTN_F64) d->bias_type = any[test_below(3)];
}
static void choose_score(attn_desc *d, axes_set on) {
    static const float caps[] = { 0.5f, 3, 30, 1000 }, scales[] = { ATTN_SCALE_NONE, 0.05f, 0.4f, -0.3f, -1.5f };
    if (has(on, AX_SCORE)) d->score = 1 + test_below(ATTN_SCORE_CUSTOM - 1);
    if (has(on, AX_SCALE))
        d->scale = scales[test_below(d->score >= ATTN_SCORE_GAUSSIAN && d->score != ATTN_SCORE_COSINE ? 3 : 5)];
    if (has(on, AX_SOFTCAP)) d->softcap = caps[test_below(4)];
    if (has(on, AX_CUSTOM) && !is_compact(d)) {
        custom_kind = test_below(CUSTOM_KINDS);
        if (d->softcap != 0.0f && custom_kind == CUSTOM_HIDES) custom_kind = CUSTOM_ROWS;
        if (custom_kind == CUSTOM_ROWS && d->score == ATTN_SCORE_COSINE)
            custom_kind = CUSTOM_PLACE;                          // rows of length 1
        if (custom_kind == CUSTOM_ALONE) d->score = ATTN_SCORE_CUSTOM;
        d->custom = custom_tile; d->user = d; ref_custom = custom_twin; custom_broken = 0;
    }
}
static void choose_norm(attn_desc *d, axes_set on) {
    if (has(on, AX_NORM)) {
        d->norm = 1 + test_below(ATTN_NORM_COUNT - 1);
        if (d->norm == ATTN_NORM_SIGMOID) d->sigmoid_bias = (float)random_value(3);
        if (d->norm == ATTN_NORM_RELU && test_below(2)) d->relu_div = 7;
        if (d->norm == ATTN_NORM_TOP_K) d->top_k = 1 + test_below(test_below(2) ? 5 : (int)d->keys + 2);
    }
    if (has(on, AX_MASKED_SCORE)) d->masked_score = test_below(2) ? -1e6f : (float)(0.25 + 3 * test_uniform());
    if (has(on, AX_STAGE)) {
        d->weights_stage = 1 + test_below(ATTN_WEIGHTS_COUNT - 1);
        if (d->masked_score != 0.0f && d->weights_stage == ATTN_WEIGHTS_BIASED) d->weights_stage = ATTN_WEIGHTS_CAPPED;
        if (d->score == ATTN_SCORE_CUSTOM && d->weights_stage == ATTN_WEIGHTS_SCORES)
            d->weights_stage = ATTN_WEIGHTS_CAPPED;
    }
    if (d->masked_score != 0.0f && is_compact(d)) d->score = ATTN_SCORE_GAUSSIAN;
    if (d->masked_score != 0.0f && custom_kind == CUSTOM_HIDES) custom_kind = CUSTOM_PLACE;
}
static void choose_shape(attn_desc *d, axes_set on, ptrdiff_t N, ptrdiff_t M, double work) {
    ptrdiff_t D, E;
    draw_shape(d, work);
    D = d->dim; E = ref_vdim(d);
    if (N >= 0) d->queries = N;
    if (M >= 0) d->keys = M;
    if (!d->queries || !d->keys) { D = 1 + D % 64; E = 1 + E % 64; }   // no work: draw_shape let the arrays be large
    if (d->score == ATTN_SCORE_ADDITIVE && D > 40) D = 1 + test_below(40);
    if (d->score == ATTN_SCORE_BILINEAR && D > 64) D = 1 + test_below(64);
    if (has(on, AX_ROPE) && D == 1) D = 2;
    if (is_blocks(d->k_type)) D = 32 * (1 + test_below(3));
    if (is_blocks(d->v_type)) E = 32 * (1 + test_below(3));
    d->vdim = d->vdim || D != E ? E : 0; d->dim = D;
    if (has(on, AX_REL) && d->rel_kind == ATTN_REL_WINDOW_2D) {
        d->rel_height = 1 + test_below(9); d->rel_width = 1 + test_below(9);
        d->queries = d->keys = d->rel_height * d->rel_width;
    }
    if (has(on, AX_TREE) && d->queries > d->keys) d->queries = d->keys;
}
static const int32_t *lay_cu(int slot, ptrdiff_t B, ptrdiff_t most) {
    int32_t *p = (int32_t *)take(slot, (size_t)(B + 1) * 4);
    p[0] = 0;
    for (ptrdiff_t b = 0; b < B; b++) p[b + 1] = p[b] + (int32_t)(test_below(6) ? test_below((int)most + 1) : 0);
    return p;
}
// An array [T,H,cols] and its strides, of which the first is not used.
static void *lay_packed_rows(int slot, int type, ptrdiff_t T, ptrdiff_t heads, ptrdiff_t cols, ptrdiff_t s[4],
                             double gain) {
    int layout = test_below(SHARED);
    void *p = lay_any(slot, type, layout, 1, T, heads, cols, s, gain);
    if (!ref_all_zero(s)) set4(s, 0, s[2], s[1], s[3]);
    return p;
}
// Tables of pages in any order; a row may share its first pages with the row before.
static void lay_paged(attn_desc *d, double gain) {
    static const int pages[] = { 1, 3, 16, 128, 200 };
    static int32_t free_pages[1 << 14];
    ptrdiff_t B = ref_batch(d), Hk = ref_kv_heads(d), most, left;
    int32_t *table;
    if (d->page == 0) d->page = ONE_OF(pages);
    d->pages_per_row = (d->keys + d->page - 1) / d->page + test_below(2);
    most = B * d->pages_per_row;
    left = d->page_count = most + test_below(3);
    ref_fits(left, COUNT(free_pages));
    for (ptrdiff_t i = 0; i < left; i++) free_pages[i] = (int32_t)i;
    d->block_table = table = (int32_t *)take(A_TABLE, (size_t)most * 4);
    for (ptrdiff_t b = 0; b < B; b++) for (ptrdiff_t t = 0; t < d->pages_per_row; t++, table++) {
        int fork = b > 0 && t < 2 && t < d->key_lengths[b - 1] / d->page && test_below(2), i = test_below((int)left);
        if (t * d->page >= d->key_lengths[b]) *table = -1;
        else if (fork) *table = table[-d->pages_per_row];
        else { *table = free_pages[i]; free_pages[i] = free_pages[--left]; }
    }
    d->k_cache = lay_any(K, d->k_type, test_below(SHARED), d->page_count, Hk, d->page, d->dim, d->k_stride, gain);
    d->v_cache = lay_any(V, d->v_type, test_below(SHARED), d->page_count, Hk, d->page, ref_vdim(d), d->v_stride, 1);
}
static void lay_arrays(attn_desc *d, axes_set on, double gain) {
    ptrdiff_t B = ref_batch(d), Hk = ref_kv_heads(d), E = ref_vdim(d), room;
    int cache = has(on, AX_CACHE) ? 1 + test_below(3) : 0;
    if (has(on, AX_VARLEN)) {
        d->cu_q = lay_cu(A_CU_Q, B, d->queries); d->cu_k = lay_cu(A_CU_K, B, d->keys);
        d->q = lay_packed_rows(Q, d->q_type, d->cu_q[B], d->heads, d->dim, d->q_stride, gain);
        d->k = lay_packed_rows(K, d->k_type, d->cu_k[B], Hk, d->dim, d->k_stride, gain);
        d->v = lay_packed_rows(V, d->v_type, d->cu_k[B], Hk, E, d->v_stride, 1);
        d->o = lay_packed_rows(O, d->o_type, d->cu_q[B], d->heads, E, d->o_stride, 0);
        return;
    }
    d->q = lay_any(Q, d->q_type, test_below(LAYOUTS), B, d->heads, d->queries, d->dim, d->q_stride, gain);
    d->o = lay(O, d->o_type, test_below(SHARED), B, d->heads, d->queries, E, d->o_stride, 0);
    if (cache == 3) { lay_paged(d, gain); return; }
    if (cache == 2 && d->keys && !has(on, AX_MASKED_SCORE))                 // keys 0 would be without end
        d->ring = 1 + test_below((int)d->keys + 3);
    if (d->ring && has(on, AX_CAUSAL) && d->ring < d->queries) d->ring = (int32_t)d->queries;   // else refused
    room = d->ring ? d->ring : d->keys;
    d->k = lay_any(K, d->k_type, test_below(cache ? SHARED : LAYOUTS), B, Hk, room, d->dim, d->k_stride, gain);
    d->v = lay_any(V, d->v_type, test_below(cache ? SHARED : LAYOUTS), B, Hk, room, E, d->v_stride, 1);
    if (cache) { d->k_cache = writable(d->k); d->v_cache = writable(d->v); d->k = d->v = NULL; }
}
static void lay_rope(attn_desc *d) {
    ptrdiff_t B = ref_batch(d), half, low = 0, high = 0, P;
    d->rope_kind = 1 + test_below(ATTN_ROPE_COUNT - 1);
    d->rope_dim = d->dim % 2 || test_below(2) ? (int32_t)(2 * (1 + test_below((int)d->dim / 2))) : 0;
    half = (d->rope_dim ? d->rope_dim : d->dim) / 2;
    for (ptrdiff_t b = 0; b < B; b++) {
        ptrdiff_t first = (ptrdiff_t)ref_offset(d, b);
        if (first < low) low = first;
        if (first > high) high = first;
    }
    P = d->rope_positions = d->keys + d->queries + 1 + test_below(20);
    d->rope_cos = lay_floats(A_COS, P * half, -1.1, 1.1); d->rope_sin = lay_floats(A_SIN, P * half, -1.1, 1.1);
    if (low < 0 || high + d->queries > P || test_below(3) == 0)
        d->rope_q_pos = lay_lengths(A_Q_POS, B * d->queries, 0, P - 1);
    if (test_below(3) == 0) d->rope_k_pos = lay_lengths(A_K_POS, B * d->keys, 0, P - 1);
}
// Keys at about 0.6 to 1.7 widths from their queries.
static const float *lay_widths(attn_desc *d) {
    double distance = 0;
    if (ref_queries(d, 0) && ref_keys(d, 0)) {
        ref_load_query(d, 0, 0, 0);
        ref_load_key(d, 0, 0, ref_keys(d, 0) - 1);
        for (ptrdiff_t c = 0; c < d->dim; c++) {
            double x = ref_query.x[c] - ref_key.x[c];
            distance += x * x;
        }
    }
    distance = distance > 0 ? ref_sqrt(distance) : 1;
    return lay_floats(A_WIDTH, d->heads, 0.6 * distance, 1.7 * distance);
}
static void lay_score(attn_desc *d, axes_set on, double gain) {
    ptrdiff_t D = d->dim;
    double w = 2 / ref_sqrt((double)D);
    if (has(on, AX_LOGIT_SCALE)) d->logit_scale = lay_floats(A_LOGIT, d->heads, is_distance(d) ? 0.2 : -2, 2);
    if (has(on, AX_QK_NORM)) {
        d->qk_norm = 1 + test_below(ATTN_QK_NORM_COUNT - 1);
        d->norm_eps = d->q_type == ATTN_F64 || test_below(2) ? 1e-4f : 0;
        if (test_below(2)) d->q_norm = lay_floats(A_Q_NORM, D, 0.3, 1.6);
        if (test_below(2)) d->k_norm = lay_floats(A_K_NORM, D, -1.6, 1.6);
    }
    if (has(on, AX_ROPE)) lay_rope(d);
    if (d->score == ATTN_SCORE_BILINEAR) d->w_score = lay_floats(A_W_SCORE, D * D, -w / gain, w / gain);
    if (d->score == ATTN_SCORE_ADDITIVE) {
        d->score_width = 1 + test_below(24);
        d->w_q = lay_floats(A_W_Q, d->score_width * D, -w, w); d->w_k = lay_floats(A_W_K, d->score_width * D, -w, w);
        d->w_v = lay_floats(A_W_V, d->score_width, -1, 1);
    }
    if (d->score >= ATTN_SCORE_GAUSSIAN && d->score <= ATTN_SCORE_TRICUBE) d->kernel_width = lay_widths(d);
}
static void lay_any_bias(attn_desc *d, int kind) {
    ptrdiff_t n = mask_strides(d, kind, d->bias_stride);
    int hides = d->masked_score != 0.0f ? 0 : test_below(3);
    void *p = take(BIAS, bytes_for(d->bias_type, n));
    for (ptrdiff_t i = 0; i < n; i++)
        put(p, d->bias_type, i, hides == 1 && !test_below(5) ? -HUGE_VAL : random_value(2));
    d->bias = p;
}
static void lay_added(attn_desc *d, axes_set on) {
    ptrdiff_t H = d->heads;
    if (has(on, AX_BIAS)) lay_any_bias(d, test_below(7));
    if (has(on, AX_ALIBI)) {
        if (test_below(2)) {
            float *slopes = (float *)take(A_SLOPES, (size_t)H * 4);
            for (ptrdiff_t h = 0; h < H; h++) slopes[h] = test_below(3) ? (float)(-0.05 + 0.45 * test_uniform()) : 0;
            d->alibi_slopes = slopes;
        } else d->alibi = 1;
    }
    if (has(on, AX_REL)) {
        ptrdiff_t rows = (2 * d->rel_height - 1) * (2 * d->rel_width - 1);
        if (d->rel_kind == ATTN_REL_OFFSET) d->rel_count = 1 + 2 * test_below(test_below(2) ? 5 : 60);
        if (d->rel_kind == ATTN_REL_T5) {
            d->rel_both_ways = test_below(2);
            d->rel_count = 4 << test_below(4);
            d->rel_max_distance = d->rel_count + 1 + test_below(100);
        }
        if (d->rel_kind != ATTN_REL_WINDOW_2D) rows = d->rel_count;
        d->rel_table = lay_floats(A_REL, rows * H, -2, 2);
    }
    if (has(on, AX_SINK) && sums_exps(d)) {
        if (test_below(2)) d->sink = lay_floats(A_SINK, H, -10, 10); else d->off_by_one = 1;
    }
}
static void lay_positions(attn_desc *d, axes_set on) {
    ptrdiff_t B = ref_batch(d), N = d->queries, M = d->keys;
    int two_d = has(on, AX_REL) && d->rel_kind == ATTN_REL_WINDOW_2D;   // places of tokens: an offset has no meaning
    if (has(on, AX_CAUSAL)) d->causal = two_d ? ATTN_CAUSAL_UPPER_LEFT : 1 + test_below(ATTN_CAUSAL_COUNT - 1);
    else if (has(on, AX_ALIGN) && !two_d) d->align = test_below(ATTN_ALIGN_COUNT);
    if (d->causal == ATTN_CAUSAL_AT || d->align == ATTN_ALIGN_AT) {
        d->query_offset = (int32_t)(M - N) + test_below(9) - 4;
        if (test_below(2)) d->query_offsets = lay_lengths(OFFSETS, B, -N, M);
    }
    if (has(on, AX_PREFIX)) d->prefix = lay_lengths(A_PREFIX, B, 0, M);
    if (has(on, AX_WINDOW)) {
        const int widths[] = { -1, 0, 1, 5, 64, (int)M / 3 };
        d->window = 1; d->window_left = ONE_OF(widths); d->window_right = ONE_OF(widths);
    }
    if (has(on, AX_KEY_LENGTHS)) d->key_lengths = lay_lengths(KEY_LENGTHS, B, has(on, AX_TREE) ? N : 0, M);
    if (has(on, AX_QUERY_LENGTHS)) d->query_lengths = lay_lengths(QUERY_LENGTHS, B, 0, N);
    if (has(on, AX_ROW_LENGTHS)) d->row_lengths = lay_lengths(ROW_LENGTHS, B * N, 0, M);
}
static void lay_masks(attn_desc *d, axes_set on) {
    static const int sides[] = { 1, 3, 16, 64, 128, 200 };
    static const double ones[] = { 0.95, 0.5, 0.04 };
    ptrdiff_t B = ref_batch(d), N = d->queries, M = d->keys;
    if (has(on, AX_KEEP)) d->keep = lay_mask(d, KEEP, test_below(7), d->keep_stride, ones[test_below(3)]);
    if (has(on, AX_DROP)) d->drop = lay_mask(d, DROP, test_below(7), d->drop_stride, 1 - ones[test_below(3)]);
    if (has(on, AX_BLOCKS)) {
        ptrdiff_t n;
        uint8_t *p;
        d->block_q = ONE_OF(sides); d->block_k = ONE_OF(sides); d->block_heads = test_below(2) ? 1 : (int32_t)d->heads;
        n = d->block_heads * ((N + d->block_q - 1) / d->block_q) * ((M + d->block_k - 1) / d->block_k);
        d->block_mask = p = (uint8_t *)take(A_BLOCKS, (size_t)n);
        for (ptrdiff_t i = 0; i < n; i++) p[i] = (uint8_t)(test_below(3) != 0);
    }
    if (has(on, AX_DOCS)) {
        int ids = test_below(5);                                 // 0: one document
        d->doc_q = lay_lengths(A_DOC_Q, B * N, -ids, ids); d->doc_k = lay_lengths(A_DOC_K, B * M, -ids, ids);
    }
    if (has(on, AX_TREE)) {
        int32_t *p = (int32_t *)take(A_TREE, (size_t)N * 4);
        for (ptrdiff_t i = 0; i < N; i++) p[i] = test_below(8) ? test_below((int)i + 1) - 1 : (int32_t)i - 1;
        d->tree_parent = p;
    }
    if (has(on, AX_DROPOUT)) {
        static const float rates[] = { 0.1f, 0.5f, 0.9f };
        d->dropout = rates[test_below(3)];
        d->seed = test_next();
        if (!test_below(3)) {
            ptrdiff_t n = B * d->heads * N * M;
            uint8_t *p = (uint8_t *)take(A_KEPT, (size_t)n);
            for (ptrdiff_t i = 0; i < n; i++) p[i] = (uint8_t)test_below(2);
            d->keep_weights = p;
            if (test_below(2)) d->dropout = 0;
        }
    }
}
static int any_row_sees(const attn_desc *d, ptrdiff_t b, ptrdiff_t hk, ptrdiff_t j) {
    ptrdiff_t group = d->heads / ref_kv_heads(d);
    for (ptrdiff_t h = hk * group; h < (hk + 1) * group; h++)
        for (ptrdiff_t i = 0; i < ref_rows(d, b); i++) if (ref_sees(d, b, h, i, j)) return 1;
    return 0;
}
// Bytes of q, k and v that no result may come from: NaN. With `hidden` those too of keys that the masks hide from all.
static void poison_unused(const attn_desc *d, int hidden) {
    static unsigned char used[1 << 20];
    for (int slot = Q; slot <= V; slot++) {
        int type = slot == Q ? d->q_type : slot == K ? d->k_type : d->v_type;
        ptrdiff_t heads = slot == Q ? d->heads : ref_kv_heads(d), cols = slot == V ? ref_vdim(d) : d->dim;
        size_t unit = is_blocks(type) ? block_bytes(type) : bytes_of(type), n = slot_bytes[slot];
        unsigned char *p = first_of(slot);
        if (n > sizeof(used)) continue;
        memset(used, 0, n);
        for (ptrdiff_t b = 0; b < ref_batch(d); b++)
            for (ptrdiff_t i = 0, rows = slot == Q ? ref_queries(d, b) : d->keys; i < rows; i++)
                for (ptrdiff_t h = 0; h < heads; h++) {
                    if (slot != Q && !ref_exists(d, b, i) && !(d->masked_score != 0.0f)) continue;
                    if (slot != Q && hidden && !any_row_sees(d, b, h, i)) continue;
                    for (ptrdiff_t c = 0; c < cols; c++) {
                        ptrdiff_t place = slot == Q ? ref_q(d, b, h, i, c) : ref_k(d, b, h, i, c);
                        if (slot == V) place = ref_v(d, b, h, i, c);
                        memset(used + (size_t)(is_blocks(type) ? place / 32 : place) * unit, 1, unit);
                    }
                }
        for (size_t i = 0; i < n; i++) if (!used[i]) p[i] = 0xFF;
    }
}
// A descriptor with these axes on, those that go together; queries and keys of -1 are drawn. d comes from desc_of().
static axes_set draw_axes_of(attn_desc *d, axes_set on, axes_set first, ptrdiff_t N, ptrdiff_t M, double work) {
    static const double gains[] = { 0.3, 1, 2, 3 };
    double gain = gains[test_below(4)];
    forget_slots();
    ref_custom = NULL;
    custom_kind = CUSTOM_PLACE;
    on = agreeing_axes(d, on, first);
    choose_types(d, on);
    choose_score(d, on);
    if (has(on, AX_REL)) {                                       // WINDOW_2D asks for arrays of its own shape
        int flat = has(on, AX_VARLEN) || has(on, AX_CACHE) || N >= 0 || M >= 0;
        d->rel_kind = 1 + test_below(ATTN_REL_COUNT - 1 - flat);
    }
    choose_shape(d, on, N, M, work);
    choose_norm(d, on);
    if (d->scale == ATTN_SCALE_NONE && d->score == ATTN_SCORE_DOT) gain = ref_sqrt(8 / ref_sqrt((double)d->dim));
    lay_positions(d, on);
    lay_arrays(d, on, gain);
    poison_unused(d, 0);
    lay_score(d, on, gain);
    lay_added(d, on);
    lay_masks(d, on);
    lay_any_outputs(d, sums_exps(d) && test_below(2), has(on, AX_STAGE) || !test_below(3));
    return on;
}
static axes_set draw_axes(attn_desc *d, double work) { return draw_axes_of(d, random_axes(), 0, -1, -1, work); }

static void describe_axes(const attn_desc *d, axes_set on, unsigned long long seed) {
    describe(d, seed);
    printf("   ");
    for (int i = 0; i < AX_COUNT; i++) if (has(on, i)) printf(" %s", axes_name[i]);
    printf("; types %s %s %s %s score %d norm %d stage %d align %d cache %s%s%s custom %d\n", attn_type_str(d->q_type),
           attn_type_str(d->k_type), attn_type_str(d->v_type), attn_type_str(d->o_type), (int)d->score, (int)d->norm,
           (int)d->weights_stage, (int)d->align, d->k_cache ? "yes" : "no", d->ring ? " ring" : "",
           d->block_table ? " paged" : "", d->custom ? custom_kind : -1);
}

// ---- comparing

static double axes_worst, axes_loose = 1;         // 1: f32 arithmetic; more where the descriptor allows less precision
static long rows_compared, rows_unsure;
// Half of the last place that a type of o has there.
static double storage(int type, double x) {
    if (type == ATTN_F16) return fabs(x) / 2048 + 3e-8;
    return type == ATTN_BF16 ? fabs(x) / 256 : 0;
}
static void near_unit(const attn_desc *d, const char *what, double got, double want, double unit, double stored) {
    double tiny = d->q_type == ATTN_F64 ? 1e-300 : 1e-36, tol = axes_loose * ref_rel(d) * unit + stored + tiny;
    if (want != want) { test_fail(__FILE__, __LINE__, "the oracle is not a number"); return; }
    if (fabs(got - want) - stored - tiny > axes_worst * unit && unit < HUGE_VAL && d->q_type != ATTN_F64)
        axes_worst = (fabs(got - want) - stored - tiny) / unit;
    if (!test_same(got, want, tol)) test_near(__FILE__, __LINE__, what, got, want, tol);
}
static void compare_axes_row(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i) {
    ptrdiff_t r = (b * d->heads + h) * d->queries + i, M = d->keys;
    int type = d->q_type == ATTN_F64 ? ATTN_F64 : ATTN_F32;
    ref_row row = ref_attend(d, b, h, i, row_o, row_w);
    double vanished = d->q_type == ATTN_F64 ? 0 : (double)row.seen * 1.18e-38 * row.vmax;   // weights below 2^-126
    rows_compared++;
    if (row.unsure) { rows_unsure++; return; }
    for (ptrdiff_t e = 0; e < ref_vdim(d); e++) {
        double got = ref_at(d->o, d->o_type, ref_o(d, b, h, i, e));
        if (!row.seen) CHECK(got == 0 && !signbit(got));
        else if (d->o_type != ATTN_F16 || fabs(row_o[e]) < 65000)
            near_unit(d, "o", got, row_o[e], ref_o_unit[e], storage(d->o_type, row_o[e]) + vanished);
    }
    if (d->lse) near_unit(d, "lse", ref_at(d->lse, type, ref_lse(d, b, h, i)), row.lse, row.lse_unit, 0);
    for (ptrdiff_t j = 0; d->weights && j < M; j++) {
        if (ref_w_unit[j] == HUGE_VAL) continue;
        near_unit(d, "weight", ref_at(d->weights, type, r * M + j), row_w[j], ref_w_unit[j], 0);
        if (!d->weights_stage && !ref_in[j]) CHECK(ref_at(d->weights, type, r * M + j) == 0);
    }
}
static void compare_axes(const attn_desc *d) {
    for (ptrdiff_t b = 0; b < ref_batch(d); b++)
        for (ptrdiff_t h = 0; h < d->heads; h++)
            for (ptrdiff_t i = 0; i < ref_rows(d, b); i++) compare_axes_row(d, b, h, i);
}
// Wipes the elements of o; what is left must be the fill.
static int axes_gaps_untouched(const attn_desc *d) {
    for (ptrdiff_t b = 0; b < ref_batch(d); b++)
        for (ptrdiff_t h = 0; h < d->heads; h++)
            for (ptrdiff_t i = 0; i < ref_rows(d, b); i++) for (ptrdiff_t e = 0; e < ref_vdim(d); e++)
                memset(at(d->o, d->o_type, ref_o(d, b, h, i, e)), 0xFF, bytes_of(d->o_type));
    return untouched(O);
}
static void axes_keep(void) {
    (void)draw_axes; (void)describe_axes; (void)compare_axes; (void)axes_gaps_untouched; (void)cases_keep;
    (void)compare; (void)ref_keep; (void)tools_keep; (void)axes_keep;
}
#endif
