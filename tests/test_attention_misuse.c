// test_attention_misuse.c - room attention: what attn_fwd refuses, with which status and sentence; layout of attn_desc.
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include "ref.h"
#include "cases.h"

static attn_desc good_desc(void) {
    attn_desc d = ATTN_ZERO;
    forget_slots();
    d.batch = 2; d.heads = 4; d.kv_heads = 2; d.queries = 5; d.keys = 7; d.dim = 8; d.vdim = 6;
    lay_qkvo(&d, CONTIGUOUS, 1);
    lay_outputs(&d, 1, 1);
    return d;
}
static void refused(int line, const attn_desc *d, attn_status want, const char *field, const char *value) {
    char text[512];
    attn_status s = attn_fwd(d);
    attn_explain(s, d, text, sizeof(text));
    if (s != want || !untouched(O) || !untouched(LSE) || !untouched(W) || !guards_intact() || !strstr(text, field)
        || !strstr(text, value)) {
        test_fail(__FILE__, line, "status, sentence or outputs of a refused call");
        printf("    line %d: \"%s\", want \"%s\" with \"%s\" and \"%s\": %s\n", line, attn_status_str(s),
               attn_status_str(want), field, value, text);
    }
    if (attn_workspace(d) && want != ATTN_ERR_NULL && want != ATTN_ERR_OVERLAP && !strstr(field, "lengths")
        && !strchr(field, '[') && strcmp(field, "rope_positions") && strcmp(field, "kernel_width")
        && strcmp(field, "logit_scale")
        && strcmp(value, "beside"))
        test_fail(__FILE__, line, "attn_workspace of a wrong desc is not 0");
}
#define REFUSED(want, field, value, change) do { attn_desc d = good_desc(); change; \
                                                 refused(__LINE__, &d, ATTN_ERR_##want, field, value); } while (0)

TEST(misuse, pointers_and_sizes) {
    char text[64];
    CHECK(attn_fwd(NULL) == ATTN_ERR_NULL);
    CHECK(attn_workspace(NULL) == 0);
    REFUSED(NULL, "q", "NULL", d.q = NULL);
    REFUSED(NULL, "k", "NULL", d.k = NULL);
    REFUSED(NULL, "v", "NULL", d.v = NULL);
    REFUSED(NULL, "o", "NULL", d.o = NULL);
    REFUSED(SHAPE, "batch", "-1", d.batch = -1);
    REFUSED(SHAPE, "heads", "-4", d.heads = -4);
    REFUSED(SHAPE, "kv_heads", "-2", d.kv_heads = -2);
    REFUSED(SHAPE, "queries", "-5", d.queries = -5);
    REFUSED(SHAPE, "keys", "-7", d.keys = -7);
    REFUSED(SHAPE, "dim", "-8", d.dim = -8);
    REFUSED(SHAPE, "vdim", "-6", d.vdim = -6);
    REFUSED(SHAPE, "kv_heads", "4", d.kv_heads = 3);
    REFUSED(SHAPE, "kv_heads", "4", d.kv_heads = 8);
    REFUSED(RANGE, "batch", "", d.batch = PTRDIFF_MAX);
    REFUSED(RANGE, "queries", "", d.queries = PTRDIFF_MAX);
    REFUSED(RANGE, "keys", "", d.keys = PTRDIFF_MAX);
    REFUSED(RANGE, "dim", "", d.dim = PTRDIFF_MAX);
    REFUSED(RANGE, "vdim", "", d.vdim = PTRDIFF_MAX);
    REFUSED(RANGE, "q_stride", "", set4(d.q_stride, PTRDIFF_MAX, 40, 8, 1));
    REFUSED(RANGE, "k_stride", "", set4(d.k_stride, 112, 56, PTRDIFF_MAX / 4, 1));
    REFUSED(RANGE, "q_stride", "-8", set4(d.q_stride, 160, 40, -8, 1));
    REFUSED(RANGE, "v_stride", "-1", set4(d.v_stride, 84, 42, 6, -1));
    REFUSED(VERSION, "size", "", d.size = sizeof(d) + 8);
    REFUSED(VERSION, "size", "", d.size = SIZE_MAX);
    {   // a shorter desc has zero for the tail: what lies there is not looked at
        attn_desc d = good_desc();
        d.size = offsetof(attn_desc, isa);
        d.isa = -77;
        CHECK(attn_fwd(&d) == ATTN_OK);
        compare(&d);
        memset(text, 'x', sizeof(text));
        d.size = 0; d.isa = 0; d.batch = -1;
        CHECK(attn_explain(attn_fwd(&d), &d, text, 9) == text && memchr(text, 0, 9) != NULL && text[9] == 'x');
        CHECK(attn_explain(ATTN_ERR_SHAPE, &d, text + 20, 1) == text + 20 && text[20] == 0 && text[21] == 'x');
        CHECK(attn_explain(ATTN_ERR_SHAPE, &d, text + 30, 0) == text + 30 && text[30] == 'x');
    }
}
TEST(misuse, types_enums_and_numbers) {
    static const int32_t past[2] = { 3, 8 }, negative[2] = { -1, 3 };
    static int32_t rows[10] = { 1, 2, 3, 4, 5, 6, 7, 0, 9, 1 };
    REFUSED(RANGE, "q_type", "99", d.q_type = 99);
    REFUSED(RANGE, "o_type", "-1", d.o_type = -1);
    REFUSED(DTYPE, "k_type", "6", d.k_type = ATTN_I32);
    REFUSED(DTYPE, "v_type", "1", d.v_type = ATTN_F64);
    REFUSED(DTYPE, "o_type", "1", d.o_type = ATTN_F64);
    REFUSED(DTYPE, "q_type", "", d.q_type = ATTN_F64);
    REFUSED(DTYPE, "bias_type", "1", lay_bias(&d, 0, 1); d.bias_type = ATTN_F64);
    REFUSED(RANGE, "causal", "4", d.causal = 4);
    REFUSED(RANGE, "causal", "-1", d.causal = -1);
    REFUSED(RANGE, "align", "3", d.align = 3);
    REFUSED(RANGE, "align", "", d.causal = ATTN_CAUSAL_UPPER_LEFT; d.align = ATTN_ALIGN_LOWER_RIGHT);
    REFUSED(RANGE, "align", "", d.causal = ATTN_CAUSAL_AT; d.align = ATTN_ALIGN_LOWER_RIGHT);
    REFUSED(RANGE, "align", "", d.causal = ATTN_CAUSAL_LOWER_RIGHT; d.align = ATTN_ALIGN_AT);
    REFUSED(RANGE, "score", "99", d.score = 99);
    REFUSED(RANGE, "norm", "99", d.norm = 99);
    REFUSED(RANGE, "arith", "7", d.arith = 7);
    REFUSED(RANGE, "weights_stage", "9", d.weights_stage = 9);
    REFUSED(RANGE, "isa", "99", d.isa = 99);
    REFUSED(RANGE, "isa", "-1", d.isa = -1);
    REFUSED(RANGE, "scale", "NaN", d.scale = (float)NAN);
    REFUSED(RANGE, "scale", "= Inf", d.scale = (float)HUGE_VAL);
    REFUSED(RANGE, "scale", "-Inf", d.scale = -(float)HUGE_VAL);
    REFUSED(RANGE, "key_lengths", "8", d.key_lengths = past);
    REFUSED(RANGE, "key_lengths", "-1", d.key_lengths = negative);
    REFUSED(RANGE, "query_lengths", "8", d.query_lengths = past);
    REFUSED(RANGE, "query_lengths", "-1", d.query_lengths = negative);
    REFUSED(RANGE, "row_lengths", "9", d.row_lengths = rows);
    REFUSED(RANGE, "row_lengths", "-2", rows[8] = -2; d.row_lengths = rows);
}
TEST(misuse, outputs_over_inputs_or_over_themselves) {
    float *all;
    REFUSED(OVERLAP, "o_stride", "", set4(d.o_stride, 120, 30, 5, 1));
    REFUSED(OVERLAP, "o_stride", "", set4(d.o_stride, 120, 30, 6, 0));
    REFUSED(OVERLAP, "o_stride", "", set4(d.o_stride, 0, 30, 6, 1));
    REFUSED(OVERLAP, "o", "q", take(O, 0); d.vdim = 8; d.v = d.k; d.o = at(d.q, 0, 8); take(LSE, 0));
    REFUSED(OVERLAP, "o", "k", take(O, 0); d.o = writable(d.k));
    REFUSED(OVERLAP, "o", "v", take(O, 0); d.o = writable(d.v));
    REFUSED(OVERLAP, "o", "bias", lay_bias(&d, 1, 1); d.o = writable(d.bias));
    REFUSED(OVERLAP, "o", "keep", d.keep = (const uint8_t *)d.o);
    REFUSED(OVERLAP, "lse", "o", d.lse = at(d.o, 0, 3));
    REFUSED(OVERLAP, "lse", "sink", d.sink = (const float *)d.lse + 2);
    REFUSED(OVERLAP, "o", "alibi_slopes", d.alibi_slopes = (const float *)d.o + 239);
    REFUSED(OVERLAP, "weights", "key_lengths", static const int32_t n[2] = { 0 }; d.key_lengths = n;
            d.weights = writable(n));
    REFUSED(OVERLAP, "o", "row_lengths", static const int32_t n[10] = { 0 }; d.row_lengths = n;
            d.o = writable(n + 9));
    REFUSED(OVERLAP, "lse", "rel_table", static float table[12]; d.rel_kind = ATTN_REL_OFFSET; d.rel_count = 3;
            d.rel_table = table; d.lse = table + 11);
    REFUSED(OVERLAP, "workspace", "o", d.workspace = d.o; d.workspace_bytes = 4);
    REFUSED(OVERLAP, "workspace", "k", d.workspace = writable(d.k); d.workspace_bytes = 1 << 20);
    REFUSED(OVERLAP, "workspace", "sink", static float sink[4]; d.sink = sink; d.workspace = sink + 3;
            d.workspace_bytes = 4);
    REFUSED(OVERLAP, "lse", "q", d.lse = writable(d.q));
    REFUSED(OVERLAP, "weights", "o", d.weights = d.o);
    REFUSED(OVERLAP, "weights", "lse", d.lse = at(d.weights, 0, 279));
    {   // o between the heads of one packed array [B,N,4,H,D] of q, k, v and o, and o as columns 8.. of rows of q
        attn_desc d = good_desc();
        ptrdiff_t none[4];
        d.kv_heads = 4; d.keys = 5; d.vdim = 8;
        all = (float *)lay(Q, ATTN_F32, CONTIGUOUS, 2, 5, 16, 8, none, 1);
        set4(d.q_stride, 640, 8, 128, 1);
        memcpy(d.k_stride, d.q_stride, sizeof(none)); memcpy(d.v_stride, d.q_stride, sizeof(none));
        memcpy(d.o_stride, d.q_stride, sizeof(none));
        d.q = all; d.k = all + 32; d.v = all + 64; d.o = all + 96;
        CHECK(attn_fwd(&d) == ATTN_OK);
        compare(&d);
        set4(d.q_stride, 640, 16, 128, 1); set4(d.o_stride, 640, 16, 128, 1);
        d.o = all + 8; d.k = all + 64; d.v = all + 96;
        CHECK(attn_fwd(&d) == ATTN_OK);
        compare(&d);
        wipe(LSE); wipe(W); take(O, 0);
        d.o = all + 7;
        refused(__LINE__, &d, ATTN_ERR_OVERLAP, "o", "q");
    }
}
static const int32_t zeros[64] = { 0 };
static const float ones[4096] = { 1 }, minus[4] = { 1, -1, 1, 1 }, nought[4] = { 1, 1, 1, 0 };
static void with_cache(attn_desc *d) {
    d->k_cache = writable(d->k); d->v_cache = writable(d->v); d->k = d->v = NULL; d->key_lengths = zeros;
}
static void from_one(void *user, void (*task)(void *arg, ptrdiff_t i, int worker), void *arg, ptrdiff_t n) {
    (void)user;
    for (ptrdiff_t i = 0; i < n; i++) task(arg, i, 1 + (int)(i % 2));
}
static void no_score(const attn_tile *t, float *s) { (void)t; (void)s; }
TEST(misuse, axes_without_what_they_need) {
    static const int32_t falls[3] = { 0, 5, 3 }, eight[3] = { 0, 8, 9 }, late[3] = { -1, 2, 9 }, seven[2] = { 7, 7 };
    static const int32_t parent[5] = { -1, 0, 2, 1, 1 }, one[2] = { 1, 1 };
    static float hollow[4] = { 1, 1, 1, 0 };
    hollow[2] = (float)NAN;
    REFUSED(NULL, "doc_q", "NULL", d.doc_k = zeros);
    REFUSED(NULL, "doc_k", "NULL", d.doc_q = zeros);
    REFUSED(NULL, "cu_q", "NULL", d.cu_k = zeros);
    REFUSED(NULL, "cu_k", "NULL", d.cu_q = zeros);
    REFUSED(NULL, "w_score", "NULL", d.score = ATTN_SCORE_BILINEAR);
    REFUSED(NULL, "w_q", "NULL", d.score = ATTN_SCORE_ADDITIVE; d.score_width = 4);
    REFUSED(NULL, "w_k", "NULL", d.score = ATTN_SCORE_ADDITIVE; d.score_width = 4; d.w_q = ones);
    REFUSED(NULL, "w_v", "NULL", d.score = ATTN_SCORE_ADDITIVE; d.score_width = 4; d.w_q = d.w_k = ones);
    REFUSED(NULL, "rope_sin", "NULL", d.rope_kind = ATTN_ROPE_HALF; d.rope_cos = ones; d.rope_positions = 9);
    REFUSED(NULL, "custom", "NULL", d.score = ATTN_SCORE_CUSTOM);
    REFUSED(NULL, "rel_table", "NULL", d.rel_kind = ATTN_REL_OFFSET; d.rel_count = 3);
    REFUSED(NULL, "rope_cos", "NULL", d.rope_kind = ATTN_ROPE_HALF);
    REFUSED(NULL, "v_cache", "NULL", with_cache(&d); d.v_cache = NULL);
    REFUSED(NULL, "key_lengths", "NULL", with_cache(&d); d.key_lengths = NULL);
    REFUSED(NULL, "k_cache", "NULL", d.ring = 8);
    REFUSED(RANGE, "k", "k_cache", with_cache(&d); d.k = d.k_cache);
    REFUSED(RANGE, "v", "v_cache", with_cache(&d); d.v = d.v_cache);
    REFUSED(RANGE, "cu_k", "beside", with_cache(&d); d.cu_q = d.cu_k = zeros);
    REFUSED(RANGE, "query_offset", "3: needs causal or align AT", d.query_offset = 3);
    REFUSED(RANGE, "query_offsets", "needs causal or align AT", d.query_offsets = zeros);
    REFUSED(RANGE, "score_width", "0", d.score = ATTN_SCORE_ADDITIVE);
    REFUSED(RANGE, "window", "5: outside 0..1", d.window = 5);     // a size, where a switch is meant
    REFUSED(RANGE, "alibi", "8", d.alibi = 8);
    REFUSED(RANGE, "off_by_one", "-1", d.off_by_one = -1);
    REFUSED(RANGE, "rel_both_ways", "2", d.rel_both_ways = 2);
    REFUSED(RANGE, "accumulate", "2", d.accumulate = 2);
    REFUSED(RANGE, "block_heads", "-1", d.block_heads = -1);
    REFUSED(RANGE, "window_left", "3", d.window_left = 3);
    REFUSED(RANGE, "window_left", "-2", d.window = 1; d.window_left = -2);
    REFUSED(RANGE, "window_right", "-9", d.window = 1; d.window_right = -9);
    REFUSED(RANGE, "softcap", "-1:", d.softcap = -1);
    REFUSED(RANGE, "softcap", "NaN", d.softcap = (float)NAN);
    REFUSED(RANGE, "masked_score", "-Inf", d.masked_score = -(float)HUGE_VAL);
    REFUSED(RANGE, "dropout", "= 1.5:", d.dropout = 1.5f);
    REFUSED(RANGE, "dropout", "= -0.1:", d.dropout = -0.1f);
    REFUSED(RANGE, "relu_div", "-1", d.relu_div = -1);
    REFUSED(RANGE, "norm_eps", "-0.00001:", d.norm_eps = -1e-5f);
    REFUSED(RANGE, "norm_eps", "over 1e9", d.norm_eps = -3e38f);
    REFUSED(RANGE, "top_k", "0", d.norm = ATTN_NORM_TOP_K);
    REFUSED(RANGE, "scale", "distance", d.score = ATTN_SCORE_GAUSSIAN; d.scale = -2);
    REFUSED(RANGE, "logit_scale", "= -1: not finite, or negative", d.score = ATTN_SCORE_NEG_L2; d.logit_scale = minus);
    REFUSED(RANGE, "logit_scale", "= NaN: not finite", d.logit_scale = hollow);
    REFUSED(RANGE, "kernel_width", "= -1:", d.score = ATTN_SCORE_BOXCAR; d.kernel_width = minus);
    REFUSED(RANGE, "kernel_width", "= 0:", d.score = ATTN_SCORE_GAUSSIAN; d.kernel_width = nought);
    REFUSED(RANGE, "block_q", "0", d.block_mask = (const uint8_t *)ones; d.block_k = 2);
    REFUSED(SHAPE, "block_heads", "3", d.block_mask = (const uint8_t *)ones; d.block_q = d.block_k = 2;
            d.block_heads = 3);
    REFUSED(SHAPE, "rope_dim", "7", d.rope_kind = ATTN_ROPE_HALF; d.rope_dim = 7; d.rope_cos = d.rope_sin = ones);
    REFUSED(SHAPE, "rope_dim", "10", d.rope_kind = ATTN_ROPE_HALF; d.rope_dim = 10; d.rope_cos = d.rope_sin = ones);
    REFUSED(RANGE, "rope_positions", "6", d.rope_kind = ATTN_ROPE_HALF; d.rope_positions = 6;
            d.rope_cos = d.rope_sin = ones);
    REFUSED(RANGE, "rel_count", "4", d.rel_kind = ATTN_REL_OFFSET; d.rel_count = 4; d.rel_table = ones);
    REFUSED(RANGE, "rel_count", "6: must hold near and far", d.rel_kind = ATTN_REL_T5; d.rel_both_ways = 1;
            d.rel_count = 6; d.rel_max_distance = 9; d.rel_table = ones);
    REFUSED(RANGE, "rel_height", "outside 1..32768", d.rel_kind = ATTN_REL_WINDOW_2D; d.rel_height = 3; d.rel_width = 0;
            d.rel_table = ones);
    REFUSED(RANGE, "rel_height", "40000", d.rel_kind = ATTN_REL_WINDOW_2D; d.rel_height = 40000; d.rel_width = 3;
            d.rel_table = ones);
    REFUSED(RANGE, "rel_max_distance", "2", d.rel_kind = ATTN_REL_T5; d.rel_count = 8; d.rel_max_distance = 2;
            d.rel_table = ones);
    REFUSED(SHAPE, "rel_height", "2", d.rel_kind = ATTN_REL_WINDOW_2D; d.rel_height = 2; d.rel_width = 3;
            d.rel_table = ones);
    REFUSED(RANGE, "tree_parent[2]", "2", d.tree_parent = parent);
    REFUSED(RANGE, "page", "", with_cache(&d); d.block_table = zeros);
    REFUSED(SHAPE, "page_count", "-1: negative", with_cache(&d); d.block_table = zeros; d.page = 1; d.page_count = -1);
    REFUSED(SHAPE, "pages_per_row", "-2: negative", with_cache(&d); d.block_table = zeros; d.page = 1;
            d.pages_per_row = -2);
    REFUSED(RANGE, "ring", "beside", with_cache(&d); d.ring = 8; d.block_table = zeros;
            d.page = d.page_count = d.pages_per_row = 1);
    REFUSED(RANGE, "keep_stride[2]", "memory", d.keep = (const uint8_t *)ones;
            set4(d.keep_stride, 0, 0, PTRDIFF_MAX, 1));
    REFUSED(RANGE, "drop_stride[3]", "memory", d.drop = (const uint8_t *)ones;
            set4(d.drop_stride, 0, 0, 7, PTRDIFF_MAX));
    REFUSED(RANGE, "bias_stride[0]", "memory", d.bias = ones; set4(d.bias_stride, PTRDIFF_MAX, 0, 7, 1));
    REFUSED(RANGE, "q_stride[1]", "memory", set4(d.q_stride, 160, PTRDIFF_MAX / 4, 8, 1));
    REFUSED(RANGE, "keys", "no end", with_cache(&d); d.ring = 8; d.keys = 0; take(W, 0); d.weights = NULL;
            d.block_mask = (const uint8_t *)ones; d.block_q = d.block_k = 2);
    REFUSED(RANGE, "keys", "no end", with_cache(&d); d.ring = 8; d.keys = 0; take(W, 0); d.weights = NULL;
            d.rope_kind = ATTN_ROPE_HALF; d.rope_cos = d.rope_sin = ones; d.rope_positions = 8; d.rope_k_pos = zeros);
    REFUSED(SHAPE, "heads", "kv_heads = 3", d.kv_heads = 3);
    REFUSED(RANGE, "batch", "2147483647", d.batch = PTRDIFF_MAX);
    REFUSED(SHAPE, "dim", "8", d.k_type = ATTN_Q8_0);
    REFUSED(RANGE, "k_stride[2]", "40: not whole blocks of 32", d.dim = 32; d.q = ones; set4(d.q_stride, 0, 0, 0, 0);
            d.k = ones; d.k_type = ATTN_Q8_0; set4(d.k_stride, 576, 288, 40, 1));
    REFUSED(RANGE, "k_stride[3]", "blocks lie along the last axis", d.dim = 32; d.q = ones; d.k = ones;
            set4(d.q_stride, 0, 0, 0, 0); d.k_type = ATTN_Q4_0; set4(d.k_stride, 448, 224, 32, 32));
    REFUSED(DTYPE, "q_type", "9", d.q_type = ATTN_Q8_0);
    REFUSED(UNSUPPORTED, "arith", "1", d.arith = ATTN_ARITH_NATIVE; d.k_type = ATTN_BF16; d.isa = ATTN_ISA_SCALAR);
    REFUSED(UNSUPPORTED, "custom", "f32 scores only", d.custom = no_score; d.q_type = d.k_type = ATTN_F64;
            d.v_type = d.o_type = ATTN_F64);
    REFUSED(UNSUPPORTED, "masked_score", "its keys are gone", with_cache(&d); d.ring = 8; d.masked_score = -1);
    REFUSED(UNSUPPORTED, "weights_stage", "its keys are gone", with_cache(&d); d.ring = 8;
            d.weights_stage = ATTN_WEIGHTS_SCORES);
    REFUSED(UNSUPPORTED, "lse", "norm", d.norm = ATTN_NORM_SIGMOID);
    REFUSED(UNSUPPORTED, "sink", "norm", d.norm = ATTN_NORM_RELU; d.sink = ones; d.lse = NULL);
    REFUSED(UNSUPPORTED, "off_by_one", "norm", d.norm = ATTN_NORM_AVERAGE; d.off_by_one = 1; d.lse = NULL);
    {   // a run that counts its workers from 1
        static char space[1 << 20];
        static const attn_parallel wrong = { from_one, NULL, 2 };
        static float x[8 * 512 * 8], y[8 * 512 * 8];
        attn_desc d = ATTN_ZERO;
        d.q = d.k = d.v = x; d.o = y; d.heads = 8; d.queries = d.keys = 512; d.dim = 8;
        d.workspace = space; d.workspace_bytes = sizeof(space) / 2;
        CHECK(attn_fwd(&d) == ATTN_OK && tool_asserted == 0);
        d.parallel = &wrong;
        CHECK(attn_workspace(&d) < sizeof(space) / 3);
        tool_provoked = 1;
        CHECK(attn_fwd(&d) == ATTN_OK && tool_asserted > 0);
        tool_provoked = 0;
    }
    {   // workers without run: the call does its work itself
        static const attn_parallel nobody = { NULL, NULL, 4 };
        attn_desc d = good_desc();
        d.parallel = &nobody;
        CHECK(attn_fwd(&d) == ATTN_OK);
        compare(&d);
    }
    {   // positions of new tokens; a cache that is missing
        static const int32_t far_off[14] = { 0, 9, 0, 0, 0, 0, 0, 0, -1 };
        static float pool[2][224], fresh[2 * 2 * 8];
        attn_desc d = good_desc();
        char text[256];
        d.k = d.v = NULL; d.vdim = 8; d.queries = 0; d.k_new = d.v_new = fresh; d.new_keys = 1; d.key_lengths = one;
        set4(d.k_stride, 0, 0, 0, 0); set4(d.v_stride, 0, 0, 0, 0);
        CHECK(attn_append(&d) == ATTN_ERR_NULL && strstr(attn_explain(ATTN_ERR_NULL, &d, text, 256), "k_cache"));
        d.rope_kind = ATTN_ROPE_HALF; d.rope_cos = d.rope_sin = ones; d.rope_positions = 9; d.rope_k_pos = far_off;
        d.k_cache = pool[0]; d.v_cache = pool[1];
        CHECK(attn_append(&d) == ATTN_ERR_RANGE);
        CHECK(strstr(attn_explain(ATTN_ERR_RANGE, &d, text, 256), "rope_k_pos[1] = 9"));
        d.key_lengths = zeros;                                      // entry 1 has token 0 at 7
        CHECK(attn_append(&d) == ATTN_OK);
        d.key_lengths = falls;                                      // 0 and 5
        d.rope_positions = 1;
        CHECK(attn_append(&d) == ATTN_OK);
    }
    {   // what attn_append writes lies over nothing else
        static float pool[2][224], fresh[2 * 2 * 8], other[9][224];
        enum { WORKSPACE, WORKSPACE_NEW, LENGTHS, LENGTHS_WORKSPACE, NORM, STEP, HEADS, BESIDE, MANY, STEP_TOO, CASES,
               LATENT };
        static const struct { attn_status want; const char *field, *why; } told[CASES] = {
            { ATTN_ERR_OVERLAP, "v_cache", "workspace" }, { ATTN_ERR_OVERLAP, "workspace", "k_new" },
            { ATTN_ERR_OVERLAP, "k_cache", "key_lengths" }, { ATTN_ERR_OVERLAP, "workspace", "key_lengths" },
            { ATTN_ERR_OVERLAP, "v_cache", "k_norm" }, { ATTN_ERR_OVERLAP, "v_stride", "over each other" },
            { ATTN_ERR_OVERLAP, "k_stride", "over each other" }, { ATTN_ERR_RANGE, "k", "beside k_cache" },
            { ATTN_ERR_RANGE, "key_lengths[0] = 1", "the cache is full" }, { ATTN_ERR_NULL, "v_new", "NULL" } };
        for (int i = 0; i <= LATENT; i++) {
            attn_desc d = good_desc();
            char text[256];
            attn_status s, want = i < CASES ? told[i].want : ATTN_OK;
            d.k = d.v = NULL; d.vdim = 8; d.queries = 0; d.k_new = d.v_new = fresh; d.new_keys = 1; d.key_lengths = one;
            set4(d.k_stride, 0, 0, 0, 0); set4(d.v_stride, 0, 0, 0, 0);
            d.k_cache = pool[0]; d.v_cache = pool[1]; d.workspace = other; d.workspace_bytes = sizeof(other);
            memset(pool, 0, sizeof(pool));
            if (i == WORKSPACE) { d.workspace = pool[1] + 100; d.workspace_bytes = 400; }
            if (i == WORKSPACE_NEW) { d.workspace = fresh; d.workspace_bytes = sizeof(fresh); }
            if (i == LENGTHS) d.key_lengths = (const int32_t *)(void *)(pool[0] + 222);
            if (i == LENGTHS_WORKSPACE) d.key_lengths = (const int32_t *)(void *)other[2];
            if (i == NORM) { d.qk_norm = ATTN_QK_NORM_RMS; d.k_norm = pool[1] + 17; }
            if (i == STEP) set4(d.v_stride, 112, 56, 0, 1);
            if (i == HEADS) set4(d.k_stride, 112, 0, 8, 1);
            if (i == BESIDE) d.k = ones;
            if (i == MANY) {
                d.new_keys = PTRDIFF_MAX;
                set4(d.k_new_stride, 0, 0, 0, 1); set4(d.v_new_stride, 0, 0, 0, 1);
            }
            if (i == STEP_TOO) { d.queries = 1; d.q = d.o = NULL; d.v_new = NULL; }     // needs no q
            if (i == CASES) d.workspace = NULL;
            if (i == LATENT) {                                      // one v for all heads, not written
                d.v_cache = d.k_cache; d.v_new = NULL; d.vdim = 4;
                set4(d.v_stride, 112, 0, 8, 1);
            }
            s = attn_append(&d);
            attn_explain(s, &d, text, sizeof(text));
            if (s != want || (s && (!strstr(text, told[i].field) || !strstr(text, told[i].why)))) {
                test_fail(__FILE__, __LINE__, "attn_append over other arrays");
                printf("    case %d: status %d: %s\n", i, (int)s, text);
            }
            for (int j = 0; s && j < 224; j++) CHECK(pool[0][j] == 0.0f && pool[1][j] == 0.0f);
        }
    }
    {   // what only values tell: the workspace of these is not 0
        attn_desc d = good_desc();
        char text[256];
        d.cu_q = d.cu_k = falls;
        CHECK(attn_fwd(&d) == ATTN_ERR_RANGE && strstr(attn_explain(ATTN_ERR_RANGE, &d, text, 256), "cu_q[2] = 3"));
        d.cu_q = d.cu_k = late;
        CHECK(attn_fwd(&d) == ATTN_ERR_RANGE && strstr(attn_explain(ATTN_ERR_RANGE, &d, text, 256), "cu_q[0] = -1"));
        d = good_desc();
        with_cache(&d);
        d.key_lengths = seven; d.ring = 4; d.causal = ATTN_CAUSAL_LOWER_RIGHT;
        CHECK(attn_fwd(&d) == ATTN_ERR_RANGE && strstr(attn_explain(ATTN_ERR_RANGE, &d, text, 256), "queries = 5"));
        d = good_desc();
        with_cache(&d);
        d.key_lengths = one; d.block_table = falls + 1; d.page = 4; d.page_count = 2; d.pages_per_row = 1;
        CHECK(attn_fwd(&d) == ATTN_ERR_RANGE &&
              strstr(attn_explain(ATTN_ERR_RANGE, &d, text, 256), "block_table[0] = 5"));
        d = good_desc();
        with_cache(&d);
        d.key_lengths = seven; d.block_table = zeros; d.page = 4; d.page_count = 2; d.pages_per_row = 1;
        CHECK(attn_fwd(&d) == ATTN_ERR_RANGE &&
              strstr(attn_explain(ATTN_ERR_RANGE, &d, text, 256), "key_lengths[0] = 7: beyond the pages"));
        d = good_desc();
        d.cu_q = d.cu_k = eight;
        CHECK(attn_fwd(&d) == ATTN_ERR_RANGE &&
              strstr(attn_explain(ATTN_ERR_RANGE, &d, text, 256), "[1] = 8: longer than queries or keys"));
        d = good_desc();
        d.rope_kind = ATTN_ROPE_HALF; d.rope_cos = d.rope_sin = ones; d.rope_positions = 8;
        d.causal = ATTN_CAUSAL_AT; d.query_offset = 4;
        CHECK(attn_fwd(&d) == ATTN_ERR_RANGE &&
              strstr(attn_explain(ATTN_ERR_RANGE, &d, text, 256), "rope_positions = 8: outside the table"));
        CHECK(untouched(O) && untouched(LSE) && untouched(W) && guards_intact());
    }
}
TEST(layout, covers_the_struct_in_order_with_names_of_its_own) {
    attn_desc d;
    attn_field f, g;
    size_t end = 0;
    int n = 0;
    for (; attn_desc_layout(n, &f); n++) {
        CHECK(f.size > 0 && f.offset >= end && f.offset - end < sizeof(void *) + (sizeof(void *) < 8) * 4);
        end = f.offset + f.size;
        for (int i = 0; i < n; i++) CHECK(attn_desc_layout(i, &g) && strcmp(f.name, g.name));
        if (!strcmp(f.name, "dim")) CHECK(f.offset == offsetof(attn_desc, dim) && f.size == sizeof(ptrdiff_t));
        if (!strcmp(f.name, "bias_stride"))
            CHECK(f.offset == offsetof(attn_desc, bias_stride) && f.size == sizeof(d.bias_stride));
        if (!strcmp(f.name, "seed")) CHECK(f.offset == offsetof(attn_desc, seed) && f.size == 8);
        if (!strcmp(f.name, "grad_scale")) CHECK(f.offset == offsetof(attn_desc, grad_scale));
    }
    CHECK(n > 100 && end <= sizeof(attn_desc) && sizeof(attn_desc) - end < 8);
    CHECK(!attn_desc_layout(n + 1, &f) && !attn_desc_layout(-1, &f));
    CHECK(attn_desc_layout(0, &f) && !strcmp(f.name, "size") && f.offset == 0);
    CHECK(attn_desc_layout(n - 1, &f) && !strcmp(f.name, "isa"));
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(misuse, pointers_and_sizes);
    RUN(misuse, types_enums_and_numbers);
    RUN(misuse, outputs_over_inputs_or_over_themselves);
    RUN(misuse, axes_without_what_they_need);
    RUN(layout, covers_the_struct_in_order_with_names_of_its_own);
    return test_end();
}
