// test_matmul - attn_matmul on every instruction set against sums in long double: shapes, transposes, strides, batches.
//     cc -O2 -I. tests/test_matmul.c -o test_matmul && ./test_matmul [--seed N]
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include "types.h"

enum { ROOM = 1 << 21 };
// A matrix as it is stored, `batch` times; v holds the exact values.
typedef struct stored { ptrdiff_t rows, cols, row, col, batch, step, count; int plain; double *v; } stored;
enum { PLAIN, PADDED, COLUMNS_BY_2, COLUMN_MAJOR, ROWS_REPEATED, LAYOUTS };
static double room_a[ROOM], room_b[ROOM], room_c[ROOM], want[ROOM], bound[ROOM];
static fence fence_a, fence_b, fence_c;

static stored lay(double *v, ptrdiff_t rows, ptrdiff_t cols, int layout, ptrdiff_t batch, int shared) {
    stored s;
    ptrdiff_t pad = test_below(4);
    s.rows = rows; s.cols = cols; s.batch = batch; s.v = v; s.plain = layout == PLAIN;
    s.row = layout == PLAIN ? cols : layout == PADDED ? cols + pad : layout == COLUMNS_BY_2 ? 2 * cols + pad :
            layout == COLUMN_MAJOR ? 1 : 0;
    s.col = layout == COLUMNS_BY_2 ? 2 : layout == COLUMN_MAJOR ? rows + pad : 1;
    s.count = rows && cols ? (rows - 1) * s.row + (cols - 1) * s.col + 1 : 0;
    s.step = shared ? 0 : s.plain ? s.count : s.count + pad + (s.count == 0);
    s.count += (batch - 1) * s.step;
    if (s.count > ROOM) { puts("ROOM is too small"); exit(2); }
    for (ptrdiff_t i = 0; i < s.count; i++) v[i] = (double)test_float(1);
    return s;
}
// The values as an array of the type, at the end of a fence.
static void *typed(fence *f, const double *v, ptrdiff_t n, int f64) {
    void *p = fence_array(f, (size_t)n * (f64 ? 8 : 4));
    for (ptrdiff_t i = 0; i < n; i++) if (f64) ((double *)p)[i] = v[i]; else ((float *)p)[i] = (float)v[i];
    return p;
}
static double value(const void *p, ptrdiff_t i, int f64) {
    return f64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static attn_status matmul(const attn_matmul_desc *d, int f64) { return f64 ? attn_matmul_f64(d) : attn_matmul_f32(d); }

// want and bound for every element of c's array: what lies between the elements keeps its bits (bound -1).
static void reference(const attn_matmul_desc *d, const stored *a, const stored *b, const stored *c, double eps) {
    const double alpha = d->alpha == 0 ? 1 : d->alpha;
    const ptrdiff_t ai = d->trans_a ? a->col : a->row, ap = d->trans_a ? a->row : a->col;
    const ptrdiff_t bp = d->trans_b ? b->col : b->row, bj = d->trans_b ? b->row : b->col;
    for (ptrdiff_t i = 0; i < c->count; i++) { want[i] = c->v[i]; bound[i] = -1; }
    for (ptrdiff_t t = 0; t < c->batch; t++) for (ptrdiff_t i = 0; i < d->m; i++) for (ptrdiff_t j = 0; j < d->n; j++) {
        const double *x = a->v + t * a->step + i * ai, *y = b->v + t * b->step + j * bj;
        const ptrdiff_t at = t * c->step + i * c->row + j * c->col;
        long double sum = 0;
        double magnitude = 0, rest = d->beta == 0 ? 0 : d->beta * c->v[at];
        for (ptrdiff_t p = 0; p < d->k; p++) {
            double product = x[p * ap] * y[p * bp];
            sum += product; magnitude += fabs(product);
        }
        want[at] = (double)(alpha * sum) + rest;
        bound[at] = eps * (double)(d->k + 4) * (fabs(alpha) * magnitude + fabs(rest));  // beta c may come first
    }
}
static int agrees(const void *c, ptrdiff_t n, int f64) {
    for (ptrdiff_t i = 0; i < n; i++) {
        double got = value(c, i, f64);
        if (bound[i] < 0 ? got != want[i] : !(fabs(got - want[i]) <= bound[i])) {
            printf("    element %ld of c: %.9g, want %.9g +- %.3g\n", (long)i, got, want[i], bound[i]);
            return 0;
        }
    }
    return 1;
}
static void print_case(const attn_matmul_desc *d, int f64, int isa, const int *layout) {
    printf("    %s %s: m %ld n %ld k %ld batch %ld (%ld, %ld) trans %d %d layouts %d %d %d alpha %g beta %g\n",
           attn_isa_name(isa), f64 ? "f64" : "f32", (long)d->m, (long)d->n, (long)d->k, (long)d->batch,
           (long)d->a_batch, (long)d->b_batch, (int)d->trans_a, (int)d->trans_b, layout[0],
           layout[1], layout[2], d->alpha, d->beta);
}
// One product in both types on every instruction set. shared: 1 = one a for all, 2 = one b for all.
static void product(attn_matmul_desc *d, const int *layout, int shared) {
    const ptrdiff_t batch = d->batch ? d->batch : 1;
    stored a = lay(room_a, d->trans_a ? d->k : d->m, d->trans_a ? d->m : d->k, layout[0], batch, shared & 1);
    stored b = lay(room_b, d->trans_b ? d->n : d->k, d->trans_b ? d->k : d->n, layout[1], batch, shared >> 1);
    stored c = lay(room_c, d->m, d->n, layout[2], batch, 0);
    if (!a.plain) { d->a_row = a.row; d->a_col = a.col; }
    if (!b.plain) { d->b_row = b.row; d->b_col = b.col; }
    if (!c.plain) { d->c_row = c.row; d->c_col = c.col; d->c_batch = c.step; }
    d->a_batch = a.step; d->b_batch = b.step;
    for (int f64 = 0; f64 < 2; f64++) {
        reference(d, &a, &b, &c, f64 ? 2.3e-16 : 1.2e-7);
        d->a = typed(&fence_a, a.v, a.count, f64);
        d->b = typed(&fence_b, b.v, b.count, f64);
        EACH_ISA(isa) {
            int right;
            d->c = typed(&fence_c, c.v, c.count, f64);
            d->isa = isa;
            right = matmul(d, f64) == ATTN_OK && agrees(d->c, c.count, f64) && fence_holds(&fence_c, d->c);
            CHECK(right);
            if (!right) print_case(d, f64, isa, layout);
        }
    }
}

TEST(matmul, sweep_of_shapes_strides_batches_and_scales) {
    static const int size[] = { 0, 1, 2, 3, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 100,
                                129, 200, 257, 520 };
    static const double scale[] = { 0, 0, 0, 1, -1, 0.5, 2, 3.25 };
    for (int round = 0; round < 600; ) {
        attn_matmul_desc d = ATTN_ZERO;
        int layout[3] = { test_below(LAYOUTS), test_below(LAYOUTS), test_below(LAYOUTS - 1) };
        d.m = size[test_below(COUNT(size))]; d.n = size[test_below(COUNT(size))]; d.k = size[test_below(COUNT(size))];
        d.batch = test_below(3) ? 0 : test_below(5);
        if ((d.batch + 1) * d.m * d.n * d.k > 1200000) continue;
        d.trans_a = test_below(2); d.trans_b = test_below(2);
        d.alpha = scale[test_below(COUNT(scale))]; d.beta = scale[test_below(COUNT(scale))];
        product(&d, layout, test_below(4));
        round++;
    }
}

TEST(matmul, long_and_thin_and_large) {
    static const int shape[][3] = { { 520, 257, 129 }, { 129, 200, 520 }, { 1, 520, 520 }, { 520, 1, 520 },
                                    { 520, 520, 1 }, { 1, 1, 40000 }, { 3, 5000, 5 }, { 5000, 3, 5 },
                                    { 5, 6, 9000 }, { 1, 9000, 3 }, { 9000, 1, 3 }, { 1, 4097, 70 },
                                    { 257, 257, 200 }, { 40, 1030, 300 }, { 65, 1024, 7 }, { 20, 2048, 3 } };
    for (int i = 0; i < COUNT(shape); i++) for (int trans = 0; trans < 4; trans++) {
        attn_matmul_desc d = ATTN_ZERO;
        int layout[3] = { trans & 1 ? PADDED : PLAIN, trans & 2 ? PADDED : PLAIN, PLAIN };
        if (trans && (ptrdiff_t)shape[i][0] * shape[i][1] * shape[i][2] > 8000000) continue;
        d.m = shape[i][0]; d.n = shape[i][1]; d.k = shape[i][2];
        d.trans_a = trans & 1; d.trans_b = trans >> 1;
        product(&d, layout, 0);
    }
}

// ---- special values; m n k = 21 35 19, plain

enum { M = 21, N = 35, K = 19 };
static float fa[M * K], fb[K * N], fc[M * N], fd[M * N];
static attn_matmul_desc small_product(void) {
    attn_matmul_desc d = ATTN_ZERO;
    for (int i = 0; i < M * K; i++) fa[i] = test_float(1);
    for (int i = 0; i < K * N; i++) fb[i] = test_float(1);
    for (int i = 0; i < M * N; i++) fc[i] = fd[i] = test_float(1);
    d.a = fa; d.b = fb; d.c = fc; d.m = M; d.n = N; d.k = K;
    return d;
}
TEST(matmul, beta_0_does_not_read_c) {
    EACH_ISA(isa) for (int k = 0; k <= K; k += K) {
        attn_matmul_desc d = small_product();
        d.isa = isa; d.k = k;
        for (int i = 0; i < M * N; i++) fc[i] = (float)(i & 1 ? NAN : INFINITY);
        CHECK(attn_matmul_f32(&d) == ATTN_OK);
        for (int i = 0; i < M * N; i++) CHECK(fabs((double)fc[i]) < 1e3);
        for (int i = 0; i < M * N && k == 0; i++) CHECK(fc[i] == 0);
    }
}
TEST(matmul, k_0_leaves_beta_c) {
    EACH_ISA(isa) {
        attn_matmul_desc d = small_product();
        d.isa = isa; d.k = 0; d.beta = -2;
        CHECK(attn_matmul_f32(&d) == ATTN_OK);
        for (int i = 0; i < M * N; i++) CHECK(fc[i] == -2 * fd[i]);
        d.beta = 1;
        CHECK(attn_matmul_f32(&d) == ATTN_OK);
        for (int i = 0; i < M * N; i++) CHECK(fc[i] == -2 * fd[i]);
    }
}
TEST(matmul, nan_and_infinity_reach_their_row_and_column_only) {
    static float clean[M * N];
    EACH_ISA(isa) for (int at = 0; at < 40; at++) {
        attn_matmul_desc d = small_product();
        int row = test_below(M), col = test_below(N);
        d.isa = isa;
        CHECK(attn_matmul_f32(&d) == ATTN_OK);
        memcpy(clean, fc, sizeof clean);
        fa[row * K + test_below(K)] = (float)NAN;
        fb[test_below(K) * N + col] = (float)(at & 1 ? INFINITY : -INFINITY);
        CHECK(attn_matmul_f32(&d) == ATTN_OK);
        for (int i = 0; i < M; i++) for (int j = 0; j < N; j++) {
            float got = fc[i * N + j];
            if (i == row) CHECK(got != got);
            else if (j == col) CHECK(!(fabs((double)got) < 1e30));
            else CHECK(!memcmp(&got, &clean[i * N + j], sizeof got));
        }
    }
}

// ---- types, bias, activation: every product against double sums of the stored values

static const int plain_types[] = { ATTN_F32, ATTN_BF16, ATTN_F16 };
static const int b_types[] = { ATTN_F32, ATTN_BF16, ATTN_F16, ATTN_Q8_0, ATTN_Q4_0, ATTN_Q4_1 };
// n values as an array of the type at the end of a fence; v becomes what is stored.
static void *packed(fence *f, double *v, ptrdiff_t n, int type) {
    char *p = (char *)fence_array(f, (size_t)type_bytes(type, n));
    type_fill(type, p, v, n);
    for (ptrdiff_t i = 0; i < n; i++) v[i] = type_get(type, p, i);
    return p;
}
static double acted(int act, double x) {
    if (act == ATTN_ACT(ATTN_MAP_RELU)) return x > 0 ? x : 0;
    if (act == ATTN_ACT(ATTN_MAP_TANH)) return tool_tanh(x);
    return act == ATTN_ACT(ATTN_MAP_SQUARE) ? x * x : x;
}
// A product with c [m,n] by rows `c_row` apart (c_col 1, or columns c_col apart); on every instruction set and, where
// there is a pool, with the same bits.
static void mixed(attn_matmul_desc *d, int f64, const attn_parallel *pool) {
    const ptrdiff_t batch = d->batch ? d->batch : 1, na = d->m * d->k, nb = d->k * d->n;
    const ptrdiff_t c_row = d->c_row ? d->c_row : d->n, c_col = d->c_row ? d->c_col : 1;
    const ptrdiff_t step = d->c_batch ? d->c_batch : d->m * d->n;
    const ptrdiff_t nc = (batch - 1) * step + (d->m - 1) * c_row + (d->n - 1) * c_col + 1;
    const int a_type = f64 ? ATTN_F64 : d->a_type, b_type = f64 ? ATTN_F64 : d->b_type;
    const int c_type = f64 ? ATTN_F64 : d->c_type;
    const double alpha = d->alpha == 0 ? 1 : d->alpha, half = c_type == ATTN_BF16 ? 1 / 256.0 : c_type == ATTN_F16 ?
        1 / 2048.0 : 0, eps = f64 ? 2.3e-16 : 1.2e-7;
    static double bias[5000], before[ROOM];
    static char first[8 * ROOM];
    fence fence_bias = fence_open(8 * 5000);
    d->a_batch = na; d->b_batch = nb;
    for (ptrdiff_t i = 0; i < batch * na; i++) room_a[i] = (double)test_float(1);
    for (ptrdiff_t i = 0; i < batch * nb; i++) room_b[i] = (double)test_float(1);
    for (ptrdiff_t i = 0; i < nc; i++) room_c[i] = (double)test_float(1);
    for (ptrdiff_t i = 0; i < d->n; i++) bias[i] = (double)test_float(1);
    d->a = packed(&fence_a, room_a, batch * na, a_type);
    d->b = packed(&fence_b, room_b, batch * nb, b_type);
    if (d->bias) d->bias = packed(&fence_bias, bias, d->n, f64 ? ATTN_F64 : ATTN_F32);
    packed(&fence_c, room_c, nc, c_type);
    memcpy(before, room_c, sizeof *room_c * (size_t)nc);
    for (ptrdiff_t i = 0; i < nc; i++) { want[i] = room_c[i]; bound[i] = -1; }
    for (ptrdiff_t t = 0; t < batch; t++) for (ptrdiff_t i = 0; i < d->m; i++) for (ptrdiff_t j = 0; j < d->n; j++) {
        const double *x = room_a + t * na + (d->trans_a ? i : i * d->k);
        const double *y = room_b + t * nb + (d->trans_b ? j * d->k : j);
        const ptrdiff_t at = t * step + i * c_row + j * c_col;
        double sum = 0, size = 0, rest = d->beta == 0 ? 0 : d->beta * before[at];
        for (ptrdiff_t p = 0; p < d->k; p++) {
            const double z = x[d->trans_a ? p * d->m : p] * y[d->trans_b ? p : p * d->n];
            sum += z; size += fabs(z);
        }
        sum = alpha * sum + rest + (d->bias ? bias[j] : 0);
        size = fabs(alpha) * size + fabs(rest) + (d->bias ? fabs(bias[j]) : 0);
        want[at] = acted(d->act, sum);
        bound[at] = eps * (double)(d->k + 8) * size;
        if (d->act == ATTN_ACT(ATTN_MAP_SQUARE)) bound[at] *= 2 * fabs(sum) + bound[at];
        bound[at] += half * fabs(want[at]) + (c_type == ATTN_F16 ? 6e-8 : 0) + 8 * eps * fabs(want[at]);
    }
    EACH_ISA(isa) for (int threads = 0; threads <= (pool != NULL); threads++) {
        int right = 1;
        attn_status s;
        d->c = packed(&fence_c, before, nc, c_type);
        d->isa = isa; d->parallel = threads ? pool : NULL;
        s = matmul(d, f64);
        for (ptrdiff_t i = 0; i < nc; i++) {
            const double got = type_get(c_type, d->c, i);
            if (bound[i] < 0 ? got != want[i] : !(fabs(got - want[i]) <= bound[i])) {
                printf("    element %ld: %.9g, want %.9g +- %.3g\n", (long)i, got, want[i], bound[i]);
                right = 0; break;
            }
        }
        right = right && s == ATTN_OK && fence_holds(&fence_c, d->c);
        if (threads) right = right && !memcmp(first, d->c, (size_t)type_bytes(c_type, nc));
        else memcpy(first, d->c, (size_t)type_bytes(c_type, nc));
        CHECK(right);
        if (!right)
            printf("    %s: m %ld n %ld k %ld batch %ld types %s %s %s trans %d %d c_row %ld act %d beta %g, %d\n",
                   attn_isa_name(isa), (long)d->m, (long)d->n, (long)d->k, (long)batch, attn_type_str(a_type),
                   attn_type_str(b_type), attn_type_str(c_type), (int)d->trans_a, (int)d->trans_b, (long)d->c_row,
                   (int)d->act, d->beta, threads);
    }
    fence_close(&fence_bias);
}
TEST(matmul, every_type_with_every_other_bias_and_activation) {
    static const ptrdiff_t size[] = { 1, 1, 2, 5, 13, 17, 33, 64, 70, 150 };
    static const int acts[] = { 0, ATTN_ACT(ATTN_MAP_RELU), ATTN_ACT(ATTN_MAP_TANH), ATTN_ACT(ATTN_MAP_SQUARE) };
    static const double scale[] = { 0, 0, 1, -0.5, 2 };
    const attn_parallel *pool = attn_pool_open(3);
    for (int round = 0; round < 3 * 6 * 3 * 6; round++) {
        attn_matmul_desc d = ATTN_ZERO;
        const int layout = test_below(3);
        d.a_type = plain_types[round % 3]; d.b_type = b_types[round / 3 % 6]; d.c_type = plain_types[round / 18 % 3];
        d.m = size[test_below(COUNT(size))]; d.n = size[test_below(COUNT(size))]; d.k = size[test_below(COUNT(size))];
        if (round % 4 == 0) d.m = 1;
        d.trans_a = test_below(2); d.trans_b = test_below(2);
        if (type_elements(d.b_type) > 1) { d.trans_b = 1; d.k = d.k / 8 * 32; }     // k 0 too
        d.batch = test_below(3) ? 0 : 2;
        d.alpha = scale[test_below(COUNT(scale))]; d.beta = scale[test_below(COUNT(scale))];
        d.act = acts[test_below(COUNT(acts))];
        d.bias = test_below(2) ? "" : NULL;
        if (layout == 1) { d.c_row = d.n + 3; d.c_col = 1; d.c_batch = d.m * d.c_row; }
        if (layout == 2) { d.c_row = 1; d.c_col = d.m + 1; d.c_batch = d.n * d.c_col; }
        mixed(&d, 0, round % 3 ? NULL : pool);
        if (round % 6 == 0) {
            d.a_type = d.b_type = d.c_type = ATTN_F64 * (round & 1);
            mixed(&d, 1, pool);
        }
    }
    attn_pool_close(pool);
}
TEST(matmul, types_in_several_blocks) {                  // of depth, columns and rows; c is rounded once
    static const int shape[][6] = { { 3, 40, 1300, ATTN_F32, ATTN_Q8_0, ATTN_BF16 }, { 40, 600, 544, 0, ATTN_Q4_1, 0 },
                                    { 1200, 35, 20, ATTN_F16, 0, ATTN_F16 }, { 1, 4200, 32, 0, ATTN_Q4_0, ATTN_F16 },
                                    { 1, 4200, 9, ATTN_BF16, ATTN_BF16, ATTN_BF16 },
                                    { 70, 1, 640, ATTN_F16, ATTN_Q8_0, 0 },
                                    { 4100, 1, 33, ATTN_BF16, 0, ATTN_BF16 }, { 30, 1030, 0, 0, 0, ATTN_BF16 },
                                    { 1, 70, 4000, ATTN_BF16, ATTN_Q8_0, 0 }, { 2, 9, 1024, 0, ATTN_Q8_0, 0 } };
    const attn_parallel *pool = attn_pool_open(2);
    for (int i = 0; i < COUNT(shape); i++) for (int trans = 0; trans < 2; trans++) {
        attn_matmul_desc d = ATTN_ZERO;
        d.m = shape[i][0]; d.n = shape[i][1]; d.k = shape[i][2];
        d.a_type = shape[i][3]; d.b_type = shape[i][4]; d.c_type = shape[i][5];
        d.trans_a = trans; d.trans_b = trans || type_elements(d.b_type) > 1;
        if (type_elements(d.b_type) > 1) d.k = d.k / 32 * 32;
        d.bias = ""; d.act = trans ? ATTN_ACT(ATTN_MAP_TANH) : 0; d.beta = trans ? 0.5 : 0;
        mixed(&d, 0, pool);
    }
    attn_pool_close(pool);
}
TEST(matmul, nan_passes_bias_and_rounding) {
    static uint16_t c[M * N];
    EACH_ISA(isa) for (int type = 0; type < 2; type++) {
        attn_matmul_desc d = small_product();
        static float bias[N];
        memset(bias, 0, sizeof bias);
        bias[3] = (float)NAN; bias[4] = (float)INFINITY;
        d.bias = bias; d.isa = isa; d.c = c; d.c_type = plain_types[1 + type]; d.act = ATTN_ACT(ATTN_MAP_RELU);
        CHECK(attn_matmul_f32(&d) == ATTN_OK);
        for (int i = 0; i < M; i++) for (int j = 0; j < N; j++) {
            const double y = type_get(d.c_type, c, i * N + j);
            CHECK(j == 3 ? y != y : j == 4 ? y > 1e30 : y >= 0 && y < 1e3);
        }
    }
}

// ---- execution: threads, workspace, memory

TEST(matmul, the_number_of_threads_changes_no_bit) {
    static const int shape[][4] = { { 200, 257, 129, 0 }, { 1, 520, 200, 0 }, { 520, 1, 200, 0 }, { 12, 33, 47, 7 },
                                    { 65, 31, 520, 2 }, { 1, 300, 64, 5 }, { 3, 3, 5000, 0 } };
    for (int threads = 1; threads <= 16; threads++) {
        const attn_parallel *pool = attn_pool_open(threads);
        if (!pool) { test_skip("threads", "no pool"); return; }
        for (int i = 0; i < COUNT(shape); i++) for (int f64 = 0; f64 < 2; f64++) {
            attn_matmul_desc d = ATTN_ZERO;
            const int batch = shape[i][3] ? shape[i][3] : 1;
            size_t bytes = (size_t)(batch * shape[i][0] * shape[i][1]) * (f64 ? 8 : 4);
            d.m = shape[i][0]; d.n = shape[i][1]; d.k = shape[i][2]; d.batch = shape[i][3];
            d.a_batch = d.m * d.k; d.b_batch = d.k * d.n;
            for (ptrdiff_t j = 0; j < batch * d.a_batch; j++) room_a[j] = (double)test_float(1);
            for (ptrdiff_t j = 0; j < batch * d.b_batch; j++) room_b[j] = (double)test_float(1);
            d.a = typed(&fence_a, room_a, batch * d.a_batch, f64);
            d.b = typed(&fence_b, room_b, batch * d.b_batch, f64);
            d.c = room_c;
            CHECK(matmul(&d, f64) == ATTN_OK);
            d.c = want; d.parallel = pool;
            CHECK(matmul(&d, f64) == ATTN_OK);
            CHECK(!memcmp(room_c, want, bytes));
        }
        attn_pool_close(pool);
    }
    CHECK(heap_live == 0);
}
TEST(matmul, a_workspace_of_the_size_named_is_enough_and_less_is_refused) {
    static const int size[] = { 1, 5, 16, 65, 200, 520 };
    fence f = fence_open(1 << 26);
    for (int round = 0; round < 60; round++) EACH_ISA(isa) for (int f64 = 0; f64 < 2; f64++) {
        attn_matmul_desc d = ATTN_ZERO;
        d.m = size[test_below(COUNT(size))]; d.n = size[test_below(COUNT(size))]; d.k = size[test_below(COUNT(size))];
        d.trans_a = test_below(2); d.trans_b = test_below(2); d.isa = isa;
        d.a = room_a; d.b = room_b; d.c = room_c;
        memset(room_a, 0, sizeof(double) * (size_t)(d.m * d.k));
        memset(room_b, 0, sizeof(double) * (size_t)(d.k * d.n));
        size_t need = attn_matmul_workspace(&d);
        heap_plan(0, 1);                                            // nothing is to be allocated
        d.workspace = fence_array(&f, need); d.workspace_bytes = need;
        room_c[0] = 5.1;
        CHECK(matmul(&d, f64) == ATTN_OK && room_c[0] != 5.1);
        CHECK(fence_holds(&f, d.workspace));
        if (need) {
            d.workspace_bytes = 1; room_c[0] = 5.1;
            CHECK(matmul(&d, f64) == ATTN_ERR_WORKSPACE && room_c[0] == 5.1);
            d.workspace_bytes = need - 1;                           // the size named is for both types: one refuses
            CHECK(attn_matmul_f32(&d) == ATTN_ERR_WORKSPACE || attn_matmul_f64(&d) == ATTN_ERR_WORKSPACE);
        }
        heap_plan(-1, 0);
    }
    fence_close(&f);
}
TEST(matmul, out_of_memory_at_any_allocation_writes_nothing) {
    int some = 0;
    EACH_ISA(isa) for (int f64 = 0; f64 < 2; f64++) for (int later = 0; later < 2; later++) for (long n = 0; ; n++) {
        attn_matmul_desc d = ATTN_ZERO;
        attn_status s;
        d.m = d.n = d.k = 129; d.trans_a = 1; d.trans_b = 1; d.isa = isa; d.a = room_a; d.b = room_b; d.c = room_c;
        memset(room_a, 0, 8 * 129 * 129); memset(room_b, 0, 8 * 129 * 129); memset(room_c, 1, 8 * 129 * 129);
        heap_plan(n, later);
        s = matmul(&d, f64);
        CHECK(heap_live == 0);
        if (heap_calls <= n) { CHECK(s == ATTN_OK); break; }
        some = 1;
        CHECK(s == ATTN_ERR_MEMORY);
        CHECK(((unsigned char *)room_c)[0] == 1 && !memcmp(room_c, (char *)room_c + 1, 8 * 129 * 129 - 1));
    }
    heap_plan(-1, 0);
    CHECK(some);
}

// ---- misuse: what is wrong, the status, a word of the sentence

static const struct { attn_status status; const char *word; } wrong_want[] = {
    { ATTN_ERR_NULL, "a" }, { ATTN_ERR_NULL, "b" }, { ATTN_ERR_NULL, "c" }, { ATTN_ERR_SHAPE, "m" },
    { ATTN_ERR_SHAPE, "n" }, { ATTN_ERR_SHAPE, "k" }, { ATTN_ERR_SHAPE, "batch" }, { ATTN_ERR_RANGE, "" },
    { ATTN_ERR_OVERLAP, "c_row" }, { ATTN_ERR_OVERLAP, "c_" }, { ATTN_ERR_OVERLAP, "c_" }, { ATTN_ERR_RANGE, "" },
    { ATTN_ERR_WORKSPACE, "workspace" }, { ATTN_ERR_OVERLAP, "a" }, { ATTN_ERR_OVERLAP, "b" },
    { ATTN_ERR_VERSION, "size" }, { ATTN_ERR_OVERLAP, "c_" }, { ATTN_ERR_RANGE, "" },
};
static void make_wrong(attn_matmul_desc *d, int i) {
    const ptrdiff_t huge = PTRDIFF_MAX / 4;
    switch (i) {
    case 0: d->a = NULL; break;
    case 1: d->b = NULL; break;
    case 2: d->c = NULL; break;
    case 3: d->m = -1; break;
    case 4: d->n = -7; break;
    case 5: d->k = -1; break;
    case 6: d->batch = -1; break;
    case 7: d->m = huge; d->n = huge; break;
    case 8: d->c_row = N - 1; d->c_col = 1; break;
    case 9: d->c_row = 1; d->c_col = 1; break;
    case 10: d->batch = 2; d->c_batch = N; break;
    case 11: d->a_row = huge; d->a_col = 1; break;
    case 12: d->workspace = room_a; d->m = d->n = d->k = 520; d->trans_a = d->trans_b = 1; break;
    case 13: d->a = d->c; break;
    case 14: d->b = fc + 1; break;
    case 15: d->size = sizeof *d + 8; break;
    case 16: d->c_row = N; d->c_col = 0; break;
    default: d->batch = huge; d->c_batch = huge; break;
    }
}
TEST(matmul, misuse_has_its_status_and_its_sentence_and_writes_nothing) {
    for (int i = 0; i < COUNT(wrong_want); i++) for (int f64 = 0; f64 < 2; f64++) {
        attn_matmul_desc d = small_product();
        attn_status s;
        char text[300], begin[11];
        static double other[520 * 520];
        if (f64 || i == 12) { d.a = room_a; d.b = room_b; d.c = other; if (i == 14) continue; }
        make_wrong(&d, i);
        if (i == 12 && attn_matmul_workspace(&d) == 0) continue;
        s = matmul(&d, f64);
        CHECK(s == wrong_want[i].status);
        if (s != wrong_want[i].status) printf("    wrong %d: %s\n", i, attn_status_str(s));
        CHECK(!memcmp(fc, fd, sizeof fc));
        if (s == ATTN_ERR_SHAPE || s == ATTN_ERR_RANGE || s == ATTN_ERR_VERSION)    // it reads no pointer
            CHECK(attn_matmul_workspace(&d) == 0);
        CHECK(attn_explain_matmul(s, &d, text, sizeof text) == text);
        CHECK(strlen(text) > 5 && strstr(text, wrong_want[i].word) && strcmp(text, attn_status_str(ATTN_OK)));
        memset(begin, '#', sizeof begin);
        attn_explain_matmul(s, &d, begin, 10);
        CHECK(strlen(begin) == 9 && !strncmp(begin, text, 9) && begin[10] == '#');
    }
    CHECK(attn_matmul_f32(NULL) == ATTN_ERR_NULL && attn_matmul_f64(NULL) == ATTN_ERR_NULL);
    CHECK(attn_matmul_workspace(NULL) == 0);
}
static const struct { attn_status status; const char *word, *reason; } wrong_type[] = {
    { ATTN_ERR_DTYPE, "a_type", "not a type" }, { ATTN_ERR_DTYPE, "b_type", "not a type" },
    { ATTN_ERR_DTYPE, "c_type = 9", "not a type" }, { ATTN_ERR_DTYPE, "c_type = -1", "not a type" },
    { ATTN_ERR_SHAPE, "k = 40", "32" }, { ATTN_ERR_UNSUPPORTED, "trans_b = 0", "[n,k]" },
    { ATTN_ERR_RANGE, "b_row = 65", "32" },
    { ATTN_ERR_RANGE, "b_col = 2", "along k" }, { ATTN_ERR_RANGE, "b_batch = 33", "32" },
    { ATTN_ERR_RANGE, "act = 3", "ATTN_ACT" },
    { ATTN_ERR_RANGE, "act", "ATTN_ACT" }, { ATTN_ERR_OVERLAP, "bias", "" }, { ATTN_ERR_OVERLAP, "over b", "" },
    { ATTN_ERR_DTYPE, "a_type", "f64" }, { ATTN_ERR_DTYPE, "b_type", "not a type" },
    { ATTN_ERR_DTYPE, "c_type", "f64" },
};
TEST(matmul, misuse_of_types_bias_and_activation) {
    static uint16_t half[2000];
    static double x[1000], y[1000], z[1000];
    for (int i = 0; i < COUNT(wrong_type); i++) {
        const int f64 = i >= 13;
        attn_matmul_desc d = small_product();
        attn_status s;
        char text[300];
        if (f64) { d.a = x; d.b = y; d.c = z; }
        if (i >= 4 && i <= 8) { d.b_type = ATTN_Q8_0; d.k = 64; d.trans_b = 1; d.m = d.n = 2; d.b = half; }
        switch (i) {
        case 0: d.a_type = ATTN_Q8_0; break;
        case 1: d.b_type = ATTN_F64; break;
        case 2: d.c_type = ATTN_Q8_0; break;
        case 3: d.c_type = -1; break;
        case 4: d.k = 40; break;
        case 5: d.trans_b = 0; break;
        case 6: d.b_row = 65; d.b_col = 1; break;
        case 7: d.b_row = 64; d.b_col = 2; break;
        case 8: d.batch = 2; d.b_batch = 33; break;
        case 9: d.act = ATTN_MAP_RELU; break;
        case 10: d.act = ATTN_ACT(ATTN_MAP_COUNT); break;
        case 11: d.bias = fc + 5; break;
        case 12: d.b_type = ATTN_BF16; d.b = (char *)fc + 2; break;
        case 13: d.a_type = ATTN_BF16; break;
        case 14: d.b_type = ATTN_F32 + ATTN_Q8_0; break;
        default: d.c_type = ATTN_F16; break;
        }
        s = matmul(&d, f64);
        CHECK(s == wrong_type[i].status && !memcmp(fc, fd, sizeof fc));
        attn_explain_matmul(s, &d, text, sizeof text);
        CHECK(strstr(text, wrong_type[i].word) && strstr(text, wrong_type[i].reason));
        if (s != wrong_type[i].status || !strstr(text, wrong_type[i].word) || !strstr(text, wrong_type[i].reason))
            printf("    wrong type %d: %s: %s\n", i, attn_status_str(s), text);
    }
}
TEST(matmul, overlap_counts_each_arrays_own_elements) {
    static float room[4000];
    attn_matmul_desc d = ATTN_ZERO, w = ATTN_ZERO;
    char *at = (char *)room;
    d.m = 4; d.n = 8; d.k = 64; d.trans_b = 1; d.b_type = ATTN_Q8_0; d.a_type = ATTN_F16; d.c_type = ATTN_BF16;
    d.c = at; d.a = at + 64; d.b = at + 64 + 512;           // c 64 bytes, a 512, b 8 * 2 * 34 = 544
    CHECK(attn_matmul_f32(&d) == ATTN_OK);
    d.a = at + 62;
    CHECK(attn_matmul_f32(&d) == ATTN_ERR_OVERLAP);
    d.a = at + 2000; d.b = at; d.c = at + 544;
    CHECK(attn_matmul_f32(&d) == ATTN_OK);
    d.c = at + 542;
    CHECK(attn_matmul_f32(&d) == ATTN_ERR_OVERLAP);
    d.c = at + 4; d.b_row = 128; d.b_col = 1; d.n = 1; d.m = 2; d.c_row = 100; d.c_col = 1;     // inside b's one row
    CHECK(attn_matmul_f32(&d) == ATTN_ERR_OVERLAP);
    // the workspace over each array's last element, or beside
    w.m = 4; w.n = 8; w.k = 64; w.a = at; w.b = at + 2048; w.c = at + 8192; w.bias = at + 8320; w.workspace_bytes = 4;
    for (int i = 0; i < 4; i++) {
        static const int after[4] = { 1024, 2048 + 2048, 8192 + 128, 8320 + 32 };
        w.workspace = at + after[i] - 4;
        CHECK(attn_matmul_f32(&w) == ATTN_ERR_OVERLAP);
    }
    w.workspace = at + 8320 + 32;
    CHECK(attn_matmul_f32(&w) != ATTN_ERR_OVERLAP);
}
TEST(matmul, explain_takes_good_descriptors_and_no_room) {
    attn_matmul_desc d = small_product();
    char text[100] = "#";
    attn_explain_matmul(ATTN_OK, &d, text, sizeof text);
    CHECK(!strcmp(text, attn_status_str(ATTN_OK)));
    attn_explain_matmul(ATTN_ERR_MEMORY, &d, text, sizeof text);
    CHECK(!strcmp(text, attn_status_str(ATTN_ERR_MEMORY)));
    text[0] = '#';
    attn_explain_matmul(ATTN_ERR_MEMORY, &d, text, 0);
    CHECK(text[0] == '#');
    d.m = -12345;
    attn_explain_matmul(ATTN_ERR_SHAPE, &d, text, sizeof text);
    CHECK(strstr(text, "-12345") != NULL);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    fence_a = fence_open(8 * ROOM + FENCE_GUARD); fence_b = fence_open(8 * ROOM + FENCE_GUARD);
    fence_c = fence_open(8 * ROOM + FENCE_GUARD);
    RUN(matmul, sweep_of_shapes_strides_batches_and_scales);
    RUN(matmul, long_and_thin_and_large);
    RUN(matmul, beta_0_does_not_read_c);
    RUN(matmul, k_0_leaves_beta_c);
    RUN(matmul, nan_and_infinity_reach_their_row_and_column_only);
    RUN(matmul, every_type_with_every_other_bias_and_activation);
    RUN(matmul, types_in_several_blocks);
    RUN(matmul, nan_passes_bias_and_rounding);
    RUN(matmul, the_number_of_threads_changes_no_bit);
    RUN(matmul, a_workspace_of_the_size_named_is_enough_and_less_is_refused);
    RUN(matmul, out_of_memory_at_any_allocation_writes_nothing);
    RUN(matmul, misuse_has_its_status_and_its_sentence_and_writes_nothing);
    RUN(matmul, misuse_of_types_bias_and_activation);
    RUN(matmul, overlap_counts_each_arrays_own_elements);
    RUN(matmul, explain_takes_good_descriptors_and_no_room);
    tools_keep(); types_keep();
    return test_end();
}
