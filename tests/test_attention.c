// test_attention.c - room attention: attn_fwd against the oracle of ref.h and against its own promises.
// -DROUNDS=N changes the length of the sweeps. To repeat a failure, give the seed that it printed and the test's word:
//     test_attention --seed 123 sweep
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include "ref.h"
#include "cases.h"

#ifndef ROUNDS
#define ROUNDS 1500
#endif

TEST(sweep, every_element_agrees_with_the_oracle) {
    for (int round = 0; round < ROUNDS; round++) {
        unsigned long long seed = test_seed;
        int before = test_failed_checks;
        attn_desc d = desc_of(test_below(pass_count));
        uint64_t inputs;
        draw_case(&d, 1.5e6);
        inputs = inputs_hash();
        CHECK(attn_fwd(&d) == ATTN_OK);
        CHECK(inputs_hash() == inputs);
        CHECK(guards_intact());
        compare(&d);
        CHECK(gaps_untouched(&d));
        if (test_failed_checks != before) { describe(&d, seed); if (test_failed_checks > 40) return; }
    }
    if (getenv("WORST")) printf("worst error %g\n", worst);
}
TEST(sweep, every_width_from_1_to_257) {                    // one row, as in decoding, and a tile not full
    for (int p = 0; p < pass_count; p++) for (ptrdiff_t D = 1; D <= 257; D++) for (int N = 1; N <= 19; N += 18) {
        attn_desc d = desc_of(p);
        forget_slots();
        d.batch = d.heads = d.kv_heads = 1; d.queries = N; d.keys = 40; d.dim = D; d.vdim = 258 - D;
        lay_qkvo(&d, CONTIGUOUS, 1);                        // arrays end at a fence and begin anywhere
        lay_outputs(&d, 1, 0);
        CHECK(attn_fwd(&d) == ATTN_OK && guards_intact());
        compare(&d);
    }
}

// ---- what is masked never reaches a result

static unsigned char saved[3][1 << 20];
static void save_outputs(void) {
    for (int i = 0; i < 3; i++) {
        if (slot_bytes[O + i] > sizeof(saved[0])) { printf("saved[] is too small\n"); exit(2); }
        memcpy(saved[i], first_of(O + i), slot_bytes[O + i]);
    }
}
static void *saved_at(int slot, const attn_desc *d, ptrdiff_t i) { return at(saved[slot - O], d->o_type, i); }
enum { BY_SCORE = 1, BY_VALUE = 2 };
// Whether the result of a row takes in the element at an address: into its scores, or as a value.
static int row_reads(const attn_desc *d, const void *p, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i) {
    int t = d->q_type, reads = 0;
    ptrdiff_t hk = h / (d->heads / ref_kv_heads(d));
    for (ptrdiff_t j = 0; j < d->keys; j++) {
        if (!ref_sees(d, b, h, i, j)) continue;
        if (d->bias && at(d->bias, t, ref_mask_index(d->bias_stride, d->keys, b, h, i, j)) == p) reads |= BY_SCORE;
        for (ptrdiff_t c = 0; c < d->dim; c++)
            if (at(d->k, t, ref_k(d, b, hk, j, c)) == p || at(d->q, t, ref_q(d, b, h, i, c)) == p) reads |= BY_SCORE;
        for (ptrdiff_t e = 0; e < ref_vdim(d); e++)
            if (at(d->v, t, ref_v(d, b, hk, j, e)) == p) reads |= BY_VALUE;
    }
    return reads;
}
static int same_o(const attn_desc *d, ptrdiff_t i) {
    return same_bits(at(d->o, d->o_type, i), saved_at(O, d, i), d->o_type, 1);
}
static int row_o_kept(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i) {
    int same = 1;
    for (ptrdiff_t e = 0; e < ref_vdim(d); e++)
        same &= same_o(d, ref_o(d, b, h, i, e));
    return same;
}
static void check_poisoned_row(const attn_desc *d, const void *p, double poison, ptrdiff_t r) {
    ptrdiff_t b = r / d->queries / d->heads, h = r / d->queries % d->heads, i = r % d->queries, M = d->keys;
    int reads = row_reads(d, p, b, h, i);
    attn_desc alone = *d;
    if (!reads) CHECK(row_o_kept(d, b, h, i));
    if (!(reads & BY_SCORE)) {
        if (d->lse) CHECK(same_bits(at(d->lse, d->o_type, r), saved_at(LSE, d, r), d->o_type, 1));
        if (d->weights) CHECK(same_bits(at(d->weights, d->o_type, r * M), saved_at(W, d, r * M), d->o_type, M));
    }
    if (!reads) return;
    if (!(reads & BY_SCORE) || poison == poison) alone.lse = alone.weights = NULL;
    if ((reads & BY_VALUE) && poison == poison) {                // a weight that f32 rounds to 0 makes NaN of infinity
        ref_attend(d, b, h, i, row_o, row_w);
        for (ptrdiff_t j = 0; j < M; j++) if (ref_sees(d, b, h, i, j) && row_w[j] < 1e-36) return;
    }
    compare_row(&alone, b, h, i);
}
static void poison_once(const attn_desc *d) {
    static const int arrays[] = { Q, K, V, K, V, BIAS };
    double poisons[] = { (double)NAN, HUGE_VAL, -HUGE_VAL };
    int slot = arrays[test_below(6)], t = d->q_type;
    double poison = poisons[test_below(3)], old = (double)NAN;
    ptrdiff_t n = (ptrdiff_t)(slot_bytes[slot] / bytes_of(t)), i = 0;
    void *p = first_of(slot);
    for (int tries = 0; n && tries < 50 && old != old; tries++) {
        i = test_below((int)n);
        old = ref_at(p, t, i);
    }
    if (old != old) return;
    put(p, t, i, poison);
    wipe(O); wipe(LSE); wipe(W);
    CHECK(attn_fwd(d) == ATTN_OK);
    CHECK(guards_intact());
    for (ptrdiff_t r = 0; r < ref_batch(d) * d->heads * d->queries; r++)
        check_poisoned_row(d, at(p, t, i), poison, r);
    put(p, t, i, old);
}
TEST(poison, one_element_reaches_only_the_rows_that_see_it) {
    for (int round = 0; round < ROUNDS / 4; round++) {
        unsigned long long seed = test_seed;
        int before = test_failed_checks;
        attn_desc d = desc_of(test_below(pass_count));
        draw_case(&d, test_below(8) ? 3e4 : 3e5);
        if (slot_bytes[O] > sizeof(saved[0]) || slot_bytes[W] > sizeof(saved[0])) continue;
        CHECK(attn_fwd(&d) == ATTN_OK);
        save_outputs();
        for (int i = 0; i < 4; i++) poison_once(&d);
        if (test_failed_checks != before) { describe(&d, seed); if (test_failed_checks > 40) return; }
    }
}
// The arrays k and v end with the last key in use: reading the next one would fault.
TEST(poison, keys_beyond_the_length_are_not_read) {
    static const int32_t lengths[] = { 0, 1, 15, 16, 17, 37, 128, 129, 255 };
    EACH_PASS(p) for (size_t i = 0; i < (size_t)COUNT(lengths); i++) {
        attn_desc d = desc_of(p);
        forget_slots();
        d.heads = 3; d.kv_heads = 1; d.queries = 1 + (ptrdiff_t)i * 4; d.keys = lengths[i]; d.dim = 33; d.vdim = 17;
        lay_qkvo(&d, CONTIGUOUS, 2);
        lay_outputs(&d, 1, 0);
        CHECK(attn_fwd(&d) == ATTN_OK);
        compare(&d);
        save_outputs(); wipe(O); wipe(LSE);
        d.keys = 300; d.key_lengths = &lengths[i];
        CHECK(attn_fwd(&d) == ATTN_OK);
        CHECK(!memcmp(saved[0], d.o, slot_bytes[O]) && !memcmp(saved[1], d.lse, slot_bytes[LSE]));
    }
}
// Every way to hide every key; q, k and v hold nothing but NaN.
static void hide_all(attn_desc *d, int way) {
    static const int32_t zeros[64] = { 0 };
    if (way == 0) d->keys = 0;
    if (way == 1) d->key_lengths = zeros;
    if (way == 2) { d->causal = ATTN_CAUSAL_AT; d->query_offset = -5; }
    if (way == 3) { d->causal = ATTN_CAUSAL_AT; d->query_offset = INT32_MIN; }
    if (way == 4) d->keep = lay_mask(d, KEEP, 0, d->keep_stride, 0);
    if (way == 5) d->drop = lay_mask(d, DROP, 2, d->drop_stride, 1);
    if (way == 6) d->row_lengths = zeros;
    if (way == 7) d->query_lengths = zeros;
    if (way == 8) {                                              // each hides what the other leaves
        d->drop = d->keep = lay_mask(d, KEEP, 1, d->keep_stride, 0.5);
        memcpy(d->drop_stride, d->keep_stride, sizeof(d->keep_stride));
    }
}
TEST(empty, rows_that_see_no_key_are_zero_with_lse_of_minus_infinity) {
    EACH_PASS(p) for (int way = 0; way < 9; way++) for (int queries = 1; queries <= 5; queries += 4) {
        attn_desc d = desc_of(p);
        forget_slots();
        d.batch = 2; d.heads = 2; d.queries = queries; d.keys = 133; d.dim = 8; d.vdim = 5;
        lay_qkvo(&d, way % 2 ? PADDED : CONTIGUOUS, 0);
        hide_all(&d, way);
        lay_outputs(&d, 1, 1);
        CHECK(attn_fwd(&d) == ATTN_OK);
        compare(&d);
        CHECK(all_bytes((const unsigned char *)d.weights, slot_bytes[W], 0));
        CHECK(gaps_untouched(&d) && guards_intact());
    }
}

// ---- a row depends on nothing but itself

static unsigned char base_o[1 << 23], base_lse[1 << 20];
// Keys grow along the sequence, so that the running maximum rises in every span.
static attn_desc rule_case(int pass, ptrdiff_t N, ptrdiff_t M, ptrdiff_t D, ptrdiff_t E, int causal) {
    attn_desc d = desc_of(pass);
    forget_slots();
    d.batch = 2; d.heads = 4; d.kv_heads = 2; d.queries = N; d.keys = M; d.dim = D; d.vdim = E; d.causal = causal;
    lay_qkvo(&d, CONTIGUOUS, 1);
    lay_outputs(&d, 1, 0);
    for (ptrdiff_t i = 0; i < 4 * M * D; i++)
        put(writable(d.k), d.k_type, i, ref_at(d.k, d.k_type, i) * (1 + 6 * (double)(i / D % M) / (double)M));
    d.keep = lay_mask(&d, KEEP, 0, d.keep_stride, 0.9);
    set4(d.q_stride, 4 * N * D, N * D, D, 1); set4(d.k_stride, 2 * M * D, M * D, D, 1);
    set4(d.v_stride, 2 * M * E, M * E, E, 1); set4(d.keep_stride, 0, 0, M, 1);
    if (slot_bytes[O] > sizeof(base_o)) exit(2);
    CHECK(attn_fwd(&d) == ATTN_OK);
    memcpy(base_o, d.o, slot_bytes[O]); memcpy(base_lse, d.lse, slot_bytes[LSE]);
    return d;
}
// Runs d, whose rows are those of the base from (b0,h0,i0) on, and compares bits.
static int rule_holds(const attn_desc *base, const attn_desc *d, ptrdiff_t b0, ptrdiff_t h0, ptrdiff_t i0) {
    int same, t = d->o_type;
    wipe(O); wipe(LSE);
    same = attn_fwd(d) == ATTN_OK;
    for (ptrdiff_t r = 0; r < ref_batch(d) * d->heads * d->queries; r++) {
        ptrdiff_t b = r / d->queries / d->heads, h = r / d->queries % d->heads, i = r % d->queries, E = ref_vdim(d);
        ptrdiff_t row = ((b0 + b) * base->heads + h0 + h) * base->queries + i0 + i;
        for (ptrdiff_t e = 0; e < E; e++)
            same &= same_bits(at(base_o, t, row * E + e), at(d->o, t, ref_o(d, b, h, i, e)), t, 1);
        same &= same_bits(at(base_lse, t, row), at(d->lse, t, r), t, 1);
    }
    return same;
}
// The part [nb,nh,ni] of the base from (b0,h0,i0) on as a call of its own.
static attn_desc part_of(const attn_desc *base, ptrdiff_t b0, ptrdiff_t nb, ptrdiff_t h0, ptrdiff_t nh,
                         ptrdiff_t i0, ptrdiff_t ni) {
    attn_desc d = *base;
    ptrdiff_t G = d.heads / d.kv_heads;
    d.q = at(d.q, d.q_type, b0 * d.q_stride[0] + h0 * d.q_stride[1] + i0 * d.q_stride[2]);
    d.k = at(d.k, d.k_type, b0 * d.k_stride[0] + h0 / G * d.k_stride[1]);
    d.v = at(d.v, d.v_type, b0 * d.v_stride[0] + h0 / G * d.v_stride[1]);
    d.keep += i0 * d.keep_stride[2];
    d.batch = nb; d.heads = nh; d.kv_heads = nh < G ? 1 : nh / G; d.queries = ni;
    if (d.causal) { d.causal = ATTN_CAUSAL_AT; d.query_offset = (int32_t)(d.keys - base->queries + i0); }
    return d;
}
static void check_rule_parts(const attn_desc *base) {
    static const int chunks[] = { 1, 3, 7, 15, 16, 17 };
    for (ptrdiff_t b = 0; b < 2; b++) {
        attn_desc d = part_of(base, b, 1, 0, 4, 0, base->queries);
        CHECK(rule_holds(base, &d, b, 0, 0));
        for (ptrdiff_t h = 0; h < 4; h++) {
            d = part_of(base, b, 1, h, 1, 0, base->queries);
            CHECK(rule_holds(base, &d, b, h, 0));
        }
        d = part_of(base, b, 1, 2, 2, 0, base->queries);
        CHECK(rule_holds(base, &d, b, 2, 0));
        d = part_of(base, b, 1, 1, 1, base->queries - 1, 1);
        CHECK(rule_holds(base, &d, b, 1, base->queries - 1));
    }
    for (size_t c = 0; c < (size_t)COUNT(chunks); c++)
        for (ptrdiff_t i = 0; i < base->queries; i += chunks[c]) {
            attn_desc d = part_of(base, 0, 2, 0, 4, i, base->queries - i < chunks[c] ? base->queries - i : chunks[c]);
            CHECK(rule_holds(base, &d, 0, 0, i));
        }
}
TEST(row_rule, batch_heads_and_chunks_of_queries_change_no_bit) {
    EACH_PASS(p) {
        attn_desc d = rule_case(p, 19, 2300, 20, 12, ATTN_CAUSAL_LOWER_RIGHT);
        check_rule_parts(&d);
        d = rule_case(p, 70, 200, 65, 33, ATTN_CAUSAL_LOWER_RIGHT);
        check_rule_parts(&d);
        d = rule_case(p, 33, 1025, 16, 64, ATTN_CAUSAL_NONE);
        check_rule_parts(&d);
    }
}
// Runs tasks last to first, worker numbers in turn: as unlike a plain loop as one thread can be.
static void run_backwards(void *user, void (*task)(void *arg, ptrdiff_t i, int worker), void *arg, ptrdiff_t n) {
    for (ptrdiff_t i = n - 1; i >= 0; i--) task(arg, i, (int)(i % *(const int *)user));
}
// Row (b,h,i) of d as a call of its own: one batch entry, one head, one query, the mask and bias of that row.
static void slice_mask(const attn_desc *d, ptrdiff_t s[4]) {
    set4(s, 1, 0, 0, ref_all_zero(s) || d->keys == 0 ? 1 : s[3]);          // 1: never all zero
}
static attn_desc row_of(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, int32_t queries[1]) {
    attn_desc r = *d;
    ptrdiff_t hk = h / (d->heads / ref_kv_heads(d)), M = d->keys, E = ref_vdim(d);
    int64_t keys = d->key_lengths ? d->key_lengths[b] : M, offset = 0;
    int t = d->q_type;
    r.q = at(d->q, t, ref_q(d, b, h, i, 0)); r.k = at(d->k, t, ref_k(d, b, hk, 0, 0));
    r.v = at(d->v, t, ref_v(d, b, hk, 0, 0));
    set4(r.q_stride, 1, 1, 1, ref_all_zero(d->q_stride) ? 1 : d->q_stride[3]);
    if (ref_all_zero(d->k_stride)) set4(r.k_stride, 1, 1, d->dim, 1);
    if (ref_all_zero(d->v_stride)) set4(r.v_stride, 1, 1, E, 1);
    r.batch = r.heads = r.queries = 1; r.kv_heads = 0; r.align = 0;
    memset(r.o_stride, 0, sizeof(r.o_stride));
    if (d->causal == ATTN_CAUSAL_LOWER_RIGHT) offset = keys - (d->query_lengths ? d->query_lengths[b] : d->queries);
    if (d->causal == ATTN_CAUSAL_AT) offset = d->query_offsets ? d->query_offsets[b] : d->query_offset;
    offset += i;
    if (d->causal) { r.causal = ATTN_CAUSAL_AT; r.query_offset = (int32_t)(offset > INT32_MAX ? INT32_MAX : offset); }
    r.query_offsets = NULL;
    queries[0] = !d->query_lengths || i < d->query_lengths[b];
    if (d->query_lengths) r.query_lengths = queries;
    if (d->key_lengths) r.key_lengths += b;
    if (d->row_lengths) r.row_lengths += b * d->queries + i;
    if (d->keep) r.keep += ref_mask_index(d->keep_stride, M, b, h, i, 0);
    if (d->drop) r.drop += ref_mask_index(d->drop_stride, M, b, h, i, 0);
    if (d->bias) r.bias = at(d->bias, t, ref_mask_index(d->bias_stride, M, b, h, i, 0));
    slice_mask(d, r.keep_stride); slice_mask(d, r.drop_stride); slice_mask(d, r.bias_stride);
    return r;
}
TEST(row_rule, any_row_of_any_case_alone_has_the_same_bits) {
    static double o[512], lse[1];
    for (int round = 0; round < ROUNDS / 4; round++) {
        unsigned long long seed = test_seed;
        int before = test_failed_checks, workers = 1 + test_below(9);
        attn_parallel backwards = { run_backwards, NULL, 0 };
        attn_desc d = desc_of(test_below(pass_count));
        backwards.user = &workers; backwards.workers = workers;
        draw_case(&d, test_below(20) ? 5e5 : 1e7);
        if (!d.lse) lay_outputs(&d, 1, 0);
        if (test_below(2)) d.parallel = &backwards;
        CHECK(attn_fwd(&d) == ATTN_OK);
        for (int n = 0; n < 6 && d.queries; n++) {
            ptrdiff_t b = test_below((int)ref_batch(&d)), h = test_below((int)d.heads), i = test_below((int)d.queries);
            int32_t queries[1];
            attn_desc r = row_of(&d, b, h, i, queries);
            r.o = o; r.lse = lse; r.weights = NULL; r.parallel = NULL;
            CHECK(attn_fwd(&r) == ATTN_OK);
            for (ptrdiff_t e = 0; e < ref_vdim(&d); e++)
                CHECK(same_bits(at(o, d.o_type, e), at(d.o, d.o_type, ref_o(&d, b, h, i, e)), d.o_type, 1));
            CHECK(same_bits(lse, at(d.lse, d.o_type, (b * d.heads + h) * d.queries + i), d.o_type, 1));
        }
        if (test_failed_checks != before) { describe(&d, seed); if (test_failed_checks > 40) return; }
    }
}
// The array of one layout copied into another; room holds it.
static const void *relaid(const void *from, int t, const ptrdiff_t s[4], int slot, int layout,
                          ptrdiff_t n0, ptrdiff_t n1, ptrdiff_t n2, ptrdiff_t n3, ptrdiff_t to[4]) {
    static unsigned char room[1 << 23];
    void *p;
    if ((size_t)(n0 * n1 * n2 * n3) * 8 > sizeof(room)) exit(2);
    for (ptrdiff_t r = 0, i = 0; r < n0 * n1 * n2; r++)
        for (ptrdiff_t c = 0; c < n3; c++, i++)
            put(room, t, i, ref_at(from, t, ref_index(s, n1, n2, n3, r / n2 / n1, r / n2 % n1, r % n2, c)));
    p = lay(slot, t, layout, n0, n1, n2, n3, to, 0);
    for (ptrdiff_t r = 0, i = 0; r < n0 * n1 * n2; r++)
        for (ptrdiff_t c = 0; c < n3; c++, i++)
            put(p, t, ref_index(to, n1, n2, n3, r / n2 / n1, r / n2 % n1, r % n2, c), ref_at(room, t, i));
    return p;
}
TEST(row_rule, strides_and_grouping_change_no_bit) {
    EACH_PASS(p) for (ptrdiff_t N = 1; N <= 21; N += 20) {
        attn_desc d = rule_case(p, N, 2100, 24, 17, ATTN_CAUSAL_LOWER_RIGHT), base = d;
        ptrdiff_t s[4];
        for (int layout = BNHD; layout < SHARED; layout++) {
            d.q = relaid(d.q, d.q_type, d.q_stride, Q, layout, 2, 4, N, 24, s); memcpy(d.q_stride, s, sizeof(s));
            d.k = relaid(d.k, d.k_type, d.k_stride, K, layout, 2, 2, 2100, 24, s); memcpy(d.k_stride, s, sizeof(s));
            d.v = relaid(d.v, d.v_type, d.v_stride, V, layout, 2, 2, 2100, 17, s); memcpy(d.v_stride, s, sizeof(s));
            d.o = lay(O, d.o_type, layout, 2, 4, N, 17, d.o_stride, 0);
            CHECK(rule_holds(&base, &d, 0, 0, 0));
        }
        for (ptrdiff_t h = 0; h < 4; h += 2) {                   // each key head read by its heads as if it were theirs
            attn_desc one = part_of(&d, 0, 2, h, 2, 0, N);
            memset(one.o_stride, 0, sizeof(one.o_stride));
            one.kv_heads = 2; one.k_stride[1] = one.v_stride[1] = 0;
            CHECK(rule_holds(&base, &one, 0, h, 0));
        }
    }
}
// [n0,n1,n2,n3] again, one axis so far apart that neither bytes nor elements of an offset fit 32 bits
static void *spread(const void *from, int t, const ptrdiff_t s[4], const ptrdiff_t n[4], int axis, ptrdiff_t step,
                    ptrdiff_t to[4], size_t *bytes) {
    ptrdiff_t packed = n[3];
    void *p;
    to[3] = 1;
    for (int i = 2; i >= 0; i--) if (i != axis) { to[i] = packed; packed *= n[i]; }
    to[axis] = step + 61;
    *bytes = (size_t)(to[axis] * n[axis]) * (t == ATTN_F64 ? 8 : 4);
    p = far_open(*bytes);
    for (ptrdiff_t r = 0; p && from && r < n[0] * n[1] * n[2]; r++) for (ptrdiff_t c = 0; c < n[3]; c++)
        put(p, t, ref_index(to, n[1], n[2], n[3], r / n[2] / n[1], r / n[2] % n[1], r % n[2], c),
            ref_at(from, t, ref_index(s, n[1], n[2], n[3], r / n[2] / n[1], r / n[2] % n[1], r % n[2], c)));
    return p;
}
TEST(row_rule, offsets_beyond_32_bits_change_no_bit) {
    if (sizeof(ptrdiff_t) < 8) { test_skip("offsets", "32 bits hold all there are"); return; }
    if (ROUNDS < 200) { test_skip("offsets", "an emulator needs minutes to map so much"); return; }
    EACH_PASS(p) for (int axis = 0; axis < 4; axis++) {     // 3: rows again, so that one step is as far, in decoding
        const ptrdiff_t N = axis < 3 ? 21 : 1, M = axis < 3 ? 300 : 70, D = 40, E = 33;
        attn_desc d = rule_case(p, N, M, D, E, ATTN_CAUSAL_LOWER_RIGHT), base = d;
        const ptrdiff_t nq[4] = { 2, 4, N, D }, nk[4] = { 2, 2, M, D }, nv[4] = { 2, 2, M, E }, no[4] = { 2, 4, N, E };
        const int wide = axis < 2 ? axis : 2;
        const ptrdiff_t all = (ptrdiff_t)1 << 32, step_q = axis < 3 ? all / (nq[wide] - 1) : all / 4,
            step_k = axis < 3 ? all / (nk[wide] - 1) : all / 4;
        const size_t mask = (size_t)21 << 28;
        size_t bytes[4];
        unsigned char *keep = (unsigned char *)far_open(mask);
        void *q = spread(base.q, base.q_type, base.q_stride, nq, wide, step_q, d.q_stride, &bytes[0]);
        void *k = spread(base.k, base.k_type, base.k_stride, nk, wide, step_k, d.k_stride, &bytes[1]);
        void *v = spread(base.v, base.v_type, base.v_stride, nv, wide, step_k, d.v_stride, &bytes[2]);
        void *o = spread(NULL, base.o_type, base.o_stride, no, wide, step_q, d.o_stride, &bytes[3]);
        if (keep && q && k && v && o) {
            for (ptrdiff_t i = 0; i < N; i++) memcpy(keep + (i << 28), base.keep + i * M, (size_t)M);
            d.q = q; d.k = k; d.v = v; d.o = o; d.keep = keep; d.keep_stride[2] = (ptrdiff_t)1 << 28;
            CHECK(rule_holds(&base, &d, 0, 0, 0));
            if (axis == 3) {                            // decoding has a kernel of its own where nothing is masked
                base.keep = d.keep = NULL;
                CHECK(attn_fwd(&base) == ATTN_OK);
                memcpy(base_o, base.o, slot_bytes[O]); memcpy(base_lse, base.lse, slot_bytes[LSE]);
                CHECK(rule_holds(&base, &d, 0, 0, 0));
            }
        } else test_skip("offsets", "no room for addresses");
        if (keep && q && k && v && o && axis == 0) {     // k and v as pages that far apart, written by attn_append
            static const int32_t table[6] = { 4, 0, 3, 5, 2, 1 };
            int32_t lengths[2] = { 0, 0 };
            d.k = d.v = NULL; d.k_cache = k; d.v_cache = v; d.key_lengths = lengths;
            d.block_table = table; d.pages_per_row = 3; d.page = 100; d.page_count = 6;
            set4(d.k_stride, all / 5, 100 * D, D, 1);
            set4(d.v_stride, all / 5, 100 * E, E, 1);
            d.k_new = base.k; d.v_new = base.v; d.new_keys = M;
            memcpy(d.k_new_stride, base.k_stride, sizeof(base.k_stride));
            memcpy(d.v_new_stride, base.v_stride, sizeof(base.v_stride));
            CHECK(attn_append(&d) == ATTN_OK);
            lengths[0] = lengths[1] = (int32_t)M;
            CHECK(rule_holds(&base, &d, 0, 0, 0));
        }
        far_close(keep, mask);
        far_close(q, bytes[0]); far_close(k, bytes[1]); far_close(v, bytes[2]); far_close(o, bytes[3]);
    }
}
TEST(row_rule, key_lengths_are_the_same_as_fewer_keys) {
    EACH_PASS(p) for (ptrdiff_t N = 1; N <= 9; N += 8) {
        static const int32_t lengths[2] = { 1900, 1025 };
        attn_desc base = rule_case(p, N, 2200, 20, 20, ATTN_CAUSAL_NONE), all = base;
        all.key_lengths = lengths;
        CHECK(attn_fwd(&all) == ATTN_OK);
        memcpy(base_o, all.o, slot_bytes[O]); memcpy(base_lse, all.lse, slot_bytes[LSE]);
        for (ptrdiff_t b = 0; b < 2; b++) {
            attn_desc d = part_of(&base, b, 1, 0, 4, 0, N);
            d.keys = lengths[b];
            CHECK(rule_holds(&base, &d, b, 0, 0));
            d = part_of(&base, b, 1, 3, 1, N - 1, 1);
            d.keys = lengths[b] + 3; d.causal = ATTN_CAUSAL_AT; d.query_offset = lengths[b] - 1;
            CHECK(rule_holds(&base, &d, b, 3, N - 1));
        }
    }
}
TEST(row_rule, threads_change_no_bit) {
    static const struct { ptrdiff_t N, M, D; } sizes[] = { { 1, 2500, 32 }, { 130, 300, 17 }, { 5, 2100, 64 } };
    static const int counts[] = { 1, 2, 3, 4, 7, 16 };
    EACH_PASS(p) for (int s = 0; s < 3; s++) {
        attn_desc d = rule_case(p, sizes[s].N, sizes[s].M, sizes[s].D, sizes[s].D, ATTN_CAUSAL_LOWER_RIGHT), base = d;
        for (int i = 0; i < 6; i++) {
            int workers = counts[i];
            attn_parallel backwards = { run_backwards, NULL, 0 };
            backwards.user = &workers; backwards.workers = workers;
            d.parallel = &backwards;
            CHECK(rule_holds(&base, &d, 0, 0, 0));
#ifndef ATTN_NO_THREADS
            d.parallel = attn_pool_open(workers);
            if (!d.parallel) { test_skip("attn_pool_open", "no threads to be had"); break; }
            CHECK(rule_holds(&base, &d, 0, 0, 0) && rule_holds(&base, &d, 0, 0, 0));
            attn_pool_close(d.parallel);
#endif
        }
    }
}

// ---- properties and extremes

static attn_desc plain_case(int pass, ptrdiff_t N, ptrdiff_t M, ptrdiff_t D, ptrdiff_t E, double gain) {
    attn_desc d = desc_of(pass);
    forget_slots();
    d.heads = 2; d.queries = N; d.keys = M; d.dim = D; d.vdim = E;
    lay_qkvo(&d, CONTIGUOUS, gain);
    lay_outputs(&d, 1, 1);
    return d;
}
TEST(property, a_constant_value_comes_out_and_weights_sum_to_one) {
    EACH_PASS(p) {
        attn_desc d = plain_case(p, 17, 1500, 24, 9, 2);
        double tol = d.q_type == ATTN_F64 ? 1e-12 : 2e-5;
        for (ptrdiff_t i = 0; i < 2 * 1500 * 9; i++) put(writable(d.v), d.v_type, i, (double)(i % 9) - 3.3);
        CHECK(attn_fwd(&d) == ATTN_OK);
        for (ptrdiff_t i = 0; i < 2 * 17 * 9; i++) NEAR(ref_at(d.o, d.o_type, i), (double)(i % 9) - 3.3, 5 * tol);
        for (ptrdiff_t i = 0; i < 2 * 17; i++) {
            double sum = 0;
            for (ptrdiff_t j = 0; j < 1500; j++) sum += ref_at(d.weights, d.o_type, i * 1500 + j);
            NEAR(sum, 1, tol);
        }
    }
}
TEST(property, shifted_scores_and_permuted_keys_change_nothing_but_rounding) {
    EACH_PASS(p) {
        attn_desc d = plain_case(p, 9, 150, 24, 20, 2);
        double tol = d.q_type == ATTN_F64 ? 1e-12 : 3e-5, lse;
        CHECK(attn_fwd(&d) == ATTN_OK);
        save_outputs();
        lse = ref_at(d.lse, d.o_type, 3);
        lay_bias(&d, 4, 1);                                      // one number for each query
        for (ptrdiff_t i = 0; i < 9; i++) put(writable(d.bias), d.bias_type, i, 5);
        CHECK(attn_fwd(&d) == ATTN_OK);
        for (ptrdiff_t i = 0; i < 2 * 9 * 20; i++) NEAR(ref_at(d.o, d.o_type, i), ref_at(saved[0], d.o_type, i), tol);
        NEAR(ref_at(d.lse, d.o_type, 3), lse + 5, tol);
        d.bias = NULL;
        for (ptrdiff_t j = 0; j < 150; j++) for (ptrdiff_t c = 0; c < 44; c++) {     // key j goes to 149 - j
            const void *x = c < 24 ? d.k : d.v;
            ptrdiff_t w = c < 24 ? 24 : 20, e = c < 24 ? c : c - 24, from = j * w + e, to = (149 - j) * w + e;
            double old = ref_at(x, d.k_type, from);
            if (j >= 75) continue;
            put(writable(x), d.k_type, from, ref_at(x, d.k_type, to));
            put(writable(x), d.k_type, to, old);
        }
        CHECK(attn_fwd(&d) == ATTN_OK);
        for (ptrdiff_t i = 0; i < 9 * 20; i++) NEAR(ref_at(d.o, d.o_type, i), ref_at(saved[0], d.o_type, i), tol);
        compare(&d);
    }
}
TEST(property, future_keys_do_not_reach_causal_rows) {
    EACH_PASS(p) {
        attn_desc d = plain_case(p, 40, 40, 24, 20, 2);
        d.causal = ATTN_CAUSAL_UPPER_LEFT;
        CHECK(attn_fwd(&d) == ATTN_OK);
        save_outputs();
        for (ptrdiff_t i = 0; i < 23 * 24; i++) put(writable(d.k), d.k_type, 17 * 24 + i, random_value(9));
        for (ptrdiff_t i = 0; i < 23 * 20; i++) put(writable(d.v), d.v_type, 17 * 20 + i, random_value(9));
        CHECK(attn_fwd(&d) == ATTN_OK);
        CHECK(same_bits(d.o, saved[0], d.o_type, 17 * 20) && same_bits(d.lse, saved[1], d.o_type, 17));
        CHECK(same_bits(d.weights, saved[2], d.o_type, 17 * 40) && !same_bits(d.o, saved[0], d.o_type, 18 * 20));
        compare(&d);
    }
}
TEST(extreme, scores_of_ten_thousand_and_of_the_largest_floats) {
    EACH_PASS(p) {
        attn_desc d = plain_case(p, 20, 200, 16, 16, 60);
        double big = d.q_type == ATTN_F64 ? 1e153 : 1e19;
        CHECK(attn_fwd(&d) == ATTN_OK);
        compare(&d);
        for (int sign = -1; sign <= 1; sign += 2) for (int descending = 0; descending < 2; descending++) {
            d = plain_case(p, 3, 170, 1, 4, 1);
            for (ptrdiff_t i = 0; i < 6; i++) put(writable(d.q), d.q_type, i, sign * big);
            for (ptrdiff_t i = 0; i < 340; i++)
                put(writable(d.k), d.k_type, i, (descending ? -1 : 1) * big * 3 * ((double)(i % 170) / 84.5 - 1));
            CHECK(attn_fwd(&d) == ATTN_OK);
            compare(&d);
        }
    }
}
TEST(extreme, denormal_inputs_count_where_the_manual_says_so) {
    EACH_PASS(p) {
#ifdef __arm__
        if (pass_isa[p] == ATTN_ISA_NEON) continue;    // flushes denormals in hardware (docs/decisions.md)
#endif
        attn_desc d = plain_case(p, 9, 40, 3, 5, 1);
        const int count = DENORMALS || d.q_type == ATTN_F64;
        double little = d.q_type == ATTN_F64 ? 1e-310 : 1e-40, large = d.q_type == ATTN_F64 ? 1e308 : 1e38;
        for (ptrdiff_t i = 0; i < 2 * 9 * 3; i++) put(writable(d.q), d.q_type, i, (double)test_below(100) * little);
        for (ptrdiff_t i = 0; i < 2 * 40 * 3; i++) put(writable(d.k), d.k_type, i, random_value(0.3) * large);
        CHECK(attn_fwd(&d) == ATTN_OK);
        for (ptrdiff_t i = 0; i < 2 * 9 * 3; i++)
            if (!count && ref_at(d.q, d.q_type, i) < 1.1754943e-38) put(writable(d.q), d.q_type, i, 0);
        compare(&d);
        d = plain_case(p, 9, 40, 3, 5, 1);
        for (ptrdiff_t i = 0; i < 2 * 40 * 5; i++)
            put(writable(d.v), d.v_type, i, (double)(test_below(20000) - 10000) * little * 1e-3);
        CHECK(attn_fwd(&d) == ATTN_OK);
        for (ptrdiff_t r = 0; r < 18; r++) {
            ref_attend(&d, 0, r / 9, r % 9, row_o, row_w);
            for (ptrdiff_t e = 0; e < 5; e++)
                NEAR(ref_at(d.o, d.o_type, r * 5 + e), count ? row_o[e] : 0, count ? 40 * little * 2e-5 : 0);
        }
    }
}
TEST(extreme, a_denormal_option_is_not_off) {
    EACH_PASS(p) {
        int32_t lengths[2] = { 20, 7 };
        float *options[4];
        attn_desc d = plain_case(p, 9, 40, 3, 5, 1);
        options[0] = &d.masked_score; options[1] = &d.softcap; options[2] = &d.norm_eps; options[3] = &d.relu_div;
        d.key_lengths = lengths;
        for (int i = 0; i < 4; i++) {
            const double little = i == 3 ? 1e-40 : d.q_type == ATTN_F64 ? 1e-20 : 1e-5;
            if (i == 3 && d.q_type != ATTN_F64) continue;      // no f32 holds s / 1e-40
            d.qk_norm = i == 2 ? ATTN_QK_NORM_RMS : ATTN_QK_NORM_NONE;
            if (i > 1) for (ptrdiff_t j = 0; j < 2 * 9 * 3; j++) put(writable(d.q), d.q_type, j, random_value(little));
            if (i == 3) { d.norm = ATTN_NORM_RELU; d.lse = NULL; d.weights = NULL; }
            *options[i] = 1e-40f;
            CHECK(attn_fwd(&d) == ATTN_OK);
            compare(&d);
            *options[i] = 0;
        }
    }
}
TEST(property, the_mode_of_the_caller_s_floats_comes_back) {
    const unsigned mode = float_mode(), flush = 0x8040, up = 0x4000;
    EACH_PASS(p) for (int i = 0; i < 3; i++) {
        attn_desc d = plain_case(p, 9, 40, 3, 5, 1);
        set_float_mode(i == 0 ? mode & ~flush : i == 1 ? mode | flush : mode | up);
        const unsigned mine = float_mode();
        CHECK(attn_fwd(&d) == ATTN_OK);
        CHECK(((float_mode() ^ mine) & ~0x3fu) == 0);   // less the flags of what happened
        set_float_mode(mode);
    }
}
TEST(property, rows_of_positions_beyond_a_float_keep_their_bits) {
    EACH_PASS(p) for (int heads = 1; heads < 5; heads += 3) {
        enum { N = 40, M = 300, D = 24 };
        static const float slopes[] = { 0.25f, 0.1f, 0.02f, 0.5f };
        static float all[4 * N * D], one[4 * D], q[4 * D], qs[4 * N * D], ks[M * D], vs[M * D];
        attn_desc d = ATTN_ZERO;
        if (pass_type[p] != ATTN_F32) continue;
        d.isa = pass_isa[p]; d.heads = heads; d.kv_heads = 1; d.queries = N; d.keys = M; d.dim = D;
        d.alibi_slopes = slopes; d.align = ATTN_ALIGN_AT; d.query_offset = d.window_left = 100000003;
        d.window = 1; d.window_right = -1;
        d.q = qs; d.k = ks; d.v = vs; d.o = all;
        for (int i = 0; i < heads * N * D; i++) qs[i] = (float)random_value(1);
        for (int i = 0; i < M * D; i++) { ks[i] = (float)random_value(1); vs[i] = (float)random_value(1); }
        CHECK(attn_fwd(&d) == ATTN_OK);
        for (int i = 0; i < N; i++) {
            attn_desc row = d;
            for (int h = 0; h < heads; h++)
                memcpy(q + h * D, qs + (h * N + i) * D, sizeof(float) * D);
            row.q = q; row.o = one; row.queries = 1; row.query_offset += i;
            CHECK(attn_fwd(&row) == ATTN_OK);
            for (int h = 0; h < heads; h++)
                CHECK(memcmp(one + h * D, all + (h * N + i) * D, sizeof(float) * D) == 0);
        }
    }
}
TEST(property, o_may_be_the_array_of_q) {
    EACH_PASS(p) for (int layout = CONTIGUOUS; layout < SHARED; layout++) {
        attn_desc d = plain_case(p, 37, 90, 24, 24, 2);
        ptrdiff_t stride[4];
        lay_qkvo(&d, layout, 2);
        CHECK(attn_fwd(&d) == ATTN_OK);
        compare(&d);
        d.causal = ATTN_CAUSAL_LOWER_RIGHT;
        CHECK(attn_fwd(&d) == ATTN_OK);
        save_outputs();
        memcpy(stride, d.o_stride, sizeof(stride));
        d.o = writable(d.q);
        memcpy(d.o_stride, d.q_stride, sizeof(d.q_stride));
        CHECK(attn_fwd(&d) == ATTN_OK);
        for (ptrdiff_t i = 0; i < 2 * 37 * 24; i++) {
            ptrdiff_t h = i / 24 / 37, n = i / 24 % 37, was = ref_index(stride, 2, 37, 24, 0, h, n, i % 24);
            CHECK(same_bits(at(d.o, d.o_type, ref_o(&d, 0, h, n, i % 24)), saved_at(O, &d, was), d.o_type, 1));
        }
        CHECK(guards_intact());
    }
}

// ---- memory

TEST(memory, nothing_is_allocated_where_the_exact_workspace_is_given) {
    EACH_PASS(p) for (int skew = 0; skew < 3; skew++) {
        attn_desc d = plain_case(p, 37, 300, 40 + skew * 30, 24, 2);
        size_t need = attn_workspace(&d);
        CHECK(attn_fwd(&d) == ATTN_OK);
        save_outputs();
        wipe(O); wipe(LSE); wipe(W);
        d.workspace = take(WORK, need + (size_t)skew);           // at any alignment
        d.workspace_bytes = need;
        heap_plan(-1, 0);
        CHECK(attn_fwd(&d) == ATTN_OK);
        CHECK(heap_calls == 0 && guards_intact());
        CHECK(all_bytes(slots[WORK].end - skew, (size_t)skew, 0xFF));
        for (int i = 0; i < 3; i++) CHECK(!memcmp(saved[i], first_of(O + i), slot_bytes[O + i]));
        wipe(O); wipe(LSE); wipe(W);
        if (!need) continue;
        d.workspace_bytes = need - 1;
        CHECK(attn_fwd(&d) == ATTN_ERR_WORKSPACE);
        CHECK(untouched(O) && untouched(LSE) && untouched(W));
    }
}
TEST(memory, the_workspace_has_a_constant_bound_on_one_thread) {
    EACH_PASS(p) {
        attn_desc d = desc_of(p), other;                         // no pointers: sizes alone decide
        d.heads = 2; d.queries = d.keys = 4;
        for (d.dim = 1; d.dim <= 512; d.dim++)
            for (d.vdim = 1 + d.dim % 3; d.vdim <= 512; d.vdim += 3)
                if (attn_workspace(&d) > ATTN_WORKSPACE(d.dim, d.vdim)) { CHECK(!"ATTN_WORKSPACE is enough"); return; }
        d.dim = 70; d.vdim = 30; other = d;
        other.batch = 7; other.heads = 6; other.kv_heads = 2; other.queries = 4000; other.keys = 500; other.causal = 1;
        CHECK(attn_workspace(&other) == attn_workspace(&d) && attn_workspace(&d) > 0);
        d.dim = -1;
        CHECK(attn_workspace(&d) == 0);
    }
}
TEST(memory, what_it_needs_gives_the_same_bits_as_what_it_asks_for) {
    EACH_PASS(p) for (int norm = ATTN_QK_NORM_RMS; norm <= ATTN_QK_NORM_L2; norm++) {
        attn_desc d = plain_case(p, 70, 150, 40, 24, 2), one;
        const size_t constant = ATTN_WORKSPACE(40, 24);
        d.qk_norm = norm;
        one = d; one.queries = 1;
        for (int least = 0; least < 3; least++) {
            d.workspace_bytes = least == 2 ? attn_workspace(&one) : least ? constant : attn_workspace(&d);
            d.workspace = take(WORK, d.workspace_bytes);
            heap_plan(-1, 0);
            CHECK(attn_fwd(&d) == ATTN_OK);
            CHECK(heap_calls == 0 && guards_intact());
            if (!least) save_outputs();
            for (int i = 0; i < 3; i++) CHECK(!memcmp(saved[i], first_of(O + i), slot_bytes[O + i]));
            wipe(O); wipe(LSE); wipe(W);
        }
        CHECK(attn_workspace(&one) <= attn_workspace(&d));     // builds for size have no runs
    }
}
TEST(memory, the_workspace_grows_with_every_extent) {
    int workers = 7;
    attn_parallel backwards = { run_backwards, NULL, 7 };
    backwards.user = &workers;
    EACH_PASS(p) for (int round = 0; round < 300; round++) {
        attn_desc d = desc_of(p), more;
        ptrdiff_t group = 1 + test_below(4);
        d.batch = 1 + test_below(9); d.kv_heads = 1 + test_below(5); d.heads = d.kv_heads * group;
        d.queries = 1 + test_below(3000); d.keys = 1 + test_below(9000);
        d.dim = 1 + test_below(300); d.vdim = 1 + test_below(300);
        if (round % 4) d.parallel = &backwards;
        more = d;
        switch (test_below(6)) {
        case 0: more.batch += 1 + test_below(20); break;
        case 1: more.kv_heads += 1 + test_below(20); more.heads = more.kv_heads * group; break;
        case 2: more.queries += 1 + test_below(999); break;
        case 3: more.keys += 1 + test_below(9999); break;
        case 4: more.dim += 1 + test_below(99); break;
        default: more.vdim += 1 + test_below(99); break;
        }
        if (sizeof(size_t) < 8 && attn_workspace(&more) == 0) continue;     // beyond what 32 bits address: refused
        CHECK(attn_workspace(&more) >= attn_workspace(&d));
    }
}
// Fails allocation n, then n and all later, until a call gets through.
static void starve(const attn_desc *d, int later) {
    long live = heap_live;
    int done = 0;
    for (long n = 0; n < 20 && !done; n++) {
        attn_status s;
        heap_plan(n, later);
        s = attn_fwd(d);
        done = heap_calls <= n;
        CHECK(s == (done ? ATTN_OK : ATTN_ERR_MEMORY) && heap_live == live && guards_intact());
        if (!done) CHECK(untouched(O) && untouched(LSE) && untouched(W));
    }
    heap_plan(-1, 0);
    CHECK(done);
}
TEST(memory, running_out_at_any_allocation_is_an_error_and_leaks_nothing) {
    EACH_PASS(p) for (int kind = 0; kind < 4; kind++) {
        attn_desc d = plain_case(p, 130, 300, 40, 24, 2);
        int workers = 2;
        attn_parallel backwards = { run_backwards, NULL, 2 };
        backwards.user = &workers;
        if (kind & 1) d.parallel = &backwards;
        starve(&d, kind / 2);
        compare(&d);
    }
#ifndef ATTN_NO_THREADS
    for (long n = 0, done = 0, live = heap_live; n < 20 && !done; n++) {
        const attn_parallel *pool;
        heap_plan(n, 0);
        pool = attn_pool_open(3);
        done = heap_calls <= n;
        heap_plan(-1, 0);
        if (!done) CHECK(pool == NULL && heap_live == live);
        attn_pool_close(pool);
        CHECK(heap_live == live);
    }
#endif
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    list_passes();
    RUN(sweep, every_element_agrees_with_the_oracle);
    RUN(sweep, every_width_from_1_to_257);
    RUN(poison, one_element_reaches_only_the_rows_that_see_it);
    RUN(poison, keys_beyond_the_length_are_not_read);
    RUN(empty, rows_that_see_no_key_are_zero_with_lse_of_minus_infinity);
    RUN(row_rule, batch_heads_and_chunks_of_queries_change_no_bit);
    RUN(row_rule, any_row_of_any_case_alone_has_the_same_bits);
    RUN(row_rule, strides_and_grouping_change_no_bit);
    RUN(row_rule, offsets_beyond_32_bits_change_no_bit);
    RUN(row_rule, key_lengths_are_the_same_as_fewer_keys);
    RUN(row_rule, threads_change_no_bit);
    RUN(property, a_constant_value_comes_out_and_weights_sum_to_one);
    RUN(property, shifted_scores_and_permuted_keys_change_nothing_but_rounding);
    RUN(property, future_keys_do_not_reach_causal_rows);
    RUN(property, o_may_be_the_array_of_q);
    RUN(extreme, scores_of_ten_thousand_and_of_the_largest_floats);
    RUN(property, rows_of_positions_beyond_a_float_keep_their_bits);
    RUN(extreme, denormal_inputs_count_where_the_manual_says_so);
    RUN(extreme, a_denormal_option_is_not_off);
    RUN(property, the_mode_of_the_caller_s_floats_comes_back);
    RUN(memory, nothing_is_allocated_where_the_exact_workspace_is_given);
    RUN(memory, the_workspace_has_a_constant_bound_on_one_thread);
    RUN(memory, what_it_needs_gives_the_same_bits_as_what_it_asks_for);
    RUN(memory, the_workspace_grows_with_every_extent);
    RUN(memory, running_out_at_any_allocation_is_an_error_and_leaks_nothing);
    return test_end();
}
