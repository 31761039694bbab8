// test_tape - room >>tape: the gradient of every operator against central differences, the record, the optimiser.
//     cc -O2 -I. tests/test_tape.c -o test_tape && ./test_tape [--seed N]
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include "tensors.h"

enum { INPUTS = 3 };

// ---- the catalogue: y = f(c, p) for every operator that has a derivative, with the shapes of its parameters

typedef attn_tensor *(*graph)(attn_ctx *c, attn_tensor **p);
#define GRAPH(name, expression) static attn_tensor *name(attn_ctx *c, attn_tensor **p) { return expression; }
#define TURN(t, i, j) attn_transpose(c, t, i, j)
GRAPH(g_add, attn_add(c, p[0], p[1]))
GRAPH(g_add_views, attn_add(c, TURN(p[0], 0, 1), attn_slice(c, p[1], 0, 1, 1)))
GRAPH(g_sub, attn_sub(c, p[0], p[1]))
GRAPH(g_mul, attn_mul(c, p[0], p[1]))
GRAPH(g_mul_self, attn_mul(c, p[0], attn_add(c, p[0], p[0])))
GRAPH(g_mul_views, attn_mul(c, TURN(p[0], 0, -1), TURN(p[0], 0, 1)))
GRAPH(g_div, attn_div(c, p[0], attn_exp(c, p[1])))
GRAPH(g_div_by_1, attn_div(c, p[0], attn_add(c, attn_square(c, p[1]), attn_full(c, p[0]->type, 0, NULL, 1))))
GRAPH(g_scale, attn_scale(c, p[0], -2.5))
GRAPH(g_square, attn_square(c, p[0]))
GRAPH(g_exp, attn_exp(c, p[0]))
GRAPH(g_exp_view, attn_exp(c, attn_slice(c, TURN(p[0], 0, 1), 0, 1, 2)))
GRAPH(g_tanh, attn_tanh(c, p[0]))
GRAPH(g_relu, attn_relu(c, p[0]))
GRAPH(g_log, attn_log(c, attn_square(c, p[0])))
GRAPH(g_sqrt, attn_sqrt(c, attn_exp(c, p[0])))
GRAPH(g_sigmoid, attn_sigmoid(c, attn_scale(c, p[0], 3)))
GRAPH(g_silu, attn_silu(c, attn_scale(c, TURN(p[0], 0, 1), 3)))
GRAPH(g_gelu, attn_gelu(c, attn_scale(c, TURN(p[0], 0, 1), 3)))
GRAPH(g_log_softmax, attn_log_softmax(c, p[0], 1))
GRAPH(g_log_softmax_0, attn_log_softmax(c, p[0], 0))
GRAPH(g_layer, attn_layer_norm(c, p[0], p[1], p[2], 0.1))
GRAPH(g_layer_turned, attn_layer_norm(c, TURN(p[0], 0, 1), p[1], NULL, 0))
GRAPH(g_rms, attn_rms_norm(c, p[0], p[1], 0.1))
GRAPH(g_rms_turned, attn_square(c, attn_rms_norm(c, TURN(p[0], 0, 1), p[1], 0)))
GRAPH(g_sum_0, attn_sum(c, p[0], 0))
GRAPH(g_sum_last, attn_sum(c, TURN(p[0], 0, 1), -1))
GRAPH(g_sum_all, attn_sum_all(c, attn_square(c, p[0])))
GRAPH(g_mean, attn_mean(c, p[0], 1))
GRAPH(g_mean_all, attn_mean_all(c, attn_mul(c, p[0], p[0])))
GRAPH(g_max, attn_max(c, p[0], 1, NULL))
GRAPH(g_max_0, attn_max(c, TURN(p[0], 0, 1), 0, NULL))
GRAPH(g_matmul, attn_matmul(c, p[0], p[1]))
GRAPH(g_matmul_turned, attn_matmul(c, TURN(p[0], -1, -2), TURN(p[1], -1, -2)))
GRAPH(g_matmul_square, attn_matmul(c, p[0], TURN(p[0], 0, 1)))
GRAPH(g_softmax, attn_softmax(c, p[0], -1))
GRAPH(g_softmax_0, attn_softmax(c, p[0], 0))
static attn_tensor *g_softmax_masked(attn_ctx *c, attn_tensor **p) {
    static const int32_t lengths[] = { 2, 0, 3, 1 };
    ptrdiff_t n = p[0]->shape[0];
    return attn_masked_softmax(c, p[0], attn_from(c, ATTN_I32, 1, &n, lengths));
}
static attn_tensor *g_reshape(attn_ctx *c, attn_tensor **p) {
    const ptrdiff_t flat[] = { -1, 2 };
    return attn_reshape(c, p[0], 2, flat);
}
GRAPH(g_reshape_copy, g_reshape(c, (p[1] = TURN(p[0], 0, 1), p + 1)))
GRAPH(g_transpose, attn_square(c, TURN(p[0], 0, -1)))
GRAPH(g_slice, attn_slice(c, p[0], 1, 1, 2))
GRAPH(g_slice_overlapping, attn_mul(c, attn_slice(c, p[0], 0, 0, 2), attn_slice(c, p[0], 0, 1, 2)))
static attn_tensor *g_broadcast(attn_ctx *c, attn_tensor **p) {
    const ptrdiff_t wide[] = { 2, 3, 4 };
    return attn_broadcast(c, p[0], 3, wide);
}
GRAPH(g_contiguous, attn_square(c, attn_contiguous(c, TURN(p[0], 0, 1))))
static attn_tensor *g_entropy(attn_ctx *c, attn_tensor **p) {
    static const int32_t targets[] = { 2, 0, 1, 2 };
    return attn_cross_entropy(c, p[0], attn_from(c, ATTN_I32, 1, p[0]->shape, targets));
}
static attn_tensor *g_entropy_views(attn_ctx *c, attn_tensor **p) {      // [classes,n], and every second of the targets
    static const int32_t targets[] = { 2, 9, 0, 9, 1, 9, 2, 9 };
    const ptrdiff_t s[] = { 4, 2 }, n[] = { 4 };
    attn_tensor *t = attn_reshape(c, attn_slice(c, attn_from(c, ATTN_I32, 2, s, targets), 1, 0, 1), 1, n);
    return attn_cross_entropy(c, TURN(p[0], 0, 1), t);
}
GRAPH(g_mse, attn_mse(c, p[0], p[1]))
GRAPH(g_mse_views, attn_mse(c, TURN(p[0], 0, 1), attn_broadcast(c, p[1], 2, TURN(p[0], 0, 1)->shape)))
GRAPH(g_deep, attn_mean(c, attn_softmax(c, attn_matmul(c, attn_tanh(c, p[0]), p[1]), 1), 0))

static const struct { int op; graph f; const char *shapes[INPUTS]; } cases[] = {
    { ATTN_OP_ADD, g_add, { "3 4", "3 4" } }, { ATTN_OP_ADD, g_add, { "2 3 4", "3 1" } },
    { ATTN_OP_ADD, g_add, { "", "5" } }, { ATTN_OP_ADD, g_add, { "1 3 1 2", "2 1 3 1" } },
    { ATTN_OP_ADD, g_add_views, { "3 4", "2 3" } }, { ATTN_OP_ADD, g_add, { "2 1 2 1 2 2", "2 1 3 1 1" } },
    { ATTN_OP_ADD, g_add, { "0 3", "3" } }, { ATTN_OP_SUB, g_sub, { "3 4", "3 4" } },
    { ATTN_OP_SUB, g_sub, { "4", "2 3 4" } }, { ATTN_OP_SUB, g_sub, { "17 33", "33" } },
    { ATTN_OP_MUL, g_mul, { "3 4", "3 4" } }, { ATTN_OP_MUL, g_mul, { "3 1", "1 4" } },
    { ATTN_OP_MUL, g_mul_self, { "2 3", NULL } }, { ATTN_OP_MUL, g_mul_views, { "3 3 3", NULL } },
    { ATTN_OP_MUL, g_mul, { "", "" } }, { ATTN_OP_MUL, g_mul, { "19 35", "19 1" } },
    { ATTN_OP_DIV, g_div, { "3 4", "3 4" } }, { ATTN_OP_DIV, g_div, { "2 1 4", "3 1" } },
    { ATTN_OP_DIV, g_div_by_1, { "5", "2 1" } }, { ATTN_OP_SCALE, g_scale, { "3 5", NULL } },
    { ATTN_OP_SQUARE, g_square, { "3 5", NULL } }, { ATTN_OP_EXP, g_exp, { "3 5", NULL } },
    { ATTN_OP_EXP, g_exp_view, { "4 3", NULL } }, { ATTN_OP_TANH, g_tanh, { "3 5", NULL } },
    { ATTN_OP_TANH, g_tanh, { "37", NULL } }, { ATTN_OP_RELU, g_relu, { "3 5", NULL } },
    { ATTN_OP_LOG, g_log, { "3 5", NULL } }, { ATTN_OP_SQRT, g_sqrt, { "3 5", NULL } },
    { ATTN_OP_SIGMOID, g_sigmoid, { "3 5", NULL } }, { ATTN_OP_SILU, g_silu, { "3 5", NULL } },
    { ATTN_OP_GELU, g_gelu, { "3 15", NULL } }, { ATTN_OP_LOG_SOFTMAX, g_log_softmax, { "3 5", NULL } },
    { ATTN_OP_LOG_SOFTMAX, g_log_softmax_0, { "3 5", NULL } },
    { ATTN_OP_LOG_SOFTMAX, g_log_softmax, { "2 40 2", NULL } },
    { ATTN_OP_LAYER_NORM, g_layer, { "3 5", NULL } }, { ATTN_OP_LAYER_NORM, g_layer, { "2 3 7", "7" } },
    { ATTN_OP_LAYER_NORM, g_layer, { "3 19", "19", "19" } }, { ATTN_OP_LAYER_NORM, g_layer_turned, { "5 3", "5" } },
    { ATTN_OP_RMS_NORM, g_rms, { "3 5", NULL } }, { ATTN_OP_RMS_NORM, g_rms, { "2 3 17", "17" } },
    { ATTN_OP_RMS_NORM, g_rms_turned, { "5 3", "5" } }, { ATTN_OP_RMS_NORM, g_rms, { "0 3", "3" } },
    { ATTN_OP_SUM, g_sum_0, { "3 4", NULL } }, { ATTN_OP_SUM, g_sum_last, { "3 4", NULL } },
    { ATTN_OP_SUM, g_sum_all, { "2 3 2", NULL } }, { ATTN_OP_MEAN, g_mean, { "3 4 2", NULL } },
    { ATTN_OP_MEAN, g_mean_all, { "3 4", NULL } }, { ATTN_OP_MAX, g_max, { "3 7 2", NULL } },
    { ATTN_OP_MAX, g_max_0, { "4 9", NULL } }, { ATTN_OP_MATMUL, g_matmul, { "3 4", "4 5" } },
    { ATTN_OP_MATMUL, g_matmul, { "2 1 3 4", "3 4 2" } }, { ATTN_OP_MATMUL, g_matmul, { "2 3 4", "4 5" } },
    { ATTN_OP_MATMUL, g_matmul, { "1 7", "7 1" } }, { ATTN_OP_MATMUL, g_matmul_turned, { "4 3", "5 4" } },
    { ATTN_OP_MATMUL, g_matmul_turned, { "4 3", "2 5 4" } }, { ATTN_OP_MATMUL, g_matmul_square, { "3 4", NULL } },
    { ATTN_OP_MATMUL, g_matmul, { "17 9", "9 33" } }, { ATTN_OP_SOFTMAX, g_softmax, { "3 5", NULL } },
    { ATTN_OP_SOFTMAX, g_softmax_0, { "4 3 2", NULL } }, { ATTN_OP_SOFTMAX, g_softmax, { "2 40", NULL } },
    { ATTN_OP_SOFTMAX, g_softmax_masked, { "4 3", NULL } },
    { ATTN_OP_SOFTMAX, g_softmax_masked, { "4 2 3", NULL } }, { ATTN_OP_SOFTMAX, g_deep, { "4 3", "3 5" } },
    { ATTN_OP_RESHAPE, g_reshape, { "3 4", NULL } }, { ATTN_OP_RESHAPE, g_reshape_copy, { "3 4", NULL } },
    { ATTN_OP_TRANSPOSE, g_transpose, { "3 4", NULL } }, { ATTN_OP_TRANSPOSE, g_transpose, { "2 3 4", NULL } },
    { ATTN_OP_SLICE, g_slice, { "3 4 2", NULL } }, { ATTN_OP_SLICE, g_slice_overlapping, { "3 4", NULL } },
    { ATTN_OP_BROADCAST, g_broadcast, { "3 1", NULL } }, { ATTN_OP_BROADCAST, g_broadcast, { "", NULL } },
    { ATTN_OP_BROADCAST, g_broadcast, { "2 1 4", NULL } }, { ATTN_OP_RESHAPE, g_contiguous, { "3 4", NULL } },
    { ATTN_OP_CROSS_ENTROPY, g_entropy, { "4 3", NULL } }, { ATTN_OP_MSE, g_mse, { "3 4", "3 4" } },
    { ATTN_OP_CROSS_ENTROPY, g_entropy_views, { "3 4", NULL } }, { ATTN_OP_MSE, g_mse_views, { "3 4", "3" } },
    { ATTN_OP_MSE, g_mse, { "", "" } }, { ATTN_OP_MATMUL, g_matmul, { "2 0", "0 3" } },
    { ATTN_OP_MUL, g_mul, { "0 3", "3" } }, { ATTN_OP_SOFTMAX, g_softmax, { "0 3", NULL } },
    { ATTN_OP_SUM, g_sum_0, { "0 3", NULL } },
};

// ---- one case: parameters with values, a loss that weighs every element of y differently

enum { MOST = 1024 };
typedef struct point { double v[INPUTS][MOST], grad[INPUTS][MOST]; ptrdiff_t n[INPUTS]; } point;

static attn_tensor *param_of(attn_ctx *c, int type, const char *text, const double *v, ptrdiff_t *n) {
    ptrdiff_t s[ATTN_MAX_RANK];
    int rank = 0;
    attn_tensor *p;
    for (; *text; text += *text == ' ') {
        s[rank] = 0;
        for (; *text && *text != ' '; text++) s[rank] = s[rank] * 10 + (*text - '0');
        rank++;
    }
    *n = extent_product(rank, s);
    p = attn_param(c, type, rank, s);
    for (ptrdiff_t i = 0; i < *n; i++)
        if (type == ATTN_F64) ((double *)p->data)[i] = v[i]; else ((float *)p->data)[i] = (float)v[i];
    return p;
}
static void params_of(attn_ctx *c, int type, int k, point *x, attn_tensor **p) {
    for (int i = 0; i < INPUTS; i++)
        p[i] = cases[k].shapes[i] ? param_of(c, type, cases[k].shapes[i], x->v[i], &x->n[i]) : NULL;
}
static attn_tensor *loss_of(attn_ctx *c, int k, attn_tensor **p) {
    attn_tensor *y = cases[k].f(c, p), *w = attn_zeros(c, y->type, y->rank, y->shape);
    ptrdiff_t n = attn_count(w);
    for (ptrdiff_t i = 0; i < n; i++) {
        double weight = 1 + (double)(i * 7 % 11) / 8;
        if (w->type == ATTN_F64) ((double *)w->data)[i] = weight; else ((float *)w->data)[i] = (float)weight;
    }
    return attn_sum_all(c, attn_mul(c, y, w));
}
static double value_of(int k, point *x) {
    attn_ctx *c = open_with(0, 1 << 14, 0);
    attn_tensor *p[INPUTS + 1] = { NULL };
    double loss;
    params_of(c, ATTN_F64, k, x, p);
    attn_record(c, -1);
    loss = attn_item(c, loss_of(c, k, p));
    close_clean(c);
    return loss;
}
static void gradient_of(int k, point *x, int type, int isa) {
    attn_ctx *c = open_with(isa, 1 << 14, 0);
    attn_tensor *p[INPUTS + 1] = { NULL }, *q[INPUTS + 1];
    params_of(c, type, k, x, p);
    memcpy(q, p, sizeof q);
    CHECK(attn_backward(c, loss_of(c, k, q)) == ATTN_OK);
    for (int i = 0; i < INPUTS && p[i]; i++) {
        ptrdiff_t index[ATTN_MAX_RANK], n = 0;
        CHECK(p[i]->grad && same_shape(p[i]->grad, p[i]->rank, p[i]->shape) && p[i]->grad->type == type);
        if (p[i]->grad) for (EACH_INDEX(index, p[i]->grad)) x->grad[i][n++] = at(p[i]->grad, index, p[i]->rank);
    }
    close_clean(c);
}
static void fill(point *x) {
    memset(x, 0, sizeof *x);
    for (int i = 0; i < INPUTS; i++) for (int j = 0; j < MOST; j++) {
        double v = (double)(float)(test_uniform() * 2 - 1);
        x->v[i][j] = v + (v < 0 ? -0.015625 : 0.015625);    // relu bends at 0
    }
}
static void complain(int k, int before) {
    if (test_failed_checks != before)
        printf("    in %s, case %d: [%s] [%s]\n", attn_op(cases[k].op)->name, k, cases[k].shapes[0],
               cases[k].shapes[1] ? cases[k].shapes[1] : "none");
}

TEST(gradient, of_every_operator_is_that_of_central_differences) {
    static point x;
    const double h = 1e-5;
    for (int k = 0; k < COUNT(cases); k++) {
        int before = test_failed_checks;
        fill(&x);
        gradient_of(k, &x, ATTN_F64, 0);
        for (int i = 0; i < INPUTS && cases[k].shapes[i]; i++) for (ptrdiff_t j = 0; j < x.n[i]; j += 1 + x.n[i] / 40) {
            double old = x.v[i][j], up, down;
            x.v[i][j] = old + h; up = value_of(k, &x);
            x.v[i][j] = old - h; down = value_of(k, &x);
            x.v[i][j] = old;
            NEAR(x.grad[i][j], (up - down) / (2 * h), 1e-6 * (1 + fabs(x.grad[i][j])) * (1 + fabs(up) * 1e-4));
        }
        complain(k, before);
    }
}
TEST(gradient, f32_on_every_instruction_set_is_near_f64) {
    static point x, y;
    for (int k = 0; k < COUNT(cases); k++) EACH_ISA(isa) {
        int before = test_failed_checks;
        fill(&x);
        y = x;
        gradient_of(k, &x, ATTN_F64, 0);
        gradient_of(k, &y, ATTN_F32, isa);
        for (int i = 0; i < INPUTS && cases[k].shapes[i]; i++) for (ptrdiff_t j = 0; j < x.n[i]; j++)
            NEAR(y.grad[i][j], x.grad[i][j], 2e-5 * (1 + fabs(x.grad[i][j])));
        complain(k, before);
    }
}
TEST(catalogue, every_operator_with_a_derivative_has_a_case) {
    int has[3] = { 0, 0, 0 }, op = 0;
    for (; attn_op(op); op++) {
        const attn_op_info *o = attn_op(op);
        int found = 0;
        for (int k = 0; k < COUNT(cases); k++) found += cases[k].op == op;
        CHECK(o->has >= 0 && o->has <= ATTN_GRAD_LATER && o->grad[0] && o->keeps[0] && o->inputs > 0);
        if (o->has >= 0 && o->has <= ATTN_GRAD_LATER) has[o->has]++;
        CHECK((found > 0) == (o->has == ATTN_GRAD_HAS));
        if ((found > 0) != (o->has == ATTN_GRAD_HAS)) printf("    %s has %d cases\n", o->name, found);
    }
    printf("    derivatives: %d had, %d none by nature, %d later\n", has[0], has[1], has[2]);
    CHECK(op == ATTN_OP_COUNT && attn_op(-1) == NULL);
    CHECK(has[ATTN_GRAD_NONE] == 1 && has[ATTN_GRAD_LATER] == 1 && has[ATTN_GRAD_HAS] == ATTN_OP_COUNT - 2);
    CHECK(attn_op(ATTN_OP_SDPA)->has == ATTN_GRAD_LATER && attn_op(ATTN_OP_ARGMAX)->has == ATTN_GRAD_NONE);
#define ROW(NAME, name_, in, keeps_, has_, grad_) CHECK(!strcmp(attn_op(ATTN_OP_##NAME)->name, #name_) && \
    attn_op(ATTN_OP_##NAME)->inputs == in && attn_op(ATTN_OP_##NAME)->has == ATTN_GRAD_##has_);
    ATTN_OP_LIST(ROW)
#undef ROW
}

// ---- the record

static const ptrdiff_t two_three[] = { 2, 3 };
static attn_tensor *filled_param(attn_ctx *c, double start) {
    attn_tensor *p = attn_param(c, ATTN_F64, 2, two_three);
    for (int i = 0; i < 6; i++) ((double *)p->data)[i] = start + i;
    return p;
}
static double grad_at(const attn_tensor *p, int i) { return p->grad ? ((const double *)p->grad->data)[i] : 1e99; }

TEST(record, gradients_add_up_over_uses_and_over_calls) {
    attn_ctx *c = open_with(0, 0, 0);
    attn_tensor *p = filled_param(c, 1), *loss;
    for (int call = 1; call <= 3; call++) {
        loss = attn_sum_all(c, attn_add(c, attn_mul(c, p, p), attn_scale(c, p, 10)));
        CHECK(attn_backward(c, loss) == ATTN_OK);
        for (int i = 0; i < 6; i++) NEAR(grad_at(p, i), call * (2.0 * (1 + i) + 10), 1e-12);
    }
    attn_zero_grad(c);
    for (int i = 0; i < 6; i++) CHECK(!p->grad || grad_at(p, i) == 0);
    CHECK(attn_backward(c, attn_sum_all(c, p)) == ATTN_OK);
    for (int i = 0; i < 6; i++) NEAR(grad_at(p, i), 1, 0);
    close_clean(c);
}
TEST(record, a_second_backward_is_a_state_error_and_changes_nothing) {
    attn_ctx *c = open_with(0, 0, 0);
    attn_tensor *p = filled_param(c, 1), *loss = attn_sum_all(c, attn_square(c, p));
    CHECK(attn_backward(c, loss) == ATTN_OK);
    CHECK(attn_backward(c, loss) == ATTN_ERR_STATE);
    for (int i = 0; i < 6; i++) NEAR(grad_at(p, i), 2.0 * (1 + i), 0);
    attn_clear(c);
    CHECK(attn_backward(c, attn_sum_all(c, attn_square(c, p))) == ATTN_OK);
    for (int i = 0; i < 6; i++) NEAR(grad_at(p, i), 4.0 * (1 + i), 0);
    close_clean(c);
}
TEST(record, a_loss_of_more_elements_or_without_record_is_an_error) {
    attn_ctx *c = open_with(0, 0, 0);
    attn_tensor *p = filled_param(c, 1), *y = attn_square(c, p);
    CHECK(attn_backward(c, y) == ATTN_ERR_SHAPE && attn_error(c) == ATTN_ERR_SHAPE);
    attn_clear(c);
    CHECK(attn_backward(c, NULL) == ATTN_ERR_NULL);
    attn_clear(c);
    CHECK(attn_backward(c, attn_full(c, ATTN_F64, 0, NULL, 1)) == ATTN_ERR_STATE);
    attn_clear(c);
    for (int i = 0; i < 6; i++) CHECK(!p->grad || grad_at(p, i) == 0);
    CHECK(attn_backward(c, attn_sum_all(c, y)) == ATTN_OK);
    NEAR(grad_at(p, 5), 12, 0);
    close_clean(c);
}
TEST(record, attn_record_chooses_what_is_recorded) {
    attn_ctx *c = open_with(0, 0, 0);
    attn_tensor *p = filled_param(c, 1), *x = attn_full(c, ATTN_F64, 2, two_three, 3), *y, *z;
    size_t mark = attn_mark(c), used[3];
    for (int how = 0; how < 3; how++) {                     // plain inputs; a parameter; record off
        attn_reset(c, mark);
        if (how == 2) CHECK(attn_record(c, -1) == 0);
        y = attn_square(c, how ? p : x);
        for (int i = 0; i < 20; i++) y = attn_square(c, y);
        CHECK(!!(y->flags & ATTN_TENSOR_RECORDED) == (how == 1));
        used[how] = attn_used(c);
    }
    CHECK(used[0] <= used[1] && used[0] == used[2]);
    CHECK(attn_backward(c, attn_sum_all(c, y)) == ATTN_ERR_STATE);
    attn_clear(c);
    CHECK(attn_record(c, 1) == -1 && attn_record(c, 1) == 1);
    y = attn_square(c, x);
    z = attn_sum_all(c, attn_mul(c, y, y));                 // recorded without any parameter
    CHECK((y->flags & ATTN_TENSOR_RECORDED) && (z->flags & ATTN_TENSOR_RECORDED));
    CHECK(attn_backward(c, z) == ATTN_OK && y->grad);
    if (y->grad) NEAR(attn_item(c, attn_mean_all(c, y->grad)), 18, 1e-12);
    CHECK(attn_record(c, 0) == 1 && attn_record(c, 0) == 0);
    y = attn_mul(c, p, x);
    CHECK(attn_backward(c, attn_sum_all(c, attn_square(c, y))) == ATTN_OK && y->grad);
    NEAR(grad_at(y, 2), 18, 1e-12); NEAR(grad_at(p, 2), 54, 1e-12);
    close_clean(c);
}
TEST(record, gradients_of_values_end_with_the_reset_and_take_no_more_than_the_values) {
    const ptrdiff_t shape[] = { 64, 64 };
    attn_ctx *c = open_with(0, 1 << 21, 0);
    attn_tensor *p = attn_param(c, ATTN_F64, 2, shape), *old, *y, *z;
    size_t mark, start, forward, one = 64 * 64 * sizeof(double);
    attn_backward(c, attn_sum_all(c, p));                   // the parameter has its gradient
    old = attn_square(c, p);
    mark = attn_mark(c); start = attn_used(c); y = attn_square(c, old);
    for (int i = 0; i < 20; i++) y = attn_mul(c, attn_add(c, y, p), attn_matmul(c, y, p));
    z = attn_mse(c, y, p);
    forward = attn_used(c) - start;
    CHECK(attn_backward(c, z) == ATTN_OK && old->grad);
    CHECK(attn_used(c) - start <= 2 * forward + one && attn_peak(c) - start <= 2 * forward + 4 * one);
    attn_reset(c, mark);
    CHECK(attn_used(c) == start && old->grad == NULL && p->grad != NULL);
    close_clean(c);
}
TEST(record, sdpa_is_not_on_the_tape_yet) {
    const ptrdiff_t s[] = { 1, 1, 2, 3 };
    attn_ctx *c = open_with(0, 0, 0);
    attn_tensor *q = attn_param(c, ATTN_F32, 4, s);
    CHECK(attn_sdpa(c, q, q, q, NULL)->flags & ATTN_TENSOR_EMPTY);
    CHECK(attn_error(c) == ATTN_ERR_UNSUPPORTED);
    attn_clear(c);
    attn_record(c, -1);
    CHECK(attn_count(attn_sdpa(c, q, q, q, NULL)) == 6);
    close_clean(c);
}

// ---- optimiser

TEST(sgd, steps_as_by_hand) {
    for (int m = 0; m < 2; m++) {
        const double momentum = m ? 0.9 : 0, rate = 0.05;
        attn_ctx *c = open_with(0, 0, 0);
        attn_tensor *p = filled_param(c, 1), *idle = filled_param(c, 7);
        double w[6], v[6] = { 0, 0, 0, 0, 0, 0 };
        size_t mark = attn_mark(c);
        for (int i = 0; i < 6; i++) w[i] = 1 + i;
        for (int step = 0; step < 10; step++) {
            attn_reset(c, mark);
            attn_zero_grad(c);
            CHECK(attn_backward(c, attn_sum_all(c, attn_square(c, attn_square(c, attn_scale(c, p, 0.25))))) == ATTN_OK);
            CHECK(attn_sgd(c, rate, momentum) == ATTN_OK);
            for (int i = 0; i < 6; i++) {
                v[i] = momentum * v[i] + 4 * w[i] * w[i] * w[i] / 256;
                w[i] -= rate * v[i];
                NEAR(((double *)p->data)[i], w[i], 1e-12);
            }
        }
        for (int i = 0; i < 6; i++) CHECK(((double *)idle->data)[i] == 7 + i);
        close_clean(c);
    }
}
TEST(sgd, a_small_network_learns_in_constant_memory) {
    const ptrdiff_t sx[] = { 32, 2 }, s1[] = { 2, 16 }, sb[] = { 16 }, s2[] = { 16, 1 };
    attn_ctx *c = open_with(0, 0, 3);
    attn_tensor *w1 = attn_normal(c, attn_param(c, ATTN_F32, 2, s1), 0, 0.7), *b1 = attn_param(c, ATTN_F32, 1, sb);
    attn_tensor *w2 = attn_normal(c, attn_param(c, ATTN_F32, 2, s2), 0, 0.3), *x, *want, *loss;
    double first = 0, last = 0;
    size_t mark, used = 0, peak = 0;
    x = attn_uniform(c, attn_zeros(c, ATTN_F32, 2, sx), -1, 1);
    want = attn_mul(c, attn_slice(c, x, 1, 0, 1), attn_slice(c, x, 1, 1, 1));
    mark = attn_mark(c);
    for (int step = 0; step < 800; step++) {
        attn_reset(c, mark);
        attn_zero_grad(c);
        loss = attn_mse(c, attn_matmul(c, attn_tanh(c, attn_add(c, attn_matmul(c, x, w1), b1)), w2), want);
        attn_backward(c, loss);
        attn_sgd(c, 0.1, 0.9);
        last = attn_item(c, loss);
        if (step == 0) first = last;
        if (step == 2) { used = attn_used(c); peak = attn_peak(c); }
        if (step > 2) CHECK(attn_used(c) == used && attn_peak(c) == peak);
    }
    CHECK(first > 0.05 && last < first / 20);
    if (!(last < first / 20)) printf("    loss %g, at first %g\n", last, first);
    close_clean(c);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(gradient, of_every_operator_is_that_of_central_differences);
    RUN(gradient, f32_on_every_instruction_set_is_near_f64);
    RUN(catalogue, every_operator_with_a_derivative_has_a_case);
    RUN(record, gradients_add_up_over_uses_and_over_calls);
    RUN(record, a_second_backward_is_a_state_error_and_changes_nothing);
    RUN(record, a_loss_of_more_elements_or_without_record_is_an_error);
    RUN(record, attn_record_chooses_what_is_recorded);
    RUN(record, gradients_of_values_end_with_the_reset_and_take_no_more_than_the_values);
    RUN(record, sdpa_is_not_on_the_tape_yet);
    RUN(sgd, steps_as_by_hand);
    RUN(sgd, a_small_network_learns_in_constant_memory);
    return test_end();
}
