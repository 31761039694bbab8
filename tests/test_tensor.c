// test_tensor - room >>tensor: contexts, memory, errors, making tensors, views, random numbers, printing.
//     cc -O2 -I. tests/test_tensor.c -o test_tensor && ./test_tensor [--seed N]
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include "tensors.h"

#define SHAPE(name, ...) const ptrdiff_t name[] = { __VA_ARGS__ }

// ---- contexts

// A whole small program: a layer, a loss, a step. Same bits wherever the memory comes from.
static double program(attn_ctx *c) {
    SHAPE(ws, 4, 5);
    SHAPE(xs, 3, 4);
    attn_tensor *w = attn_normal(c, attn_param(c, ATTN_F32, 2, ws), 0, 1), *x, *y, *loss = NULL;
    size_t mark = attn_mark(c);
    for (int step = 0; step < 3; step++) {
        attn_reset(c, mark);
        x = attn_uniform(c, attn_zeros(c, ATTN_F32, 2, xs), -1, 1);
        y = attn_softmax(c, attn_tanh(c, attn_matmul(c, x, w)), -1);
        loss = attn_mean_all(c, attn_square(c, attn_sub(c, y, attn_transpose(c, attn_transpose(c, y, 0, 1), 0, 1))));
        loss = attn_add(c, loss, attn_mean_all(c, attn_square(c, attn_sum(c, attn_reshape(c, y, 1, ws + 0), 0))));
        attn_clear(c);                                      // the reshape above fails on purpose: 15 is not 4
        loss = attn_mean_all(c, attn_square(c, attn_matmul(c, y, attn_transpose(c, w, 0, 1))));
        attn_backward(c, loss);
        attn_sgd(c, 0.1, 0.9);
    }
    return attn_item(c, loss);
}
// The same without errors of its own, so that memory is the only one.
static double quiet_program(attn_ctx *c) {
    SHAPE(ws, 4, 5);
    SHAPE(xs, 3, 4);
    attn_tensor *w = attn_normal(c, attn_param(c, ATTN_F32, 2, ws), 0, 1), *x, *y, *loss = NULL;
    size_t mark = attn_mark(c);
    for (int step = 0; step < 3; step++) {
        attn_reset(c, mark);
        attn_zero_grad(c);
        x = attn_uniform(c, attn_zeros(c, ATTN_F32, 2, xs), -1, 1);
        y = attn_softmax(c, attn_tanh(c, attn_matmul(c, x, w)), -1);
        loss = attn_mean_all(c, attn_square(c, attn_matmul(c, y, attn_transpose(c, w, 0, 1))));
        attn_backward(c, loss);
        attn_sgd(c, 0.1, 0.9);
    }
    return attn_item(c, loss);
}
static double program_value(void) {
    attn_ctx *c = open_with(0, 0, 0);
    double v = quiet_program(c);
    close_clean(c);
    return v;
}

TEST(context, callers_memory_of_any_size_is_never_left) {
    const double want = program_value();
    fence f = fence_open(20000 + 4096);
    int done = 0;
    for (size_t bytes = 0; bytes <= 20000; bytes += 37) {
        void *mem = fence_array(&f, bytes);
        attn_ctx *c;
        heap_plan(-1, 0);
        c = attn_open(mem, bytes, NULL);
        if (c) {
            double v = quiet_program(c);
            CHECK(attn_error(c) == ATTN_OK || attn_error(c) == ATTN_ERR_MEMORY);
            CHECK(attn_peak(c) <= bytes);
            if (attn_error(c) == ATTN_OK) { CHECK(v == want); done++; }
            else CHECK(attn_message(c)[0]);
            attn_close(c);
        }
        CHECK(fence_holds(&f, mem));
        CHECK(heap_calls == 0);
    }
    CHECK(done > 0);
    fence_close(&f);
}
TEST(context, chunks_of_any_size_give_the_same_bits) {
    const double want = program_value();
    for (size_t chunk = 1; chunk < 100000; chunk = chunk * 2 + 5) {
        attn_ctx *c = open_with(0, chunk, 0);
        CHECK(quiet_program(c) == want);
        close_clean(c);
    }
}
TEST(context, an_error_in_between_does_no_harm) {
    attn_ctx *c = open_with(0, 512, 7);
    double v = program(c);
    CHECK(v > 0 && v < 100);
    close_clean(c);
}
TEST(context, every_failed_allocation_is_an_error_and_leaks_nothing) {
    const double want = program_value();
    for (size_t chunk = 64; chunk < 9000; chunk = chunk * 5 + 1) for (int later = 0; later < 2; later++)
    for (long n = 0; ; n++) {
        attn_ctx_desc d = ATTN_ZERO;
        attn_ctx *c;
        double v;
        int hit;
        SHAPE(one, 1);
        d.chunk = chunk;
        heap_plan(n, later);
        c = attn_open(NULL, 0, &d);
        v = c ? quiet_program(c) : 0;
        hit = heap_calls > n;
        heap_plan(-1, 0);
        if (c) {
            CHECK(attn_error(c) == ATTN_ERR_MEMORY || (attn_error(c) == ATTN_OK && v == want));
            attn_clear(c);
            CHECK(attn_item(c, attn_full(c, ATTN_F32, 1, one, 3)) == 3 && attn_error(c) == ATTN_OK);
            attn_close(c);
        } else CHECK(hit);
        CHECK(heap_live == 0);
        if (!hit) break;
    }
}
TEST(context, reset_gives_back_values_and_keeps_parameters) {
    SHAPE(s, 2, 3);
    attn_ctx *c = open_with(0, 4096, 0);
    attn_tensor *before = attn_full(c, ATTN_F32, 2, s, 5), *p = attn_param(c, ATTN_F64, 2, s), *q;
    size_t mark, used, peak;
    ((double *)p->data)[4] = 42;
    mark = attn_mark(c); used = attn_used(c);
    for (int round = 0; round < 5; round++) {
        attn_tensor *v = attn_full(c, ATTN_F32, 2, s, 9);
        for (int i = 0; i < 200; i++) v = attn_add(c, v, v);
        CHECK(attn_used(c) > used && attn_peak(c) >= attn_used(c));
        peak = attn_peak(c);
        attn_reset(c, mark);
        CHECK(attn_used(c) == used && attn_peak(c) == peak);
        v = attn_zeros(c, ATTN_F32, 2, s);                  // zeros on used ground
        for (int i = 0; i < 6; i++) CHECK(((float *)v->data)[i] == 0);
        attn_reset(c, mark);
    }
    q = attn_param(c, ATTN_F32, 2, s);                      // made after the mark, and stays
    ((float *)q->data)[5] = 43;
    attn_full(c, ATTN_F32, 2, s, 1);
    attn_reset(c, mark);
    for (int i = 0; i < 50; i++) attn_full(c, ATTN_F32, 2, s, 77);
    CHECK(((double *)p->data)[4] == 42 && ((float *)q->data)[5] == 43 && ((float *)before->data)[0] == 5);
    CHECK((attn_params(c) == p && p->next == q && !q->next) || (attn_params(c) == q && q->next == p && !p->next));
    close_clean(c);
}
static int has(attn_ctx *c, const char *word) { return strstr(attn_message(c), word) != NULL; }
TEST(context, reset_to_what_is_no_mark_is_an_error_and_changes_nothing) {
    SHAPE(s, 2, 3);
    for (int chunk = 0; chunk < 2; chunk++) {
        attn_ctx *c = open_with(0, chunk ? 64 : 0, 0);
        attn_tensor *t = attn_full(c, ATTN_F32, 2, s, 5);
        const size_t here = attn_mark(c), wrong[] = { 3, here - 1, here + 1, here + 64, SIZE_MAX / 4 + 1, (size_t)-1,
                                                      (size_t)0 - 64 };
        for (int i = 0; i < COUNT(wrong); i++) {
            attn_reset(c, wrong[i]);
            CHECK(attn_error(c) == ATTN_ERR_RANGE && has(c, "attn_reset") && has(c, "mark = "));
            attn_clear(c);
            CHECK(attn_mark(c) == here && attn_item(c, attn_sum_all(c, t)) == 30);
            attn_reset(c, here);
            CHECK(attn_mark(c) == here && attn_error(c) == ATTN_OK);
        }
        attn_reset(c, 3);
        CHECK(has(c, "mark = 3"));
        attn_reset(c, 0);                                   // given back all the same: the error stays
        CHECK(attn_mark(c) == 0 && has(c, "mark = 3"));
        attn_clear(c);
        close_clean(c);
    }
}

// ---- errors

// The call just made failed like that, gave the empty tensor, and its text names the words. Clears.
static void expect(attn_ctx *c, const attn_tensor *t, attn_status s, const char *word1, const char *word2,
                   const char *word3) {
    CHECK(t && (t->flags & ATTN_TENSOR_EMPTY) && attn_count(t) == 0);
    CHECK(attn_error(c) == s);
    if (attn_error(c) != s || !has(c, word1) || !has(c, word2) || !has(c, word3))
        printf("    status %d, message \"%s\", want %s, %s %s %s\n", (int)attn_error(c), attn_message(c),
               attn_status_str(s), word1, word2, word3);
    CHECK(has(c, word1) && has(c, word2) && has(c, word3));
    attn_clear(c);
    CHECK(attn_error(c) == ATTN_OK && !strcmp(attn_message(c), ""));
}
TEST(error, the_first_stays_with_its_text_and_later_calls_do_nothing) {
    SHAPE(s1, 2, 3);
    SHAPE(s2, 4, 5);
    attn_ctx *c = open_with(0, 0, 0);
    attn_tensor *a = attn_full(c, ATTN_F32, 2, s1, 1), *b = attn_full(c, ATTN_F32, 2, s2, 2), *e;
    char first[400];
    size_t used;
    e = attn_add(c, a, b);
    used = attn_used(c);
    strncpy(first, attn_message(c), sizeof first - 1); first[sizeof first - 1] = 0;
    CHECK(attn_error(c) == ATTN_ERR_SHAPE);
    CHECK((attn_mul(c, a, a)->flags & ATTN_TENSOR_EMPTY) && (attn_sum(c, e, 9)->flags & ATTN_TENSOR_EMPTY));
    CHECK(attn_zeros(c, ATTN_F32, -5, s1)->flags & ATTN_TENSOR_EMPTY);
    attn_uniform(c, a, 5, 6);
    CHECK(((float *)a->data)[0] == 1);
    CHECK(attn_backward(c, a) != ATTN_OK && attn_sgd(c, 1, 0) != ATTN_OK);
    CHECK(attn_used(c) == used && attn_error(c) == ATTN_ERR_SHAPE && !strcmp(attn_message(c), first));
    expect(c, e, ATTN_ERR_SHAPE, "add", "[2,3]", "[4,5]");
    CHECK(attn_item(c, attn_sum_all(c, attn_add(c, a, a))) == 12);
    close_clean(c);
}
TEST(error, every_kind_names_operator_and_shapes) {
    SHAPE(s1, 2, 3);
    SHAPE(s2, 4, 5);
    SHAPE(seven, 1, 1, 1, 1, 1, 1, 1);
    SHAPE(less, 2, -3);
    SHAPE(huge, PTRDIFF_MAX / 2, 3);
    SHAPE(large, 1 << 20, 1 << 9);
    attn_ctx *c = open_with(0, 0, 0);
    attn_tensor *a = attn_full(c, ATTN_F32, 2, s1, 1), *b = attn_full(c, ATTN_F32, 2, s2, 2);
    attn_tensor *d = attn_full(c, ATTN_F64, 2, s1, 1), *n = attn_full(c, ATTN_I32, 2, s1, 1), *out = NULL;
    expect(c, attn_sub(c, a, b), ATTN_ERR_SHAPE, "sub", "[2,3]", "[4,5]");
    expect(c, attn_mse(c, a, b), ATTN_ERR_SHAPE, "mse", "[2,3]", "[4,5]");
    expect(c, attn_matmul(c, a, b), ATTN_ERR_SHAPE, "matmul", "[2,3]", "[4,5]");
    expect(c, attn_broadcast(c, a, 2, s2), ATTN_ERR_SHAPE, "broadcast", "[2,3]", "[4,5]");
    expect(c, attn_reshape(c, a, 2, s2), ATTN_ERR_SHAPE, "reshape", "[2,3]", "[4,5]");
    expect(c, attn_cross_entropy(c, a, n), ATTN_ERR_SHAPE, "cross_entropy", "[2,3]", "");
    expect(c, attn_mul(c, a, d), ATTN_ERR_DTYPE, "mul", "f32", "f64");
    expect(c, attn_div(c, a, n), ATTN_ERR_DTYPE, "div", "f32", "i32");
    expect(c, attn_exp(c, n), ATTN_ERR_DTYPE, "exp", "i32", "");
    expect(c, attn_sum(c, a, 2), ATTN_ERR_RANGE, "sum", "axis", "2");
    expect(c, attn_mean(c, a, -3), ATTN_ERR_RANGE, "mean", "axis", "-3");
    expect(c, attn_softmax(c, a, 5), ATTN_ERR_RANGE, "softmax", "axis", "5");
    expect(c, attn_transpose(c, a, 0, 2), ATTN_ERR_RANGE, "transpose", "axis", "2");
    expect(c, attn_slice(c, a, 1, 2, 2), ATTN_ERR_RANGE, "slice", "count", "2");
    expect(c, attn_slice(c, a, 1, -1, 1), ATTN_ERR_RANGE, "slice", "-1", "");
    expect(c, attn_add(c, a, NULL), ATTN_ERR_NULL, "add", "", "");
    expect(c, attn_tanh(c, NULL), ATTN_ERR_NULL, "tanh", "", "");
    expect(c, attn_zeros(c, ATTN_F32, 7, seven), ATTN_ERR_SHAPE, "rank", "7", "");
    expect(c, attn_zeros(c, ATTN_F32, -1, s1), ATTN_ERR_SHAPE, "rank", "-1", "");
    expect(c, attn_zeros(c, ATTN_F32, 2, less), ATTN_ERR_SHAPE, "-3", "", "");
    expect(c, attn_zeros(c, ATTN_F32, 2, huge), ATTN_ERR_SHAPE, "", "", "");
    expect(c, attn_zeros(c, 99, 2, s1), ATTN_ERR_DTYPE, "99", "", "");
    expect(c, attn_zeros(c, ATTN_F64, 2, large), sizeof(size_t) < 8 ? ATTN_ERR_SHAPE : ATTN_ERR_MEMORY, "", "", "");
    expect(c, attn_param(c, ATTN_I32, 2, s1), ATTN_ERR_DTYPE, "param", "type", "");
    expect(c, attn_max(c, attn_slice(c, a, 1, 0, 0), 1, &out), ATTN_ERR_SHAPE, "max", "[2,0]", "");
    CHECK(out && (out->flags & ATTN_TENSOR_EMPTY));
    expect(c, attn_argmax(c, attn_slice(c, a, 0, 0, 0), 0), ATTN_ERR_SHAPE, "argmax", "[0,3]", "");
    attn_add(c, attn_zeros(c, 99, 2, s1), a);               // an empty tensor taken on: the first error stays
    CHECK(attn_error(c) == ATTN_ERR_DTYPE);
    attn_clear(c);
    CHECK(attn_item(c, a) == 0 && attn_error(c) == ATTN_ERR_SHAPE && has(c, "[2,3]"));
    attn_clear(c);
    close_clean(c);
}
TEST(error, numbers_without_a_meaning_are_refused_and_change_nothing) {
    SHAPE(s, 2, 3);
    SHAPE(deep, 4, 2, 3);
    SHAPE(same, 1, 1);
    SHAPE(woven, 1, 2);
    SHAPE(apart, 1, 5);
    SHAPE(one, 2, 1);
    static float data[20];
    attn_ctx *c = open_with(0, 0, 0);
    attn_tensor *x = attn_full(c, ATTN_F32, 2, s, 1), *p = attn_param(c, ATTN_F32, 2, s), *n;
    const double bad[] = { NAN, INFINITY, -INFINITY, 1.5, -0.25 };
    for (int i = 0; i < 3; i++) {
        expect(c, attn_uniform(c, x, bad[i], 1), ATTN_ERR_RANGE, "attn_uniform", "low", "NaN");
        expect(c, attn_uniform(c, x, -1, bad[i]), ATTN_ERR_RANGE, "attn_uniform", "high", "NaN");
        expect(c, attn_normal(c, x, 0, bad[i]), ATTN_ERR_RANGE, "attn_normal", "deviation", "NaN");
        expect(c, attn_normal(c, x, bad[i], 1), ATTN_ERR_RANGE, "attn_normal", "mean", "NaN");
    }
    expect(c, attn_uniform(c, x, 1, 0.5), ATTN_ERR_RANGE, "attn_uniform", "low above high", "");
    expect(c, attn_normal(c, x, 1, -0.5), ATTN_ERR_RANGE, "attn_normal", "negative", "");
    expect(c, attn_uniform(c, attn_broadcast(c, x, 3, deep), 0, 1), ATTN_ERR_OVERLAP, "attn_uniform", "each other", "");
    expect(c, attn_normal(c, attn_wrap(c, ATTN_F32, 2, s, same, data), 0, 1), ATTN_ERR_OVERLAP, "attn_normal", "", "");
    expect(c, attn_uniform(c, attn_wrap(c, ATTN_F32, 2, s, one, data), 0, 1), ATTN_ERR_OVERLAP, "attn_uniform", "", "");
    CHECK(attn_item(c, attn_sum_all(c, x)) == 6);
    for (int i = 0; i < 20; i++) CHECK(data[i] == 0);
    attn_uniform(c, attn_wrap(c, ATTN_F32, 2, s, woven, data), 1, 1);        // all of one value; steps that nest
    attn_uniform(c, attn_wrap(c, ATTN_F32, 2, s, apart, data), 1, 2);
    attn_uniform(c, attn_transpose(c, attn_slice(c, x, 1, 1, 2), 0, 1), 0, 1);
    attn_normal(c, attn_broadcast(c, attn_zeros(c, ATTN_F32, 0, NULL), 2, same), 0, 0);
    CHECK(attn_error(c) == ATTN_OK);
    expect(c, attn_arange(c, ATTN_I8, 1000), ATTN_ERR_RANGE, "attn_arange", "n = 1000", "type");
    expect(c, attn_arange(c, ATTN_I8, 129), ATTN_ERR_RANGE, "attn_arange", "n = 129", "");
    expect(c, attn_arange(c, ATTN_U8, 257), ATTN_ERR_RANGE, "attn_arange", "n = 257", "");
    expect(c, attn_arange(c, ATTN_BOOL, 3), ATTN_ERR_RANGE, "attn_arange", "n = 3", "");
    n = attn_arange(c, ATTN_I8, 128);
    CHECK(((int8_t *)n->data)[127] == 127 && ((uint8_t *)attn_arange(c, ATTN_U8, 256)->data)[255] == 255);
    CHECK(attn_count(attn_arange(c, ATTN_BOOL, 2)) == 2 && attn_count(attn_arange(c, ATTN_I8, 0)) == 0);
    for (int k = 0; k < 2; k++) {
        int32_t wrong[2] = { 1, 0 };
        wrong[1] = k ? -2 : 4;
        expect(c, attn_masked_softmax(c, x, attn_from(c, ATTN_I32, 1, s, wrong)), ATTN_ERR_RANGE, "attn_masked_softmax",
               k ? "= -2" : "= 4", "0..M");
    }
    attn_backward(c, attn_sum_all(c, p));
    for (int i = 0; i < 5; i++) {
        if (i < 3) CHECK(attn_sgd(c, bad[i], 0) == ATTN_ERR_RANGE && has(c, "attn_sgd: rate"));
        attn_clear(c);
        CHECK(attn_sgd(c, 0.5, bad[i]) == ATTN_ERR_RANGE && has(c, "attn_sgd: momentum"));
        attn_clear(c);
    }
    CHECK(attn_item(c, attn_sum_all(c, p)) == 0 && !p->state);
    CHECK(attn_sgd(c, 0.5, 1) == ATTN_OK && attn_sgd(c, -0.5, 0) == ATTN_OK && attn_item(c, attn_sum_all(c, p)) == 0);
    close_clean(c);
}
TEST(error, without_a_context_everything_gives_null_or_0) {
    SHAPE(s, 2, 3);
    SHAPE(axes4, 1, 1, 2, 3);
    static float data[6];
    attn_ctx *c = open_with(0, 0, 0), *none = NULL;
    attn_tensor *x = attn_full(c, ATTN_F32, 2, s, 1), *l = attn_full(c, ATTN_I32, 1, s, 1), *out = x;
    attn_tensor *a = attn_full(c, ATTN_F32, 4, axes4, 1);
    for (int i = 0; i < 2; i++) {                           // with good inputs, and with the NULL that comes of it
        attn_tensor *const made[] = {
            attn_zeros(none, ATTN_F32, 2, s), attn_full(none, ATTN_F32, 2, s, 1), attn_full(none, ATTN_F16, 2, s, 1),
            attn_from(none, ATTN_F32, 2, s, data), attn_wrap(none, ATTN_F32, 2, s, NULL, data),
            attn_param(none, ATTN_F32, 2, s), attn_param(none, ATTN_I32, 2, s), attn_params(none),
            attn_uniform(none, x, 0, 1), attn_normal(none, x, 0, 1), attn_arange(none, ATTN_F32, 3),
            attn_arange(none, ATTN_BF16, 3), attn_add(none, x, x), attn_sub(none, x, x), attn_mul(none, x, x),
            attn_div(none, x, x), attn_scale(none, x, 2), attn_exp(none, x), attn_gelu(none, x), attn_sum(none, x, 0),
            attn_mean(none, x, 9), attn_sum_all(none, x), attn_mean_all(none, x), attn_max(none, x, 0, &out),
            attn_max(none, x, 0, NULL), attn_argmax(none, x, 0), attn_matmul(none, x, x), attn_softmax(none, x, 0),
            attn_log_softmax(none, x, 1), attn_masked_softmax(none, x, l), attn_layer_norm(none, x, NULL, NULL, 0),
            attn_layer_norm(none, x, x, x, 0), attn_rms_norm(none, x, NULL, 0), attn_reshape(none, x, 1, s),
            attn_transpose(none, x, 0, 1), attn_slice(none, x, 0, 0, 1), attn_broadcast(none, x, 2, s),
            attn_contiguous(none, x), attn_cross_entropy(none, x, l), attn_mse(none, x, x),
            attn_sdpa(none, a, a, a, NULL),
        };
        for (int k = 0; k < COUNT(made); k++) CHECK(!made[k]);
        CHECK(!out);
        CHECK(attn_item(none, x) == 0 && attn_read(none, x, data) == ATTN_ERR_NULL);
        CHECK(attn_backward(none, x) == ATTN_ERR_NULL && attn_sgd(none, 0.1, 0) == ATTN_ERR_NULL);
        CHECK(attn_record(none, 1) == 0 && attn_mark(none) == 0 && attn_used(none) == 0 && attn_peak(none) == 0);
        CHECK(attn_error(none) == ATTN_ERR_NULL && attn_message(none)[0]);
        attn_zero_grad(none); attn_reset(none, 3); attn_clear(none); attn_close(none);
        x = l = a = NULL;
    }
    close_clean(c);
}

// ---- making and viewing

TEST(make, values_are_what_was_asked) {
    SHAPE(s, 2, 3);
    SHAPE(none, 3, 0);
    SHAPE(stride, 1, 10);
    static float data[] = { 1, 2, 3, 4, 5, 6 }, out[6], wide[30];
    attn_ctx *c = open_with(0, 0, 0);
    attn_tensor *t = attn_from(c, ATTN_F32, 2, s, data), *w = attn_wrap(c, ATTN_F32, 2, s, stride, wide);
    CHECK(t->data != data && attn_count(t) == 6 && attn_read(c, t, out) == ATTN_OK && !memcmp(out, data, sizeof out));
    CHECK(same_shape(t, 2, s) && t->stride[0] == 3 && t->stride[1] == 1 && t->type == ATTN_F32 && !t->grad);
    CHECK(w->data == wide && w->stride[0] == 1 && w->stride[1] == 10);
    for (int i = 0; i < 30; i++) wide[i] = (float)i;
    CHECK(attn_read(c, w, out) == ATTN_OK && out[0] == 0 && out[1] == 10 && out[3] == 1 && out[5] == 21);
    attn_uniform(c, w, 100, 101);                           // in your memory, beside nothing
    for (int i = 0; i < 30; i++) CHECK(i % 10 < 2 ? wide[i] >= 100 : wide[i] == (float)i);
    t = attn_wrap(c, ATTN_F32, 2, s, NULL, data);
    CHECK(t->data == data && t->stride[0] == 3 && t->stride[1] == 1);
    t = attn_zeros(c, ATTN_F32, 2, none);
    CHECK(attn_count(t) == 0 && same_shape(t, 2, none) && attn_read(c, t, out) == ATTN_OK);
    CHECK(!(t->flags & ATTN_TENSOR_EMPTY));
    CHECK(attn_read(c, attn_full(c, ATTN_F32, 0, NULL, 8), out) == ATTN_OK && out[0] == 8);
    CHECK(attn_item(c, attn_full(c, ATTN_F64, 0, NULL, -2.5)) == -2.5);
    CHECK(attn_item(c, attn_full(c, ATTN_I32, 0, NULL, -7)) == -7);
    t = attn_param(c, ATTN_F32, 2, s);
    CHECK((t->flags & ATTN_TENSOR_PARAM) && attn_item(c, attn_sum_all(c, t)) == 0);
    t = attn_arange(c, ATTN_F64, 5);
    for (int i = 0; i < 5; i++) CHECK(((double *)t->data)[i] == i);
    t = attn_arange(c, ATTN_I32, 5);
    for (int i = 0; i < 5; i++) CHECK(((int32_t *)t->data)[i] == i);
    CHECK(attn_arange(c, ATTN_F32, 0)->rank == 1);
    close_clean(c);
}
TEST(view, slice_transpose_broadcast_and_reshape_share_memory_where_they_can) {
    SHAPE(s, 2, 3, 4);
    SHAPE(flat, -1);
    SHAPE(six, 6, -1);
    SHAPE(wide, 5, 2, 3, 4);
    SHAPE(column, 2, 3, 1);
    SHAPE(none, 0, 3);
    SHAPE(free0, -1, 0);
    attn_ctx *c = open_with(0, 0, 0);
    attn_tensor *x = attn_reshape(c, attn_arange(c, ATTN_F32, 24), 3, s), *y, *z;
    float out[120];
    CHECK(same_shape(x, 3, s));
    y = attn_transpose(c, x, 0, -1);
    CHECK(y->data == x->data && y->shape[0] == 4 && y->shape[2] == 2 && y->stride[0] == 1 && y->stride[2] == 12);
    CHECK(attn_read(c, y, out) == ATTN_OK && out[0] == 0 && out[1] == 12 && out[2] == 4 && out[23] == 23);
    z = attn_reshape(c, y, 1, flat);                        // not possible as a view
    CHECK(z->data != x->data && z->shape[0] == 24 && ((float *)z->data)[1] == 12);
    z = attn_reshape(c, x, 2, six);
    CHECK(z->data == x->data && z->shape[0] == 6 && z->shape[1] == 4);
    z = attn_reshape(c, attn_slice(c, x, 2, 1, 2), 2, six); // rows of 2 in 4: two leading axes fold to one
    CHECK(z->shape[1] == 2 && attn_read(c, z, out) == ATTN_OK && out[0] == 1 && out[2] == 5 && out[11] == 22);
    y = attn_slice(c, x, -2, 1, 2);
    CHECK(y->data == (float *)x->data + 4 && y->shape[1] == 2 && attn_read(c, y, out) == ATTN_OK && out[8] == 16);
    CHECK(attn_count(attn_slice(c, x, 0, 2, 0)) == 0);
    y = attn_broadcast(c, x, 4, wide);
    CHECK(y->data == x->data && y->stride[0] == 0 && attn_read(c, y, out) == ATTN_OK && out[24] == 0 && out[119] == 23);
    y = attn_broadcast(c, attn_slice(c, x, 2, 3, 1), 3, s);
    CHECK(y->stride[2] == 0 && attn_read(c, y, out) == ATTN_OK && out[0] == 3 && out[3] == 3 && out[4] == 7);
    CHECK(attn_contiguous(c, x) == x);
    z = attn_contiguous(c, y);
    CHECK(z != y && z->stride[2] == 1 && z->stride[0] == 12 && ((float *)z->data)[23] == 23);
    y = attn_reshape(c, attn_sum(c, x, 2), 3, column);
    CHECK(same_shape(y, 3, column) && attn_item(c, attn_reshape(c, attn_sum_all(c, x), 0, NULL)) == 276);
    CHECK(same_shape(attn_reshape(c, attn_zeros(c, ATTN_F32, 2, none), 2, none), 2, none));
    CHECK(attn_reshape(c, attn_zeros(c, ATTN_F32, 2, none), 1, flat)->rank == 1);
    expect(c, attn_reshape(c, attn_zeros(c, ATTN_F32, 2, none), 2, free0), ATTN_ERR_SHAPE, "reshape", "[0,3]", "");
    close_clean(c);
}

// ---- random numbers

static void moments(const attn_tensor *t, double *m) {
    ptrdiff_t n = attn_count(t), index[ATTN_MAX_RANK];
    m[0] = m[1] = m[2] = m[3] = 0;
    for (EACH_INDEX(index, t)) m[0] += at(t, index, t->rank) / (double)n;
    for (EACH_INDEX(index, t)) {
        double d = at(t, index, t->rank) - m[0];
        m[1] += d * d / (double)n; m[2] += d * d * d / (double)n; m[3] += d * d * d * d / (double)n;
    }
}
TEST(random, moments_are_those_of_the_distribution) {
    SHAPE(s, 301, 333);
    for (int type = ATTN_F32; type <= ATTN_F64; type++) {
        attn_ctx *c = open_with(0, 0, 12345);
        attn_tensor *t = attn_zeros(c, type, 2, s);
        double m[4];
        ptrdiff_t index[ATTN_MAX_RANK];
        CHECK(attn_uniform(c, t, -2, 3) == t);
        for (EACH_INDEX(index, t)) { double v = at(t, index, 2); CHECK(v >= -2 && v < 3); }
        moments(t, m);
        NEAR(m[0], 0.5, 0.02); NEAR(m[1], 25.0 / 12, 0.03); NEAR(m[2], 0, 0.06); NEAR(m[3], 7.8125, 0.2);
        CHECK(attn_normal(c, t, 1, 2) == t);
        moments(t, m);
        NEAR(m[0], 1, 0.03); NEAR(m[1], 4, 0.09); NEAR(m[2], 0, 0.4); NEAR(m[3], 48, 4);
        close_clean(c);
    }
}
TEST(random, a_seed_gives_the_same_values_and_another_others) {
    SHAPE(s, 37, 3);
    for (int type = ATTN_F32; type <= ATTN_F64; type++) for (int normal = 0; normal < 2; normal++) {
        double v[4][111];
        for (int i = 0; i < 4; i++) {                       // seed 5, seed 5 in a view, seed 6, seed 5 a second time
            attn_ctx *c = open_with(0, 0, i == 2 ? 6 : 5);
            attn_tensor *t = attn_zeros(c, type, 2, s);
            ptrdiff_t index[ATTN_MAX_RANK];
            int k = 0;
            if (i == 1) { SHAPE(turned, 3, 37); t = attn_transpose(c, attn_zeros(c, type, 2, turned), 0, 1); }
            for (int fills = 0; fills < (i == 3 ? 2 : 1); fills++)
                if (normal) attn_normal(c, t, 0, 1); else attn_uniform(c, t, 0, 1);
            for (EACH_INDEX(index, t)) v[i][k++] = at(t, index, 2);
            close_clean(c);
        }
        CHECK(!memcmp(v[0], v[1], sizeof v[0]));
        for (int i = 0; i < 111; i++) CHECK(v[0][i] != v[2][i] && v[0][i] != v[3][i]);
        for (int i = 1; i < 111; i++) CHECK(v[0][i] != v[0][i - 1]);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(context, callers_memory_of_any_size_is_never_left);
    RUN(context, chunks_of_any_size_give_the_same_bits);
    RUN(context, an_error_in_between_does_no_harm);
    RUN(context, every_failed_allocation_is_an_error_and_leaks_nothing);
    RUN(context, reset_gives_back_values_and_keeps_parameters);
    RUN(context, reset_to_what_is_no_mark_is_an_error_and_changes_nothing);
    RUN(error, the_first_stays_with_its_text_and_later_calls_do_nothing);
    RUN(error, every_kind_names_operator_and_shapes);
    RUN(error, numbers_without_a_meaning_are_refused_and_change_nothing);
    RUN(error, without_a_context_everything_gives_null_or_0);
    RUN(make, values_are_what_was_asked);
    RUN(view, slice_transpose_broadcast_and_reshape_share_memory_where_they_can);
    RUN(random, moments_are_those_of_the_distribution);
    RUN(random, a_seed_gives_the_same_values_and_another_others);
    return test_end();
}
