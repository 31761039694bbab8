// speed.c - the double loop of the textbook against attn_fwd on every instruction set of this machine, for 8 heads of
// 512 queries and keys, 64 features: time, rate, share of the peak measured now, error against double precision.
//                      ms   GFLOP/s   of peak   times the loop   worst error
//     double loop   59.73       9.0                        1.0       6.6e-07
//     avx512         2.57     208.6      87 %             23.2       6.0e-07
//     cc -O2 -I. examples/speed.c -o speed && ./speed
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { H = 8, N = 512, D = 64, RUNS = 200 };
static const double FLOPS = 4.0 * (double)(H * N * N * D); // of one call
static const double SECONDS = 0.3;                         // spent on measuring each pass
static const double BOUND = 1e-5;                          // on the error: docs/precision.md promises less
static const char usage[] = "usage: speed [--isa NAME]   the double loop against every pass of this machine, or one\n"
                            "Exit code: 0 done, 1 a pass is wrong or a call failed, 2 wrong use.\n";
static float q[H * N * D], k[H * N * D], v[H * N * D], o[H * N * D];
static double right[H * N * D];

// o = softmax(q k' / sqrt(D)) v as the textbook has it. exp is attn.h's on one lane, so that nothing has to be linked.
static void double_loop(void) {
    for (int h = 0; h < H; h++)
        for (int i = 0; i < N; i++) {
            const float *qi = q + (h * N + i) * D, *kh = k + h * N * D, *vh = v + h * N * D;
            float s[N], *oi = o + (h * N + i) * D, most = 0, sum = 0;
            for (int j = 0; j < N; j++) {
                s[j] = 0;
                for (int d = 0; d < D; d++) s[j] += qi[d] * kh[j * D + d];
                s[j] /= 8; // the root of D
                if (j == 0 || s[j] > most) most = s[j];
            }
            for (int j = 0; j < N; j++) s[j] -= most;
            attn_map_f32(ATTN_MAP_EXP, s, s, N, ATTN_ISA_SCALAR);
            for (int j = 0; j < N; j++) sum += s[j];
            for (int d = 0; d < D; d++) oi[d] = 0;
            for (int j = 0; j < N; j++)
                for (int d = 0; d < D; d++) oi[d] += s[j] / sum * vh[j * D + d];
        }
}
static void in_double(void) { // the same for `right`; scores of this size need no maximum
    for (int r = 0; r < H * N; r++) {
        const float *qi = q + r * D, *kh = k + r / N * N * D, *vh = v + r / N * N * D;
        double s[N], sum = 0, *oi = right + r * D;
        for (int j = 0; j < N; j++) {
            s[j] = 0;
            for (int d = 0; d < D; d++) s[j] += (double)qi[d] * (double)kh[j * D + d] / 8;
        }
        attn_map_f64(ATTN_MAP_EXP, s, s, N);
        for (int j = 0; j < N; j++) sum += s[j];
        for (int j = 0; j < N; j++)
            for (int d = 0; d < D; d++) oi[d] += s[j] / sum * (double)vh[j * D + d];
    }
}
static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; } // of this program: others may run beside it
static double peak(int isa) { // flops a second, the best of some tries of a few milliseconds
    double best = 0;
    for (int i = 0; i < 5; i++) {
        double flops = 0, t = seconds(), took = 0;
        for (; took < 4e-3; took = seconds() - t) flops += attn_peak_loop(20000, isa, ATTN_ARITH_F32);
        best = flops / took > best ? flops / took : best;
    }
    return best;
}
static double worst(void) {
    double most = 0;
    for (int i = 0; i < H * N * D; i++) {
        double e = (double)o[i] - right[i];
        e = e < 0 ? -e : e;
        if (!(e <= most)) most = e; // a NaN too
    }
    return most;
}
static int row(const char *name, double took, double rate_peak, double loop) { // returns whether the pass is right
    double error = worst();
    printf("%-12s %8.2f %9.1f ", name, took * 1e3, FLOPS / took * 1e-9);
    if (rate_peak > 0) printf("%7.0f %%", 100 * FLOPS / took / rate_peak);
    else printf("%9s", "");
    printf(" %16.1f %13.1e%s\n", loop / took, error, error <= BOUND ? "" : "  WRONG");
    fflush(stdout);
    return error <= BOUND;
}

int main(int argc, char **argv) {
    const ptrdiff_t size = H * N * D;
    int only = 0, good;
    char why[160];
    if (argc == 2 && !strcmp(argv[1], "--help")) return fputs(usage, stdout) < 0;
    if (argc == 3 && !strcmp(argv[1], "--isa")) {
        for (only = 1; only < attn_isa_count() && strcmp(attn_isa_name(only), argv[2]); only++) continue;
        if (!attn_isa_has(only)) return fprintf(stderr, "--isa %s: not on this machine\n%s", argv[2], usage), 2;
    } else if (argc > 1) return fprintf(stderr, "%s: not known, or its value is missing\n%s", argv[1], usage), 2;

    attn_ctx *c = attn_open(NULL, 0, NULL);
    if (c == NULL) return fprintf(stderr, "speed: out of memory\n"), 1;
    attn_normal(c, attn_wrap(c, ATTN_F32, 1, &size, NULL, q), 0, 1);
    attn_normal(c, attn_wrap(c, ATTN_F32, 1, &size, NULL, k), 0, 1);
    attn_normal(c, attn_wrap(c, ATTN_F32, 1, &size, NULL, v), 0, 1);
    attn_close(c);
    in_double();

    printf("%s\nattention of %d heads, %d queries and keys, %d features, ", attn_build_info(), H, N, D);
    puts("f32, one thread\n");
    printf("%31s   of peak   times the loop   worst error\n", "ms   GFLOP/s");
    double t = 0, loop = 1e9;
    for (int i = 0; i < 3; i++) {
        t = seconds();
        double_loop();
        t = seconds() - t;
        loop = t < loop ? t : loop;
    }
    good = row("double loop", loop, 0, loop);
    for (int isa = 1; isa < attn_isa_count(); isa++) {
        if (!attn_isa_has(isa) || (only && isa != only)) continue;
        attn_desc d = ATTN_ZERO;
        d.q = q, d.k = k, d.v = v, d.o = o;
        d.heads = H, d.queries = N, d.keys = N, d.dim = D, d.isa = isa;
        double best = 1e9, start = seconds(), most = peak(isa);
        memset(o, 0, sizeof o);
        for (int i = 0; i < RUNS && (i < 3 || seconds() - start < SECONDS); i++) {
            t = seconds();
            attn_status s = attn_fwd(&d);
            t = seconds() - t;
            if (s != ATTN_OK) return fprintf(stderr, "speed: %s\n", attn_explain(s, &d, why, sizeof why)), 1;
            best = t < best ? t : best;
        }
        t = peak(isa); // again, for the clock may have moved. Compilers make vectors of scalar code: no peak there
        good &= row(attn_isa_name(isa), best, isa == ATTN_ISA_SCALAR ? 0 : t > most ? t : most, loop);
    }
    return !good || fflush(stdout) != 0 || ferror(stdout);
}
