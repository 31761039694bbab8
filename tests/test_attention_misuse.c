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
    if (attn_workspace(d) && want != ATTN_ERR_NULL && want != ATTN_ERR_OVERLAP && !strstr(field, "lengths"))
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
        d.isa = -77; d.free_order = 55;
        CHECK(attn_fwd(&d) == ATTN_OK);
        compare(&d);
        memset(text, 'x', sizeof(text));
        d.size = 0; d.isa = 0; d.free_order = 0; d.batch = -1;
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
    REFUSED(RANGE, "scale", "", d.scale = (float)NAN);
    REFUSED(RANGE, "scale", "", d.scale = (float)HUGE_VAL);
    REFUSED(RANGE, "scale", "", d.scale = -(float)HUGE_VAL);
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
static const char *const taken = " size q k v o q_type k_type v_type o_type q_stride k_stride v_stride o_stride batch"
    " heads kv_heads queries keys dim vdim scale align query_offset query_offsets causal key_lengths query_lengths"
    " row_lengths keep drop keep_stride drop_stride bias bias_type bias_stride weights lse workspace workspace_bytes"
    " parallel isa ";
static const char *const later_floats = " norm_eps masked_score softcap sigmoid_bias relu_div dropout ";
static const char *const later_ints = " arith qk_norm window window_left window_right block_heads block_q block_k alibi"
    " rel_kind rel_count rel_max_distance rel_both_ways rel_height rel_width score off_by_one norm top_k rope_kind"
    " rope_dim ring weights_stage grad_type accumulate free_order score_width rope_positions seed new_keys"
    " pages_per_row page page_count ";
// These say nothing without the field that turns their axis on, or belong to attn_bwd: refused, or without effect.
static const char *const parameters = " norm_eps q_norm k_norm window_left window_right block_heads block_q block_k"
    " rel_count rel_max_distance rel_both_ways rel_height rel_width score_width user sigmoid_bias relu_div top_k"
    " rope_dim rope_cos rope_sin rope_positions rope_q_pos rope_k_pos seed pages_per_row page page_count grad_o"
    " grad_lse grad_q grad_k grad_v grad_bias grad_sink grad_scale grad_slopes grad_rel_table grad_w_score grad_w_q"
    " grad_w_k grad_w_v grad_kernel_width grad_type accumulate ";
static int holds(const char *list, const char *name) {
    char word[64];
    if (strlen(name) > 60) return 0;
    sprintf(word, " %s ", name);
    return strstr(list, word) != NULL;
}
TEST(misuse, fields_of_a_later_version_are_refused_by_name) {
    attn_field f;
    for (int i = 0; attn_desc_layout(i, &f); i++) {
        float one = 1.0f;
        int32_t int_one = 1;
        int64_t long_one = 1;
        const void *some = &one, *value = &some;
        if (holds(taken, f.name)) continue;
        if (holds(later_floats, f.name)) value = &one;
        if (holds(later_ints, f.name)) {
            value = f.size == 4 ? (const void *)&int_one : (const void *)&long_one;
        }
        if (holds(parameters, f.name)) {
            attn_desc d = good_desc();
            memcpy((unsigned char *)&d + f.offset, value, f.size);
            if (attn_fwd(&d) == ATTN_OK) { compare(&d); continue; }
        }
        REFUSED(UNSUPPORTED, f.name, "", memcpy((unsigned char *)&d + f.offset, value, f.size));
    }
    for (int i = 1; i < ATTN_SCORE_COUNT; i++) REFUSED(UNSUPPORTED, "score", "", d.score = i);
    for (int i = 1; i < ATTN_NORM_COUNT; i++) REFUSED(UNSUPPORTED, "norm", "", d.norm = i);
    for (int i = 1; i < ATTN_WEIGHTS_COUNT; i++) REFUSED(UNSUPPORTED, "weights_stage", "", d.weights_stage = i);
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
    CHECK(attn_desc_layout(n - 1, &f) && !strcmp(f.name, "free_order"));
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(misuse, pointers_and_sizes);
    RUN(misuse, types_enums_and_numbers);
    RUN(misuse, outputs_over_inputs_or_over_themselves);
    RUN(misuse, fields_of_a_later_version_are_refused_by_name);
    RUN(layout, covers_the_struct_in_order_with_names_of_its_own);
    return test_end();
}
