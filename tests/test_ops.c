// test_ops - room >>ops: the value of every tensor operator against plain loops, over broadcasts and views; printing.
// -DROUNDS=N changes the length of the sweeps.
//     cc -O2 -I. tests/test_ops.c -o test_ops && ./test_ops [--seed N]
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include "tensors.h"
#include "types.h"

#ifndef ROUNDS
#define ROUNDS 200
#endif
static const double loose[2] = { 2e-5, 1e-12 };             // relative to 1 + |want|, for f32 and f64

static const double unit[2] = { 6e-8, 1.2e-16 };            // of a rounding

static int seen[ATTN_OP_COUNT];
static attn_ctx *open_any(int round) {                      // the instruction sets in turn
    int isa = round % (attn_isa_count() - 1) + 1;
    return open_with(attn_isa_has(isa) ? isa : 0, 1 << 14, 1);
}
static int random_shape(ptrdiff_t *s, int round) {
    int rank = test_below(ATTN_MAX_RANK + 1);
    if (round % 5 == 0) rank = test_below(3);
    for (int i = 0; i < rank; i++)
        s[i] = test_below(25) == 0 ? 0 : round % 5 == 0 ? 1 + test_below(140) : 1 + test_below(4);
    return rank;
}

// ---- element by element

typedef attn_tensor *(*binary)(attn_ctx *, attn_tensor *, attn_tensor *);
typedef attn_tensor *(*unary)(attn_ctx *, attn_tensor *);
static double add_of(double a, double b) { return a + b; }
static double sub_of(double a, double b) { return a - b; }
static double mul_of(double a, double b) { return a * b; }
static double div_of(double a, double b) { return a / b; }
static double exp_of(double x) { return (double)tool_exp(x); }
static double relu_of(double x) { return x > 0 ? x : 0; }
static double square_of(double x) { return x * x; }
static double log_of(double x) { return (double)tool_log(x); }
static double sigmoid_of(double x) { return (double)(1 / (1 + tool_exp(-x))); }
static double silu_of(double x) { long double t = 1 + tool_exp(-x); return (double)(x / t); } // tcc inverts x / (1 + f)
static double gelu_of(double x) {                           // erf by its series
    long double z = x * 0.70710678118654752440L, term = z, sum = z;
    for (int n = 1; n < 120; n++) { term *= -z * z / n; sum += term / (2 * n + 1); }
    return (double)(0.5L * x * (1 + 1.12837916709551257390L * sum));
}
static double sqrt_of(double x) {
    double y = x > 1 ? x : 1;
    for (int i = 0; i < 60; i++) y = 0.5 * (y + x / y);
    return y;
}
static double scaled_of(double x) { return x * -1.75; }
static double same_of(double x) { return x; }
static attn_tensor *scaled(attn_ctx *c, attn_tensor *x) { return attn_scale(c, x, -1.75); }
static const struct { int op; binary f; double (*want)(double, double); } pairs[] = {
    { ATTN_OP_ADD, attn_add, add_of }, { ATTN_OP_SUB, attn_sub, sub_of }, { ATTN_OP_MUL, attn_mul, mul_of },
    { ATTN_OP_DIV, attn_div, div_of },
};
static const struct { int op; unary f; double (*want)(double); double low; } singles[] = {
    { ATTN_OP_SCALE, scaled, scaled_of, -5 }, { ATTN_OP_SQUARE, attn_square, square_of, -5 },
    { ATTN_OP_EXP, attn_exp, exp_of, -5 }, { ATTN_OP_TANH, attn_tanh, tool_tanh, -5 },
    { ATTN_OP_RELU, attn_relu, relu_of, -5 }, { ATTN_OP_RELU, attn_contiguous, same_of, -5 },
    { ATTN_OP_LOG, attn_log, log_of, 0.01 }, { ATTN_OP_SQRT, attn_sqrt, sqrt_of, 0.01 },
    { ATTN_OP_SIGMOID, attn_sigmoid, sigmoid_of, -5 }, { ATTN_OP_SILU, attn_silu, silu_of, -5 },
    { ATTN_OP_GELU, attn_gelu, gelu_of, -5 },
};

TEST(operator, two_tensors_broadcast_as_in_numpy) {
    for (int round = 0; round < ROUNDS * 4; round++) for (int type = ATTN_F32; type <= ATTN_F64; type++) {
        attn_ctx *c = open_any(round);
        ptrdiff_t s[ATTN_MAX_RANK] = { 0 }, sa[ATTN_MAX_RANK], sb[ATTN_MAX_RANK], index[ATTN_MAX_RANK];
        int rank = random_shape(s, round), k = round % COUNT(pairs), drop = rank ? test_below(rank + 1) : 0, right = 1;
        attn_tensor *a, *b, *y;
        for (int i = 0; i < rank; i++) {
            int one = i < drop ? 0 : test_below(6);
            sa[i] = one == 1 ? 1 : s[i];
            sb[i] = one == 2 ? 1 : s[i];
        }
        a = random_view(c, type, rank, sa, -3, 3);
        b = random_view(c, type, rank - drop, sb + drop, k == 3 ? 0.5 : -3, 3);
        if (test_below(2)) { attn_tensor *t = a; a = b; b = t; }
        if (k == 3 && a->rank >= b->rank) a = attn_add(c, a, a);
        if (k == 3) b = attn_exp(c, b);
        y = pairs[k].f(c, a, b);
        CHECK(same_shape(y, rank, s) && y->type == type);
        for (EACH_INDEX(index, y)) {
            double want = pairs[k].want(at(a, index, rank), at(b, index, rank)), got = at(y, index, rank);
            if (!(fabs(got - want) <= loose[type] * (1 + fabs(want)))) right = 0;
        }
        if (!right) printf("    %s rank %d type %d round %d\n", attn_op(pairs[k].op)->name, rank, type, round);
        CHECK(right);
        seen[pairs[k].op] = 1;
        close_clean(c);
    }
}
TEST(operator, long_tensors_meet_element_by_element) {  // past what is touched ahead
    const ptrdiff_t n = 1048576 + 255, one = 1;
    for (int round = 0; round < attn_isa_count() - 1; round++) {
        attn_ctx *c = open_any(round);
        attn_tensor *a = random_view(c, ATTN_F32, 1, &n, -3, 3), *b = random_view(c, ATTN_F32, 1, &n, -3, 3);
        attn_tensor *s = random_view(c, ATTN_F32, 1, &one, -3, 3), *y = attn_sub(c, a, b), *z = attn_sub(c, s, b);
        ptrdiff_t i = 0, k = 0;
        for (; i < n && at(y, &i, 1) == (float)(at(a, &i, 1) - at(b, &i, 1)); i++) { }
        CHECK(i == n);
        for (i = 0; i < n && at(z, &i, 1) == (float)(at(s, &k, 1) - at(b, &i, 1)); i++) { }
        CHECK(i == n);
        close_clean(c);
    }
}
TEST(operator, one_tensor_element_by_element) {
    for (int round = 0; round < ROUNDS * 4; round++) for (int type = ATTN_F32; type <= ATTN_F64; type++) {
        attn_ctx *c = open_any(round);
        ptrdiff_t s[ATTN_MAX_RANK] = { 0 }, index[ATTN_MAX_RANK];
        int rank = random_shape(s, round), k = round % COUNT(singles), right = 1;
        attn_tensor *x = random_view(c, type, rank, s, singles[k].low, 5), *y = singles[k].f(c, x);
        CHECK(same_shape(y, rank, s) && y->type == type);
        for (EACH_INDEX(index, y)) {
            double v = at(x, index, rank), want = singles[k].want(v), got = at(y, index, rank);
            double size = fabs(want) + (singles[k].op == ATTN_OP_GELU ? fabs(v) : 0);
            if (!(fabs(got - want) <= (type == ATTN_F32 ? 1e-6 : 1e-13) * size)) right = 0;
        }
        if (!right) printf("    %s rank %d type %d round %d\n", attn_op(singles[k].op)->name, rank, type, round);
        CHECK(right);
        seen[singles[k].op] = 1;
        close_clean(c);
    }
}

// ---- along one axis: sum, mean, max, argmax, softmax

TEST(operator, along_an_axis) {
    for (int round = 0; round < ROUNDS * 3; round++) for (int type = ATTN_F32; type <= ATTN_F64; type++) {
        attn_ctx *c = open_any(round);
        ptrdiff_t s[ATTN_MAX_RANK] = { 1 }, one[ATTN_MAX_RANK], index[ATTN_MAX_RANK], walk[ATTN_MAX_RANK];
        int rank = random_shape(s, round), axis;
        attn_tensor *x, *sum, *mean, *max, *arg = NULL, *arg2, *soft, *log;
        const double tol = loose[type];
        if (rank == 0) { rank = 1; s[0] = 3; }
        axis = test_below(rank);
        if (s[axis] == 0) s[axis] = 2;
        memcpy(one, s, sizeof one); one[axis] = 1;
        x = random_view(c, type, rank, s, -4, 4);
        sum = attn_sum(c, x, axis); mean = attn_mean(c, x, axis - rank); max = attn_max(c, x, axis, &arg);
        arg2 = attn_argmax(c, x, axis - rank); soft = attn_softmax(c, x, test_below(2) ? axis : axis - rank);
        log = attn_log_softmax(c, x, test_below(2) ? axis : axis - rank);
        CHECK(same_shape(log, rank, s));
        CHECK(same_shape(sum, rank, one) && same_shape(mean, rank, one) && same_shape(max, rank, one));
        CHECK(arg && same_shape(arg, rank, one) && same_shape(arg2, rank, one) && same_shape(soft, rank, s));
        CHECK(arg && arg->type == ATTN_I32 && arg2->type == ATTN_I32);
        for (EACH_INDEX(index, sum)) {
            double total = 0, sizes = 0, top = -1e300, weights = 0;
            ptrdiff_t where = -1;
            memcpy(walk, index, sizeof walk);
            for (ptrdiff_t i = 0; i < s[axis]; i++) {
                double v;
                walk[axis] = i; v = at(x, walk, rank);
                total += v; sizes += fabs(v); weights += exp_of(v);
                if (v > top) { top = v; where = i; }
            }
            sizes *= unit[type] * (double)(s[axis] + 2);
            NEAR(at(sum, index, rank), total, sizes);
            NEAR(at(mean, index, rank), total / (double)s[axis], sizes / (double)s[axis]);
            NEAR(at(max, index, rank), top, 0);
            NEAR(at(arg, index, rank), where, 0);
            NEAR(at(arg2, index, rank), where, 0);
            for (ptrdiff_t i = 0; i < s[axis]; i++) {
                walk[axis] = i;
                NEAR(at(soft, walk, rank), exp_of(at(x, walk, rank)) / weights, tol);
                NEAR(at(log, walk, rank), at(x, walk, rank) - log_of(weights), tol);
            }
        }
        close_clean(c);
    }
    seen[ATTN_OP_SUM] = seen[ATTN_OP_MEAN] = seen[ATTN_OP_MAX] = seen[ATTN_OP_ARGMAX] = seen[ATTN_OP_SOFTMAX] = 1;
    seen[ATTN_OP_LOG_SOFTMAX] = 1;
}
TEST(operator, norms_of_rows) {
    for (int round = 0; round < ROUNDS * 2; round++) for (int type = ATTN_F32; type <= ATTN_F64; type++) {
        attn_ctx *c = open_any(round);
        ptrdiff_t s[ATTN_MAX_RANK] = { 0 }, index[ATTN_MAX_RANK], walk[ATTN_MAX_RANK];
        int rank = random_shape(s, round), layer = round % 2;
        const double eps = test_below(2) ? 0.5 : 0, least = eps > 0 ? eps : layer ? 1e-5 : 1e-6;
        attn_tensor *x, *w, *b, *y;
        if (rank == 0) { rank = 1; s[0] = 3; }
        x = random_view(c, type, rank, s, -4, 4);
        w = test_below(2) ? random_view(c, type, 1, s + rank - 1, -2, 2) : NULL;
        b = test_below(2) && layer ? random_view(c, type, 1, s + rank - 1, -2, 2) : NULL;
        y = layer ? attn_layer_norm(c, x, w, b, eps) : attn_rms_norm(c, x, w, eps);
        CHECK(same_shape(y, rank, s) && y->type == type);
        for (EACH_INDEX(index, y)) {
            const ptrdiff_t n = s[rank - 1], i = index[rank - 1];
            long double sum = 0;
            double mean, square = 0, want;
            memcpy(walk, index, sizeof walk);
            for (ptrdiff_t j = 0; j < n && layer; j++) { walk[rank - 1] = j; sum += (long double)at(x, walk, rank); }
            mean = (double)(sum / (n ? n : 1));
            for (ptrdiff_t j = 0; j < n; j++) {
                walk[rank - 1] = j;
                square += square_of(at(x, walk, rank) - mean) / (double)n;
            }
            want = (at(x, index, rank) - mean) / sqrt_of(square + least) * (w ? at(w, &i, 1) : 1);
            want += b ? at(b, &i, 1) : 0;
            NEAR(at(y, index, rank), want, loose[type] * (1 + fabs(want)));
        }
        close_clean(c);
    }
    seen[ATTN_OP_LAYER_NORM] = seen[ATTN_OP_RMS_NORM] = 1;
}
TEST(operator, norms_refuse_what_does_not_fit) {
    const ptrdiff_t s[] = { 2, 3 };
    for (int i = 0; i < 5; i++) {
        attn_ctx *c = open_with(0, 0, 0);
        attn_tensor *x = attn_full(c, ATTN_F32, i == 3 ? 0 : 2, s, 1);
        attn_tensor *w = i == 2 ? x : attn_full(c, i == 4 ? ATTN_F64 : ATTN_F32, 1, s + (i > 0), 1);
        attn_tensor *y = i < 2 ? attn_rms_norm(c, x, w, i ? -1 : 0) : attn_layer_norm(c, x, i == 3 ? NULL : w, NULL, 0);
        CHECK((y->flags & ATTN_TENSOR_EMPTY) && strstr(attn_message(c), "_norm"));
        CHECK(attn_error(c) == (i == 1 ? ATTN_ERR_RANGE : i == 4 ? ATTN_ERR_DTYPE : ATTN_ERR_SHAPE));
        attn_clear(c);
        close_clean(c);
    }
}
TEST(operator, sums_and_means_of_all_and_of_nothing) {
    for (int round = 0; round < ROUNDS; round++) for (int type = ATTN_F32; type <= ATTN_F64; type++) {
        attn_ctx *c = open_any(round);
        ptrdiff_t s[ATTN_MAX_RANK] = { 0 }, index[ATTN_MAX_RANK], n;
        int rank = random_shape(s, round);
        attn_tensor *x = random_view(c, type, rank, s, -4, 4), *sum = attn_sum_all(c, x);
        double total = 0, sizes = 0;
        for (EACH_INDEX(index, x)) { total += at(x, index, rank); sizes += fabs(at(x, index, rank)); }
        n = attn_count(x);
        CHECK(sum->rank == 0 && n == extent_product(rank, s));
        sizes *= unit[type] * (double)(n + 2);
        NEAR(attn_item(c, sum), total, sizes);
        if (n) NEAR(attn_item(c, attn_mean_all(c, x)), total / (double)n, sizes / (double)n);
        close_clean(c);
    }
}
TEST(operator, max_takes_the_first_of_equals_and_nan_wins) {
    static const float v[] = { 1, 3, 3, 2, -1, -1, -1, -1, 5, (float)NAN, 9, 0 };
    const ptrdiff_t s[] = { 3, 4 };
    for (int across = 0; across < 2; across++) {
        attn_ctx *c = open_with(0, 0, 0);
        attn_tensor *x = attn_from(c, ATTN_F32, 2, s, v), *arg = NULL, *y;
        if (across) x = attn_contiguous(c, attn_transpose(c, x, 0, 1));
        y = attn_max(c, x, 1 - across, &arg);
        for (ptrdiff_t i = 0; i < 3; i++) {
            const ptrdiff_t index[2] = { across ? 0 : i, across ? i : 0 };
            NEAR(at(y, index, 2), i == 0 ? 3 : i == 1 ? -1 : NAN, 0);
            NEAR(at(arg, index, 2), i != 1, 0);
        }
        close_clean(c);
    }
}

// ---- matrix product, masked softmax, losses, attention

TEST(operator, matmul_broadcasts_batches) {
    for (int round = 0; round < ROUNDS * 3 / 2; round++) for (int type = ATTN_F32; type <= ATTN_F64; type++) {
        attn_ctx *c = open_any(round);
        ptrdiff_t sa[ATTN_MAX_RANK], sb[ATTN_MAX_RANK], s[ATTN_MAX_RANK], index[ATTN_MAX_RANK], walk[ATTN_MAX_RANK];
        int rank = 2 + test_below(5), size = round % 5 ? 6 : 70, drop = test_below(rank - 1);
        ptrdiff_t m = test_below(size), n = test_below(size), k = test_below(size);
        attn_tensor *a, *b, *y;
        for (int i = 0; i < rank - 2; i++) {
            int one = i < drop ? 0 : test_below(4);
            s[i] = 1 + test_below(size == 6 ? 3 : 2);
            sa[i] = one == 1 ? 1 : s[i]; sb[i] = one == 2 ? 1 : s[i];
        }
        sa[rank - 2] = s[rank - 2] = m; sa[rank - 1] = sb[rank - 2] = k; sb[rank - 1] = s[rank - 1] = n;
        a = random_view(c, type, rank, sa, -1, 1);
        b = random_view(c, type, rank - drop, sb + drop, -1, 1);
        y = attn_matmul(c, a, b);
        CHECK(same_shape(y, rank, s) && y->type == type);
        for (EACH_INDEX(index, y)) {
            double sum = 0;
            for (ptrdiff_t p = 0; p < k; p++) {
                double v;
                memcpy(walk, index, sizeof walk); walk[rank - 1] = p; v = at(a, walk, rank);
                memcpy(walk, index, sizeof walk); walk[rank - 2] = p;
                sum += v * at(b, walk, rank);
            }
            NEAR(at(y, index, rank), sum, loose[type]);
        }
        close_clean(c);
    }
    seen[ATTN_OP_MATMUL] = 1;
}
TEST(operator, masked_softmax_by_batch_and_by_row) {
    for (int round = 0; round < ROUNDS; round++) for (int type = ATTN_F32; type <= ATTN_F64; type++) {
        attn_ctx *c = open_any(round);
        ptrdiff_t s[3] = { 1 + test_below(4), 1 + test_below(5), 1 + test_below(40) }, index[ATTN_MAX_RANK];
        int by_row = test_below(2), two = test_below(2);
        int32_t lengths[20];
        attn_tensor *x, *y;
        if (two) { s[1] = s[2]; by_row = 0; }
        for (int i = 0; i < 20; i++) lengths[i] = (int32_t)test_below((int)s[2] + 1);
        x = random_view(c, type, two ? 2 : 3, s, -4, 4);
        y = attn_masked_softmax(c, x, attn_from(c, ATTN_I32, 1 + by_row, s, lengths));
        CHECK(same_shape(y, x->rank, s));
        for (EACH_INDEX(index, y)) {
            int32_t length = lengths[by_row ? index[0] * s[1] + index[1] : index[0]];
            ptrdiff_t j = index[x->rank - 1];
            double sum = 0, v = at(x, index, x->rank);
            for (index[x->rank - 1] = 0; index[x->rank - 1] < length; index[x->rank - 1]++)
                sum += exp_of(at(x, index, x->rank));
            index[x->rank - 1] = j;
            NEAR(at(y, index, x->rank), j < length ? exp_of(v) / sum : 0, j < length ? loose[type] : 0);
        }
        close_clean(c);
    }
}
TEST(operator, losses) {
    for (int round = 0; round < ROUNDS / 2; round++) for (int type = ATTN_F32; type <= ATTN_F64; type++) {
        attn_ctx *c = open_any(round);
        ptrdiff_t s[2] = { 1 + test_below(20), 1 + test_below(60) };
        int32_t target[40];
        ptrdiff_t step = 1 + test_below(2);                 // targets one after the other, or every second
        attn_tensor *t, *x = random_view(c, type, 2, s, -20, 20), *y = random_view(c, type, 2, s, -20, 20);
        double entropy = 0, mse = 0;
        for (ptrdiff_t i = 0; i < s[0]; i++) {
            ptrdiff_t index[2] = { i, 0 };
            long double sum = 0;
            target[i * step] = (int32_t)test_below((int)s[1]);
            for (; index[1] < s[1]; index[1]++) {
                double d = at(x, index, 2) - at(y, index, 2);
                sum += tool_exp(at(x, index, 2)); mse += d * d / (double)(s[0] * s[1]);
            }
            index[1] = target[i * step];
            entropy += ((double)tool_log(sum) - at(x, index, 2)) / (double)s[0];
        }
        NEAR(attn_item(c, attn_mse(c, x, y)), mse, loose[type] * (1 + mse));
        t = attn_wrap(c, ATTN_I32, 1, s, &step, target);
        NEAR(attn_item(c, attn_cross_entropy(c, x, t)), entropy,
             loose[type] * (1 + entropy));
        target[0] = (int32_t)s[1];
        CHECK((attn_cross_entropy(c, x, t)->flags & ATTN_TENSOR_EMPTY));
        CHECK(attn_error(c) == ATTN_ERR_RANGE);
        attn_clear(c);
        close_clean(c);
    }
    seen[ATTN_OP_CROSS_ENTROPY] = seen[ATTN_OP_MSE] = 1;
}
TEST(operator, sdpa_is_softmax_of_products) {
    for (int round = 0; round < ROUNDS / 5; round++) for (int type = ATTN_F32; type <= ATTN_F64; type++) {
        attn_ctx *c = open_any(round);
        ptrdiff_t h = 2 + 2 * test_below(2), n = 1 + test_below(20), m = 1 + test_below(40), d = 1 + test_below(20);
        const ptrdiff_t sq[] = { 2, h, n, d }, sk[] = { 2, h / 2, m, d };
        const ptrdiff_t sv[] = { 2, h / 2, m, d + 1 }, so[] = { 2, h, n, d + 1 };
        attn_tensor *q = random_view(c, type, 4, sq, -2, 2), *k = random_view(c, type, 4, sk, -2, 2);
        attn_tensor *v = random_view(c, type, 4, sv, -2, 2), *o = attn_sdpa(c, q, k, v, NULL);
        ptrdiff_t i[ATTN_MAX_RANK];
        double root = 1;
        for (int r = 0; r < 60; r++) root = 0.5 * (root + (double)d / root);
        attn_desc other = ATTN_ZERO;                             // arrays of its own: not read
        other.q = other.o = &other; other.heads = 99; other.keys = -1; other.q_type = 77;
        other.q_stride[0] = other.k_stride[1] = other.v_stride[2] = other.o_stride[0] = 100000000;
        CHECK(same_shape(o, 4, so));
        {
            const attn_tensor *again = attn_sdpa(c, q, k, v, &other);
            CHECK(same_shape(again, 4, so));
            for (EACH_INDEX(i, o)) CHECK(attn_error(c) == ATTN_OK && at(again, i, 4) == at(o, i, 4));
        }
        {
            const int32_t starts[3] = { 0, (int32_t)n, (int32_t)(2 * n) };
            attn_desc packed = ATTN_ZERO;
            packed.cu_q = packed.cu_k = starts;
            CHECK(attn_sdpa(c, q, k, v, &packed)->flags & ATTN_TENSOR_EMPTY);
            CHECK(attn_error(c) == ATTN_ERR_UNSUPPORTED);
            attn_clear(c);
        }
        for (EACH_INDEX(i, o)) {
            double sum = 0, value = 0;
            for (ptrdiff_t j = 0; j < m; j++) {
                ptrdiff_t kj[4] = { i[0], i[1] / 2, j, 0 }, qi[4] = { i[0], i[1], i[2], 0 };
                double score = 0, w;
                for (ptrdiff_t p = 0; p < d; p++) { kj[3] = qi[3] = p; score += at(q, qi, 4) * at(k, kj, 4); }
                w = exp_of(score / root);
                kj[3] = i[3];
                sum += w; value += w * at(v, kj, 4);
            }
            NEAR(at(o, i, 4), value / sum, loose[type]);
        }
        close_clean(c);
    }
    seen[ATTN_OP_SDPA] = 1;
}

// ---- printing: what NumPy 2 prints with np.set_printoptions(precision=4)

#define NOT_A_NUMBER 7e77                                   // tcc has no constant NAN
#define ENDLESS 8e77
static const struct { int type, rank; ptrdiff_t shape[4]; double v[9]; const char *text; } prints[] = {
    { ATTN_F32, 2, { 2, 2 }, { 1, 2, 3, 4 }, "[[1. 2.]\n [3. 4.]]" },
    { ATTN_F32, 0, { 0 }, { 1.5 }, "1.5" },
    { ATTN_I32, 0, { 0 }, { 3 }, "3" },
    { ATTN_F32, 1, { 3 }, { 0.1234567, -2.5, 100 }, "[  0.1235  -2.5    100.    ]" },
    { ATTN_F32, 1, { 2 }, { 1e10, 1 }, "[1.e+10 1.e+00]" },
    { ATTN_F64, 1, { 2 }, { 1e-5, 1 }, "[1.e-05 1.e+00]" },
    { ATTN_F32, 1, { 4 }, { NOT_A_NUMBER, ENDLESS, -ENDLESS, 1.25 }, "[ nan  inf -inf 1.25]" },
    { ATTN_I32, 1, { 3 }, { 1, -20, 300 }, "[  1 -20 300]" },
    { ATTN_BOOL, 1, { 2 }, { 1, 0 }, "[ True False]" },
    { ATTN_U8, 1, { 3 }, { 1, 2, 3 }, "[1 2 3]" },
    { ATTN_F32, 3, { 2, 2, 2 }, { 0, 1, 2, 3, 4, 5, 6, 7 }, "[[[0. 1.]\n  [2. 3.]]\n\n [[4. 5.]\n  [6. 7.]]]" },
    { ATTN_F32, 1, { 0 }, { 0 }, "[]" },
    { ATTN_F32, 2, { 2, 0 }, { 0 }, "[]" },
    { ATTN_F64, 2, { 2, 1 }, { 0.5, -0.25 }, "[[ 0.5 ]\n [-0.25]]" },
    { ATTN_F64, 1, { 2 }, { 0.00011, 0.5 }, "[1.1e-04 5.0e-01]" },
    { ATTN_F64, 1, { 2 }, { 0, 0 }, "[0. 0.]" },
    { ATTN_F64, 1, { 2 }, { -0.0, 1 }, "[-0.  1.]" },
    { ATTN_F32, 1, { 2 }, { 1.0 / 3, 2.0 / 3 }, "[0.3333 0.6667]" },
    { ATTN_F32, 1, { 2 }, { 0.1, 0.2 }, "[0.1 0.2]" },
    { ATTN_F64, 1, { 2 }, { 123456, 0.001 }, "[1.2346e+05 1.0000e-03]" },
    { ATTN_F64, 1, { 2 }, { 1e-300, 1e300 }, "[1.e-300 1.e+300]" },
    { ATTN_F32, 1, { 2 }, { 0.99999, 1 }, "[1. 1.]" },
    { ATTN_F32, 1, { 2 }, { 1e38, 1 }, "[1.e+38 1.e+00]" },
    { ATTN_F64, 4, { 1, 2, 3, 1 }, { -3, -2, -1, 0, 1, 2 },
      "[[[[-3.]\n   [-2.]\n   [-1.]]\n\n  [[ 0.]\n   [ 1.]\n   [ 2.]]]]" },
    { ATTN_F64, 1, { 2 }, { 1e+100, 1.0 }, "[1.e+100 1.e+000]" },   // the longest exponent
    { ATTN_F32, 0, { 0 }, { 0.3333333333333333 }, "0.33333334" },
    { ATTN_F64, 0, { 0 }, { 0.3333333333333333 }, "0.3333333333333333" },
    { ATTN_F32, 0, { 0 }, { 1e+20 }, "1e+20" },
    { ATTN_F64, 0, { 0 }, { -123456789.123456 }, "-123456789.123456" },
    { ATTN_F32, 0, { 0 }, { 2.0 }, "2.0" },
    { ATTN_F64, 0, { 0 }, { 1e-05 }, "1e-05" },
    { ATTN_F64, 0, { 0 }, { 5e-324 }, "5e-324" },
    { ATTN_F64, 0, { 0 }, { 9007199254740992.0 }, "9007199254740992.0" },
    { ATTN_F64, 0, { 0 }, { 1.7976931348623157e+308 }, "1.7976931348623157e+308" },
    { ATTN_F64, 0, { 0 }, { 0.30000000000000004 }, "0.30000000000000004" },
    { ATTN_F32, 0, { 0 }, { 0.0 }, "0.0" },
    { ATTN_F32, 0, { 0 }, { 0.0001 }, "1e-04" },
    { ATTN_F32, 1, { 1 }, { 1e-40 }, "[1.e-40]" },   // digits of the type
    { ATTN_F32, 1, { 2 }, { 123456.78, 200.5 }, "[123456.78    200.5 ]" },
    { ATTN_F16, 1, { 3 }, { 0.1, 1.0, 3.14 }, "[0.1  1.   3.14]" },
    { ATTN_F16, 0, { 0 }, { 0.1 }, "0.1" },
    { ATTN_F16, 1, { 3 }, { 1.0, 65504.0, 6e-08 }, "[1.00e+00 6.55e+04 5.96e-08]" },
    { ATTN_F32, 1, { 2 }, { 0.03125, 0.09375 }, "[0.0312 0.0938]" },   // halves to even
    { ATTN_F32, 1, { 2 }, { 1234567.0, 7654321.0 }, "[1.2346e+06 7.6543e+06]" },   // where exponents begin
    { ATTN_F32, 1, { 2 }, { 0.0001, 0.001 }, "[0.0001 0.001 ]" },
    { ATTN_F16, 1, { 2 }, { 1000.0, 999.0 }, "[1.00e+03 9.99e+02]" },
    { ATTN_F64, 1, { 2 }, { 99999999.0, 100000.0 }, "[99999999.   100000.]" },
};
typedef struct paper { char text[4000]; size_t n; int stop; } paper;
static int write_paper(void *user, const char *text, size_t bytes) {
    paper *p = (paper *)user;
    if (p->stop-- == 0) return 1;
    if (p->n + bytes < sizeof p->text) memcpy(p->text + p->n, text, bytes);
    p->n += bytes;
    return 0;
}
static void printed(const attn_tensor *t, const char *want) {
    static paper p;
    int right;
    memset(&p, 0, sizeof p);
    p.stop = -1;
    CHECK(attn_format(t, write_paper, &p) == ATTN_OK);
    right = p.n == strlen(want) + 1 && !strncmp(p.text, want, p.n - 1) && p.text[p.n - 1] == '\n';
    CHECK(right);
    if (!right) printf("    printed\n%s\n    want\n%s\n", p.text, want);
}
static uint16_t half_near(double x) {
    unsigned char cut[2], next[2];
    type_two(cut, type_half(x)); type_two(next, type_half(x) + 1);
    return (uint16_t)type_bits(fabs(type_of_half(cut) - x) <= fabs(type_of_half(next) - x) ? cut : next);
}
TEST(format, prints_as_numpy) {
    attn_ctx *c = open_with(0, 0, 0);
    for (int i = 0; i < COUNT(prints); i++) {
        double f64[9]; float f32[9]; int32_t i32[9]; uint16_t f16[9]; uint8_t u8[9];
        const int type = prints[i].type;
        for (int j = 0; j < 9; j++) {
            const double v = prints[i].v[j];
            f64[j] = v == NOT_A_NUMBER ? NAN : v == ENDLESS ? INFINITY : v == -ENDLESS ? -INFINITY : v;
            f32[j] = (float)f64[j];
            f16[j] = half_near(f32[j]);
            if (type == ATTN_I32) i32[j] = (int32_t)f64[j];
            if (type == ATTN_U8 || type == ATTN_BOOL) u8[j] = (uint8_t)f64[j];
        }
        printed(attn_from(c, type, prints[i].rank, prints[i].shape, type == ATTN_F64 ? (void *)f64 : type == ATTN_F32 ?
                          (void *)f32 : type == ATTN_F16 ? (void *)f16 : type == ATTN_I32 ? (void *)i32 : (void *)u8),
                prints[i].text);
    }
    const ptrdiff_t s[] = { 2, 2 }, wide[] = { 40, 30 }, halves[] = { 2, 20 }, deep[] = { 1, 1, 24 };
    const ptrdiff_t sheets[] = { 40, 1, 30 };
    attn_tensor *quarters;
    printed(attn_arange(c, ATTN_F32, 30), "[ 0.  1.  2.  3.  4.  5.  6.  7.  8.  9. 10. 11. 12. 13. 14. 15. 16. 17.\n"
                                          " 18. 19. 20. 21. 22. 23. 24. 25. 26. 27. 28. 29.]");
    quarters = attn_slice(c, attn_scale(c, attn_arange(c, ATTN_F32, 41), 0.25), 0, 1, 40);
    printed(quarters,                                       // no blank at the end of a line
            "[ 0.25  0.5   0.75  1.    1.25  1.5   1.75  2.    2.25  2.5   2.75  3.\n"
            "  3.25  3.5   3.75  4.    4.25  4.5   4.75  5.    5.25  5.5   5.75  6.\n"
            "  6.25  6.5   6.75  7.    7.25  7.5   7.75  8.    8.25  8.5   8.75  9.\n"
            "  9.25  9.5   9.75 10.  ]");
    printed(attn_reshape(c, quarters, 2, halves),
            "[[ 0.25  0.5   0.75  1.    1.25  1.5   1.75  2.    2.25  2.5   2.75  3.\n"
            "   3.25  3.5   3.75  4.    4.25  4.5   4.75  5.  ]\n"
            " [ 5.25  5.5   5.75  6.    6.25  6.5   6.75  7.    7.25  7.5   7.75  8.\n"
            "   8.25  8.5   8.75  9.    9.25  9.5   9.75 10.  ]]");
    printed(attn_broadcast(c, attn_arange(c, ATTN_F32, 24), 3, deep),       // a line leaves room for its brackets
            "[[[ 0.  1.  2.  3.  4.  5.  6.  7.  8.  9. 10. 11. 12. 13. 14. 15. 16.\n"
            "   17. 18. 19. 20. 21. 22. 23.]]]");
    printed(attn_broadcast(c, attn_arange(c, ATTN_I32, 30), 3, sheets),     // an empty line around the dots
            "[[[ 0  1  2 ... 27 28 29]]\n"
            "\n"
            " [[ 0  1  2 ... 27 28 29]]\n"
            "\n"
            " [[ 0  1  2 ... 27 28 29]]\n"
            "\n"
            " ...\n"
            "\n"
            " [[ 0  1  2 ... 27 28 29]]\n"
            "\n"
            " [[ 0  1  2 ... 27 28 29]]\n"
            "\n"
            " [[ 0  1  2 ... 27 28 29]]]");
    printed(attn_arange(c, ATTN_F32, 1001), "[   0.    1.    2. ...  998.  999. 1000.]");
    printed(attn_transpose(c, attn_reshape(c, attn_arange(c, ATTN_F32, 4), 2, s), 0, 1), "[[0. 2.]\n [1. 3.]]");
    printed(attn_broadcast(c, attn_arange(c, ATTN_I32, 30), 2, wide),
            "[[ 0  1  2 ... 27 28 29]\n [ 0  1  2 ... 27 28 29]\n [ 0  1  2 ... 27 28 29]\n ...\n"
            " [ 0  1  2 ... 27 28 29]\n [ 0  1  2 ... 27 28 29]\n [ 0  1  2 ... 27 28 29]]");
    for (int stop = 0; stop < 3; stop++) {                  // a writer that stops
        static paper p;
        p.n = 0; p.stop = stop;
        attn_status st = attn_format(attn_arange(c, ATTN_F32, 500), write_paper, &p);
        CHECK(st == ATTN_ERR_IO || (st == ATTN_OK && p.stop >= 0));
    }
    CHECK(attn_format(NULL, write_paper, NULL) == ATTN_ERR_NULL);
    close_clean(c);
}
TEST(catalogue, every_operator_was_compared) {              // views: test_tensor
    seen[ATTN_OP_RESHAPE] = seen[ATTN_OP_TRANSPOSE] = seen[ATTN_OP_SLICE] = seen[ATTN_OP_BROADCAST] = 1;
    for (int op = 0; attn_op(op); op++) {
        if (!seen[op]) printf("    %s has no case\n", attn_op(op)->name);
        CHECK(op < ATTN_OP_COUNT && seen[op]);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(operator, two_tensors_broadcast_as_in_numpy);
    RUN(operator, long_tensors_meet_element_by_element);
    RUN(operator, one_tensor_element_by_element);
    RUN(operator, along_an_axis);
    RUN(operator, norms_of_rows);
    RUN(operator, norms_refuse_what_does_not_fit);
    RUN(operator, sums_and_means_of_all_and_of_nothing);
    RUN(operator, max_takes_the_first_of_equals_and_nan_wins);
    RUN(operator, matmul_broadcasts_batches);
    RUN(operator, masked_softmax_by_batch_and_by_row);
    RUN(operator, losses);
    RUN(operator, sdpa_is_softmax_of_products);
    RUN(format, prints_as_numpy);
    if (!test_filter[0]) RUN(catalogue, every_operator_was_compared);
    types_keep();
    return test_end();
}
