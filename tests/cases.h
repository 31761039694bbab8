// cases.h - arrays in fences and random descriptors for test_attention*.c; include tools.h, attn.h and ref.h before.
// Arrays are filled with 0xFF bytes first: NaN in every gap between strides.
#ifndef CASES_H
#define CASES_H
// ---- arrays with guards

enum { AXES_SLOTS = 28 };                           // of axes.h
enum { Q, K, V, O, LSE, W, KEEP, DROP, BIAS, KEY_LENGTHS, QUERY_LENGTHS, ROW_LENGTHS, OFFSETS, AXES_SLOT,
       WORK = AXES_SLOT + AXES_SLOTS, SLOTS };
static fence slots[SLOTS];
static size_t slot_bytes[SLOTS];

static unsigned char *first_of(int slot) { return slots[slot].end - slot_bytes[slot]; }
// The array of a slot anew: `bytes` bytes of 0xFF.
static void *take(int slot, size_t bytes) {
    if (!slots[slot].end) slots[slot] = fence_open((size_t)1 << (slot < AXES_SLOT || slot == WORK ? 26 : 21));
    slot_bytes[slot] = bytes;
    return memset(fence_array(&slots[slot], bytes), 0xFF, bytes);
}
static void forget_slots(void) { for (int i = 0; i < SLOTS; i++) take(i, 0); }
static int all_bytes(const unsigned char *p, size_t n, unsigned char value) {
    while (n && *p == value) { p++; n--; }
    return n == 0;
}
static int guards_intact(void) {
    int ok = 1;
    for (int i = 0; i < SLOTS; i++) ok &= fence_holds(&slots[i], first_of(i));
    return ok;
}
static int untouched(int slot) { return all_bytes(first_of(slot), slot_bytes[slot], 0xFF); }
static void wipe(int slot) { memset(first_of(slot), 0xFF, slot_bytes[slot]); }
static uint64_t inputs_hash(void) {
    uint64_t sum = 1469598103934665603u;
    for (int i = 0; i < WORK; i++) {
        if (i == O || i == LSE || i == W) continue;
        for (const unsigned char *p = first_of(i); p < slots[i].end; p++) sum = (sum ^ *p) * 1099511628211u;
    }
    return sum;
}

// ---- elements, passes

static size_t bytes_of(int type) { return type == ATTN_F64 ? 8 : type == ATTN_F16 || type == ATTN_BF16 ? 2 : 4; }
// f16 of x, cut towards 0.
static uint16_t half_bits(double x) {
    unsigned sign = signbit(x) ? 0x8000u : 0, e = 25;
    double m = fabs(x);
    if (!(m < 65536)) return (uint16_t)(sign | (m == m ? 0x7C00u : 0x7E00u));
    for (; m >= 2048; m /= 2) e++;
    for (; m < 1024 && e > 1; m *= 2) e--;
    return (uint16_t)(sign + (m < 1024 ? (unsigned)m : (e << 10) + ((unsigned)m - 1024)));
}
static void put(void *p, int type, ptrdiff_t i, double x) {
    float narrow = (float)x;
    uint32_t bits;
    if (type == ATTN_F64) ((double *)p)[i] = x;
    else if (type == ATTN_F16) ((uint16_t *)p)[i] = half_bits(x);
    else if (type == ATTN_BF16) { memcpy(&bits, &narrow, 4); ((uint16_t *)p)[i] = (uint16_t)(bits >> 16); }
    else ((float *)p)[i] = narrow;
}
static void *writable(const void *p) { union { const void *in; void *out; } u; u.in = p; return u.out; }
static void *at(const void *p, int type, ptrdiff_t i) {
    return (unsigned char *)writable(p) + i * (ptrdiff_t)bytes_of(type);
}
static int same_bits(const void *a, const void *b, int type, ptrdiff_t n) {
    return !memcmp(a, b, (size_t)n * bytes_of(type));
}
static double random_value(double gain) { return gain * (double)test_float(1.0f); }

static int pass_count, pass_type[ATTN_ISA_COUNT + 1], pass_isa[ATTN_ISA_COUNT + 1];
static void list_passes(void) {
    for (int i = 1; i < attn_isa_count() && i < ATTN_ISA_COUNT; i++)
        if (attn_isa_has(i)) { pass_type[pass_count] = ATTN_F32; pass_isa[pass_count++] = i; }
#if !defined(ATTN_NO_F64) && !defined(ATTN_NO_DISPATCH)
    pass_type[pass_count] = ATTN_F64; pass_isa[pass_count++] = 0;
#endif
}
#define EACH_PASS(p) for (int p = 0; p < pass_count; p++)
static attn_desc desc_of(int pass) {
    attn_desc d = ATTN_ZERO;
    d.q_type = d.k_type = d.v_type = d.o_type = d.bias_type = pass_type[pass];
    d.isa = pass_isa[pass];
    return d;
}
// Rounding relative to ref_row.size, which grows with D; the worst seen in 10^4 cases: 1.3e-7, 2e-16.
static double tolerance(const attn_desc *d) { return d->q_type == ATTN_F64 ? 1e-14 : 6e-7; }

// ---- making arrays

static void set4(ptrdiff_t s[4], ptrdiff_t a, ptrdiff_t b, ptrdiff_t c, ptrdiff_t e) {
    s[0] = a; s[1] = b; s[2] = c; s[3] = e;
}
enum { CONTIGUOUS, BNHD, PADDED, EVERY_SECOND, POWER_OF_TWO, SHARED, LAYOUTS };
// An array [n0,n1,n2,n3] in its slot, strides into s (left zero where contiguous), random values in its elements.
static void *lay(int slot, int type, int layout, ptrdiff_t n0, ptrdiff_t n1, ptrdiff_t n2, ptrdiff_t n3, ptrdiff_t s[4],
                 double gain) {
    ptrdiff_t row = n3, count = 0;
    void *p;
    set4(s, 0, 0, 0, 0);
    if (layout == PADDED) row = n3 + 1 + test_below(19);
    if (layout == POWER_OF_TWO) for (row = 16; row < n3; ) row *= 2;
    if (layout == EVERY_SECOND) row = 2 * n3;
    if (layout != CONTIGUOUS) set4(s, n1 * n2 * row, n2 * row, row, layout == EVERY_SECOND ? 2 : 1);
    if (layout == BNHD) set4(s, n1 * n2 * n3, n3, n1 * n3, 1);
    if (layout == SHARED) s[test_below(2)] = 0;
    if (n0 && n1 && n2 && n3) count = ref_index(s, n1, n2, n3, n0 - 1, n1 - 1, n2 - 1, n3 - 1) + 1;
    p = take(slot, (size_t)count * bytes_of(type));
    for (ptrdiff_t r = 0; gain != 0 && r < n0 * n1 * n2; r++)
        for (ptrdiff_t c = 0; c < n3; c++)
            put(p, type, ref_index(s, n1, n2, n3, r / n2 / n1, r / n2 % n1, r % n2, c), random_value(gain));
    return p;
}
static void lay_qkvo(attn_desc *d, int layout, double gain) {
    ptrdiff_t B = ref_batch(d), Hk = ref_kv_heads(d);
    d->q = lay(Q, d->q_type, layout, B, d->heads, d->queries, d->dim, d->q_stride, gain);
    d->k = lay(K, d->k_type, layout, B, Hk, d->keys, d->dim, d->k_stride, gain);
    d->v = lay(V, d->v_type, layout, B, Hk, d->keys, ref_vdim(d), d->v_stride, 1);
    d->o = lay(O, d->o_type, layout, B, d->heads, d->queries, ref_vdim(d), d->o_stride, 0);
}
static void lay_outputs(attn_desc *d, int lse, int weights) {
    size_t rows = (size_t)(ref_batch(d) * d->heads * d->queries), size = bytes_of(d->o_type);
    d->lse = take(LSE, lse ? rows * size : 0);
    d->weights = take(W, weights ? rows * (size_t)d->keys * size : 0);
    if (!lse) d->lse = NULL;
    if (!weights) d->weights = NULL;
}
// One array [B,N,H+2Hk,D] that holds q, k and v: needs N == M and D == E.
static void lay_packed(attn_desc *d, double gain) {
    ptrdiff_t B = ref_batch(d), N = d->queries, H = d->heads, Hk = ref_kv_heads(d), D = d->dim, all = H + 2 * Hk;
    ptrdiff_t s[4], none[4];
    void *p = lay(Q, d->q_type, CONTIGUOUS, B, N, all, D, none, gain);
    set4(s, N * all * D, D, all * D, 1);
    memcpy(d->q_stride, s, sizeof(s)); memcpy(d->k_stride, s, sizeof(s)); memcpy(d->v_stride, s, sizeof(s));
    d->q = p; d->k = at(p, d->q_type, H * D); d->v = at(p, d->q_type, (H + Hk) * D);
    take(K, 0); take(V, 0);
}
// Where a mask or bias of that kind varies, and its elements; kind 0 = [N,M] by all-zero strides.
static ptrdiff_t mask_strides(const attn_desc *d, int kind, ptrdiff_t s[4]) {
    ptrdiff_t B = ref_batch(d), H = d->heads, N = d->queries, M = d->keys;
    ptrdiff_t kinds[7][4] = { { 0, 0, 0, 0 }, { H * N * M, N * M, M, 1 }, { M, 0, 0, 1 }, { 0, N * M, M, 1 },
                              { 0, 0, 1, 0 }, { 0, 0, M + 3, 1 }, { 0, 0, 1, N } };
    memcpy(s, kinds[kind], sizeof(kinds[0]));
    if (!B || !H || !N || !M) return 0;
    return ref_mask_index(s, M, B - 1, H - 1, N - 1, M - 1) + 1;
}
static const uint8_t *lay_mask(const attn_desc *d, int slot, int kind, ptrdiff_t s[4], double ones) {
    ptrdiff_t n = mask_strides(d, kind, s);
    uint8_t *p = (uint8_t *)take(slot, (size_t)n);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = test_uniform() < ones;
    return p;
}
static void lay_bias(attn_desc *d, int kind, double gain) {
    ptrdiff_t n = mask_strides(d, kind, d->bias_stride);
    void *p = take(BIAS, (size_t)n * bytes_of(d->q_type));
    for (ptrdiff_t i = 0; i < n; i++) put(p, d->q_type, i, random_value(gain));
    d->bias = p;
}
static const int32_t *lay_lengths(int slot, ptrdiff_t n, ptrdiff_t low, ptrdiff_t high) {
    int32_t *p = (int32_t *)take(slot, (size_t)n * 4);
    for (ptrdiff_t i = 0; i < n; i++) {
        int edge = test_below(5);
        p[i] = (int32_t)(edge == 0 ? low : edge == 1 ? high : low + test_below((int)(high - low) + 1));
    }
    return p;
}

// ---- the sweep

static ptrdiff_t draw_extent(int most) {
    static const int edges[] = { 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 95, 96, 97,
                                 127, 128, 129, 255, 256, 257, 300 };
    int n = edges[test_below(COUNT(edges))];
    return n <= most && test_below(2) ? n : 1 + test_below(most);
}
static ptrdiff_t less(ptrdiff_t n) { return n > 1 ? n - (n + 3) / 4 : 1; }
static void draw_shape(attn_desc *d, double work) {
    ptrdiff_t B = 1 + test_below(3), G = 1 + test_below(4), Hk = 1 + test_below(3), E;
    d->queries = test_below(40) ? draw_extent(300) : 0;
    d->keys = test_below(40) ? draw_extent(300) : 0;
    d->dim = draw_extent(300); E = test_below(2) ? d->dim : draw_extent(300);
    if (!test_below(25)) { d->keys = 1000 + test_below(1601); d->queries = draw_extent(20); }
    else if (!test_below(8)) { d->queries = 1; }
    else if (!test_below(6)) { d->queries = d->keys; E = d->dim; }
    while ((double)(B * G * Hk) * (double)d->queries * (double)d->keys * (double)(d->dim + E) > work) {
        int cut = test_below(6), square = d->queries == d->keys;
        if (cut == 0 && B > 1) B--;
        else if (cut == 1 && G > 1) G--;
        else if (cut == 2 && Hk > 1) Hk--;
        else if (cut == 3) { d->queries = less(d->queries); if (square) d->keys = d->queries; }
        else if (cut == 4 && d->keys < 1000) { d->keys = less(d->keys); if (square) d->queries = d->keys; }
        else if (E == d->dim) E = d->dim = less(d->dim);
        else { d->dim = less(d->dim); E = less(E); }
    }
    d->batch = B > 1 || test_below(2) ? B : 0;
    d->heads = G * Hk;
    d->kv_heads = G > 1 || test_below(2) ? Hk : 0;
    d->vdim = E != d->dim || test_below(2) ? E : 0;
}
static void draw_masks(attn_desc *d) {
    ptrdiff_t B = ref_batch(d), N = d->queries, M = d->keys;
    double ones[] = { 0.95, 0.5, 0.04 };
    d->causal = test_below(2) ? test_below(ATTN_CAUSAL_COUNT) : 0;
    if (d->causal == ATTN_CAUSAL_AT) {
        d->query_offset = (int32_t)(M - N) + test_below(9) - 4;
        if (!test_below(6)) d->query_offset = test_below(2) ? INT32_MAX : INT32_MIN;
        if (test_below(2)) d->query_offsets = lay_lengths(OFFSETS, B, -N, M);
    }
    if (!d->causal && !test_below(4)) d->align = test_below(ATTN_ALIGN_COUNT);
    if (d->causal == ATTN_CAUSAL_LOWER_RIGHT && test_below(2)) d->align = ATTN_ALIGN_LOWER_RIGHT;
    if (d->causal == ATTN_CAUSAL_AT && test_below(2)) d->align = ATTN_ALIGN_AT;
    if (!test_below(3)) d->key_lengths = lay_lengths(KEY_LENGTHS, B, 0, M);
    if (!test_below(4)) d->query_lengths = lay_lengths(QUERY_LENGTHS, B, 0, N);
    if (!test_below(4)) d->row_lengths = lay_lengths(ROW_LENGTHS, B * N, 0, M);
    if (!test_below(4)) d->keep = lay_mask(d, KEEP, test_below(7), d->keep_stride, ones[test_below(3)]);
    if (!test_below(4)) d->drop = lay_mask(d, DROP, test_below(7), d->drop_stride, 1 - ones[test_below(3)]);
    if (!test_below(3)) lay_bias(d, test_below(7), 2);
}
static void draw_case(attn_desc *d, double work) {
    static const double gains[] = { 0.3, 1, 2, 3 };
    static const float scales[] = { 0, 0, 0, ATTN_SCALE_NONE, 0.05f, -0.3f };
    ptrdiff_t B, Hk, E;
    double gain = gains[test_below(4)];
    forget_slots();
    draw_shape(d, work);
    B = ref_batch(d); Hk = ref_kv_heads(d); E = ref_vdim(d);
    d->scale = scales[test_below(6)];
    if (d->scale == ATTN_SCALE_NONE) gain = ref_sqrt(8 / ref_sqrt((double)d->dim));
    if (d->queries == d->keys && d->dim == E && test_below(2)) lay_packed(d, gain);
    else {
        d->q = lay(Q, d->q_type, test_below(LAYOUTS), B, d->heads, d->queries, d->dim, d->q_stride, gain);
        d->k = lay(K, d->k_type, test_below(LAYOUTS), B, Hk, d->keys, d->dim, d->k_stride, gain);
        d->v = lay(V, d->v_type, test_below(LAYOUTS), B, Hk, d->keys, E, d->v_stride, 1);
    }
    d->o = lay(O, d->o_type, test_below(SHARED), B, d->heads, d->queries, E, d->o_stride, 0);
    lay_outputs(d, test_below(2), !test_below(3));
    draw_masks(d);
}
static void describe(const attn_desc *d, unsigned long long seed) {
    printf("    --seed %llu: %s %s B %ld H %ld Hk %ld N %ld M %ld D %ld E %ld causal %d offset %d%s scale %g\n", seed,
           attn_type_str(d->q_type), d->isa ? attn_isa_name(d->isa) : "best", (long)ref_batch(d), (long)d->heads,
           (long)ref_kv_heads(d), (long)d->queries, (long)d->keys, (long)d->dim, (long)ref_vdim(d), (int)d->causal,
           (int)d->query_offset, d->query_offsets ? "s" : "", (double)d->scale);
    printf("    lengths %s%s%s keep %d drop %d bias %d weights %d rows %ld %ld %ld %ld columns %ld %ld %ld %ld\n",
           d->key_lengths ? "k" : "", d->query_lengths ? "q" : "", d->row_lengths ? "r" : "", !!d->keep, !!d->drop,
           !!d->bias, !!d->weights, (long)d->q_stride[2], (long)d->k_stride[2], (long)d->v_stride[2],
           (long)d->o_stride[2], (long)d->q_stride[3], (long)d->k_stride[3], (long)d->v_stride[3],
           (long)d->o_stride[3]);
}

// ---- comparing

static double row_o[512], row_w[4096], worst;
static void note(double got, double want, double unit) {
    double e = fabs(got - want) / unit;
    if (e > worst) worst = e;
}
// One row of the outputs against the oracle. An empty row must have the very bits.
static void compare_row(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i) {
    ptrdiff_t r = (b * d->heads + h) * d->queries + i, E = ref_vdim(d), M = d->keys;
    ref_row row = ref_attend(d, b, h, i, row_o, row_w);
    double rel = tolerance(d) * row.size, rel_lse = rel + tolerance(d) * (row.seen ? fabs(row.lse) : 0);
    double tiny = d->o_type == ATTN_F64 ? 1e-300 : 1e-36;
    for (ptrdiff_t e = 0; e < E; e++) {
        double got = ref_at(d->o, d->o_type, ref_o(d, b, h, i, e));
        if (row.seen) { NEAR(got, row_o[e], rel * row.vmax + tiny); note(got, row_o[e], row.size * row.vmax + tiny); }
        else CHECK(got == 0 && !signbit(got));
    }
    if (d->lse) NEAR(ref_at(d->lse, d->o_type, r), row.lse, rel_lse);
    for (ptrdiff_t j = 0; d->weights && j < M; j++) {
        NEAR(ref_at(d->weights, d->o_type, r * M + j), row_w[j], 2 * rel_lse * row_w[j] + tiny);
        if (row_w[j] == 0) CHECK(same_bits(at(d->weights, d->o_type, r * M + j), "\0\0\0\0\0\0\0", d->o_type, 1));
    }
}
static void compare(const attn_desc *d) {
    for (ptrdiff_t b = 0; b < ref_batch(d); b++)
        for (ptrdiff_t h = 0; h < d->heads; h++)
            for (ptrdiff_t i = 0; i < d->queries; i++) compare_row(d, b, h, i);
}
// Wipes the elements of o, then what is left must be the fill: nothing was written into the gaps.
static int gaps_untouched(const attn_desc *d) {
    for (ptrdiff_t r = 0; r < ref_batch(d) * d->heads * d->queries; r++) {
        ptrdiff_t b = r / d->queries / d->heads, h = r / d->queries % d->heads, i = r % d->queries;
        for (ptrdiff_t e = 0; e < ref_vdim(d); e++)
            memset(at(d->o, d->o_type, ref_o(d, b, h, i, e)), 0xFF, bytes_of(d->o_type));
    }
    return untouched(O);
}
static void cases_keep(void) {
    (void)inputs_hash; (void)list_passes; (void)desc_of; (void)draw_case; (void)describe; (void)gaps_untouched;
    (void)cases_keep;
}
#endif
