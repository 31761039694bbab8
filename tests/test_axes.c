// test_axes.c - every axis of attn_desc against the oracle of ref.h: random combinations, each axis alone at its edges,
// and what holds by nature. A descriptor that attn_fwd refuses as ATTN_ERR_UNSUPPORTED is counted and not compared;
// too many of these fail. -DROUNDS=N changes the sweep. To repeat a failure:
//     test_axes --seed 123 sweep
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include "ref.h"
#include "cases.h"
#include "axes.h"

#ifndef ROUNDS
#define ROUNDS 2000
#endif

#define EACH_L(i, n) for (ptrdiff_t i = 0; i < (n); i++)

static long cases_compared, cases_refused, compared_with[AX_COUNT];

// Runs d over every guard and against the oracle; 0 where it is refused as unsupported.
static int judge(const attn_desc *d) {
    uint64_t inputs = inputs_hash();
    attn_status s = attn_fwd(d);
    char text[256];
    CHECK(inputs_hash() == inputs && guards_intact() && !custom_broken);
    if (s != ATTN_OK) CHECK(untouched(O) && untouched(LSE) && untouched(W));
    if (s == ATTN_ERR_UNSUPPORTED) { cases_refused++; return 0; }
    if (s != ATTN_OK) { test_fail(__FILE__, __LINE__, attn_explain(s, d, text, sizeof(text))); return 0; }
    cases_compared++;
    compare_axes(d);
    return 1;
}
// Runs tasks last to first, worker numbers in turn.
static void run_backwards(void *user, void (*task)(void *arg, ptrdiff_t i, int worker), void *arg, ptrdiff_t n) {
    for (ptrdiff_t i = n - 1; i >= 0; i--) task(arg, i, (int)(i % *(const int *)user));
}
static void check_share(void) {
    double share = (double)cases_compared / (double)(cases_compared + cases_refused + !cases_compared);
    CHECK(share >= 0.98);
    if (getenv("WORST"))
        printf("compared %ld, refused %ld, worst %g; rows %ld, unsure %ld\n", cases_compared, cases_refused, axes_worst,
               rows_compared, rows_unsure);
}

// ---- the sweep

TEST(sweep, every_combination_agrees_with_the_oracle) {
    cases_compared = cases_refused = rows_compared = rows_unsure = 0;
    EACH(round, ROUNDS) {
        unsigned long long seed = test_seed;
        int before = test_failed_checks, workers = 1 + test_below(5);
        attn_parallel backwards = { run_backwards, NULL, 0 };
        attn_desc d = desc_of(test_below(pass_count));
        axes_set on = draw_axes(&d, 2e5);
        backwards.user = &workers; backwards.workers = workers;
        if (test_below(3) == 0) d.parallel = &backwards;
        if (judge(&d)) {
            EACH(i, AX_COUNT) compared_with[i] += has(on, i);
            CHECK(axes_gaps_untouched(&d));
        }
        if (test_failed_checks != before) { describe_axes(&d, on, seed); if (test_failed_checks > 40) return; }
    }
    check_share();
    CHECK(rows_unsure * 25 <= rows_compared);
    EACH(i, AX_COUNT) {
        if (compared_with[i] || ROUNDS < 300) continue;
        printf("    nothing compared with %s\n", axes_name[i]);
        test_fail(__FILE__, __LINE__, "every axis is compared");
    }
}

// ---- each axis alone, on small and empty shapes

TEST(alone, each_axis_with_one_query_one_key_or_none) {
    static const ptrdiff_t shapes[][2] = { { 1, 1 }, { 1, 40 }, { 17, 1 }, { 0, 9 }, { 5, 0 }, { 0, 0 }, { 16, 128 },
                                           { 17, 129 }, { 1, 1030 } };
    cases_compared = cases_refused = 0;
    EACH(axis, AX_COUNT) EACH_PASS(p) EACH(i, COUNT(shapes)) {
        unsigned long long seed = test_seed;
        int before = test_failed_checks;
        attn_desc d = desc_of(p);
        axes_set one = (axes_set)1 << axis, on = draw_axes_of(&d, one, one, shapes[i][0], shapes[i][1], 4e4);
        if (judge(&d)) CHECK(axes_gaps_untouched(&d));
        if (test_failed_checks != before) { describe_axes(&d, on, seed); if (test_failed_checks > 40) return; }
    }
    check_share();
}
// With every key hidden the row is zeros, and lse -inf or the sink, whatever else is on.
static void hide_keys(attn_desc *d, int way) {
    static const int32_t zeros[4096] = { 0 };
    ref_fits(ref_batch(d) * d->queries, 4096);
    if (way == 0) d->row_lengths = zeros;
    if (way == 1) d->keep = lay_mask(d, KEEP, 0, d->keep_stride, 0);
    if (way == 2) d->drop = lay_mask(d, DROP, 2, d->drop_stride, 1);
    if (way == 3) d->query_lengths = zeros;
    if (way == 4) d->key_lengths = zeros;
    if (way == 5 && d->q_type != ATTN_F64) { d->bias_type = ATTN_F16; lay_any_bias(d, 4); }
    if (way == 5 && d->q_type == ATTN_F64) lay_any_bias(d, 4);
    for (ptrdiff_t i = 0; way == 5 && i < d->queries; i++) put(writable(d->bias), d->bias_type, i, -HUGE_VAL);
}
static void check_nothing_seen(const attn_desc *d) {
    int type = d->q_type == ATTN_F64 ? ATTN_F64 : ATTN_F32;
    EACH_L(b, ref_batch(d)) EACH_L(h, d->heads)
        EACH_L(i, ref_rows(d, b)) {
            double lse = d->sink ? (double)d->sink[h] : d->off_by_one ? 0 : -HUGE_VAL;
            EACH_L(e, ref_vdim(d)) {
                double x = ref_at(d->o, d->o_type, ref_o(d, b, h, i, e));
                CHECK(x == 0 && !signbit(x));
            }
            if (d->lse) NEAR(ref_at(d->lse, type, ref_lse(d, b, h, i)), lse, 1e-6);
            for (ptrdiff_t j = 0, r = (b * d->heads + h) * d->queries + i; d->weights && j < d->keys; j++)
                if (!d->weights_stage) CHECK(ref_at(d->weights, type, r * d->keys + j) == 0);
        }
}
TEST(alone, a_row_that_sees_no_key_is_zeros_with_any_axis) {
    EACH(axis, AX_COUNT) EACH_PASS(p) EACH(way, 6) {
        unsigned long long seed = test_seed;
        int before = test_failed_checks;
        attn_desc d = desc_of(p);
        axes_set one = (axes_set)1 << axis, on;
        if (axis == AX_MASKED_SCORE) continue;                   // there every key takes part
        if ((axis == AX_VARLEN || axis == AX_TREE) && (way == 3 || way == 4)) continue;
        on = draw_axes_of(&d, one, one, 6, 33, 2e4);
        hide_keys(&d, way);
        if (judge(&d)) check_nothing_seen(&d);
        if (test_failed_checks != before) { describe_axes(&d, on, seed); if (test_failed_checks > 40) return; }
    }
}

// ---- each axis at its edges. A case: contiguous arrays [B 2, H 4, Hk 2], then fields, then judge.

static attn_desc base_case(int pass, ptrdiff_t N, ptrdiff_t M, ptrdiff_t D, ptrdiff_t E) {
    attn_desc d = desc_of(pass);
    forget_slots();
    ref_custom = NULL;
    d.batch = 2; d.heads = 4; d.kv_heads = 2; d.queries = N; d.keys = M; d.dim = D; d.vdim = E;
    lay_qkvo(&d, CONTIGUOUS, 1.5);
    lay_any_outputs(&d, 1, 1);
    return d;
}
// After a change of fields: outputs as the norm allows, and judgement.
static int judge_again(attn_desc *d) {
    wipe(O);
    lay_any_outputs(d, sums_exps(d), 1);
    return judge(d);
}
static void lay_types(attn_desc *d, int q, int k, int v, int o) {
    ptrdiff_t none[4];
    d->q_type = q; d->k_type = k; d->v_type = v; d->o_type = o; d->bias_type = q == ATTN_F64 ? q : ATTN_F32;
    d->q = lay_any(Q, q, CONTIGUOUS, 2, d->heads, d->queries, d->dim, none, 1.5);
    d->k = lay_any(K, k, CONTIGUOUS, 2, d->kv_heads, d->keys, d->dim, none, 1.5);
    d->v = lay_any(V, v, CONTIGUOUS, 2, d->kv_heads, d->keys, d->vdim, none, 1);
    d->o = lay(O, o, CONTIGUOUS, 2, d->heads, d->queries, d->vdim, none, 0);
}
static const int all_types[] = { ATTN_F32, ATTN_F16, ATTN_BF16, ATTN_Q8_0, ATTN_Q4_0, ATTN_Q4_1 };
TEST(edge, types_in_every_pairing) {
    EACH_PASS(p) EACH(a, 3) EACH(b, 6) EACH(c, 6) {
        attn_desc d = base_case(p, (a + b + c) % 4 == p % 4 ? 18 : 1, 45, 64, 32);
        if (d.q_type == ATTN_F64) continue;
        lay_types(&d, all_types[a], all_types[b], all_types[c], all_types[(a + b + c) % 3]);
        judge_again(&d);
    }
}
TEST(edge, native_arithmetic_stays_near) {
    EACH_PASS(p) EACH(a, 3) EACH(b, 4) for (int queries = 1; queries <= 18; queries += 17) {
        attn_desc d = base_case(p, queries, 45, 64, 32);
        if (d.q_type == ATTN_F64) continue;
        lay_types(&d, all_types[a], all_types[b], all_types[b], ATTN_F32);
        d.arith = ATTN_ARITH_NATIVE;
        axes_loose = 2e4;                                        // bf16, q8_0: 2^-8 of what is added up
        judge_again(&d);
        axes_loose = 1;
    }
}
// q that neither bf16 nor q8_0 rounds: scores are then as exact as in f32, whatever the key type.
TEST(edge, native_scores_of_exact_queries_are_exact) {
    EACH_PASS(p) for (int b = 2; b < 6; b++) for (int queries = 1; queries <= 18; queries += 17) EACH(scale, 2) {
        attn_desc d = base_case(p, queries, 45, 96, 32);
        if (d.q_type == ATTN_F64) continue;
        lay_types(&d, ATTN_F32, all_types[b], ATTN_F32, ATTN_F32);
        EACH_L(i, 2 * d.heads * d.queries * d.dim)
            put(writable(d.q), ATTN_F32, i, (i % 32 == 7 ? 127 : test_below(253) - 126) / 64.0);
        d.arith = ATTN_ARITH_NATIVE;
        d.scale = scale ? 0 : 0.3f;
        judge_again(&d);
    }
}
// Queries far from 1, and one that is no number, in k of blocks: 8 bits have a scale of their own.
TEST(edge, native_queries_of_any_size) {
    const double sizes[] = { 1e-5, 1, 3e8, (double)NAN };
    EACH_PASS(p) for (int b = 3; b < 6; b++) EACH(size, 4) EACH(many, 2) {
        attn_desc d = base_case(p, many ? 17 : 1, 45, 64, 32);
        if (d.q_type == ATTN_F64) continue;
        lay_types(&d, ATTN_F32, all_types[b], ATTN_F32, ATTN_F32);
        d.arith = ATTN_ARITH_NATIVE;
        d.scale = size < 3 ? (float)(0.1 / sizes[size]) : 0;
        EACH_L(i, 2 * d.heads * d.queries * d.dim)
            put(writable(d.q), ATTN_F32, i,
                (i % 32 == 7 ? 127 : test_below(253) - 126) / 64.0 * (size < 3 ? sizes[size] : 1));
        if (size < 3) { axes_loose = 2; judge_again(&d); axes_loose = 1; continue; }
        put(writable(d.q), ATTN_F32, 5, sizes[size]);
        if (attn_fwd(&d) == ATTN_OK) CHECK(ref_at(d.o, ATTN_F32, 3) != ref_at(d.o, ATTN_F32, 3));
    }
}
// Weights of 1 round to themselves: the average of v in bf16, also of keys in odd numbers and from an odd one on.
TEST(edge, native_averages_are_exact) {
    EACH_PASS(p) for (int keys = 40; keys < 44; keys++) for (int left = 0; left < 6; left++) EACH(many, 2) {
        attn_desc d = base_case(p, many ? 17 : 1, keys, 8, 40);
        if (d.q_type == ATTN_F64) continue;
        lay_types(&d, ATTN_F32, ATTN_F32, ATTN_BF16, ATTN_F32);
        d.arith = ATTN_ARITH_NATIVE;
        d.norm = ATTN_NORM_AVERAGE;
        d.causal = ATTN_CAUSAL_LOWER_RIGHT;
        if (left) { d.window = 1; d.window_left = 30 + left; d.window_right = -1; }
        judge_again(&d);
    }
}
// Queries a step under the least normal number are rounded to bf16 alike in tiles and in rows one by one.
TEST(edge, native_queries_at_the_least_number) {
    enum { D = 32, M = 64, N = 40 };
    static float q[N * D], v[M * D], o[2][N * D];
    static uint16_t k[M * D];
    const uint32_t least = 0x007fffffu;
    for (int i = 0; i < N * D; i++) memcpy(q + i, &least, 4);
    for (int i = 0; i < M * D; i++) { k[i] = (uint16_t)(i / D % 2 ? 0x7f00 : 0xff00); v[i] = (float)(i / D); }
    EACH_PASS(p) {
        int refused = 0;
        EACH(few, 2) {
            attn_desc d = ATTN_ZERO;
            d.q = q; d.k = k; d.v = v; d.o = o[few]; d.k_type = ATTN_BF16; d.arith = ATTN_ARITH_NATIVE;
            d.heads = 1; d.queries = few ? 1 : N; d.keys = M; d.dim = D; d.scale = 1; d.isa = pass_isa[p];
            refused |= attn_fwd(&d) != ATTN_OK;
        }
        CHECK(refused || !memcmp(o[0], o[1], D * sizeof(float)));
    }
}
// The maximum of a block is taken by groups of keys; those that a hidden key is in are gone over again.
TEST(edge, a_large_score_beside_a_hidden_key) {
    enum { M = 24, D = 16, MOST = 17 };
    static float q[MOST * D], k[M * D], v[M * D], o[MOST * D];
    static uint8_t keep[M];
    for (int i = 0; i < COUNT(q); i++) q[i] = 1;
    for (int i = 0; i < M * D; i++) v[i] = (float)(i / D + 1);
    EACH_PASS(p) for (int hidden = 0; hidden < M; hidden++) for (int big = 0; big < M; big++) {
        attn_desc d = ATTN_ZERO;
        if (pass_type[p] == ATTN_F64 || big == hidden) continue;
        for (int i = 0; i < M; i++) {
            keep[i] = i != hidden;
            for (int e = 0; e < D; e++) k[i * D + e] = i == big ? 40 : 0.01f;
        }
        d.q = q; d.k = k; d.v = v; d.o = o; d.heads = 1; d.keys = M; d.dim = D; d.isa = pass_isa[p];
        d.keep = keep; d.keep_stride[3] = 1;                       // the same for every row
        for (d.queries = 1; d.queries <= MOST; d.queries += 4) {
            CHECK(attn_fwd(&d) == ATTN_OK);
            for (ptrdiff_t i = 0; i < d.queries * D; i++) NEAR(o[i], big + 1, 1e-4);
        }
    }
}
TEST(edge, halves_at_their_limits) {
    static const uint16_t values[] = { 0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x83FF };
    EACH_PASS(p) for (int type = ATTN_F16; type <= ATTN_BF16; type++) EACH(many, 2) {
        attn_desc d = base_case(p, many ? 17 : 1, 10, 8, 10);
        if (d.q_type == ATTN_F64) continue;
        lay_types(&d, ATTN_F32, type, type, ATTN_F32);
        EACH_L(i, 4 * 10 * 10) {            // a value to a column
            int denormal = type == ATTN_BF16 && (values[i % 10] & 0x7F80) == 0;    // a float's: hardware may flush it
            ((uint16_t *)writable(d.v))[i] = denormal ? 0x0080 : values[i % 10];
        }
        for (ptrdiff_t i = 0; type == ATTN_F16 && i < 4 * 10 * 8; i++)
            if (i % 3 == 0) ((uint16_t *)writable(d.k))[i] = (uint16_t)(i % 1024);        // denormal keys count too
        judge_again(&d);
    }
}
TEST(edge, scales_and_their_defaults) {
    static const float scales[] = { 0, ATTN_SCALE_NONE, 0.02f, -0.5f };
    EACH_PASS(p) EACH(i, 4) EACH(logit, 2) {
        attn_desc d = base_case(p, 7, 20, 9, 5);
        d.scale = scales[i];
        if (logit) d.logit_scale = lay_floats(A_LOGIT, 4, -2, 2);
        judge_again(&d);
    }
}
TEST(edge, qk_norm_of_zeros_tiny_rows_and_factors) {
    EACH_PASS(p) for (int kind = 1; kind < ATTN_QK_NORM_COUNT; kind++) EACH(i, 8) {
        attn_desc d = base_case(p, 6, 19, i & 4 ? 1 : 33, 7);
        d.qk_norm = kind;
        if (i & 1) d.q_norm = lay_floats(A_Q_NORM, d.dim, -1, 2);
        if (i & 2) d.k_norm = lay_floats(A_K_NORM, d.dim, -1, 2);
        d.norm_eps = i & 1 || d.q_type == ATTN_F64 ? 1e-3f : 0;
        d.scale = 3;
        EACH_L(c, d.dim) {
            put(writable(d.q), d.q_type, c, 0);
            put(writable(d.k), d.k_type, c, 0);
            put(writable(d.k), d.k_type, d.dim + c, 1e-6 * random_value(1));
        }
        judge_again(&d);
    }
}
// cos and sin of true angles
static void lay_angles(attn_desc *d, ptrdiff_t positions, ptrdiff_t dim) {
    float *c = (float *)take(A_COS, (size_t)(positions * dim / 2) * 4);
    float *s = (float *)take(A_SIN, (size_t)(positions * dim / 2) * 4);
    EACH_L(i, positions * dim / 2) {
        double sine, t = (double)(i % (dim / 2)) * 2 / (double)dim;
        c[i] = (float)ref_cos_sin((double)(i / (dim / 2)) * ref_exp(-t * 9.21034037197618273607), &sine);
        s[i] = (float)sine;
    }
    d->rope_cos = c; d->rope_sin = s; d->rope_positions = positions;
}
TEST(edge, rope_kinds_widths_and_positions) {
    EACH_PASS(p) for (int kind = 1; kind < ATTN_ROPE_COUNT; kind++) for (int dim = 0; dim <= 34; dim += 2)
        EACH(where, 4) {
            attn_desc d = base_case(p, where == 3 ? 1 : 6, 19, dim > 16 ? 34 : dim == 16 ? 17 : 16, 7);
            d.rope_kind = kind; d.rope_dim = dim;
            lay_angles(&d, 40, dim ? dim : d.dim);
            if (where & 1) d.align = ATTN_ALIGN_LOWER_RIGHT;
            if (where == 2) { d.align = ATTN_ALIGN_AT; d.query_offset = 34; }
            if (where == 2) d.rope_k_pos = lay_lengths(A_K_POS, 38, 0, 39);
            if (where == 1) d.rope_q_pos = lay_lengths(A_Q_POS, 12, 0, 39);
            judge_again(&d);
        }
}
// w_v . tanh(W [q; k]), W = [w_q w_k]: Bahdanau's score as the network it is
TEST(property, additive_scores_are_one_hidden_layer_on_q_and_k) {
    enum { N = 18, M = 21, D = 11, WIDTH = 9 };
    float q[N * D], k[M * D], v[M], w_q[WIDTH * D], w_k[WIDTH * D], w_v[WIDTH], o[N];
    double w[WIDTH][2 * D];
    EACH(i, N * D) q[i] = (float)(2 * test_uniform() - 1);
    EACH(i, M * D) k[i] = (float)(2 * test_uniform() - 1);
    EACH(u, WIDTH) EACH(c, D) {
        w[u][c] = w_q[u * D + c] = (float)(2 * test_uniform() - 1);
        w[u][D + c] = w_k[u * D + c] = (float)(2 * test_uniform() - 1);
    }
    EACH(u, WIDTH) w_v[u] = (float)(2 * test_uniform() - 1) / WIDTH;
    EACH(j, M) v[j] = 1;
    EACH_PASS(p) if (pass_type[p] == ATTN_F32) {
        attn_desc d = ATTN_ZERO;
        float had[N * M];
        d.q = q; d.k = k; d.v = v; d.o = o; d.heads = 1; d.queries = N; d.keys = M; d.dim = D; d.vdim = 1;
        d.isa = pass_isa[p]; d.score = ATTN_SCORE_ADDITIVE; d.w_q = w_q; d.w_k = w_k; d.w_v = w_v;
        d.score_width = WIDTH; d.weights = had; d.weights_stage = ATTN_WEIGHTS_SCORES;
        CHECK(attn_fwd(&d) == ATTN_OK);
        EACH(i, N) EACH(j, M) {
            double s = 0;
            EACH(u, WIDTH) {
                double hidden = 0;
                EACH(c, 2 * D) hidden += w[u][c] * (double)(c < D ? q[i * D + c] : k[j * D + c - D]);
                s += (double)w_v[u] * ref_tanh(hidden);
            }
            NEAR(had[i * M + j], s, 1e-6);
        }
    }
}
// Two compositions of docs/cookbook.md, as they stand there, against plain loops
enum { MIX_B = 2, MIX_H = 3, MIX_N = 5, MIX_M = 14, MIX_D = 6, MIX_ROWS = MIX_B * MIX_H * MIX_N };
static float mix_q[MIX_ROWS * MIX_D], mix_k[MIX_B * MIX_H * MIX_M * MIX_D], mix_v[MIX_B * MIX_H * MIX_M * MIX_D];
static float mix_o[MIX_ROWS * MIX_D];
static double mix_s[MIX_ROWS][MIX_M];                       // q . k / sqrt(D)
static attn_desc mix_desc(void) {
    attn_desc d = ATTN_ZERO;
    d.q = mix_q; d.k = mix_k; d.v = mix_v; d.o = mix_o;
    d.batch = MIX_B; d.heads = MIX_H; d.queries = MIX_N; d.keys = MIX_M; d.dim = d.vdim = MIX_D;
    EACH(i, COUNT(mix_q)) mix_q[i] = test_float(2);
    EACH(i, COUNT(mix_k)) { mix_k[i] = test_float(2); mix_v[i] = test_float(1); }
    EACH(r, MIX_ROWS) EACH(j, MIX_M) {
        mix_s[r][j] = 0;
        EACH(c, MIX_D) mix_s[r][j] += (double)mix_q[r * MIX_D + c] * (double)mix_k[(r / MIX_N * MIX_M + j) * MIX_D + c];
        mix_s[r][j] /= ref_sqrt((double)MIX_D);
    }
    return d;
}
static void mix_near(double p[MIX_ROWS][MIX_M]) {           // o = p v
    EACH(r, MIX_ROWS) EACH(c, MIX_D) {
        double o = 0;
        EACH(j, MIX_M) o += p[r][j] * (double)mix_v[(r / MIX_N * MIX_M + j) * MIX_D + c];
        NEAR(mix_o[r * MIX_D + c], o, 4e-6);
    }
}
TEST(composition, talking_heads) {
    static float x[MIX_ROWS * MIX_M], y[MIX_ROWS * MIX_M];
    static double a[MIX_ROWS][MIX_M], p[MIX_ROWS][MIX_M];
    float w1[MIX_H * MIX_H], w2[MIX_H * MIX_H];
    attn_desc d = mix_desc();
    attn_matmul_desc mix = ATTN_ZERO, out = ATTN_ZERO;
    attn_softmax_desc rows = ATTN_ZERO;
    EACH(i, MIX_H * MIX_H) { w1[i] = test_float(1); w2[i] = test_float(1); }
    d.weights = x; d.weights_stage = ATTN_WEIGHTS_SCORES;
    CHECK(attn_fwd(&d) == ATTN_OK);
    mix.batch = MIX_B; mix.m = mix.k = MIX_H; mix.n = MIX_N * MIX_M; mix.b_batch = MIX_H * MIX_N * MIX_M;
    mix.a = w1; mix.b = x; mix.c = y;
    rows.x = rows.y = y; rows.rows = MIX_ROWS; rows.cols = MIX_M;
    CHECK(attn_matmul_f32(&mix) == ATTN_OK && attn_softmax_f32(&rows) == ATTN_OK);
    mix.a = w2; mix.b = y; mix.c = x;
    out.batch = MIX_B * MIX_H; out.m = MIX_N; out.k = MIX_M; out.n = MIX_D;
    out.a = x; out.b = mix_v; out.c = mix_o; out.a_batch = MIX_N * MIX_M; out.b_batch = MIX_M * MIX_D;
    CHECK(attn_matmul_f32(&mix) == ATTN_OK && attn_matmul_f32(&out) == ATTN_OK);
    EACH(r, MIX_ROWS) {
        int b = r / MIX_N / MIX_H, h = r / MIX_N % MIX_H, i = r % MIX_N;
        double sum = 0;
        EACH(j, MIX_M) {
            a[r][j] = 0;
            EACH(g, MIX_H) a[r][j] += (double)w1[h * MIX_H + g] * mix_s[(b * MIX_H + g) * MIX_N + i][j];
            sum += ref_exp(a[r][j]);
        }
        EACH(j, MIX_M) a[r][j] = ref_exp(a[r][j]) / sum;
    }
    EACH(r, MIX_ROWS) {
        int b = r / MIX_N / MIX_H, h = r / MIX_N % MIX_H, i = r % MIX_N;
        EACH(j, MIX_M) {
            p[r][j] = 0;
            EACH(g, MIX_H) p[r][j] += (double)w2[h * MIX_H + g] * a[(b * MIX_H + g) * MIX_N + i][j];
        }
    }
    mix_near(p);
}
TEST(composition, luong_s_predictive_window) {
    static const int32_t lengths[MIX_B] = { MIX_M, 5 };     // rows that see no key: zeros
    static float bias[MIX_N * MIX_M], lse[MIX_ROWS], lse0[MIX_ROWS];
    static uint8_t keep[MIX_N * MIX_M];
    static double p[MIX_ROWS][MIX_M];
    attn_desc d = mix_desc();
    float at[MIX_N];
    EACH(i, MIX_N) at[i] = (float)(test_uniform() * (MIX_M - 1));
    at[0] = MIX_M - 1;
    EACH(i, MIX_N * MIX_M) {
        float apart = (float)(i % MIX_M) - at[i / MIX_M];
        keep[i] = apart >= -3 && apart <= 3; bias[i] = -apart * apart / (2 * 1.5f * 1.5f);
    }
    d.key_lengths = lengths; d.keep = keep; d.lse = lse0;
    CHECK(attn_fwd(&d) == ATTN_OK);
    d.bias = bias; d.lse = lse;
    CHECK(attn_fwd(&d) == ATTN_OK);
    EACH(i, MIX_ROWS) if (lse0[i] > -1e30f) lse[i] -= lse0[i];
    attn_map_f32(ATTN_MAP_EXP, lse, lse, MIX_ROWS, 0);
    EACH(i, MIX_ROWS * MIX_D) mix_o[i] *= lse[i / MIX_D];
    EACH(r, MIX_ROWS) {
        int i = r % MIX_N, n = lengths[r / MIX_N / MIX_H];
        double sum = 0;
        EACH(j, n) if (keep[i * MIX_M + j]) sum += ref_exp(mix_s[r][j]);
        EACH(j, MIX_M) p[r][j] = j < n && keep[i * MIX_M + j]
            ? ref_exp(mix_s[r][j]) / sum * ref_exp((double)bias[i * MIX_M + j]) : 0;
    }
    mix_near(p);
}
// Turning q and k by the same angle changes no score: only differences of positions count.
TEST(property, rope_scores_depend_on_differences_of_positions) {
    EACH_PASS(p) for (int kind = 1; kind < ATTN_ROPE_COUNT; kind++) {
        static double before[2 * 4 * 6 * 19];
        attn_desc d = base_case(p, 6, 19, 16, 7);
        int32_t *q, *k;
        double tol = d.q_type == ATTN_F64 ? 1e-6 : 1e-5;         // the table is f32
        lay_angles(&d, 60, 16);
        d.rope_kind = kind; d.weights_stage = ATTN_WEIGHTS_SCORES;
        if (!judge_again(&d)) continue;
        EACH_L(i, COUNT(before)) before[i] = ref_at(d.weights, d.q_type, i);
        d.rope_q_pos = q = (int32_t *)take(A_Q_POS, 12 * 4); d.rope_k_pos = k = (int32_t *)take(A_K_POS, 38 * 4);
        EACH(i, 12) q[i] = i % 6 + 37;
        EACH(j, 38) k[j] = j % 19 + 37;
        judge_again(&d);
        EACH_L(i, COUNT(before)) NEAR(ref_at(d.weights, d.q_type, i), before[i], 20 * tol);
    }
}
static void lay_score_params(attn_desc *d, int score, double width) {
    d->score = score;
    if (score == ATTN_SCORE_BILINEAR) d->w_score = lay_floats(A_W_SCORE, d->dim * d->dim, -0.4, 0.4);
    if (score == ATTN_SCORE_ADDITIVE) {
        d->w_q = lay_floats(A_W_Q, d->score_width * d->dim, -0.4, 0.4);
        d->w_k = lay_floats(A_W_K, d->score_width * d->dim, -0.4, 0.4);
        d->w_v = lay_floats(A_W_V, d->score_width, -1, 1);
    }
    if (score >= ATTN_SCORE_GAUSSIAN && score <= ATTN_SCORE_TRICUBE && width > 0)
        d->kernel_width = lay_floats(A_WIDTH, d->heads, width, 1.3 * width);
}
TEST(edge, scores_of_every_kind_and_stage) {
    static const ptrdiff_t shapes[][3] = { { 1, 1, 1 }, { 1, 50, 7 }, { 6, 1, 3 }, { 17, 66, 13 }, { 2, 20, 64 } };
    EACH_PASS(p) for (int score = 1; score < ATTN_SCORE_CUSTOM; score++) EACH(i, COUNT(shapes))
        EACH(stage, ATTN_WEIGHTS_COUNT) {
            attn_desc d = base_case(p, shapes[i][0], shapes[i][1], shapes[i][2], 5);
            d.score_width = 1 + 8 * stage;
            lay_score_params(&d, score, i % 2 ? 2 * ref_sqrt((double)d.dim) : 1.1 * ref_sqrt((double)d.dim));
            d.weights_stage = stage;
            d.causal = i == 3 ? ATTN_CAUSAL_LOWER_RIGHT : 0;
            judge_again(&d);
        }
}
TEST(edge, distances_of_zero_and_kernels_without_a_neighbour) {
    EACH_PASS(p) for (int score = ATTN_SCORE_GAUSSIAN; score <= ATTN_SCORE_NEG_L2; score++) EACH(away, 3) {
        attn_desc d = base_case(p, 7, 7, 6, 5);
        if (score == ATTN_SCORE_COSINE && away == 0) continue;    // 0 / 0 has no meaning
        EACH_L(r, 8) EACH_L(c, 42)          // keys are their queries, or away
            put(writable(d.k), d.k_type, r / 2 * 42 + c, ref_at(d.q, d.q_type, r * 42 + c) + (away == 2 ? 100 : 0));
        for (ptrdiff_t c = 0; away == 0 && c < 42; c++) {
            put(writable(d.q), d.q_type, c, 0);
            put(writable(d.k), d.k_type, c, 0);
        }
        lay_score_params(&d, score, away == 1 ? 0 : 0.75);
        judge_again(&d);
    }
}
TEST(edge, softcap_tiny_and_huge) {
    static const float caps[] = { 1e-6f, 0.01f, 1, 50, 1e6f, 1e30f, -3 };
    EACH_PASS(p) EACH(i, 6) EACH(stage, ATTN_WEIGHTS_COUNT) {
        attn_desc d = base_case(p, 9, 21, 8, 5);
        d.softcap = caps[i]; d.scale = 2; d.weights_stage = stage;
        judge_again(&d);
    }
}
TEST(edge, custom_scores_of_every_kind_and_type) {
    EACH_PASS(p) EACH(kind, CUSTOM_KINDS) EACH(i, 12) {
        attn_desc d = base_case(p, i % 3 == 0 ? 18 : 1, 1 + 44 * (i % 4), 32, 32);
        if (d.q_type == ATTN_F64) continue;
        lay_types(&d, all_types[i % 3], all_types[i % 6], all_types[i / 2], ATTN_F32);
        if (i & 4) { d.rope_kind = 1; lay_angles(&d, 140, 32); }
        custom_kind = kind; ref_custom = custom_twin; d.custom = custom_tile; d.user = &d;
        if (kind == CUSTOM_ALONE) d.score = ATTN_SCORE_CUSTOM;
        else if (i & 2) d.softcap = kind == CUSTOM_HIDES ? 0.0f : 2.0f;
        judge_again(&d);
        ref_custom = NULL;
    }
}
TEST(edge, bias_of_every_type_and_stride) {
    EACH_PASS(p) EACH(type, 3) EACH(kind, 7) EACH(gain, 3) {
        attn_desc d = base_case(p, 6, 40, 8, 5);
        double away = all_types[type] == ATTN_F16 ? -6e4 : -1e6;  // finite: arithmetic, not a mask
        if (d.q_type != ATTN_F64) d.bias_type = all_types[type];
        lay_any_bias(&d, kind);
        for (ptrdiff_t i = 0; gain && i < (ptrdiff_t)(slot_bytes[BIAS] / bytes_of(d.bias_type)); i++)
            if (gain == 2 || i % 3) put(writable(d.bias), d.bias_type, i, away);
        judge_again(&d);
    }
}
TEST(edge, alibi_for_any_number_of_heads) {
    EACH_PASS(p) for (int heads = 1; heads <= 20; heads++) EACH(align, 3) {
        attn_desc d = base_case(p, 3, 14, 4, 3);
        d.batch = 1; d.heads = heads; d.kv_heads = 1;
        d.align = align; d.query_offset = align == ATTN_ALIGN_AT ? 100 : 0;
        lay_qkvo(&d, CONTIGUOUS, 1);
        if (heads % 4 == 1 && align) d.alibi_slopes = lay_floats(A_SLOPES, heads, -0.5, 2);
        d.alibi = heads % 4 != 1 || !align;
        judge_again(&d);
    }
}
TEST(edge, relative_tables_inside_and_outside) {
    static const int counts[] = { 1, 3, 9, 41 }, buckets[] = { 4, 8, 32, 64 };
    EACH_PASS(p) EACH(i, 4) for (int kind = 1; kind < 4; kind++) EACH(align, 2) {
        attn_desc d = base_case(p, kind == 3 ? 12 : 19, kind == 3 ? 12 : 131, 4, 3);
        ptrdiff_t rows = kind == 1 ? counts[i] : buckets[i];
        d.rel_kind = kind; d.align = align;
        d.rel_count = (int32_t)rows; d.rel_max_distance = 8 + 40 * i; d.rel_both_ways = (i + align) % 2;
        if (kind == ATTN_REL_T5 && d.rel_max_distance <= rows) d.rel_max_distance = (int32_t)rows + 1;
        if (kind == ATTN_REL_WINDOW_2D) {
            static const int sides[4][2] = { { 3, 4 }, { 4, 3 }, { 1, 12 }, { 12, 1 } };
            d.rel_height = sides[i][0]; d.rel_width = sides[i][1]; d.rel_count = 0;
            rows = (2 * d.rel_height - 1) * (2 * d.rel_width - 1);
        }
        d.rel_table = lay_floats(A_REL, rows * 4, -2, 2);
        judge_again(&d);
    }
}
TEST(edge, causal_in_its_kinds_with_prefixes_and_windows) {
    static const int32_t prefixes[5][2] = { { 0, 0 }, { 33, 33 }, { 0, 33 }, { 1, 32 }, { 17, 5 } };
    static const int windows[][2] = { { -1, -1 }, { 0, 0 }, { 0, -1 }, { -1, 0 }, { 3, 2 }, { 1, INT32_MAX },
                                      { INT32_MAX, 4 }, { INT32_MAX, INT32_MAX } };
    EACH_PASS(p) EACH(causal, ATTN_CAUSAL_COUNT) EACH(pre, (causal ? 6 : 1))
        EACH(w, COUNT(windows) + 1) {
            attn_desc d = base_case(p, w % 3 ? 20 : 1, 33, 5, 3);
            d.causal = causal;
            if (causal == ATTN_CAUSAL_AT) d.query_offset = 7 * w - 20;
            if (!causal) { d.align = w % 3; d.query_offset = d.align == ATTN_ALIGN_AT ? w : 0; }
            if (pre) d.prefix = prefixes[pre - 1];
            if (w) { d.window = 1; d.window_left = windows[w - 1][0]; d.window_right = windows[w - 1][1]; }
            judge_again(&d);
        }
}
TEST(edge, offsets_at_the_ends_of_int) {
    static const int32_t offsets[] = { INT32_MIN, INT32_MIN + 1, -1, INT32_MAX - 1, INT32_MAX };
    EACH_PASS(p) EACH(i, 5) EACH(kind, 4) {
        attn_desc d = base_case(p, 9, 20, 5, 3);
        if (kind & 1) d.causal = ATTN_CAUSAL_AT; else d.align = ATTN_ALIGN_AT;
        d.query_offset = offsets[i];
        if (kind & 2) { d.window = 1; d.window_left = INT32_MAX; d.window_right = i % 2 ? INT32_MAX : 0; }
        judge_again(&d);
    }
}
TEST(edge, masked_scores_take_every_key_in) {
    static const float scores[] = { -1e6f, -2, 3 };
    EACH_PASS(p) EACH(i, 3) EACH(way, 6) {
        attn_desc d = base_case(p, 9, 20, 5, 3);
        int32_t lengths[2] = { 0, 7 };
        d.masked_score = scores[i];
        if (way == 0) d.key_lengths = lengths;
        if (way == 1) d.row_lengths = lay_lengths(ROW_LENGTHS, 18, 0, 20);
        if (way == 2) d.causal = ATTN_CAUSAL_UPPER_LEFT;
        if (way == 3) d.keep = lay_mask(&d, KEEP, 0, d.keep_stride, 0);
        if (way == 4) { d.window = 1; d.query_lengths = lengths; }
        if (way == 5) { d.drop = lay_mask(&d, DROP, 1, d.drop_stride, 0.5); d.sink = lay_floats(A_SINK, 4, -3, 3); }
        judge_again(&d);
    }
}
TEST(edge, block_masks_of_any_size) {
    static const int sides[] = { 1, 3, 16, 128, 200 };
    EACH_PASS(p) EACH(a, 5) EACH(b, 5) EACH(fill, 4) {
        attn_desc d = base_case(p, fill == 3 ? 1 : fill == 2 && a != b ? 33 : 5, 150, 5, 3);
        ptrdiff_t n;
        uint8_t *mask;
        d.block_q = sides[a]; d.block_k = sides[b]; d.block_heads = (a + b) % 2 ? 1 : 4;
        n = d.block_heads * ((d.queries + d.block_q - 1) / d.block_q) * ((150 + d.block_k - 1) / d.block_k);
        d.block_mask = mask = (uint8_t *)take(A_BLOCKS, (size_t)n);
        EACH_L(i, n) mask[i] = (uint8_t)(fill == 0 ? 0 : fill == 1 ? 1 : test_below(2));
        judge_again(&d);
    }
}
TEST(edge, documents_one_many_and_none_in_common) {
    EACH_PASS(p) EACH(kind, 5) {
        attn_desc d = base_case(p, 30, 30, 5, 3);
        int32_t *q = (int32_t *)take(A_DOC_Q, 60 * 4), *k = (int32_t *)take(A_DOC_K, 60 * 4);
        EACH(i, 60) {
            q[i] = kind == 0 ? 7 : kind == 1 ? i : kind == 2 ? 1 : kind == 3 ? i / 9 : INT32_MIN + i % 2;
            k[i] = kind == 0 ? 7 : kind == 1 ? i : kind == 2 ? 2 : kind == 3 ? i / 9 : INT32_MIN + i % 3;
        }
        d.doc_q = q; d.doc_k = k; d.causal = kind % 2 ? ATTN_CAUSAL_UPPER_LEFT : 0;
        judge_again(&d);
    }
}
TEST(edge, trees_that_are_chains_stars_and_forests) {
    EACH_PASS(p) EACH(kind, 4) EACH(past, 3) {
        attn_desc d = base_case(p, kind == 3 ? 70 : 9, 70 + 40 * past, 5, 3);
        int32_t *parent = (int32_t *)take(A_TREE, (size_t)d.queries * 4);
        EACH(i, d.queries)
            parent[i] = kind == 0 ? i - 1 : kind == 1 ? -1 : kind == 2 ? (i ? 0 : -1) : test_below(i + 1) - 1;
        d.tree_parent = parent;
        if (past == 2) d.key_lengths = lay_lengths(KEY_LENGTHS, 2, d.queries, d.keys);
        if (past == 1) d.align = ATTN_ALIGN_LOWER_RIGHT;
        judge_again(&d);
        d.query_lengths = lay_lengths(QUERY_LENGTHS, 2, 0, d.queries);         // of fewer rows fewer nodes
        judge_again(&d);
    }
}
TEST(edge, sinks_great_and_small) {
    EACH_PASS(p) EACH(kind, 5) EACH(i, 8) {
        attn_desc d = base_case(p, 6, i & 1 ? 1 : 300, 5, 3);
        double at_ = kind == 1 ? 100 : kind == 2 ? -100 : kind == 3 ? 20 : 0;
        if (kind == 4) d.off_by_one = 1; else d.sink = lay_floats(A_SINK, 4, at_ - 1, at_ + 1);
        if (i & 2) d.row_lengths = lay_lengths(ROW_LENGTHS, 12, 0, d.keys);
        if (i & 4) { d.norm = ATTN_NORM_TOP_K; d.top_k = 3; }
        d.scale = 2;
        judge_again(&d);
    }
}
static void set_norm(attn_desc *d, int norm, int way) {
    d->norm = norm;
    if (norm == ATTN_NORM_SIGMOID && way % 2) d->sigmoid_bias = -2.5f;
    if (norm == ATTN_NORM_RELU && way % 2) d->relu_div = 13;
    if (norm == ATTN_NORM_TOP_K) d->top_k = way % 4 == 2 ? (int32_t)d->keys : way % 4 == 3 ? 10000 : 1 + way % 4 * 2;
}
TEST(edge, norms_over_one_key_many_and_equal_scores) {
    static const ptrdiff_t keys[] = { 1, 2, 15, 16, 17, 129, 1030 };
    EACH_PASS(p) for (int norm = 1; norm < ATTN_NORM_COUNT; norm++) EACH(i, COUNT(keys)) EACH(way, 5) {
        attn_desc d = base_case(p, way == 3 ? 1 : 5, keys[i], 6, 3);
        set_norm(&d, norm, way);
        d.scale = way == 2 ? 4.0f : 0.5f;
        if (way == 1) d.row_lengths = lay_lengths(ROW_LENGTHS, 10, 0, keys[i]);
        if (way == 4)                                            // the same key again and again: the first of equals
            EACH_L(c, 4 * keys[i] * 6)
                put(writable(d.k), d.k_type, c,
                    ref_at(d.k, d.k_type, (c / 6 / keys[i] * keys[i] + c / 6 % 3 % keys[i]) * 6 + c % 6));
        judge_again(&d);
    }
}
// 1 / (1 + e^x) by a compiler's reciprocal makes NaN of an infinite e^x
TEST(edge, sigmoid_far_below_and_above) {
    static const float bias[] = { -90, -150, -1e30f, 90, 1e30f };
    EACH_PASS(p) EACH(i, COUNT(bias)) {
        attn_desc d = base_case(p, 3, 20, 6, 3);
        set_norm(&d, ATTN_NORM_SIGMOID, 0);
        d.sigmoid_bias = bias[i];
        judge_again(&d);
    }
}
TEST(edge, norms_refuse_what_has_no_meaning) {
    EACH_PASS(p) for (int norm = 1; norm < ATTN_NORM_COUNT; norm++) {
        attn_desc d = base_case(p, 5, 9, 6, 3);
        set_norm(&d, norm, 0);
        if (norm == ATTN_NORM_TOP_K) continue;
        lay_any_outputs(&d, 1, 0);
        CHECK(attn_fwd(&d) != ATTN_OK && untouched(O) && untouched(LSE));
        lay_any_outputs(&d, 0, 0);
        d.off_by_one = 1;
        CHECK(attn_fwd(&d) != ATTN_OK && untouched(O));
        d.off_by_one = 0; d.sink = lay_floats(A_SINK, 4, -1, 1);
        CHECK(attn_fwd(&d) != ATTN_OK && untouched(O));
    }
}
TEST(edge, dropout_of_nothing_everything_and_by_a_mask) {
    static const float rates[] = { 0, 0.1f, 0.5f, 0.999f, 1 };
    EACH_PASS(p) EACH(i, 5) EACH(way, 4) {
        attn_desc d = base_case(p, way == 2 ? 1 : 20, 70, 5, 3);
        d.dropout = rates[i]; d.seed = way ? test_next() : 0;
        if (way == 3) d.keep_weights = lay_mask(&d, A_KEPT, 1, d.keep_stride, 0.5);
        memset(d.keep_stride, 0, sizeof(d.keep_stride));
        if (way == 1) { d.norm = ATTN_NORM_SIGMOID; d.causal = ATTN_CAUSAL_LOWER_RIGHT; }
        judge_again(&d);
    }
}
TEST(edge, philox_is_the_papers) {
    EACH(i, 200) {
        uint32_t counter[4], key[2], got[4], want[4];
        EACH(k, 4) counter[k] = (uint32_t)test_next();
        key[0] = (uint32_t)test_next(); key[1] = (uint32_t)test_next();
        attn_philox(counter, key, got);
        ref_philox(counter, key[0], key[1], want);
        CHECK(!memcmp(got, want, sizeof(got)));
    }
}
static attn_desc packed_case(int pass, const int32_t *cu_q, const int32_t *cu_k, ptrdiff_t B) {
    attn_desc d = desc_of(pass);
    forget_slots();
    d.batch = B; d.heads = 4; d.kv_heads = 2; d.dim = 6; d.vdim = 5; d.cu_q = cu_q; d.cu_k = cu_k;
    EACH_L(b, B) {
        if (cu_q[b + 1] - cu_q[b] > d.queries) d.queries = cu_q[b + 1] - cu_q[b];
        if (cu_k[b + 1] - cu_k[b] > d.keys) d.keys = cu_k[b + 1] - cu_k[b];
    }
    d.q = lay_packed_rows(Q, d.q_type, cu_q[B], 4, 6, d.q_stride, 1.5);
    d.k = lay_packed_rows(K, d.k_type, cu_k[B], 2, 6, d.k_stride, 1.5);
    d.v = lay_packed_rows(V, d.v_type, cu_k[B], 2, 5, d.v_stride, 1);
    d.o = lay_packed_rows(O, d.o_type, cu_q[B], 4, 5, d.o_stride, 0);
    return d;
}
TEST(edge, packed_sequences_empty_and_of_one) {
    static const int32_t cu[][6] = { { 0, 0, 0, 0, 0, 0 }, { 0, 1, 2, 3, 4, 5 }, { 0, 5, 5, 6, 20, 20 },
                                     { 0, 0, 0, 0, 0, 37 }, { 0, 130, 131, 160, 160, 162 } };
    EACH_PASS(p) EACH(a, 5) EACH(b, 5) EACH(causal, 3) {
        attn_desc d = packed_case(p, cu[a], cu[b], 5);
        d.causal = causal;
        if (b == 2) { d.window = 1; d.window_left = 2; d.window_right = 1; }
        judge_again(&d);
        d = packed_case(p, cu[a], cu[b], 5);
        d.queries += 3; d.keys += 2;                             // at least the largest
        judge_again(&d);
    }
}
// A sequence as a call of its own gives the same numbers.
TEST(property, packed_sequences_are_the_same_alone) {
    static const int32_t cu_q[] = { 0, 7, 8, 8, 30 }, cu_k[] = { 0, 20, 20, 29, 60 };
    EACH_PASS(p) {
        static double all[30 * 4 * 5];
        attn_desc d = packed_case(p, cu_q, cu_k, 4), one;
        d.causal = ATTN_CAUSAL_LOWER_RIGHT;
        if (!judge_again(&d)) continue;
        EACH_L(t, 30) EACH_L(h, 4) EACH_L(e, 5)
            all[(t * 4 + h) * 5 + e] = ref_at(d.o, d.o_type, ref_o(&d, 0, h, t, e));
        EACH_L(b, 4) {
            one = d;
            one.cu_q = one.cu_k = NULL; one.batch = 1;
            one.queries = cu_q[b + 1] - cu_q[b]; one.keys = cu_k[b + 1] - cu_k[b];
            one.q = at(d.q, d.q_type, ref_q(&d, b, 0, 0, 0)); one.o = at(d.o, d.o_type, ref_o(&d, b, 0, 0, 0));
            one.k = at(d.k, d.k_type, ref_k(&d, b, 0, 0, 0)); one.v = at(d.v, d.v_type, ref_v(&d, b, 0, 0, 0));
            if (ref_all_zero(d.q_stride)) set4(one.q_stride, 0, 6, 24, 1);
            if (ref_all_zero(d.k_stride)) set4(one.k_stride, 0, 6, 12, 1);
            if (ref_all_zero(d.v_stride)) set4(one.v_stride, 0, 5, 10, 1);
            if (ref_all_zero(d.o_stride)) set4(one.o_stride, 0, 5, 20, 1);
            one.lse = one.weights = NULL;
            CHECK(attn_fwd(&one) == ATTN_OK);
            EACH_L(i, one.queries) EACH_L(h, 4) EACH_L(e, 5)
                CHECK(ref_at(one.o, d.o_type, ref_o(&one, 0, h, i, e)) == all[((cu_q[b] + i) * 4 + h) * 5 + e]);
        }
    }
}

// ---- caches

enum { LINEAR, RING, PAGED };
static attn_desc cache_case(int pass, int kind, ptrdiff_t N, ptrdiff_t M, int room, const int32_t *lengths, int type) {
    attn_desc d = desc_of(pass);
    forget_slots();
    ref_custom = NULL;
    d.batch = 2; d.heads = 6; d.kv_heads = 2; d.queries = N; d.keys = M; d.dim = 32; d.vdim = 64;
    d.key_lengths = lengths;
    if (d.q_type != ATTN_F64) d.k_type = d.v_type = type;
    d.q = lay(Q, d.q_type, PADDED, 2, 6, N, 32, d.q_stride, 1.5);
    d.o = lay(O, d.o_type, CONTIGUOUS, 2, 6, N, 64, d.o_stride, 0);
    if (kind == RING) d.ring = room;
    if (kind == PAGED) { d.page = room; lay_paged(&d, 1.5); }
    else {
        ptrdiff_t slots_ = kind == RING ? room : M;
        d.k_cache = lay_any(K, d.k_type, PADDED, 2, 2, slots_, 32, d.k_stride, 1.5);
        d.v_cache = lay_any(V, d.v_type, PADDED, 2, 2, slots_, 64, d.v_stride, 1);
    }
    poison_unused(&d, 0);
    return d;
}
TEST(edge, rings_not_yet_full_just_full_and_wrapped) {
    static const int32_t seen[][2] = { { 0, 1 }, { 15, 16 }, { 17, 18 }, { 31, 32 }, { 33, 160 }, { 16, 0 } };
    EACH_PASS(p) EACH(i, 6) for (int queries = 1; queries <= 9; queries += 8) EACH(type, 6) {
        attn_desc d = cache_case(p, RING, queries, 160, 16, seen[i], all_types[type]);
        d.causal = ATTN_CAUSAL_LOWER_RIGHT;
        if (i % 2) { d.window = 1; d.window_left = 5; d.window_right = -1; }
        judge_again(&d);
    }
}
TEST(edge, pages_of_any_size) {
    static const int pages[] = { 1, 3, 16, 128, 200 };
    static const int32_t lengths[][2] = { { 0, 1 }, { 16, 17 }, { 128, 127 }, { 200, 199 }, { 330, 129 } };
    EACH_PASS(p) EACH(i, 5) EACH(k, 5) {
        int queries = (i + k + p) % 3 == 0 ? 18 : 1;
        attn_desc d = cache_case(p, PAGED, queries, 330, pages[i], lengths[k], all_types[(i + k + 3 * p) % 6]);
        d.causal = queries == 1 ? 0 : ATTN_CAUSAL_LOWER_RIGHT;
        judge_again(&d);
    }
}
TEST(edge, linear_caches_of_every_type) {
    static const int32_t lengths[][2] = { { 0, 1 }, { 64, 63 }, { 70, 70 } };
    EACH_PASS(p) EACH(i, 3) EACH(type, 6) {
        attn_desc d = cache_case(p, LINEAR, (i + type + p) % 3 ? 1 : 20, 70, 0, lengths[i], all_types[type]);
        d.causal = ATTN_CAUSAL_LOWER_RIGHT;
        if (type % 2) {
            d.rope_kind = ATTN_ROPE_HALF;
            lay_angles(&d, 100, 32);
            d.rope_q_pos = lay_lengths(A_Q_POS, 40, 0, 99);
        }
        judge_again(&d);
    }
}

// ---- what holds by nature

TEST(property, weights_sum_to_one_less_the_sink) {
    EACH_PASS(p) EACH(axis, AX_COUNT) EACH(sink, 2) {
        attn_desc d = desc_of(p);
        axes_set one = (axes_set)1 << axis;
        int type = d.q_type;
        double tol = type == ATTN_F64 ? 1e-12 : 1e-4;
        if (axis == AX_DROPOUT || axis == AX_STAGE || axis == AX_NORM || axis == AX_SINK) continue;
        draw_axes_of(&d, one, one, 9, 60, 2e4);
        lay_any_outputs(&d, 1, 1);
        if (sink) d.off_by_one = 1;
        if (attn_fwd(&d) == ATTN_ERR_UNSUPPORTED) continue;
        type = type == ATTN_F64 ? ATTN_F64 : ATTN_F32;
        EACH_L(b, ref_batch(&d)) EACH_L(h, d.heads)
            EACH_L(i, ref_rows(&d, b)) {
                double sum = 0, lse = ref_at(d.lse, type, ref_lse(&d, b, h, i)), less_ = 0;
                EACH_L(j, d.keys)
                    sum += ref_at(d.weights, type, ((b * d.heads + h) * d.queries + i) * d.keys + j);
                if (sink) less_ = ref_exp(-lse);
                NEAR(sum, lse == -HUGE_VAL ? 0 : 1 - less_, tol);
            }
    }
}
// A number added to all scores of a row: nothing changes with a norm that takes differences, but lse.
TEST(property, shifted_scores_change_nothing_but_lse) {
    static const int norms[] = { ATTN_NORM_SOFTMAX, ATTN_NORM_HARD, ATTN_NORM_AVERAGE, ATTN_NORM_TOP_K,
                                 ATTN_NORM_SPARSEMAX, ATTN_NORM_ENTMAX15 };
    EACH_PASS(p) EACH(n, COUNT(norms)) {
        static double before[2 * 4 * 9 * 3];
        attn_desc d = base_case(p, 9, 50, 8, 3);
        double tol = d.q_type == ATTN_F64 ? 1e-12 : 2e-5, lse;
        d.norm = norms[n]; d.top_k = n == 3 ? 4 : 0;
        if (!judge_again(&d)) continue;
        EACH_L(i, COUNT(before)) before[i] = ref_at(d.o, d.o_type, i);
        lse = d.lse ? ref_at(d.lse, d.q_type, 5) : 0;
        lay_any_bias(&d, 4);
        EACH_L(i, 9) put(writable(d.bias), d.bias_type, i, 4);
        judge_again(&d);
        EACH_L(i, COUNT(before)) NEAR(ref_at(d.o, d.o_type, i), before[i], tol);
        if (d.lse) NEAR(ref_at(d.lse, d.q_type, 5), lse + 4, tol);
    }
}
TEST(property, threads_change_no_bit_with_any_axis) {
    static unsigned char kept[1 << 20];
    EACH_PASS(p) EACH(axis, AX_COUNT) {
        int workers = 3;
        attn_parallel backwards = { run_backwards, NULL, 3 };
        attn_desc d = desc_of(p);
        axes_set one = (axes_set)1 << axis;
        backwards.user = &workers;
        draw_axes_of(&d, one, one, -1, -1, 1e5);
        if (slot_bytes[O] > sizeof(kept) || attn_fwd(&d) == ATTN_ERR_UNSUPPORTED) continue;
        memcpy(kept, first_of(O), slot_bytes[O]);
        wipe(O);
        d.parallel = &backwards;
        CHECK(attn_fwd(&d) == ATTN_OK && !memcmp(kept, first_of(O), slot_bytes[O]));
    }
}
// Queries i0 .. i0+n-1 of batch entry b as a call of their own: every array cut to them, positions by an offset.
static void spell_strides(ptrdiff_t s[4], ptrdiff_t heads, ptrdiff_t rows, ptrdiff_t cols) {
    if (ref_all_zero(s)) set4(s, heads * rows * cols, rows * cols, cols, 1);
}
static ptrdiff_t cut_mask(const attn_desc *d, ptrdiff_t s[4], ptrdiff_t b, ptrdiff_t i0) {
    if (ref_all_zero(s)) set4(s, 0, 0, d->keys, 1);
    return b * s[0] + i0 * s[2];
}
static const void *cut_array(const void *p, int type, ptrdiff_t elements) {
    return p ? (const unsigned char *)p + bytes_for(type, elements) : NULL;
}
static int can_be_cut(const attn_desc *d) {
    int by_place = d->custom && custom_kind != CUSTOM_ROWS && custom_kind != CUSTOM_ALONE;
    return !d->cu_q && !d->block_mask && !d->tree_parent && d->dropout == 0.0f && !d->keep_weights && !by_place &&
           d->rel_kind != ATTN_REL_WINDOW_2D;
}
static attn_desc part_of(const attn_desc *d, ptrdiff_t b, ptrdiff_t i0, ptrdiff_t n, int32_t *queries) {
    attn_desc r = *d;
    ptrdiff_t N = d->queries, M = d->keys, Hk = ref_kv_heads(d), room = d->ring ? d->ring : M, E = ref_vdim(d);
    int64_t left = ref_queries(d, b) - i0;
    spell_strides(r.q_stride, d->heads, N, d->dim);
    r.q = cut_array(d->q, d->q_type, b * r.q_stride[0] + i0 * r.q_stride[2]);
    if (!d->block_table) {
        spell_strides(r.k_stride, Hk, room, d->dim); spell_strides(r.v_stride, Hk, room, E);
        r.k = cut_array(d->k, d->k_type, b * r.k_stride[0]); r.v = cut_array(d->v, d->v_type, b * r.v_stride[0]);
        r.k_cache = writable(cut_array(d->k_cache, d->k_type, b * r.k_stride[0]));
        r.v_cache = writable(cut_array(d->v_cache, d->v_type, b * r.v_stride[0]));
    } else r.block_table += b * d->pages_per_row;
    r.batch = 1; r.queries = n; r.parallel = NULL; r.weights = NULL; r.weights_stage = 0;
    memset(r.o_stride, 0, sizeof(r.o_stride));
    if (d->causal) r.causal = ATTN_CAUSAL_AT;
    r.align = d->causal ? ATTN_ALIGN_UPPER_LEFT : ATTN_ALIGN_AT;
    r.query_offset = (int32_t)(ref_offset(d, b) + i0); r.query_offsets = NULL;
    if (d->key_lengths) r.key_lengths += b;
    if (d->query_lengths) { *queries = (int32_t)(left < 0 ? 0 : left > n ? n : left); r.query_lengths = queries; }
    if (d->row_lengths) r.row_lengths += b * N + i0;
    if (d->prefix) r.prefix += b;
    if (d->doc_q) { r.doc_q += b * N + i0; r.doc_k += b * M; }
    if (d->rope_q_pos) r.rope_q_pos += b * N + i0;
    if (d->rope_k_pos) r.rope_k_pos += b * M;
    if (d->keep) r.keep += cut_mask(d, r.keep_stride, b, i0);
    if (d->drop) r.drop += cut_mask(d, r.drop_stride, b, i0);
    if (d->bias) r.bias = cut_array(d->bias, d->bias_type, cut_mask(d, r.bias_stride, b, i0));
    return r;
}
TEST(property, rows_alone_have_the_same_bits_with_any_axis) {
    static double o[1 << 15], lse[1 << 9];
    EACH(round, ROUNDS / 2) {
        unsigned long long seed = test_seed;
        int before = test_failed_checks;
        attn_desc d = desc_of(test_below(pass_count)), r;
        axes_set on = draw_axes(&d, 1e5);
        int type = d.q_type == ATTN_F64 ? ATTN_F64 : ATTN_F32;
        int32_t queries;
        if (!d.queries || !can_be_cut(&d) || attn_fwd(&d) == ATTN_ERR_UNSUPPORTED) continue;
        EACH(tries, 3) {
            ptrdiff_t b = test_below((int)ref_batch(&d)), i0 = test_below((int)d.queries), n = 1, E = ref_vdim(&d);
            if (tries) n += test_below((int)(d.queries - i0));
            if (d.heads * n * E > COUNT(o) || d.heads * n > COUNT(lse)) n = 1;
            r = part_of(&d, b, i0, n, &queries);
            r.user = &r; r.o = o; r.lse = d.lse ? lse : NULL;
            CHECK(attn_fwd(&r) == ATTN_OK);
            EACH_L(h, d.heads) EACH_L(i, n) {
                EACH_L(e, E) CHECK(same_bits(at(d.o, d.o_type, ref_o(&d, b, h, i0 + i, e)),
                                             at(o, d.o_type, (h * n + i) * E + e), d.o_type, 1));
                if (d.lse)
                    CHECK(same_bits(at(d.lse, type, ref_lse(&d, b, h, i0 + i)), at(lse, type, h * n + i), type, 1));
            }
        }
        if (test_failed_checks != before) { describe_axes(&d, on, seed); if (test_failed_checks > 40) return; }
    }
}
// NaN in every key and value that no row sees changes no bit.
TEST(property, hidden_keys_reach_no_result_with_any_axis) {
    static unsigned char kept[3][1 << 20];
    EACH(round, ROUNDS / 2) {
        unsigned long long seed = test_seed;
        int before = test_failed_checks, fits = 1;
        attn_desc d = desc_of(test_below(pass_count));
        axes_set on = draw_axes(&d, 1e5);
        EACH(i, 3) fits &= slot_bytes[O + i] <= sizeof(kept[0]);
        if (d.weights_stage == ATTN_WEIGHTS_SCORES || d.weights_stage == ATTN_WEIGHTS_CAPPED) d.weights_stage = 0;
        if (!fits || d.masked_score != 0.0f || attn_fwd(&d) == ATTN_ERR_UNSUPPORTED) continue;
        EACH(i, 3) memcpy(kept[i], first_of(O + i), slot_bytes[O + i]);
        poison_unused(&d, 1);
        EACH(i, 3) wipe(O + i);
        CHECK(attn_fwd(&d) == ATTN_OK);
        CHECK(!memcmp(kept[0], first_of(O), slot_bytes[O]) && !memcmp(kept[1], first_of(LSE), slot_bytes[LSE]));
        if (!d.cu_q) CHECK(!memcmp(kept[2], first_of(W), slot_bytes[W]));
        if (test_failed_checks != before) { describe_axes(&d, on, seed); if (test_failed_checks > 40) return; }
    }
}
TEST(memory, the_exact_workspace_is_enough_with_any_axis) {
    EACH_PASS(p) EACH(axis, AX_COUNT) EACH(round, 3) {
        attn_desc d = desc_of(p);
        axes_set one = (axes_set)1 << axis;
        size_t need;
        draw_axes_of(&d, one, one, -1, -1, 5e4);
        need = attn_workspace(&d);
        d.workspace = take(WORK, need); d.workspace_bytes = need;
        heap_plan(-1, 0);
        if (attn_fwd(&d) == ATTN_ERR_UNSUPPORTED) continue;
        CHECK(heap_calls == 0 && guards_intact());
        compare_axes(&d);
    }
}

// ---- tables, joining, appending

TEST(rope_table, is_cos_and_sin_of_the_papers_angles) {
    static const double thetas[] = { 0, 10000, 500000, 100 };
    static float c[4096 * 9], s[4096 * 9];
    for (int dim = 2; dim <= 18; dim += 4) EACH(i, 4) {
        ptrdiff_t half = dim / 2;
        double theta = thetas[i] != 0 ? thetas[i] : 10000;
        CHECK(attn_rope_table(c, s, 4096, dim, thetas[i]) == ATTN_OK);
        for (ptrdiff_t k = 0; k < 4096 * half; k += 1 + k / 300) {
            double sine, t = (double)(k % half) * 2 / dim;
            double cosine = ref_cos_sin((double)(k / half) * ref_exp(-t * ref_log(theta)), &sine);
            NEAR(c[k], cosine, 2e-7);
            NEAR(s[k], sine, 2e-7);
        }
    }
    CHECK(attn_rope_table(c, s, 4, 3, 0) == ATTN_ERR_SHAPE && attn_rope_table(NULL, s, 4, 2, 0) == ATTN_ERR_NULL);
    CHECK(attn_rope_table(c, NULL, 4, 2, 0) == ATTN_ERR_NULL && attn_rope_table(c, s, 0, 2, 0) == ATTN_OK);
    CHECK(attn_rope_table(c, s, 4, 2, -1) == ATTN_ERR_RANGE);
}
// Results over keys 0 .. cut-1 and cut .. M-1, joined.
TEST(merge, of_parts_is_the_whole) {
    static const ptrdiff_t cuts[] = { 0, 1, 17, 64, 149, 150 };
    EACH_PASS(p) EACH(i, COUNT(cuts)) EACH(way, 4) EACH(order, 2) {
        static float o[2][2 * 4 * 9 * 5], lse[2][2 * 4 * 9];
        attn_desc d = base_case(p, 9, 150, 8, 5), part;
        ptrdiff_t cut = cuts[i];
        if (d.q_type == ATTN_F64) continue;
        if (way == 1) d.keep = lay_mask(&d, KEEP, 5, d.keep_stride, 0.02);
        if (way == 2) { lay_any_bias(&d, 5); d.softcap = 3; }
        if (way == 3) { d.causal = ATTN_CAUSAL_AT; d.query_offset = 20; d.sink = lay_floats(A_SINK, 4, -3, 3); }
        set4(d.k_stride, 2 * 150 * 8, 150 * 8, 8, 1); set4(d.v_stride, 2 * 150 * 5, 150 * 5, 5, 1);
        EACH(k, 2) {
            part = d;
            part.o = o[k ^ order]; part.lse = lse[k ^ order]; part.weights = NULL;
            part.keys = k ? 150 - cut : cut;
            if (k) {
                part.k = at(d.k, ATTN_F32, cut * 8); part.v = at(d.v, ATTN_F32, cut * 5);
                if (d.keep) part.keep += cut;
                if (d.bias) part.bias = at(d.bias, d.bias_type, cut);
                if (d.causal) part.query_offset -= (int32_t)cut;
                part.sink = NULL;
            }
            CHECK(attn_fwd(&part) == ATTN_OK);
        }
        CHECK(attn_merge(o[0], lse[0], o[1], lse[1], 72, 5) == ATTN_OK);
        memcpy(d.o, o[0], slot_bytes[O]); memcpy(d.lse, lse[0], slot_bytes[LSE]);
        d.weights = NULL;
        compare_axes(&d);
    }
}
TEST(merge, with_nothing_changes_no_bit_and_three_parts_associate) {
    static float o[3][40 * 7], lse[3][40], a[40 * 7], a_lse[40], b[40 * 7], b_lse[40];
    EACH(k, 3) EACH(i, 40) {
        int none = (i >> k & 1) && i < 8;
        lse[k][i] = none ? (float)-HUGE_VAL : test_float(20);
        EACH(e, 7) o[k][i * 7 + e] = none ? 0 : test_float(1);
    }
    EACH(k, 3) EACH(first, 2) {
        static float zero[40 * 7], nothing[40];
        EACH(i, 40) nothing[i] = (float)-HUGE_VAL;
        memset(zero, 0, sizeof(zero));
        memcpy(a, o[k], sizeof(a)); memcpy(a_lse, lse[k], sizeof(a_lse));
        if (first) CHECK(attn_merge(zero, nothing, a, a_lse, 40, 7) == ATTN_OK);
        else CHECK(attn_merge(a, a_lse, zero, nothing, 40, 7) == ATTN_OK);
        CHECK(!memcmp(first ? zero : a, o[k], sizeof(a)) && !memcmp(first ? nothing : a_lse, lse[k], sizeof(a_lse)));
    }
    memcpy(a, o[0], sizeof(a)); memcpy(a_lse, lse[0], sizeof(a_lse));
    attn_merge(a, a_lse, o[1], lse[1], 40, 7);
    attn_merge(a, a_lse, o[2], lse[2], 40, 7);
    memcpy(b, o[1], sizeof(b)); memcpy(b_lse, lse[1], sizeof(b_lse));
    attn_merge(b, b_lse, o[2], lse[2], 40, 7);
    attn_merge(o[0], lse[0], b, b_lse, 40, 7);
    EACH(i, 40) {
        NEAR(a_lse[i], lse[0][i], 1e-5);
        EACH(e, 7) NEAR(a[i * 7 + e], o[0][i * 7 + e], 2e-5);
    }
    for (int i = 0; i < 4; i++) {                                // far apart either way, equal and great
        static const float lses[4][2] = { { 1e4f, -1e4f }, { -1e4f, 1e4f }, { 3e30f, 3e30f }, { -2e3f, -2e3f } };
        float x[2] = { 1, -3 }, y[2] = { 5, 7 }, x_lse = lses[i][0], y_lse = lses[i][1];
        CHECK(attn_merge(x, &x_lse, y, &y_lse, 1, 2) == ATTN_OK);
        NEAR(x[0], i == 0 ? 1 : i == 1 ? 5 : 3, 1e-6);
        NEAR(x[1], i == 0 ? -3 : i == 1 ? 7 : 2, 1e-6);
        NEAR(x_lse, i < 2 ? 1e4 : i == 2 ? (double)3e30f : -2e3 + 0.693147, i == 2 ? 1e24 : 1e-3);
    }
    CHECK(attn_merge(NULL, a_lse, b, b_lse, 1, 1) == ATTN_ERR_NULL);
    CHECK(attn_merge(a, a_lse, b, NULL, 1, 1) == ATTN_ERR_NULL);
    CHECK(attn_merge(a, a_lse, b, b_lse, -1, 1) == ATTN_ERR_SHAPE && attn_merge(a, a_lse, b, b_lse, 0, 7) == ATTN_OK);
}

// How far a number may lie from what a cache of that type gives back; most and span: of its block of 32.
static double kept_within(int type, double x, double most, double span) {
    if (type == ATTN_F16) return storage(ATTN_F16, x);
    if (type == ATTN_BF16) return storage(ATTN_BF16, x);
    if (type == ATTN_Q8_0) return most / 127 * 0.51 + most / 1000 + 1e-6;
    if (type == ATTN_Q4_0) return most / 8 * 1.02 + 1e-6;                  // the far end is cut off by a whole step
    if (type == ATTN_Q4_1) return span / 15 * 0.52 + (most + span) / 1000 + 1e-6;
    return 0;
}
static void check_kept(const attn_desc *d, const double *all, ptrdiff_t cols, int is_v) {
    int type = is_v ? d->v_type : d->k_type;
    EACH_L(b, 2) EACH_L(h, 2) EACH_L(j, ref_keys(d, b)) {
        const double *row = all + ((b * 2 + h) * d->keys + j) * cols;
        for (ptrdiff_t c = 0; c < cols && ref_exists(d, b, j); c++) {
            ptrdiff_t first = c / 32 * 32, place = is_v ? ref_v(d, b, h, j, c) : ref_k(d, b, h, j, c);
            double low = row[first], high = low, most;
            for (ptrdiff_t k = first; k < first + 32 && k < cols; k++) {
                if (row[k] < low) low = row[k];
                if (row[k] > high) high = row[k];
            }
            most = fabs(low) > fabs(high) ? fabs(low) : fabs(high);
            NEAR(ref_at(is_v ? d->v_cache : d->k_cache, type, place), row[c],
                 kept_within(type, row[c], most, high - low) + (d->rope_kind || d->qk_norm) * 8 * ref_rel(d) * most);
        }
    }
}
// Tokens come in chunks; after each the cache must hold them, and attn_fwd must see them.
static void check_append(int pass, int kind, int room, int type, int transform, const int *chunks) {
    static double all_k[4 * 40 * 32], all_v[4 * 40 * 64];
    int32_t lengths[2] = { 0, 0 }, full[2] = { 40, 40 };
    attn_desc d = cache_case(pass, kind, 4, 40, room, full, type), plain;
    ptrdiff_t start = 0;
    if (kind == PAGED) EACH_L(i, d.pages_per_row) {    // rows share no page that is written
        int32_t *table = (int32_t *)writable(d.block_table);
        EACH_L(b, 2) table[b * d.pages_per_row + i] = (int32_t)((2 * i + 4 - b) % d.page_count);
    }
    wipe(K); wipe(V);
    d.key_lengths = lengths;
    d.causal = ATTN_CAUSAL_LOWER_RIGHT; d.keys = 40;
    if (transform & 1) { d.rope_kind = ATTN_ROPE_INTERLEAVED; lay_angles(&d, 64, 32); }
    if (transform & 2) { d.qk_norm = ATTN_QK_NORM_RMS; d.norm_eps = 1e-5f; }
    if (transform & 2) d.k_norm = lay_floats(A_K_NORM, 32, 0.5, 2);
    d.rope_q_pos = transform & 1 ? lay_lengths(A_Q_POS, 8, 0, 63) : NULL;
    for (int n = -1; n < 0 || chunks[n]; n++) {
        ptrdiff_t count = n < 0 ? 3 : chunks[n];
        attn_status s;
        d.new_keys = count;
        d.k_new = lay(A_NEW_K, d.q_type, n % 2 ? PADDED : CONTIGUOUS, 2, 2, count, 32, d.k_new_stride, 1.5);
        d.v_new = lay(A_NEW_V, d.q_type, n % 2 ? CONTIGUOUS : BNHD, 2, 2, count, 64, d.v_new_stride, 1);
        plain = d;                                               // k_new as an array of keys, at its positions
        plain.k_cache = NULL; plain.k = d.k_new; plain.k_type = d.q_type; plain.keys = count; plain.ring = 0;
        plain.block_table = NULL; plain.cu_k = NULL; plain.key_lengths = NULL; plain.rope_k_pos = NULL;
        memcpy(plain.k_stride, d.k_new_stride, sizeof(plain.k_stride));
        EACH_L(b, 2) EACH_L(h, 2) EACH_L(t, count) {
            ptrdiff_t token = ((b * 2 + h) * 40 + lengths[b] + t);
            ref_load(&ref_key, d.k_new, d.q_type, ref_k(&plain, b, h, t, 0), 1, 32);
            if (d.qk_norm) ref_normalise(&d, &ref_key, d.k_norm);
            if (d.rope_kind) ref_rotate(&d, &ref_key, lengths[b] + t);
            EACH_L(c, 32) all_k[token * 32 + c] = ref_key.x[c];
            EACH_L(c, 64)
                all_v[token * 64 + c] = ref_at(d.v_new, d.q_type, ref_index(d.v_new_stride, 2, count, 64, b, h, t, c));
        }
        s = attn_append(&d);
        if (s == ATTN_ERR_UNSUPPORTED) { cases_refused++; return; }
        CHECK(s == ATTN_OK && guards_intact());
        lengths[0] += (int32_t)count; lengths[1] += (int32_t)count;
        check_kept(&d, all_k, 32, 0); check_kept(&d, all_v, 64, 1);
        d.k_new = d.v_new = NULL; d.new_keys = 0;
        judge_again(&d);
        if (start++ == 1 && kind != RING) { lengths[0] -= 2; }   // a lower length is a rollback
    }
}
TEST(append, in_chunks_is_the_same_as_joined_arrays) {
    static const int chunks[] = { 1, 1, 5, 7, 1, 3, 0 };
    EACH_PASS(p) for (int kind = LINEAR; kind <= PAGED; kind++) EACH(type, 6)
        EACH(transform, 4) {
            static const int rooms[3][4] = { { 0, 0, 0, 0 }, { 7, 8, 16, 40 }, { 1, 3, 16, 64 } };
            if (pass_type[p] == ATTN_F64 && type) continue;
            check_append(p, kind, rooms[kind][(type + transform) % 4], all_types[type], transform, chunks);
        }
}
TEST(append, to_a_full_cache_is_refused) {
    EACH_PASS(p) for (int kind = LINEAR; kind <= PAGED; kind += 2) EACH(over, 3) {
        static int32_t lengths[2], full[2] = { 40, 40 };
        attn_desc d = cache_case(p, kind, 1, 40, 16, full, ATTN_F32);
        uint64_t inputs;
        d.pages_per_row = kind == PAGED ? 3 : 0;
        lengths[0] = 12; lengths[1] = 36;
        d.key_lengths = lengths;
        d.new_keys = over == 0 ? 4 : 5;
        if (kind == PAGED) {                                     // pages of 16: tokens 36.. lie in the third
            int32_t *table = (int32_t *)take(A_TABLE, 6 * 4);
            EACH(i, 6) table[i] = i;
            d.block_table = table; d.page_count = 6;
            d.k_cache = lay(K, d.k_type, CONTIGUOUS, 6, 2, 16, 32, d.k_stride, 1);
            d.v_cache = lay(V, d.v_type, CONTIGUOUS, 6, 2, 16, 64, d.v_stride, 1);
            if (over == 2) { table[5] = -1; d.new_keys = 4; }    // no page for them
        }
        d.k_new = lay(A_NEW_K, d.q_type, CONTIGUOUS, 2, 2, d.new_keys, 32, d.k_new_stride, 1);
        d.v_new = lay(A_NEW_V, d.q_type, CONTIGUOUS, 2, 2, d.new_keys, 64, d.v_new_stride, 1);
        inputs = inputs_hash();
        if (over) {                                              // told even where the step has no q yet
            char text[256];
            attn_desc step = d;
            step.q = step.o = NULL;
            CHECK(attn_append(&d) == ATTN_ERR_RANGE && inputs_hash() == inputs);
            attn_explain(attn_append(&step), &step, text, sizeof(text));
            CHECK(strstr(text, over == 2 && kind == PAGED ? "block_table[5] = -1"
                                                          : "key_lengths[1] = 36: the cache is full"));
        }
        else CHECK(attn_append(&d) == ATTN_OK && inputs_hash() != inputs);
        CHECK(guards_intact());
    }
}
// v_cache as the first columns of k_cache (MLA): k_new alone is written, and what is read is k and its columns
TEST(append, a_shared_latent_needs_no_v_new) {
    enum { TOKENS = 9, D = 24, E = 16, N = 3 };
    static const int32_t none[1] = { 0 }, all[1] = { TOKENS };
    EACH_PASS(p) if (pass_type[p] == ATTN_F32) {
        float k[TOKENS * D], q[2 * N * D], cache[TOKENS * D], o[2 * N * E], want[2 * N * E];
        attn_desc d = ATTN_ZERO;
        EACH(i, TOKENS * D) k[i] = (float)test_uniform() - 0.5f;
        EACH(i, 2 * N * D) q[i] = (float)test_uniform() - 0.5f;
        d.isa = pass_isa[p]; d.heads = 2; d.kv_heads = 1; d.queries = N; d.keys = TOKENS; d.dim = D; d.vdim = E;
        d.q = q; d.k = d.v = k; d.o = want;
        d.k_stride[0] = d.v_stride[0] = d.k_stride[1] = d.v_stride[1] = TOKENS * D;
        d.k_stride[2] = d.v_stride[2] = D; d.k_stride[3] = d.v_stride[3] = 1;
        CHECK(attn_fwd(&d) == ATTN_OK);
        d.k = d.v = NULL; d.k_cache = d.v_cache = cache; d.k_new = k; d.new_keys = TOKENS; d.key_lengths = none;
        CHECK(attn_append(&d) == ATTN_OK && !memcmp(cache, k, sizeof(k)));
        d.v_new = k;
        CHECK(attn_append(&d) == ATTN_ERR_OVERLAP);
        d.v_new = NULL; d.new_keys = 0; d.key_lengths = all; d.o = o;
        CHECK(attn_fwd(&d) == ATTN_OK && !memcmp(o, want, sizeof(o)));
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    list_passes();
    (void)axes_keep;
    RUN(sweep, every_combination_agrees_with_the_oracle);
    RUN(alone, each_axis_with_one_query_one_key_or_none);
    RUN(alone, a_row_that_sees_no_key_is_zeros_with_any_axis);
    RUN(edge, types_in_every_pairing);
    RUN(edge, native_arithmetic_stays_near);
    RUN(edge, native_scores_of_exact_queries_are_exact);
    RUN(edge, native_queries_of_any_size);
    RUN(edge, native_averages_are_exact);
    RUN(edge, native_queries_at_the_least_number);
    RUN(edge, a_large_score_beside_a_hidden_key);
    RUN(edge, halves_at_their_limits);
    RUN(edge, scales_and_their_defaults);
    RUN(edge, qk_norm_of_zeros_tiny_rows_and_factors);
    RUN(edge, rope_kinds_widths_and_positions);
    RUN(edge, scores_of_every_kind_and_stage);
    RUN(edge, distances_of_zero_and_kernels_without_a_neighbour);
    RUN(edge, softcap_tiny_and_huge);
    RUN(edge, custom_scores_of_every_kind_and_type);
    RUN(edge, bias_of_every_type_and_stride);
    RUN(edge, alibi_for_any_number_of_heads);
    RUN(edge, relative_tables_inside_and_outside);
    RUN(edge, causal_in_its_kinds_with_prefixes_and_windows);
    RUN(edge, offsets_at_the_ends_of_int);
    RUN(edge, masked_scores_take_every_key_in);
    RUN(edge, block_masks_of_any_size);
    RUN(edge, documents_one_many_and_none_in_common);
    RUN(edge, trees_that_are_chains_stars_and_forests);
    RUN(edge, sinks_great_and_small);
    RUN(edge, norms_over_one_key_many_and_equal_scores);
    RUN(edge, sigmoid_far_below_and_above);
    RUN(edge, norms_refuse_what_has_no_meaning);
    RUN(edge, dropout_of_nothing_everything_and_by_a_mask);
    RUN(edge, philox_is_the_papers);
    RUN(edge, packed_sequences_empty_and_of_one);
    RUN(edge, rings_not_yet_full_just_full_and_wrapped);
    RUN(edge, pages_of_any_size);
    RUN(edge, linear_caches_of_every_type);
    RUN(property, additive_scores_are_one_hidden_layer_on_q_and_k);
    RUN(composition, talking_heads);
    RUN(composition, luong_s_predictive_window);
    RUN(property, rope_scores_depend_on_differences_of_positions);
    RUN(property, packed_sequences_are_the_same_alone);
    RUN(property, weights_sum_to_one_less_the_sink);
    RUN(property, shifted_scores_change_nothing_but_lse);
    RUN(property, threads_change_no_bit_with_any_axis);
    RUN(property, rows_alone_have_the_same_bits_with_any_axis);
    RUN(property, hidden_keys_reach_no_result_with_any_axis);
    RUN(memory, the_exact_workspace_is_enough_with_any_axis);
    RUN(rope_table, is_cos_and_sin_of_the_papers_angles);
    RUN(merge, of_parts_is_the_whole);
    RUN(merge, with_nothing_changes_no_bit_and_three_parts_associate);
    RUN(append, in_chunks_is_the_same_as_joined_arrays);
    RUN(append, to_a_full_cache_is_refused);
    RUN(append, a_shared_latent_needs_no_v_new);
    return test_end();
}
