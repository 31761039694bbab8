// test_matmul - attn_matmul on every instruction set against sums in long double: shapes, transposes, strides, batches.
//     cc -O2 -I. tests/test_matmul.c -o test_matmul && ./test_matmul [--seed N]
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"

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
    static const int size[] = { 0, 1, 2, 3, 5, 7, 8, 11, 12, 13, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 100, 129,
                                200, 257, 520 };
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
                                    { 257, 257, 200 }, { 40, 1030, 300 } };
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
    RUN(matmul, the_number_of_threads_changes_no_bit);
    RUN(matmul, a_workspace_of_the_size_named_is_enough_and_less_is_refused);
    RUN(matmul, out_of_memory_at_any_allocation_writes_nothing);
    RUN(matmul, misuse_has_its_status_and_its_sentence_and_writes_nothing);
    RUN(matmul, explain_takes_good_descriptors_and_no_room);
    return test_end();
}
