// test_softmax - attn_softmax on every instruction set against sums in long double: lengths, strides, extremes, misuse.
// -DROUNDS=N changes the length of the sweeps.
//     cc -O2 -I. tests/test_softmax.c -o test_softmax && ./test_softmax [--seed N]
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"

#ifndef ROUNDS
#define ROUNDS 200
#endif
enum { ROOM = 1 << 16, EVEN, SHARP, HUGE_SCORES, EQUAL, KINDS };
static double room_x[ROOM], start_y[ROOM], want[ROOM], bound[ROOM];
static fence fence_x, fence_y;

static attn_status softmax(const attn_softmax_desc *d, int f64) {
    return f64 ? attn_softmax_f64(d) : attn_softmax_f32(d);
}
static void *typed(fence *f, const double *v, ptrdiff_t n, int f64) {
    void *p = fence_array(f, (size_t)n * (f64 ? 8 : 4));
    for (ptrdiff_t i = 0; i < n; i++) if (f64) ((double *)p)[i] = v[i]; else ((float *)p)[i] = (float)v[i];
    return p;
}
static double value(const void *p, ptrdiff_t i, int f64) {
    return f64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
// One row: y[j] and its bound. What is left out weighs 0 (log: -inf); with a masked score it is replaced first.
static void reference_row(const double *x, ptrdiff_t cols, ptrdiff_t length, double masked, double eps, int log_,
                          double *y, double *b) {
    long double sum = 0;
    double top = -INFINITY;
    ptrdiff_t seen = masked == 0 ? length : cols;
    for (ptrdiff_t j = 0; j < seen; j++) { double s = j < length ? x[j] : masked; if (s > top) top = s; }
    for (ptrdiff_t j = 0; j < seen; j++) sum += tool_exp((long double)(j < length ? x[j] : masked) - top);
    for (ptrdiff_t j = 0; j < cols; j++) {
        double s = j < length ? x[j] : masked;
        y[j] = j < seen ? (double)(tool_exp((long double)s - top) / sum) : 0;
        b[j] = j < seen ? y[j] * eps * (fabs(s - top) + 8 + (double)cols / 16) + (eps > 1e-10 ? 1.2e-38 : 1e-307) : 0;
        if (!log_) continue;
        y[j] = j < seen ? (double)((long double)s - top - tool_log(sum)) : -INFINITY;
        b[j] = j < seen ? eps * (2 * fabs(s - top) + 8 + (double)cols / 16) : 0;
    }
}
static int agrees(const void *y, ptrdiff_t n, int f64) {
    for (ptrdiff_t i = 0; i < n; i++) {
        double got = value(y, i, f64);
        if (!(got == want[i] || fabs(got - want[i]) <= bound[i])) {
            printf("    element %ld: %.9g, want %.9g +- %.3g\n", (long)i, got, want[i], bound[i]);
            return 0;
        }
    }
    return 1;
}
static void fill(double *x, ptrdiff_t n, int kind) {
    for (ptrdiff_t i = 0; i < n; i++)
        x[i] = (double)(kind == EVEN ? test_float(1) : kind == SHARP ? test_float(10) : kind == EQUAL ? 7.25f :
                        test_below(2) ? 1e4f : -1e4f + test_float(3));
}
// One shape in both types on every instruction set, apart and in place.
static void rows_case(attn_softmax_desc *d, int kind) {
    const ptrdiff_t xr = d->x_row ? d->x_row : d->cols, yr = d->y_row ? d->y_row : d->cols, g = d->rows_per_length;
    const ptrdiff_t nx = d->rows ? (d->rows - 1) * xr + d->cols : 0, ny = d->rows ? (d->rows - 1) * yr + d->cols : 0;
    if (nx > ROOM || ny > ROOM) { puts("ROOM is too small"); exit(2); }
    fill(room_x, nx, kind);
    for (int turn = 0; turn < 4; turn++) {
        const int f64 = turn & 1;
        d->log = turn >> 1;
        for (ptrdiff_t i = 0; i < ny; i++) { start_y[i] = want[i] = (double)test_float(1); bound[i] = 0; }
        for (ptrdiff_t r = 0; r < d->rows; r++)
            reference_row(room_x + r * xr, d->cols, d->lengths ? d->lengths[g ? r / g : r] : d->cols,
                          (double)d->masked_score, f64 ? 2.3e-16 : 1.2e-7, d->log, want + r * yr, bound + r * yr);
        EACH_ISA(isa) for (int in_place = 0; in_place < (xr == yr ? 2 : 1); in_place++) {
            int right;
            const double *old = in_place ? room_x : start_y;
            for (ptrdiff_t r = 0; r + 1 < d->rows; r++)             // between rows nothing changes
                for (ptrdiff_t j = d->cols; j < yr; j++) want[r * yr + j] = old[r * yr + j];
            void *x = typed(&fence_x, room_x, nx, f64);
            d->x = x;
            d->y = in_place ? x : typed(&fence_y, start_y, ny, f64);
            d->isa = isa;
            right = softmax(d, f64) == ATTN_OK && agrees(d->y, ny, f64) &&
                    fence_holds(in_place ? &fence_x : &fence_y, d->y);
            CHECK(right);
            if (!right) printf("    %s %s: rows %ld cols %ld strides %ld %ld kind %d %s\n", attn_isa_name(isa),
                               f64 ? "f64" : "f32", (long)d->rows, (long)d->cols, (long)xr, (long)yr, kind,
                               in_place ? "in place" : "");
        }
    }
}

TEST(softmax, every_width_and_kind_of_score) {
    for (int cols = 0; cols <= 4096; cols = cols < 70 ? cols + 1 : cols == 70 ? 77 : cols == 77 ? 512 : cols + 3584)
        for (int kind = EVEN; kind < KINDS; kind++) {
            attn_softmax_desc d = ATTN_ZERO;
            d.rows = 1 + test_below(cols > 500 ? 3 : 9); d.cols = cols;
            rows_case(&d, kind);
        }
}
TEST(softmax, strides_leave_what_lies_between_rows) {
    for (int round = 0; round < ROUNDS; round++) {
        attn_softmax_desc d = ATTN_ZERO;
        d.rows = test_below(20); d.cols = 1 + test_below(80);
        d.x_row = test_below(3) ? d.cols + test_below(9) : 0;
        d.y_row = test_below(3) ? d.cols + test_below(9) : 0;
        if (test_below(2)) d.y_row = d.x_row;
        rows_case(&d, EVEN + test_below(KINDS - EVEN));
    }
}
TEST(softmax, lengths_leave_out_and_masked_scores_replace) {
    static int32_t lengths[64];
    static const float score[] = { 0, 0, -1e6f, -1e6f, -3, 2, 1e-40f, -1e-45f };
    for (int round = 0; round < ROUNDS * 3 / 2; round++) {
        attn_softmax_desc d = ATTN_ZERO;
        ptrdiff_t groups = test_below(9);
        d.rows_per_length = test_below(5);
        d.rows = groups * (d.rows_per_length ? d.rows_per_length : 1);
        d.cols = round % 7 ? test_below(90) : 512;
        for (int i = 0; i < 64; i++)
            lengths[i] = (int32_t)(test_below(4) ? test_below((int)d.cols + 1) : test_below(2) ? (int)d.cols : 0);
        d.lengths = lengths; d.masked_score = score[test_below(COUNT(score))];
        rows_case(&d, EVEN + test_below(KINDS - EVEN));
    }
}
TEST(softmax, a_row_left_out_is_zeros_or_even_by_the_masked_score) {
    EACH_ISA(isa) for (int cols = 1; cols <= 70; cols++) {
        attn_softmax_desc d = ATTN_ZERO;
        float x[70], y[70];
        int32_t none = 0;
        for (int j = 0; j < cols; j++) { x[j] = (float)NAN; y[j] = 3; }
        d.x = x; d.y = y; d.rows = 1; d.cols = cols; d.lengths = &none; d.isa = isa;
        CHECK(attn_softmax_f32(&d) == ATTN_OK);
        for (int j = 0; j < cols; j++) CHECK(y[j] == 0);
        d.masked_score = -1e6f;
        CHECK(attn_softmax_f32(&d) == ATTN_OK);
        for (int j = 0; j < cols; j++) NEAR(y[j], 1.0 / cols, 1e-7);
        d.log = 1;
        CHECK(attn_softmax_f32(&d) == ATTN_OK);
        for (int j = 0; j < cols; j++) NEAR(y[j], -tool_log(cols), 1e-6);
        d.masked_score = 0;
        CHECK(attn_softmax_f32(&d) == ATTN_OK);
        for (int j = 0; j < cols; j++) CHECK(y[j] == -INFINITY);
    }
}
TEST(softmax, logarithms_of_what_is_not_finite) {
    const double kinds[][3] = { { NAN, 1, 2 }, { INFINITY, 1, 2 }, { -INFINITY, 1, 1 },
                                { -INFINITY, -INFINITY, -INFINITY }, { -3e38, 3e38, 3e38 } };
    EACH_ISA(isa) for (int f64 = 0; f64 < 2; f64++) for (int cols = 3; cols <= 70; cols++) for (int k = 0; k < 5; k++) {
        attn_softmax_desc d = ATTN_ZERO;
        for (int j = 0; j < cols; j++) room_x[j] = kinds[k][j < 3 ? j : 0];
        d.x = typed(&fence_x, room_x, cols, f64); d.y = typed(&fence_y, room_x, cols, f64);
        d.rows = 1; d.cols = cols; d.isa = isa; d.log = 1;
        CHECK(softmax(&d, f64) == ATTN_OK);
        for (int j = 0; j < cols; j++) {
            const double y = value(d.y, j, f64);
            if (k < 2) CHECK(y != y);
            else if (k == 4) NEAR(y, j == 1 || j == 2 ? -0.69314718 : f64 ? -6e38 : -INFINITY, 1e31);
            else if (k == 3 || j < 1 || j > 2) CHECK(y == -INFINITY);
            else NEAR(y, -0.69314718, 1e-6);
        }
    }
}
TEST(softmax, nothing_beyond_a_length_reaches_the_row) {
    const double bad[] = { NAN, INFINITY, -INFINITY, 3e38 };
    EACH_ISA(isa) for (int f64 = 0; f64 < 2; f64++)
    for (int cols = 1; cols <= 70; cols++) for (int kind = 0; kind < 4; kind++) {
        attn_softmax_desc d = ATTN_ZERO;
        int32_t length = (int32_t)test_below(cols + 1);
        fill(room_x, cols, EVEN);
        reference_row(room_x, cols, length, 0, f64 ? 2.3e-16 : 1.2e-7, cols % 2, want, bound);
        for (int j = length; j < cols; j++) room_x[j] = bad[kind];
        d.x = typed(&fence_x, room_x, cols, f64); d.y = typed(&fence_y, room_x, cols, f64);
        d.rows = 1; d.cols = cols; d.lengths = &length; d.isa = isa; d.log = cols % 2;
        CHECK(softmax(&d, f64) == ATTN_OK && agrees(d.y, cols, f64));
    }
}
TEST(softmax, rows_sum_to_1) {
    static float x[64 * 300], y[64 * 300];
    EACH_ISA(isa) for (int kind = EVEN; kind < KINDS; kind++)
    for (int cols = 1; cols <= 300; cols += cols < 70 ? 1 : 46) {
        attn_softmax_desc d = ATTN_ZERO;
        fill(room_x, 64 * cols, kind);
        for (int i = 0; i < 64 * cols; i++) x[i] = (float)room_x[i];
        d.x = x; d.y = y; d.rows = 64; d.cols = cols; d.isa = isa;
        CHECK(attn_softmax_f32(&d) == ATTN_OK);
        for (int r = 0; r < 64; r++) {
            double sum = 0;
            for (int j = 0; j < cols; j++) {
                double w = (double)y[r * cols + j];
                sum += w;
                CHECK(w >= 0 && w <= 1);
            }
            NEAR(sum, 1, 4e-7 + 6e-9 * cols);
        }
    }
}

// ---- what is not finite; three rows, of which the middle one is special

static void special(int f64, int isa, int cols, const double *middle, double *out) {
    attn_softmax_desc d = ATTN_ZERO;
    double rows[2][70], b[70];
    for (int i = 0; i < 3; i++) {
        double *row = room_x + i * cols;
        fill(row, cols, EVEN);
        if (i == 1) memcpy(row, middle, (size_t)cols * sizeof *row);
        else reference_row(row, cols, cols, 0, f64 ? 2.3e-16 : 1.2e-7, 0, rows[i / 2], b);
    }
    d.x = typed(&fence_x, room_x, 3 * cols, f64); d.y = typed(&fence_y, room_x, 3 * cols, f64);
    d.rows = 3; d.cols = cols; d.isa = isa;
    CHECK(softmax(&d, f64) == ATTN_OK);
    for (int j = 0; j < cols; j++) {
        NEAR(value(d.y, j, f64), rows[0][j], 1e-6);
        NEAR(value(d.y, 2 * cols + j, f64), rows[1][j], 1e-6);
        out[j] = value(d.y, cols + j, f64);
    }
}
TEST(softmax, nan_and_plus_infinity_make_their_row_nan) {
    double x[70], y[70];
    EACH_ISA(isa) for (int f64 = 0; f64 < 2; f64++)
    for (int cols = 1; cols <= 70; cols++) for (int kind = 0; kind < 3; kind++) {
        fill(x, cols, EVEN);
        x[test_below(cols)] = kind ? INFINITY : NAN;
        if (kind == 2) x[test_below(cols)] = -INFINITY;
        int has = 0;
        for (int j = 0; j < cols; j++) if (!(x[j] < INFINITY)) has = 1;
        special(f64, isa, cols, x, y);
        for (int j = 0; j < cols && has; j++) CHECK(y[j] != y[j]);
    }
}
TEST(softmax, minus_infinity_weighs_nothing) {
    double x[70], y[70];
    EACH_ISA(isa) for (int f64 = 0; f64 < 2; f64++) for (int cols = 2; cols <= 70; cols++) {
        double sum = 0;
        int some = test_below(cols);
        fill(x, cols, EVEN);
        for (int j = 0; j < cols; j++) if (j != some && test_below(3)) x[j] = -INFINITY;
        special(f64, isa, cols, x, y);
        for (int j = 0; j < cols; j++) { sum += y[j]; CHECK((x[j] < -1e30) == (y[j] == 0)); }
        NEAR(sum, 1, 1e-6);
        for (int j = 0; j < cols; j++) x[j] = -INFINITY;            // as if all were left out
        special(f64, isa, cols, x, y);
        for (int j = 0; j < cols; j++) CHECK(y[j] == 0);
    }
}
TEST(softmax, the_largest_scores_do_not_overflow) {
    double x[70], y[70];
    EACH_ISA(isa) for (int cols = 2; cols <= 70; cols++) {
        for (int j = 0; j < cols; j++) x[j] = j & 1 ? 3.0e38 : -3.0e38;
        special(0, isa, cols, x, y);
        for (int j = 0; j < cols; j++) NEAR(y[j], j & 1 ? 1.0 / (cols / 2) : 0, 1e-6);
    }
}

TEST(softmax, denormal_weights_count_where_the_manual_says_so) {
    const unsigned mode = float_mode();
    double x[70], y[70];
    EACH_ISA(isa) for (int f64 = 0; f64 < 2; f64++) for (int cols = 2; cols <= 70; cols++) {
        const double far = f64 ? -740 : -95, weight = f64 ? 4.1995579e-322 : 5.5210823e-42;
        int one = test_below(cols);
        for (int j = 0; j < cols; j++) x[j] = j == one ? 0 : far;
        special(f64, isa, cols, x, y);
        CHECK(float_mode() == mode || (float_mode() ^ mode) < 0x40);        // less the flags of what happened
#ifdef __arm__
        if (isa == ATTN_ISA_NEON) continue;            // flushes denormals in hardware (docs/decisions.md)
#endif
        for (int j = 0; j < cols; j++)
            if (j != one && (f64 || (DENORMALS && isa >= ATTN_ISA_AVX512 && isa <= ATTN_ISA_AVX512V)))
                NEAR(y[j], weight, weight * 0.02);
            else if (j != one) CHECK(y[j] == 0);        // 2^x of the other sets ends at -127
    }
}
TEST(softmax, the_number_of_threads_changes_no_bit) {
    static float x[257 * 129], serial[257 * 129], y[257 * 129];
    static int32_t lengths[257];
    attn_softmax_desc d = ATTN_ZERO;
    for (int i = 0; i < 257 * 129; i++) x[i] = test_float(5);
    for (int i = 0; i < 257; i++) lengths[i] = (int32_t)test_below(130);
    d.x = x; d.rows = 257; d.cols = 129; d.lengths = lengths;
    d.y = serial;
    CHECK(attn_softmax_f32(&d) == ATTN_OK);
    d.y = y;
    for (int threads = 1; threads <= 16; threads++) {
        const attn_parallel *pool = attn_pool_open(threads);
        if (!pool) { test_skip("threads", "no pool"); return; }
        d.parallel = pool;
        memset(y, 1, sizeof y);
        CHECK(attn_softmax_f32(&d) == ATTN_OK && !memcmp(y, serial, sizeof y));
        attn_pool_close(pool);
    }
    for (int r = 0; r < 257; r++) {                                 // nor does the number of rows
        float one[129];
        d.parallel = NULL; d.x = x + r * 129; d.y = one; d.rows = 1; d.lengths = lengths + r;
        CHECK(attn_softmax_f32(&d) == ATTN_OK && !memcmp(one, serial + r * 129, sizeof one));
    }
    CHECK(heap_live == 0);
}

TEST(softmax, misuse_has_its_status_and_its_sentence_and_writes_nothing) {
    static const struct { attn_status status; const char *word; } expect[] = {
        { ATTN_ERR_NULL, "x" }, { ATTN_ERR_NULL, "y" }, { ATTN_ERR_SHAPE, "rows" }, { ATTN_ERR_SHAPE, "cols" },
        { ATTN_ERR_SHAPE, "rows_per_length" }, { ATTN_ERR_RANGE, "length" }, { ATTN_ERR_RANGE, "length" },
        { ATTN_ERR_RANGE, "rows_per_length" }, { ATTN_ERR_RANGE, "log" }, { ATTN_ERR_RANGE, "isa" },
        { ATTN_ERR_OVERLAP, "y" }, { ATTN_ERR_OVERLAP, "y_row" }, { ATTN_ERR_VERSION, "size" },
    };
    for (int i = 0; i < COUNT(expect); i++) for (int f64 = 0; f64 < 2; f64++) {
        double x[12] = { 0 }, y[12] = { 7 };
        int32_t lengths[4] = { 1, 2, 3, 0 };
        char text[300], begin[11];
        attn_softmax_desc d = ATTN_ZERO;
        attn_status s;
        d.x = x; d.y = y; d.rows = 4; d.cols = 3; d.lengths = lengths;
        switch (i) {
        case 0: d.x = NULL; break;
        case 1: d.y = NULL; break;
        case 2: d.rows = -4; break;
        case 3: d.cols = -3; break;
        case 4: d.rows_per_length = 3; break;                       // 4 rows are no whole number of groups
        case 5: lengths[3] = 4; break;
        case 6: lengths[3] = -1; break;
        case 7: d.rows_per_length = -2; break;
        case 8: d.log = 2; break;
        case 9: d.isa = ATTN_ISA_COUNT; break;
        case 10: d.x = (char *)d.y + (f64 ? 8 : 4); break;
        case 11: d.y_row = 2; break;
        default: d.size = sizeof d + 8; break;
        }
        s = softmax(&d, f64);
        CHECK(s == expect[i].status);
        if (s != expect[i].status) printf("    wrong %d: %s\n", i, attn_status_str(s));
        CHECK(y[0] == 7 && y[1] == 0);
        CHECK(attn_explain_softmax(s, &d, text, sizeof text) == text && strlen(text) > 5);
        CHECK(strstr(text, expect[i].word) != NULL);
        memset(begin, '#', sizeof begin);
        attn_explain_softmax(s, &d, begin, 10);
        CHECK(strlen(begin) == 9 && !strncmp(begin, text, 9) && begin[10] == '#');
    }
    CHECK(attn_softmax_f32(NULL) == ATTN_ERR_NULL && attn_softmax_f64(NULL) == ATTN_ERR_NULL);
}
TEST(softmax, strides_that_overlap_or_overflow_are_refused) {
    double x[12] = { 0 }, y[12] = { 7 };
    attn_softmax_desc d = ATTN_ZERO;
    d.x = x; d.y = y; d.rows = 4; d.cols = 3;
    d.y_row = 2;
    CHECK(attn_softmax_f32(&d) != ATTN_OK && attn_softmax_f64(&d) != ATTN_OK);
    d.y_row = -3;
    CHECK(attn_softmax_f32(&d) != ATTN_OK && attn_softmax_f64(&d) != ATTN_OK);
    d.y_row = 0; d.x_row = PTRDIFF_MAX / 2;
    CHECK(attn_softmax_f32(&d) != ATTN_OK && attn_softmax_f64(&d) != ATTN_OK);
    CHECK(y[0] == 7 && y[1] == 0);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    fence_x = fence_open(8 * ROOM + FENCE_GUARD); fence_y = fence_open(8 * ROOM + FENCE_GUARD);
    RUN(softmax, every_width_and_kind_of_score);
    RUN(softmax, strides_leave_what_lies_between_rows);
    RUN(softmax, lengths_leave_out_and_masked_scores_replace);
    RUN(softmax, a_row_left_out_is_zeros_or_even_by_the_masked_score);
    RUN(softmax, logarithms_of_what_is_not_finite);
    RUN(softmax, nothing_beyond_a_length_reaches_the_row);
    RUN(softmax, rows_sum_to_1);
    RUN(softmax, nan_and_plus_infinity_make_their_row_nan);
    RUN(softmax, minus_infinity_weighs_nothing);
    RUN(softmax, the_largest_scores_do_not_overflow);
    RUN(softmax, denormal_weights_count_where_the_manual_says_so);
    RUN(softmax, the_number_of_threads_changes_no_bit);
    RUN(softmax, misuse_has_its_status_and_its_sentence_and_writes_nothing);
    RUN(softmax, strides_that_overlap_or_overflow_are_refused);
    return test_end();
}
