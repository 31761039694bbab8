// test_norm - attn_norm against sums in long double, attn_rope against plain loops, on every instruction set: widths,
// strides, offsets, what is not finite, threads, misuse.
//     cc -O2 -I. tests/test_norm.c -o test_norm && ./test_norm [--seed N]
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include "types.h"

enum { ROOM = 1 << 15, EVEN, AWAY, EQUAL, TINY, KINDS };
static double room_x[ROOM], room_w[2][300], start_y[ROOM], want[ROOM], bound[ROOM];
static fence fence_x, fence_y, fence_w[2];

static attn_status norm(const attn_norm_desc *d, int f64) { return f64 ? attn_norm_f64(d) : attn_norm_f32(d); }
static void *typed(fence *f, const double *v, ptrdiff_t n, int f64) {
    void *p = fence_array(f, (size_t)n * (f64 ? 8 : 4));
    for (ptrdiff_t i = 0; i < n; i++) if (f64) ((double *)p)[i] = v[i]; else ((float *)p)[i] = (float)v[i];
    return p;
}
static double value(const void *p, ptrdiff_t i, int f64) {
    return f64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static void fill(double *x, ptrdiff_t n, int kind) {
    for (ptrdiff_t i = 0; i < n; i++)
        x[i] = (double)(kind == AWAY ? 1000 + test_float(1) : kind == EQUAL ? 7.3f :
                        test_float(kind == TINY ? 1e-4f : 2));
}
// The bound does not know how far from 0 a row lies: its mean is subtracted first, and what rounding left of it then.
static void reference_row(const attn_norm_desc *d, const double *x, double eps, double *y, double *b) {
    const ptrdiff_t n = d->cols;
    const double least = d->eps > 0 ? d->eps : d->kind == ATTN_ROWS_RMS ? 1e-6 : 1e-5;
    const long double first = n && d->kind == ATTN_ROWS_LAYER ? (long double)x[0] : 0;    // some have no longer type
    long double mean = 0, square = 0, root;
    for (int again = 0; again < 2; again++) {
        long double rest = 0;
        for (ptrdiff_t j = 0; j < n && d->kind == ATTN_ROWS_LAYER; j++) rest += (long double)x[j] - first - mean;
        if (n) mean += rest / n;
    }
    for (ptrdiff_t j = 0; j < n; j++)
        square += ((long double)x[j] - first - mean) * ((long double)x[j] - first - mean) / n;
    square += least;
    root = square > 1 ? square : 1;
    for (int i = 0; i < 60; i++) root = 0.5L * (root + square / root);
    for (ptrdiff_t j = 0; j < n; j++) {
        const double w = d->weight ? room_w[0][j] : 1, c = d->bias ? room_w[1][j] : 0;
        y[j] = (double)(((long double)x[j] - first - mean) / root * w + c);
        b[j] = eps * ((6 + (double)n / 16) * fabs(w) * (fabs((y[j] - c) / w) + 0.5) + 2 * fabs(c));
    }
}
// One shape in both types on every instruction set, apart and in place.
static void rows_case(attn_norm_desc *d, int kind, int weights) {
    const ptrdiff_t xr = d->x_row ? d->x_row : d->cols, yr = d->y_row ? d->y_row : d->cols;
    const ptrdiff_t nx = d->rows ? (d->rows - 1) * xr + d->cols : 0, ny = d->rows ? (d->rows - 1) * yr + d->cols : 0;
    if (nx > ROOM || ny > ROOM) { puts("ROOM is too small"); exit(2); }
    fill(room_x, nx, kind);
    for (int i = 0; i < 300; i++) {
        room_w[0][i] = (double)(1.5f + test_float(0.4f)); room_w[1][i] = (double)test_float(1);
    }
    for (int f64 = 0; f64 < 2; f64++) {
        d->weight = weights & 1 ? typed(&fence_w[0], room_w[0], d->cols, f64) : NULL;
        d->bias = weights & 2 ? typed(&fence_w[1], room_w[1], d->cols, f64) : NULL;
        for (ptrdiff_t i = 0; i < ny; i++) { start_y[i] = want[i] = (double)test_float(1); bound[i] = 0; }
        for (ptrdiff_t r = 0; r < d->rows; r++)
            reference_row(d, room_x + r * xr, f64 ? 2.3e-16 : 1.2e-7, want + r * yr, bound + r * yr);
        EACH_ISA(isa) for (int in_place = 0; in_place < (xr == yr ? 2 : 1); in_place++) {
            const double *old = in_place ? room_x : start_y;
            void *x = typed(&fence_x, room_x, nx, f64);
            int right;
            for (ptrdiff_t r = 0; r + 1 < d->rows; r++)             // between rows nothing changes
                for (ptrdiff_t j = d->cols; j < yr; j++) want[r * yr + j] = old[r * yr + j];
            d->x = x; d->y = in_place ? x : typed(&fence_y, start_y, ny, f64); d->isa = isa;
            right = norm(d, f64) == ATTN_OK && fence_holds(in_place ? &fence_x : &fence_y, d->y);
            for (ptrdiff_t i = 0; i < ny && right; i++) {
                right = fabs(value(d->y, i, f64) - want[i]) <= bound[i];
                if (!right) printf("    element %ld: %.9g, want %.9g +- %.3g\n", (long)i, value(d->y, i, f64), want[i],
                                   bound[i]);
            }
            CHECK(right);
            if (!right) printf("    %s %s: rows %ld cols %ld strides %ld %ld kind %d of %d %s\n", attn_isa_name(isa),
                               f64 ? "f64" : "f32", (long)d->rows, (long)d->cols, (long)xr, (long)yr, kind, d->kind,
                               in_place ? "in place" : "");
        }
    }
}

TEST(norm, every_width_and_kind_of_row) {
    for (int cols = 0; cols <= 200; cols++) for (int kind = EVEN; kind < KINDS; kind++) {
        attn_norm_desc d = ATTN_ZERO;
        d.rows = 1 + test_below(4); d.cols = cols; d.kind = test_below(ATTN_ROWS_COUNT);
        d.eps = test_below(2) ? 0 : 0.25;
        if (kind == AWAY && d.kind == ATTN_ROWS_LAYER) d.eps = 0;
        rows_case(&d, kind, test_below(4));
    }
}
TEST(norm, strides_leave_what_lies_between_rows) {
    for (int round = 0; round < 200; round++) {
        attn_norm_desc d = ATTN_ZERO;
        d.rows = test_below(20); d.cols = 1 + test_below(80); d.kind = test_below(ATTN_ROWS_COUNT);
        d.x_row = test_below(3) ? d.cols + test_below(9) : 0;
        d.y_row = test_below(3) ? d.cols + test_below(9) : 0;
        if (test_below(2)) d.y_row = d.x_row;
        rows_case(&d, EVEN + test_below(KINDS - EVEN), test_below(4));
    }
}
TEST(norm, rows_of_nan_and_infinities_keep_to_themselves) {
    const double bad[] = { (double)NAN, (double)INFINITY, -(double)INFINITY };
    EACH_ISA(isa) for (int f64 = 0; f64 < 2; f64++) for (int cols = 1; cols <= 70; cols++) for (int k = 0; k < 6; k++) {
        attn_norm_desc d = ATTN_ZERO;
        const int at = test_below(cols);
        d.rows = 3; d.cols = cols; d.isa = isa; d.kind = k % 2;
        fill(room_x, 3 * cols, EVEN);
        for (int r = 0; r < 3; r += 2)
            reference_row(&d, room_x + r * cols, f64 ? 2.3e-16 : 1.2e-7, want + r * cols, bound + r * cols);
        room_x[cols + at] = bad[k / 2];
        d.x = typed(&fence_x, room_x, 3 * cols, f64); d.y = typed(&fence_y, room_x, 3 * cols, f64);
        CHECK(norm(&d, f64) == ATTN_OK);
        for (int j = 0; j < cols; j++) {
            NEAR(value(d.y, j, f64), want[j], bound[j]);
            NEAR(value(d.y, 2 * cols + j, f64), want[2 * cols + j], bound[2 * cols + j]);
        }
        for (int j = k < 2 ? 0 : at; j < (k < 2 ? cols : at + 1); j++)
            CHECK(value(d.y, cols + j, f64) != value(d.y, cols + j, f64));
    }
}
TEST(norm, the_number_of_threads_changes_no_bit) {
    static float x[257 * 129], serial[257 * 129], y[257 * 129];
    attn_norm_desc d = ATTN_ZERO;
    for (int i = 0; i < 257 * 129; i++) x[i] = test_float(5);
    d.x = x; d.rows = 257; d.cols = 129; d.weight = x; d.bias = x + 129;
    d.y = serial;
    CHECK(attn_norm_f32(&d) == ATTN_OK);
    d.y = y;
    for (int threads = 1; threads <= 8; threads++) {
        const attn_parallel *some = attn_pool_open(threads);
        if (!some) { test_skip("threads", "no pool"); return; }
        d.parallel = some;
        memset(y, 1, sizeof y);
        CHECK(attn_norm_f32(&d) == ATTN_OK && !memcmp(y, serial, sizeof y));
        attn_pool_close(some);
    }
}
TEST(norm, misuse_has_its_status_and_its_sentence_and_writes_nothing) {
    static const struct { attn_status status; const char *word; } expect[] = {
        { ATTN_ERR_NULL, "x" }, { ATTN_ERR_NULL, "y" }, { ATTN_ERR_SHAPE, "rows" }, { ATTN_ERR_SHAPE, "cols" },
        { ATTN_ERR_RANGE, "kind" }, { ATTN_ERR_RANGE, "eps" }, { ATTN_ERR_RANGE, "eps" }, { ATTN_ERR_RANGE, "isa" },
        { ATTN_ERR_OVERLAP, "y" }, { ATTN_ERR_OVERLAP, "weight" }, { ATTN_ERR_OVERLAP, "bias" },
        { ATTN_ERR_OVERLAP, "y_row" }, { ATTN_ERR_RANGE, "x_row" }, { ATTN_ERR_RANGE, "rows" },
        { ATTN_ERR_VERSION, "size" },
    };
    for (int i = 0; i < COUNT(expect); i++) for (int f64 = 0; f64 < 2; f64++) {
        double x[12] = { 0 }, y[12] = { 7 };
        char text[300];
        attn_norm_desc d = ATTN_ZERO;
        attn_status s;
        d.x = x; d.y = y; d.rows = 4; d.cols = 3;
        switch (i) {
        case 0: d.x = NULL; break;
        case 1: d.y = NULL; break;
        case 2: d.rows = -4; break;
        case 3: d.cols = -3; break;
        case 4: d.kind = ATTN_ROWS_COUNT; break;
        case 5: d.eps = -1e-5; break;
        case 6: d.eps = NAN; break;
        case 7: d.isa = -1; break;
        case 8: d.x = (char *)d.y + (f64 ? 8 : 4); break;
        case 9: d.weight = (char *)d.y + 11 * (f64 ? 8 : 4); break;
        case 10: d.bias = y; break;
        case 11: d.y_row = 2; break;
        case 12: d.x_row = -3; break;
        case 13: d.x_row = PTRDIFF_MAX / 2; break;
        default: d.size = sizeof d + 8; break;
        }
        s = norm(&d, f64);
        CHECK(s == expect[i].status && y[0] == 7 && y[1] == 0);
        if (s != expect[i].status) printf("    wrong %d: %s\n", i, attn_status_str(s));
        CHECK(attn_explain_norm(s, &d, text, sizeof text) == text && strstr(text, expect[i].word));
    }
    CHECK(attn_norm_f32(NULL) == ATTN_ERR_NULL && attn_norm_f64(NULL) == ATTN_ERR_NULL);
}

// ---- rope

static const attn_parallel *pool;
static long pool_blocks;
static float table_cos[64 * 40], table_sin[64 * 40];
static double out[ROOM];

TEST(rope, rows_of_every_type_and_stride_turn_as_the_formula_says) {
    static const int types[] = { ATTN_F32, ATTN_F64, ATTN_F16, ATTN_BF16 };
    static int32_t positions[64];
    for (int i = 0; i < COUNT(table_cos); i++) { table_cos[i] = test_float(1); table_sin[i] = test_float(1); }
    for (int round = 0; round < 600; round++) EACH_ISA(isa) {
        attn_desc d = ATTN_ZERO;
        const int type = types[round % 4], e = (int)type_bytes(type, 1), in_place = test_below(3) == 0;
        const double eps = type == ATTN_F64 ? 1e-15 : type == ATTN_F32 ? 5e-7 : type == ATTN_F16 ? 2e-3 : 1.2e-2;
        const ptrdiff_t B = 1 + test_below(2), H = 1 + test_below(3), N = 1 + test_below(6), D = 2 + test_below(70);
        const ptrdiff_t apart = D + test_below(4), n = B * H * N * apart * 2;
        ptrdiff_t turned, pairs, s[4] = { 0, 0, 0, 1 };
        char *x, *y;
        d.rope_kind = 1 + test_below(2);
        d.rope_dim = D % 2 || test_below(2) ? (int32_t)(2 + 2 * test_below((int)D / 2)) : 0;
        turned = d.rope_dim ? d.rope_dim : D; pairs = turned / 2;
        d.rope_cos = table_cos; d.rope_sin = table_sin; d.rope_positions = 64 * 40 / pairs < 64 ? 64 * 40 / pairs : 64;
        d.batch = B; d.heads = H; d.queries = N; d.dim = D; d.q_type = d.o_type = type; d.isa = isa;
        if (type != ATTN_F64 && !in_place && test_below(2)) d.o_type = ATTN_F32;
        if (test_below(2)) {
            for (int i = 0; i < B * N; i++) positions[i] = (int32_t)test_below((int)d.rope_positions);
            d.rope_q_pos = positions;
        } else { d.align = ATTN_ALIGN_AT; d.query_offset = test_below(9); }
        s[3] = test_below(4) ? 1 : 2;                               // [B,N,H,D] with gaps, perhaps every second element
        s[2] = H * apart * s[3]; s[1] = apart * s[3]; s[0] = N * s[2];
        memcpy(d.q_stride, s, sizeof s);
        if (in_place || test_below(2)) memcpy(d.o_stride, s, sizeof s);
        else { s[3] = 1; s[2] = D; s[1] = N * D; s[0] = H * N * D; }
        if (test_below(2)) d.parallel = pool;
        x = (char *)fence_array(&fence_x, (size_t)(n * e));
        y = in_place ? x : (char *)fence_array(&fence_y, (size_t)(type_bytes(d.o_type, n)));
        for (ptrdiff_t i = 0; i < n; i++) {
            type_put(type, x, i, (double)test_float(1)); room_x[i] = type_get(type, x, i);
            if (!in_place) type_put(d.o_type, y, i, 7);
            out[i] = in_place ? room_x[i] : 7;
        }
        d.q = x; d.o = y;
        for (ptrdiff_t b = 0; b < B; b++) for (ptrdiff_t h = 0; h < H; h++) for (ptrdiff_t i = 0; i < N; i++) {
            const ptrdiff_t p = d.rope_q_pos ? positions[b * N + i] : i + d.query_offset;
            const double *q = room_x + b * d.q_stride[0] + h * d.q_stride[1] + i * d.q_stride[2];
            double *o = out + b * s[0] + h * s[1] + i * s[2];
            for (ptrdiff_t t = 0; t < D; t++) o[t * s[3]] = q[t * d.q_stride[3]];
            for (ptrdiff_t t = 0; t < pairs; t++) {
                const ptrdiff_t one = d.rope_kind == ATTN_ROPE_HALF ? t : 2 * t,
                    two = d.rope_kind == ATTN_ROPE_HALF ? t + pairs : 2 * t + 1;
                const double u = q[one * d.q_stride[3]], v = q[two * d.q_stride[3]];
                const double c = (double)table_cos[p * pairs + t], w = (double)table_sin[p * pairs + t];
                o[one * s[3]] = u * c - v * w; o[two * s[3]] = u * w + v * c;
            }
        }
        CHECK(attn_rope(&d) == ATTN_OK && fence_holds(in_place ? &fence_x : &fence_y, y));
        for (ptrdiff_t i = 0; i < n; i++) NEAR(type_get(d.o_type, y, i), out[i], eps * (2 + fabs(out[i])));
    }
    CHECK(heap_live == pool_blocks);
}
TEST(rope, attention_over_turned_rows_has_the_bits_of_attention_that_turns_them) {
    static float q[2 * 3 * 40], k[2 * 9 * 40], v[2 * 9 * 40], turned_q[2 * 3 * 40], turned_k[2 * 9 * 40];
    static float o[2][2 * 3 * 40];
    for (int i = 0; i < COUNT(q); i++) q[i] = test_float(1);
    for (int i = 0; i < COUNT(k); i++) { k[i] = test_float(1); v[i] = test_float(1); }
    CHECK(attn_rope_table(table_cos, table_sin, 64, 40, 0) == ATTN_OK);
    EACH_ISA(isa) for (int kind = 1; kind < ATTN_ROPE_COUNT; kind++) for (int rms = 0; rms < 2; rms++) {
        attn_desc d = ATTN_ZERO, turn;
        d.heads = 2; d.queries = 3; d.keys = 9; d.dim = 40; d.isa = isa; d.causal = ATTN_CAUSAL_AT; d.query_offset = 6;
        d.q = q; d.k = k; d.v = v; d.o = o[0];
        d.rope_kind = kind; d.rope_cos = table_cos; d.rope_sin = table_sin; d.rope_positions = 64;
        d.qk_norm = rms ? ATTN_QK_NORM_RMS : 0;
        CHECK(attn_fwd(&d) == ATTN_OK);
        turn = d; turn.causal = 0; turn.align = ATTN_ALIGN_AT; turn.o = turned_q;
        CHECK(attn_rope(&turn) == ATTN_OK);                         // what it does not read may stay
        turn.q = k; turn.o = turned_k; turn.queries = 9; turn.query_offset = 0; turn.keys = -5;
        CHECK(attn_rope(&turn) == ATTN_OK);
        d.q = turned_q; d.k = turned_k; d.o = o[1]; d.rope_kind = d.qk_norm = 0;
        CHECK(attn_fwd(&d) == ATTN_OK && !memcmp(o[0], o[1], sizeof o[0]));
    }
}
TEST(rope, rows_past_the_lengths_of_queries_look_beyond_no_table) {
    static float q[8 * 8], o[8 * 8];
    static const int32_t lengths[1] = { 1 };
    EACH_ISA(isa) for (int queries = 2; queries < 9; queries++) {
        attn_desc d = ATTN_ZERO;
        float *c = (float *)fence_array(&fence_x, 8 * 4 * sizeof(float)), *w;
        for (int i = 0; i < 32; i++) c[i] = 1;
        w = (float *)fence_array(&fence_y, 8 * 4 * sizeof(float));
        memset(w, 0, 8 * 4 * sizeof(float));
        d.q = d.k = d.v = q; d.o = o; d.heads = 1; d.queries = queries; d.keys = 8; d.dim = 8; d.isa = isa;
        d.rope_kind = ATTN_ROPE_HALF; d.rope_cos = c; d.rope_sin = w; d.rope_positions = 8;
        d.query_lengths = lengths; d.causal = ATTN_CAUSAL_LOWER_RIGHT;     // query 0 at 7, the others at no position
        CHECK(attn_fwd(&d) == ATTN_OK);
    }
}
TEST(rope, misuse_has_its_status_and_writes_nothing) {
    static const attn_status expect[] = { ATTN_ERR_NULL, ATTN_ERR_NULL, ATTN_ERR_NULL, ATTN_ERR_SHAPE, ATTN_ERR_SHAPE,
        ATTN_ERR_RANGE, ATTN_ERR_RANGE, ATTN_ERR_RANGE, ATTN_ERR_OVERLAP, ATTN_ERR_DTYPE, ATTN_ERR_RANGE };
    for (int i = 0; i < COUNT(expect); i++) {
        float x[24] = { 0 }, y[24] = { 7 };
        int32_t at = 64;
        char text[300];
        attn_desc d = ATTN_ZERO;
        attn_status s;
        d.q = x; d.o = y; d.heads = 2; d.queries = 3; d.dim = 4; d.rope_kind = ATTN_ROPE_HALF;
        d.rope_cos = table_cos; d.rope_sin = table_sin; d.rope_positions = 64;
        switch (i) {
        case 0: d.q = NULL; break;
        case 1: d.o = NULL; break;
        case 2: d.rope_sin = NULL; break;
        case 3: d.queries = -3; break;
        case 4: d.rope_dim = 3; break;
        case 5: d.rope_positions = 2; break;
        case 6: d.queries = 1; d.rope_q_pos = &at; break;
        case 7: d.rope_kind = ATTN_ROPE_COUNT; break;
        case 8: d.q = y + 1; break;
        case 9: d.q_type = ATTN_Q8_0; break;
        default: d.isa = 99; break;
        }
        s = attn_rope(&d);
        CHECK(s == expect[i] && y[0] == 7 && y[1] == 0);
        if (s != expect[i]) printf("    wrong %d: %s\n", i, attn_status_str(s));
        CHECK(strlen(attn_explain(s, &d, text, sizeof text)) > 5);
    }
    CHECK(attn_rope(NULL) == ATTN_ERR_NULL);
    for (int failing = 0; failing < 2; failing++) {
        float x[8] = { 1 };
        uint16_t y[8] = { 7 };
        attn_desc d = ATTN_ZERO;
        d.q = x; d.o = y; d.heads = 2; d.queries = 1; d.dim = 4; d.o_type = ATTN_BF16;
        if (failing) d.workspace = x; else heap_plan(0, 1);
        CHECK(attn_rope(&d) == (failing ? ATTN_ERR_WORKSPACE : ATTN_ERR_MEMORY) && y[0] == 7);
        heap_plan(-1, 0);
        d.workspace = NULL;
        CHECK(attn_rope(&d) == ATTN_OK && y[0] == 0x3f80);
    }
    for (int given = 0; given < 2; given++) {                       // f32 to f32 wants neither workspace nor heap
        float x[8] = { 1 }, y[8] = { 7 };
        char spare[1];
        attn_desc d = ATTN_ZERO;
        d.q = x; d.o = y; d.heads = 2; d.queries = 1; d.dim = 4;
        if (given) { d.workspace = spare; d.workspace_bytes = 1; } else heap_plan(0, 1);
        CHECK(attn_rope(&d) == ATTN_OK && y[0] == 1);
        heap_plan(-1, 0);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    fence_x = fence_open(8 * ROOM + FENCE_GUARD); fence_y = fence_open(8 * ROOM + FENCE_GUARD);
    for (int i = 0; i < 2; i++) fence_w[i] = fence_open(1 << 12);
    pool = attn_pool_open(3);
    pool_blocks = heap_live;
    RUN(norm, every_width_and_kind_of_row);
    RUN(norm, strides_leave_what_lies_between_rows);
    RUN(norm, rows_of_nan_and_infinities_keep_to_themselves);
    RUN(norm, the_number_of_threads_changes_no_bit);
    RUN(norm, misuse_has_its_status_and_its_sentence_and_writes_nothing);
    RUN(rope, rows_of_every_type_and_stride_turn_as_the_formula_says);
    RUN(rope, attention_over_turned_rows_has_the_bits_of_attention_that_turns_them);
    RUN(rope, rows_past_the_lengths_of_queries_look_beyond_no_table);
    RUN(rope, misuse_has_its_status_and_writes_nothing);
    attn_pool_close(pool);
    tools_keep(); types_keep();
    return test_end();
}
