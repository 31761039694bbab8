// test_vec - attn_map and attn_dot on every instruction set against functions in double that stand here: they need no
// libm, and are held to constants computed with 60 digits. By default every 257th float; with --all every one of the
// 2^32, with the worst case of each function and instruction set. -DROUNDS=N changes the length of the sweeps (60:
// every 257th float).
//     cc -O2 -I. tests/test_vec.c -o test_vec && ./test_vec [--all]
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"

#ifndef ROUNDS
#define ROUNDS 60
#endif
enum { BLOCK = 8192, EXP = 0, TANH, ERF, LOG, SQRT, SIGMOID, SILU, GELU, GELU_TANH, FUNCTIONS };
typedef struct worst { double ulp, want; float x, got; } worst;
// The bound in units of the last place: of the result; of x from SILU on, whose factor of x rounds near 0 or 1.
static const struct { int op; const char *name; double bound, low, high; } of[FUNCTIONS] = {
    { ATTN_MAP_EXP, "exp", 1, -104.5, 89 }, { ATTN_MAP_TANH, "tanh", 4, -10, 10 },
    { ATTN_MAP_ERF, "erf", 4, -4.5, 4.5 }, { ATTN_MAP_LOG, "log", 4, 0.4, 2.5 }, { ATTN_MAP_SQRT, "sqrt", 0.5, 0, 5 },
    { ATTN_MAP_SIGMOID, "sigmoid", 4, -104.5, 20 }, { ATTN_MAP_SILU, "silu", 2, -110, 20 },
    { ATTN_MAP_GELU, "gelu", 2, -8, 8 }, { ATTN_MAP_GELU_TANH, "gelu_tanh", 3, -8, 8 },
};
static const double two128 = 340282366920938463463374607431768211456.0;
static int every_float;

static float float_of(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }
static uint32_t bits_of(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }

// ---- the functions in double, good to 1e-14 relative: plain series, each where its terms have one sign or fall fast

static double two_to(int k) { // -1022 <= k <= 1023
    uint64_t u = (uint64_t)(k + 1023) << 52;
    double x;
    memcpy(&x, &u, 8);
    return x;
}
static const double over[] = { // 1 / n
    0, 1, 1. / 2, 1. / 3, 1. / 4, 1. / 5, 1. / 6, 1. / 7, 1. / 8, 1. / 9, 1. / 10, 1. / 11, 1. / 12, 1. / 13, 1. / 14,
    1. / 15, 1. / 16, 1. / 17, 1. / 18, 1. / 19, 1. / 20, 1. / 21, 1. / 22, 1. / 23,
};
static double exp_of(double x) { // e^x = 2^k e^r, |r| <= ln(2) / 2; Taylor up to r^14
    double r, y = 1;
    int k;
    if (!(x > -746)) return x != x ? x : 0;
    if (x > 710) return HUGE_VAL;
    k = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
    for (int n = 14; n; n--) y = 1 + y * r * over[n];
    return y * two_to(k / 2) * two_to(k - k / 2);
}
static double tanh_of(double x) { // sinh / cosh by Taylor below 1, by exp above
    double a = x < 0 ? -x : x, square = x * x, odd = 1, even = 1, e;
    if (a < 1) {
        for (int n = 18; n; n -= 2) {
            even = 1 + even * square * over[n] * over[n - 1];
            odd = 1 + odd * square * over[n] * over[n + 1];
        }
        return x * (odd / even);
    }
    e = exp_of(-2 * a);
    return x < 0 ? (e - 1) / (1 + e) : (1 - e) / (1 + e);
}
static double erf_of(double x) { // 2 / sqrt(pi) e^(-x^2) (x + 2 x^3 / 3 + 4 x^5 / 15 + ...): every term has x's sign
    double term = 1, sum = 1;
    if (x > 6 || x < -6) return x < 0 ? -1 : 1;
    for (int n = 1; term > 1e-18 * sum; n++) { term *= 2 * x * x / (2 * n + 1); sum += term; }
    return 1.12837916709551257390 * x * exp_of(-x * x) * sum;
}
static double log_of(double x) { // x = 2^k m, m near 1: ln(m) = 2 (z + z^3 / 3 + ...), z = (m - 1) / (m + 1)
    double z, square, y = 0;
    uint64_t u;
    int k, more = 0;
    if (!(x > 0)) return x == 0 ? -HUGE_VAL : x != x ? x : (double)NAN;
    if (x > 1.7976931348623157e308) return x;
    if (x < 1e-300) { x *= two_to(54); more = -54; }
    memcpy(&u, &x, 8);
    k = (int)((u + 0x00095f619980c433u) >> 52) - 1023;          // from the root of 2 on, the next power of two
    u -= (uint64_t)k << 52;
    memcpy(&x, &u, 8);
    k += more;
    z = (x - 1) / (x + 1); square = z * z;
    for (int n = 23; n > 0; n -= 2) y = y * square + over[n];
    return k * 0.693147180369123816490 + (k * 1.90821492927058770002e-10 + 2 * z * y);
}
static double sqrt_of(double x) { // Newton's method, from half the bits
    double y, scale = 1;
    uint64_t u;
    if (!(x > 0)) return x == 0 || x != x ? x : (double)NAN;
    if (x > 1.7976931348623157e308) return x;
    if (x < 1e-300) { x *= two_to(108); scale = two_to(-54); }
    memcpy(&u, &x, 8);
    u = (u >> 1) + ((uint64_t)511 << 52) + ((uint64_t)1 << 51);
    memcpy(&y, &u, 8);
    for (int n = 0; n < 4; n++) y = 0.5 * (y + x / y);
    return y * scale;
}
static double want_of(int f, double x) {
    const double big = x < -1e30 ? -1e30 : x;
    double e;
    switch (f) {
    case EXP: return exp_of(x);
    case TANH: return tanh_of(x);
    case ERF: return erf_of(x);
    case LOG: return log_of(x);
    case SQRT: return sqrt_of(x);
    case SIGMOID: e = exp_of(x < 0 ? x : -x); return x < 0 ? e / (1 + e) : 1 / (1 + e);
    case SILU: return big * want_of(SIGMOID, x);
    case GELU: return 0.5 * big * (1 + erf_of(x * 0.70710678118654752440));    // near enough beside x
    default: return want_of(SIGMOID, 1.5957691216057308 * big * (1 + 0.044715 * big * big)) * big;
    }
}
TEST(reference, meets_constants_of_60_digits) { // Abramowitz and Stegun print many, chapters 4 and 7
    static const struct { int f; double x, y; } value[] = {
        { EXP, 1, 2.71828182845904523536 }, { EXP, -10, 0.0000453999297624848515 },
        { EXP, 0.125, 1.13314845306682631683 }, { EXP, -100, 3.72007597602083596e-44 },
        { EXP, 80, 5.54062238439351005e34 }, { TANH, 0.1, 0.0996679946249558171 },
        { TANH, 0.5, 0.462117157260009758502 }, { TANH, 1, 0.761594155955764888 },
        { TANH, 2.5, 0.986614298151430288881 }, { TANH, 8, 0.999999774929675889810 },
        { ERF, 0.1, 0.112462916018284892203 }, { ERF, 0.5, 0.520499877813046537683 },
        { ERF, 1, 0.842700792949714869341 }, { ERF, 2, 0.995322265018952734162 }, { ERF, 3, 0.999977909503001414559 },
        { ERF, 4, 0.999999984582742099720 }, { LOG, 2, 0.693147180559945309417 }, { LOG, 10, 2.30258509299404568402 },
        { LOG, 1.25, 0.223143551314209755766 }, { LOG, 1.4375, 0.362905493689368453138 },
        { LOG, 0.001, -6.90775527898213705205 }, { LOG, 1e30, 69.0775527898213705205 },
        { SQRT, 2, 1.41421356237309504880 }, { SQRT, 10, 3.16227766016837933200 },
        { SQRT, 3e-39, 5.47722557505166113457e-20 },
    };
    for (int i = 0; i < COUNT(value); i++) {
        const double y = value[i].y, tolerance = 4e-15 * (y < 0 ? -y : y);
        NEAR(want_of(value[i].f, value[i].x), y, tolerance);
        if (value[i].f == TANH || value[i].f == ERF) NEAR(want_of(value[i].f, -value[i].x), -y, tolerance);
    }
}

// Distance in units of the last place that a float has at want; what rounds beyond the largest float must be infinite.
static double ulps(float got, double want, double unit) {
    double g = got, scale;
    uint64_t u;
    int e;
    if (got != got || want != want) return got != got && want != want ? 0 : 1e9;
    if (want >= two128 || want <= -two128) return g > two128 && want > 0 ? 0 : g < -two128 && want < 0 ? 0 : 1e9;
    if (g > two128) g = two128;
    if (g < -two128) g = -two128;
    memcpy(&u, &unit, 8);
    e = (int)(u >> 52 & 2047) - 1023;
    if (e < -126) e = -126;
    u = (uint64_t)(1023 + 23 - e) << 52;
    memcpy(&scale, &u, 8);
    return fabs(g - want) * scale;
}
static void compare(int f, int isa, const float *x, const double *want, int n, worst *w) {
    static float y[BLOCK];
    if (attn_map_f32(of[f].op, y, x, n, isa) != ATTN_OK) { w->ulp = 1e9; return; }
    for (int i = 0; i < n; i++) {
        double u = ulps(y[i], want[i], f < SILU ? want[i] : (double)x[i]);
        if (u > w->ulp) { w->ulp = u; w->x = x[i]; w->got = y[i]; w->want = want[i]; }
    }
}
static void judge(int f, const worst *w) {
    EACH_ISA(isa) {
        const worst *o = &w[isa];
        if (every_float)
            printf("%-8s %-9s worst %.4f ULP at %.9g (0x%08x): %.9g, exactly %.17g\n", attn_isa_name(isa), of[f].name,
                   o->ulp, (double)o->x, (unsigned)bits_of(o->x), (double)o->got, o->want);
        if (o->ulp > of[f].bound)
            printf("    %s %s: %.3f ULP at %.9g: %.9g, want %.9g\n", attn_isa_name(isa), of[f].name, o->ulp,
                   (double)o->x, (double)o->got, o->want);
        CHECK(o->ulp <= of[f].bound);
    }
}
static void sweep(int f) {
    static float x[BLOCK];
    static double want[BLOCK];
    worst w[ATTN_ISA_COUNT];
    const uint64_t step = every_float ? 1 : 15420 / ROUNDS | 1, all = (uint64_t)1 << 32;
    memset(w, 0, sizeof w);
    for (uint64_t u = 0; u < all; ) {
        int n = 0;
        for (; n < BLOCK && u < all; n++, u += step) {
            x[n] = float_of((uint32_t)u);
            want[n] = want_of(f, (double)x[n]);
        }
        EACH_ISA(isa) compare(f, isa, x, want, n, &w[isa]);
    }
    judge(f, w);
}
TEST(map, exp_is_within_1_ulp_over_all_floats) { sweep(EXP); }
TEST(map, tanh_is_within_4_ulp_over_all_floats) { sweep(TANH); }
TEST(map, erf_is_within_4_ulp_over_all_floats) { sweep(ERF); }
TEST(map, log_is_within_4_ulp_over_all_floats) { sweep(LOG); }
TEST(map, sqrt_is_rounded_right_over_all_floats) { sweep(SQRT); }
TEST(map, sigmoid_is_within_4_ulp_over_all_floats) { sweep(SIGMOID); }
TEST(map, silu_and_gelu_are_within_3_ulp_of_x_over_all_floats) { for (int f = SILU; f < FUNCTIONS; f++) sweep(f); }

TEST(map, the_bounds_hold_where_the_functions_bend) {
    static float x[BLOCK];
    static double want[BLOCK];
    for (int f = 0; f < FUNCTIONS; f++) {
        worst w[ATTN_ISA_COUNT];
        memset(w, 0, sizeof w);
        for (int block = 0; block < ROUNDS; block++) {
            for (int i = 0; i < BLOCK; i++) {
                x[i] = (float)(of[f].low + (of[f].high - of[f].low) * test_uniform());
                want[i] = want_of(f, (double)x[i]);
            }
            EACH_ISA(isa) compare(f, isa, x, want, BLOCK, &w[isa]);
        }
        judge(f, w);
    }
}

static float map1(int op, float x, int isa) {
    float y = 12345;
    CHECK(attn_map_f32(op, &y, &x, 1, isa) == ATTN_OK);
    return y;
}
static int same_bits(float a, float b) { return bits_of(a) == bits_of(b); }

TEST(map, edges) {
    const float inf = (float)INFINITY, nan_ = (float)NAN, sub = float_of(1), max = float_of(0x7f7fffffu);
    EACH_ISA(isa) {
        CHECK(map1(ATTN_MAP_EXP, 0, isa) == 1 && map1(ATTN_MAP_EXP, -0.0f, isa) == 1);
        CHECK(map1(ATTN_MAP_EXP, inf, isa) == inf && same_bits(map1(ATTN_MAP_EXP, -inf, isa), 0));
        CHECK(map1(ATTN_MAP_EXP, max, isa) == inf && same_bits(map1(ATTN_MAP_EXP, -max, isa), 0));
        CHECK(map1(ATTN_MAP_EXP, 88.7228394f, isa) == inf && map1(ATTN_MAP_EXP, 88.7228317f, isa) < inf);
        CHECK(map1(ATTN_MAP_EXP, -103.0f, isa) > 0 && map1(ATTN_MAP_EXP, -105.0f, isa) == 0);
        NEAR(map1(ATTN_MAP_EXP, -88.0f, isa), exp_of(-88), 1.5e-45);
        NEAR(map1(ATTN_MAP_EXP, -95.0f, isa), exp_of(-95), 1.5e-45);
        CHECK(map1(ATTN_MAP_EXP, sub, isa) == 1);
        for (int op = ATTN_MAP_TANH; op <= ATTN_MAP_ERF; op++) {
            CHECK(same_bits(map1(op, 0, isa), 0) && same_bits(map1(op, -0.0f, isa), -0.0f));
            CHECK(map1(op, inf, isa) == 1 && map1(op, -inf, isa) == -1);
            CHECK(map1(op, max, isa) == 1 && map1(op, -max, isa) == -1);
            CHECK(same_bits(map1(op, sub, isa), sub));
        }
        CHECK(same_bits(map1(ATTN_MAP_TANH, -float_of(12345), isa), -float_of(12345)));
        CHECK(map1(ATTN_MAP_RELU, -1, isa) == 0 && map1(ATTN_MAP_RELU, 3, isa) == 3);
        CHECK(map1(ATTN_MAP_RELU, inf, isa) == inf && map1(ATTN_MAP_RELU, -inf, isa) == 0);
        CHECK(map1(ATTN_MAP_RELU, sub, isa) == sub);
        CHECK(map1(ATTN_MAP_SQUARE, -3, isa) == 9 && map1(ATTN_MAP_SQUARE, max, isa) == inf);
        for (int op = ATTN_MAP_LOG; op <= ATTN_MAP_SQRT; op++) {
            float y = map1(op, -1, isa);
            CHECK(y != y);
            y = map1(op, -inf, isa);
            CHECK(y != y);
            y = map1(op, -sub, isa);
            CHECK(y != y && map1(op, inf, isa) == inf && same_bits(map1(op, 1, isa), op == ATTN_MAP_SQRT));
        }
        CHECK(map1(ATTN_MAP_LOG, 0, isa) == -inf && map1(ATTN_MAP_LOG, -0.0f, isa) == -inf);
        NEAR(map1(ATTN_MAP_LOG, sub, isa), -103.2789307, 1e-5);
        NEAR(map1(ATTN_MAP_LOG, max, isa), 88.72283936, 1e-5);
        CHECK(same_bits(map1(ATTN_MAP_SQRT, -0.0f, isa), -0.0f) && map1(ATTN_MAP_SQRT, 9, isa) == 3);
        CHECK(map1(ATTN_MAP_SIGMOID, 0, isa) == 0.5f && map1(ATTN_MAP_SIGMOID, inf, isa) == 1);
        CHECK(map1(ATTN_MAP_SIGMOID, -inf, isa) == 0 && map1(ATTN_MAP_SIGMOID, -100, isa) > 0);
        for (int op = ATTN_MAP_SILU; op <= ATTN_MAP_GELU_TANH; op++) {
            CHECK(map1(op, inf, isa) == inf && map1(op, max, isa) == max && same_bits(map1(op, 0, isa), 0));
            CHECK(same_bits(map1(op, -inf, isa), -0.0f) && same_bits(map1(op, -max, isa), -0.0f));
            CHECK(same_bits(map1(op, -200, isa), -0.0f) && same_bits(map1(op, -0.0f, isa), -0.0f));
            CHECK(map1(op, 40, isa) == 40 && map1(op, 3e19f, isa) == 3e19f && map1(op, -3e19f, isa) == 0);
        }
        CHECK(same_bits(map1(ATTN_MAP_GELU, -40, isa), -0.0f));
        for (int op = 0; op < ATTN_MAP_COUNT; op++) {
            float y = map1(op, nan_, isa);
            CHECK(y != y);
            y = map1(op, float_of(0xffc00001u), isa);
            CHECK(y != y);
        }
    }
}

TEST(map, square_and_relu_are_exact) {
    static float x[4099], y[4099];
    for (int i = 0; i < 4099; i++) x[i] = float_of((uint32_t)(test_next() >> 32));
    EACH_ISA(isa) {
        CHECK(attn_map_f32(ATTN_MAP_SQUARE, y, x, 4099, isa) == ATTN_OK);
        for (int i = 0; i < 4099; i++)
            CHECK(x[i] != x[i] ? y[i] != y[i] : y[i] == (float)((double)x[i] * (double)x[i]));
        CHECK(attn_map_f32(ATTN_MAP_RELU, y, x, 4099, isa) == ATTN_OK);
        for (int i = 0; i < 4099; i++) CHECK(x[i] != x[i] ? y[i] != y[i] : y[i] == (x[i] > 0 ? x[i] : 0));
    }
}

TEST(map, every_length_keeps_its_bounds_and_its_bits) {
    fence fx = fence_open(1 << 12), fy = fence_open(1 << 12);
    float all[70], whole[70];
    for (int i = 0; i < 70; i++) all[i] = test_float(3);
    EACH_ISA(isa) for (int op = 0; op < ATTN_MAP_COUNT; op++) {
        CHECK(attn_map_f32(op, whole, all, 70, isa) == ATTN_OK);
        for (int n = 0; n <= 70; n++) {
            size_t bytes = (size_t)n * sizeof(float);
            float *x = (float *)fence_array(&fx, bytes), *y = (float *)fence_array(&fy, bytes);
            memcpy(x, all, bytes);
            CHECK(attn_map_f32(op, y, x, n, isa) == ATTN_OK);
            CHECK(!memcmp(y, whole, bytes) && !memcmp(x, all, bytes) && fence_holds(&fy, y));
            CHECK(attn_map_f32(op, x, x, n, isa) == ATTN_OK);
            CHECK(!memcmp(x, whole, bytes) && fence_holds(&fx, x));
        }
    }
    fence_close(&fx); fence_close(&fy);
}

TEST(map, a_long_array_has_the_bits_of_its_parts) {      // past what is touched ahead
    const ptrdiff_t n = 1048576 + 255;
    const size_t bytes = (size_t)n * sizeof(float);
    fence fx = fence_open(bytes), fy = fence_open(bytes);
    float *x = (float *)fence_array(&fx, bytes), *y = (float *)fence_array(&fy, bytes), part[4096];
    for (ptrdiff_t i = 0; i < n; i++) x[i] = test_float(3);
    EACH_ISA(isa) {
        ptrdiff_t at = 0, m = 4096;
        memset(y, 0, bytes);
        CHECK(attn_map_f32(ATTN_MAP_EXP, y, x, n, isa) == ATTN_OK && fence_holds(&fy, y));
        for (; at < n && m; at += m) {
            if (m > n - at) m = n - at;
            CHECK(attn_map_f32(ATTN_MAP_EXP, part, x + at, m, isa) == ATTN_OK);
            if (memcmp(part, y + at, (size_t)m * sizeof(float))) break;
        }
        CHECK(at >= n);
        memcpy(y, x, bytes);
        CHECK(attn_map_f32(ATTN_MAP_SQUARE, y, y, n, isa) == ATTN_OK);
        for (at = 0; at < n && y[at] == (float)((double)x[at] * (double)x[at]); at++) { }
        CHECK(at == n);
    }
    fence_close(&fx); fence_close(&fy);
}

static double ulps_f64(double got, long double want) { // want >= 0
    long double away = got - want;
    int e;
    if (got == want || (got != got && want != want)) return 0;
    if (want > 1.797693134862315807e308L) return got > 1.7976931348623157e308 ? 0 : 1e9;
    frexpl(want, &e);
    return (double)ldexpl(away < 0 ? -away : away, 53 - (e < -1021 ? -1021 : e));
}
TEST(map, f64_exp_is_within_2_ulp_the_others_within_1e_13) {
    static double x[4096], y[4096];
    double ulp = 0, rel[FUNCTIONS] = { 0 };
    for (int block = 0; block < ROUNDS * 8 / 5; block++) {
        for (int i = 0; i < 4096; i++) {
            uint64_t u = test_next();
            memcpy(&x[i], &u, 8);
            if (block % 3 == 1) x[i] = -746 + 1456 * test_uniform();
            if (block % 3 == 2) x[i] = (test_uniform() - 0.5) * 14;
        }
        CHECK(attn_map_f64(ATTN_MAP_EXP, y, x, 4096) == ATTN_OK);
        for (int i = 0; i < 4096; i++) { double d = ulps_f64(y[i], tool_exp((long double)x[i])); if (d > ulp) ulp = d; }
        for (int f = TANH; f < FUNCTIONS; f++) {
            CHECK(attn_map_f64(of[f].op, y, x, 4096) == ATTN_OK);
            for (int i = 0; i < 4096; i++) {
                double w = want_of(f, x[i]), d = fabs(y[i] - w) / (fabs(f < SILU ? w : x[i]) + 1e-307);
                if (test_same(y[i], w, 0)) d = 0;
                if (!(d <= rel[f])) rel[f] = d;
            }
        }
        CHECK(attn_map_f64(ATTN_MAP_SQUARE, y, x, 4096) == ATTN_OK);
        for (int i = 0; i < 4096; i++) NEAR(y[i], x[i] * x[i], 0);
        CHECK(attn_map_f64(ATTN_MAP_RELU, y, x, 4096) == ATTN_OK);
        for (int i = 0; i < 4096; i++) NEAR(y[i], x[i] != x[i] ? x[i] : x[i] > 0 ? x[i] : 0, 0);
    }
    NEAR(ulp, 0, 2);
    for (int f = TANH; f < FUNCTIONS; f++) NEAR(rel[f], 0, 1e-13);
}

TEST(map, f64_edges_and_lengths) {
    static const double x[] = { 0, -0.0, 710, -746, 1e300, -1e300, 4.9e-324, 709.782712893384, -745.13 };
    double y[9];
    fence f = fence_open(1 << 12);
    CHECK(attn_map_f64(ATTN_MAP_EXP, y, x, 9) == ATTN_OK);
    CHECK(y[0] == 1 && y[1] == 1 && y[2] == INFINITY && y[3] == 0 && y[4] == INFINITY && y[5] == 0 && y[6] == 1);
    CHECK(y[7] < INFINITY && y[8] == 4.9e-324);
    for (int op = 0; op < ATTN_MAP_COUNT; op++) for (int n = 0; n <= 40; n++) {
        double *a = (double *)fence_array(&f, (size_t)n * sizeof(double)), one;
        for (int i = 0; i < n; i++) a[i] = 0.3 * i - 4;
        CHECK(attn_map_f64(op, a, a, n) == ATTN_OK);
        for (int i = 0; i < n; i++) {
            double at = 0.3 * i - 4;
            CHECK(attn_map_f64(op, &one, &at, 1) == ATTN_OK);
            CHECK(!memcmp(&one, &a[i], sizeof one));
        }
        CHECK(fence_holds(&f, a));
    }
    fence_close(&f);
}

TEST(map, misuse_names_itself_and_writes_nothing) {
    float x[3] = { 1, 2, 3 }, y[3] = { 7, 7, 7 };
    double xd[3] = { 1, 2, 3 }, yd[3] = { 7, 7, 7 };
    CHECK(attn_map_f32(ATTN_MAP_EXP, NULL, x, 3, 0) == ATTN_ERR_NULL);
    CHECK(attn_map_f32(ATTN_MAP_EXP, y, NULL, 3, 0) == ATTN_ERR_NULL);
    CHECK(attn_map_f32(-1, y, x, 3, 0) == ATTN_ERR_RANGE);
    CHECK(attn_map_f32(ATTN_MAP_COUNT, y, x, 3, 0) == ATTN_ERR_RANGE);
    CHECK(attn_map_f32(ATTN_MAP_EXP, y, x, -1, 0) == ATTN_ERR_RANGE);
    CHECK(attn_map_f64(ATTN_MAP_EXP, NULL, xd, 3) == ATTN_ERR_NULL);
    CHECK(attn_map_f64(ATTN_MAP_EXP, yd, NULL, 3) == ATTN_ERR_NULL);
    CHECK(attn_map_f64(ATTN_MAP_COUNT, yd, xd, 3) == ATTN_ERR_RANGE);
    CHECK(attn_map_f64(ATTN_MAP_EXP, yd, xd, -1) == ATTN_ERR_RANGE);
    CHECK(y[0] == 7 && y[1] == 7 && y[2] == 7 && yd[0] == 7 && yd[1] == 7 && yd[2] == 7);
}

// ---- dots

TEST(dot, bf16_is_near_the_exact_sum_at_every_length) {
    fence fx = fence_open(1 << 14), fy = fence_open(1 << 14);
    EACH_ISA(isa) for (int n = 0; n <= 4099; n += n < 130 ? 1 : 567) {
        uint16_t *x = (uint16_t *)fence_array(&fx, (size_t)n * 2), *y = (uint16_t *)fence_array(&fy, (size_t)n * 2);
        double sum = 0, magnitude = 0;
        float got = 7;
        for (int i = 0; i < n; i++) {
            x[i] = (uint16_t)(bits_of(test_float(2)) >> 16);
            y[i] = (uint16_t)(bits_of(test_float(2)) >> 16);
            double p = (double)float_of((uint32_t)x[i] << 16) * (double)float_of((uint32_t)y[i] << 16);
            sum += p; magnitude += fabs(p);
        }
        CHECK(attn_dot_bf16(&got, x, y, n, isa) == ATTN_OK);
        NEAR(got, sum, magnitude * 6e-8 * (n + 2));
    }
    fence_close(&fx); fence_close(&fy);
}

TEST(dot, bf16_takes_large_values_infinities_and_nan) {
    EACH_ISA(isa) for (int n = 1; n <= 40; n++) for (int at = 0; at < n; at++) {
        uint16_t x[40], y[40];
        float got;
        for (int i = 0; i < n; i++) x[i] = y[i] = 0x3f80;               // 1
        x[at] = 0x7f7f; y[at] = 0x3f00;                                 // the largest, times 1/2
        CHECK(attn_dot_bf16(&got, x, y, n, isa) == ATTN_OK);
        NEAR(got, (double)float_of(0x7f7f0000u) / 2, 1e32);
        x[at] = 0xff80;
        CHECK(attn_dot_bf16(&got, x, y, n, isa) == ATTN_OK && got == -INFINITY);
        y[at] = 0x7fc0;
        CHECK(attn_dot_bf16(&got, x, y, n, isa) == ATTN_OK && got != got);
    }
}

TEST(dot, i8_is_exact_at_every_length) {
    fence fx = fence_open(1 << 17), fy = fence_open(1 << 17);
    EACH_ISA(isa) for (int kind = 0; kind < 5; kind++)
    for (int n = 0; n <= 65536; n += n < 130 ? 1 : n < 4000 ? 431 : 30768) {
        int8_t *x = (int8_t *)fence_array(&fx, (size_t)n), *y = (int8_t *)fence_array(&fy, (size_t)n);
        int64_t sum = 0;
        int32_t got = 7;
        for (int i = 0; i < n; i++) {
            static const int even[4] = { -128, 127, 127, -128 }, odd[4] = { -128, 127, -128, -128 };
            x[i] = (int8_t)(kind == 0 ? test_below(256) - 128 : kind == 4 ? 127 : -128);
            y[i] = (int8_t)(kind == 0 ? test_below(256) - 128 : i & 1 ? odd[kind - 1] : even[kind - 1]);
            sum += (int64_t)x[i] * y[i];
        }
        CHECK(attn_dot_i8(&got, x, y, n, isa) == ATTN_OK && got == sum);
    }
    EACH_ISA(isa) {                                                     // 2^16 products of 2^14
        int8_t *x = (int8_t *)fence_array(&fx, 65536);
        int32_t got = 7;
        memset(x, 0x80, 65536);
        CHECK(attn_dot_i8(&got, x, x, 65536, isa) == ATTN_OK && got == 1 << 30);
    }
    fence_close(&fx); fence_close(&fy);
}

TEST(dot, misuse_names_itself_and_writes_nothing) {
    uint16_t b[2] = { 0, 0 };
    int8_t i[2] = { 0, 0 };
    float f = 7;
    int32_t s = 7;
    CHECK(attn_dot_bf16(NULL, b, b, 2, 0) == ATTN_ERR_NULL && attn_dot_i8(NULL, i, i, 2, 0) == ATTN_ERR_NULL);
    CHECK(attn_dot_bf16(&f, NULL, b, 2, 0) == ATTN_ERR_NULL && attn_dot_i8(&s, NULL, i, 2, 0) == ATTN_ERR_NULL);
    CHECK(attn_dot_bf16(&f, b, NULL, 2, 0) == ATTN_ERR_NULL && attn_dot_i8(&s, i, NULL, 2, 0) == ATTN_ERR_NULL);
    CHECK(attn_dot_bf16(&f, b, b, -1, 0) == ATTN_ERR_RANGE && attn_dot_i8(&s, i, i, -1, 0) == ATTN_ERR_RANGE);
    CHECK(f == 7 && s == 7);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) if (!strcmp(argv[i], "--all")) {
        every_float = 1;
        memmove(&argv[i], &argv[i + 1], (size_t)(argc-- - i) * sizeof *argv);
    }
    test_begin(argc, argv);
    RUN(reference, meets_constants_of_60_digits);
    RUN(map, exp_is_within_1_ulp_over_all_floats);
    RUN(map, tanh_is_within_4_ulp_over_all_floats);
    RUN(map, erf_is_within_4_ulp_over_all_floats);
    RUN(map, log_is_within_4_ulp_over_all_floats);
    RUN(map, sqrt_is_rounded_right_over_all_floats);
    RUN(map, sigmoid_is_within_4_ulp_over_all_floats);
    RUN(map, silu_and_gelu_are_within_3_ulp_of_x_over_all_floats);
    RUN(map, the_bounds_hold_where_the_functions_bend);
    RUN(map, edges);
    RUN(map, square_and_relu_are_exact);
    RUN(map, every_length_keeps_its_bounds_and_its_bits);
    RUN(map, a_long_array_has_the_bits_of_its_parts);
    RUN(map, f64_exp_is_within_2_ulp_the_others_within_1e_13);
    RUN(map, f64_edges_and_lengths);
    RUN(map, misuse_names_itself_and_writes_nothing);
    RUN(dot, bf16_is_near_the_exact_sum_at_every_length);
    RUN(dot, bf16_takes_large_values_infinities_and_nan);
    RUN(dot, i8_is_exact_at_every_length);
    RUN(dot, misuse_names_itself_and_writes_nothing);
    return test_end();
}
