// test.h - the whole harness. A test is a function that is true when it returns with no failed check:
//     TEST(softmax, row_with_every_element_left_out_is_zero) { CHECK(y[0] == 0); }
//     int main(int argc, char **argv) { test_begin(argc, argv); RUN(softmax, row_with_...); return test_end(); }
// A program takes a word as argument and then runs only the tests whose name holds it. --seed N changes the sweeps.
#ifndef TEST_H
#define TEST_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#ifdef __TINYC__                        // fabs is a function of libm there, and no test needs -lm
#define fabs(x) test_fabs(x)
static double test_fabs(double x) { return x < 0 ? -x : x; }
#endif

static int test_failed_checks, test_passed, test_failed, test_skipped;
static unsigned long long test_seed = 1;
static const char *test_filter = "", *test_name = "";

#define TEST(room, sentence) static void room##__##sentence(void)
#define RUN(room, sentence) test_run(#room ": " #sentence, room##__##sentence)
#define CHECK(x) ((x) ? (void)0 : test_fail(__FILE__, __LINE__, #x))
// |got - want| <= tol, written so that a NaN on one side fails; two NaNs, or the same infinity, agree
#define NEAR(got, want, tol) test_near(__FILE__, __LINE__, #got, (double)(got), (double)(want), (double)(tol))

static void test_fail(const char *file, int line, const char *what) {
    if (++test_failed_checks <= 8)
        printf("    %s:%d: %s: failed: %s (seed %llu)\n", file, line, test_name, what, test_seed);
}
static int test_same(double got, double want, double tol) {
    if (got != got || want != want) return got != got && want != want;
    if (got == want) return 1;
    return fabs(got - want) <= tol;
}
static void test_near(const char *file, int line, const char *what, double got, double want, double tol) {
    if (test_same(got, want, tol)) return;
    if (++test_failed_checks <= 8)
        printf("    %s:%d: %s: %s = %.9g, want %.9g +- %.3g (seed %llu)\n", file, line, test_name, what, got, want, tol,
               test_seed);
}
static void test_run(const char *name, void (*f)(void)) {
    if (!strstr(name, test_filter)) return;
    test_name = name; test_failed_checks = 0;
    f();
    if (test_failed_checks) { test_failed++; printf("FAILED  %s (%d checks)\n", name, test_failed_checks); }
    else test_passed++;
}
static void test_skip(const char *what, const char *why) { test_skipped++; printf("skipped %s: %s\n", what, why); }
static void test_begin(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--seed") && i + 1 < argc) test_seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--help")) { printf("usage: %s [--seed N] [word]\n", argv[0]); exit(0); }
        else test_filter = argv[i];
    }
    setvbuf(stdout, NULL, _IOLBF, 1 << 12);
}
static int test_end(void) {
    if (test_skipped) printf("%d passed, %d failed, %d skipped\n", test_passed, test_failed, test_skipped);
    else printf("%d passed, %d failed\n", test_passed, test_failed);
    return test_failed != 0;
}
// xorshift64*: the same numbers on every machine
static unsigned long long test_next(void) {
    test_seed ^= test_seed >> 12; test_seed ^= test_seed << 25; test_seed ^= test_seed >> 27;
    return test_seed * 2685821657736338717ull;
}
static double test_uniform(void) { return (double)(test_next() >> 11) * (1.0 / 9007199254740992.0); }
static int test_below(int n) { return (int)(test_next() % (unsigned long long)n); }
static float test_float(float gain) {
    return (float)(test_uniform() + test_uniform() + test_uniform() - 1.5) * 2.0f * gain;
}
static void test_keep(void) {
    (void)test_skip; (void)test_below; (void)test_float; (void)test_near; (void)test_same; (void)test_keep;
}
#endif
