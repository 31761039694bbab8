// bench.c - how close attn.h comes to the limits of the machine it runs on, measured beside each row.
// Prints one table per room: time, rate, share of the limit, the share aimed at; --help explains the columns.
//     cc -O2 -I. bench/bench.c -o build/bench && taskset -c 1 build/bench all
// -DBENCH_FLAGS='"-O2"' puts the compiler's flags into the head of the report.
#if !defined(__APPLE__) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L     // clock_gettime under -std=c99
#endif
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include "limits.h"
#include "../tests/types.h"
#ifndef BENCH_FLAGS
#define BENCH_FLAGS "(not given: -DBENCH_FLAGS)"
#endif
#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

enum { SAMPLES = 4096, TRIES = 4 };
static const double MOVED = 0.05;   // a limit that moves more during a row says nothing about the row

// ---- rows

enum { UNIT_FLOPS, UNIT_BYTES, UNIT_ELEMENTS };
enum { AIM_SHARE, AIM_RATE, AIM_RATIO, AIM_TIME };  // % of the limit, GB/s, times another row, microseconds
typedef struct bench_row {
    const char *op, *variant;
    int dims[4], rank;
    int unit, limit, isa;
    int aim_kind;
    int may_refuse;                 // the row is in the table before the library offers it
    double aim[2];                  // of avx512 and avx2; 0 = none
    double work;                    // flops, bytes or elements of one call
    double reference;               // seconds per unit of work of the row this one is compared with; 0 = none
    attn_status (*run)(void *arg);
    void *arg;
    const float *out;               // summed for the checksum
    size_t outs;
} bench_row;
typedef struct bench_result {
    double best, median, before, after, sum;
    int samples, moved;
    attn_status status;
} bench_result;

// Best and median of the samples that fit into the time; a sample is several calls when one is too short for the clock.
static void row_sample(const bench_row *r, bench_result *to) {
    static double sample[SAMPLES];
    const double least = bench.cpu_time ? 2e-3 : 2e-5;      // see probe_peak
    double t = now(), start;
    int calls = 1, n = 0;
    if ((to->status = r->run(r->arg)) != ATTN_OK) return;
    for (;;) {
        t = now();
        for (int i = 0; i < calls; i++) r->run(r->arg);
        t = now() - t;
        if (t > least || calls > 1 << 20) break;
        calls *= 2;
    }
    for (start = now(); n < SAMPLES && (n < 3 || now() - start < bench.seconds); n++) {
        t = now();
        for (int i = 0; i < calls; i++) r->run(r->arg);
        sample[n] = (now() - t) / calls;
    }
    qsort(sample, (size_t)n, sizeof sample[0], by_size);
    to->best = sample[0];
    to->median = sample[n / 2];
    to->samples = n;
}

static double row_aim(const bench_row *r) {
    if (bench.threads > 1) return 0;
    if (r->isa == ATTN_ISA_AVX512 || r->isa == ATTN_ISA_AVX512V) return r->aim[0];
    return r->isa == ATTN_ISA_AVX2 ? r->aim[1] : 0;
}

static void row_json(const bench_row *r, const bench_result *x, const char *shape, double rate, double share) {
    static const char *const unit[] = { "GFLOP/s", "GB/s", "ns/element" };
    static const char *const limit[] = { "none", "peak", "read", "copy", "bf16" };
    static const char *const kind[] = { "share", "rate", "ratio", "us" };
    printf("%s\n    {\"op\": \"%s\", \"shape\": \"%s\", \"variant\": \"%s\", \"dims\": [", bench.rows ? "," : "",
           r->op, shape, r->variant);
    for (int i = 0; i < r->rank; i++) printf("%s%d", i ? ", " : "", r->dims[i]);
    printf("], \"isa\": \"%s\", \"threads\": %d, \"status\": \"%s\"", attn_isa_name(r->isa), bench.threads,
           attn_status_str(x->status));
    if (x->status == ATTN_OK) {
        printf(", \"best_ms\": %.6f, \"median_ms\": %.6f, \"samples\": %d, \"rate\": %.4f, \"unit\": \"%s\", "
               "\"limit\": \"%s\", \"limit_before\": %.3f, \"limit_after\": %.3f, \"moved\": %s, \"share\": ",
               x->best * 1e3, x->median * 1e3, x->samples, rate, unit[r->unit], limit[r->limit], x->before * 1e-9,
               x->after * 1e-9, x->moved ? "true" : "false");
        if (share > 0 && !x->moved) printf("%.2f", share); else printf("null");
        printf(", \"ratio\": ");
        if (r->reference > 0) printf("%.3f", x->best / r->work / r->reference); else printf("null");
        printf(", \"checksum\": \"%.9g\"", x->sum);
    }
    if (row_aim(r) > 0) printf(", \"aim\": %g, \"aim_kind\": \"%s\"", row_aim(r), kind[r->aim_kind]);
    printf("}");
}

static void row_table(const bench_row *r, const bench_result *x, const char *shape, double rate, double share) {
    static const char *const unit[] = { "GF/s", "GB/s", "ns" };
    static const char *const of[] = { "", " peak", " read", " copy", " bf16" };
    const double aim = row_aim(r), ratio = r->reference > 0 ? x->best / r->work / r->reference : 0;
    const double scale = x->best < 1e-4 ? 1e6 : 1e3;
    char got[32] = "-", want[32] = "-";
    int below = 0;
    static const char *const form[] = { "%g%%", "%g GB/s", "<%g x", "<%g us" };
    if (aim > 0) {
        const double reached[] = { share, rate, -ratio, -x->best * 1e6 };
        snprintf(want, sizeof want, form[r->aim_kind], aim);
        below = r->aim_kind < AIM_RATIO ? reached[r->aim_kind] < aim : -reached[r->aim_kind] > aim;
        if (r->aim_kind == AIM_SHARE && x->moved) below = 0;
    }
    printf("%-9s %-37s %-8s %3d ", r->op, shape, attn_isa_name(r->isa), bench.threads);
    if (x->status != ATTN_OK) {
        printf("%-45s %11s %8s\n", r->may_refuse ? "not offered" : attn_status_str(x->status), "", want);
        return;
    }
    if (r->limit && x->moved) snprintf(got, sizeof got, "moved%s", of[r->limit]);
    else if (r->limit) snprintf(got, sizeof got, "%.1f%%%s", share, of[r->limit]);
    else if (ratio > 0) snprintf(got, sizeof got, "%.2f x", ratio);
    printf("%9.3f %9.3f %s ", x->best * scale, x->median * scale, scale > 1e5 ? "us" : "ms");
    printf("%9.*f %-4s %11s %8s  %-5s %5d %.8g\n", r->unit == UNIT_ELEMENTS ? 3 : 1, rate, unit[r->unit], got, want,
           below ? "below" : "", x->samples, x->sum);
}

static void row_show(const bench_row *r, const bench_result *x, double rate, double share) {
    char shape[NAME];
    int used = 0;
    for (int i = 0; i < r->rank; i++) used += snprintf(shape + used, 16, "%s%d", i ? "x" : "", r->dims[i]);
    snprintf(shape + used, sizeof shape - (size_t)used, "%s%s", r->rank && r->variant[0] ? " " : "", r->variant);
    if (bench.json) row_json(r, x, shape, rate, share); else row_table(r, x, shape, rate, share);
    fflush(stdout);
    bench.rows++;
}

// Measures and prints a row; returns its seconds per unit of work. The larger limit of the two counts: the row had it.
static double row_print(const bench_row *r) {
    bench_result x;
    double rate = 0, share = 0, limit;
    memset(&x, 0, sizeof x);
    for (int i = 0; i < TRIES; i++) {
        x.before = limit_of(r->limit, r->isa);
        row_sample(r, &x);
        if (x.status != ATTN_OK) { bench.failed += !r->may_refuse || x.status != ATTN_ERR_UNSUPPORTED; break; }
        x.after = limit_of(r->limit, r->isa);
        limit = x.before > x.after ? x.before : x.after;
        x.moved = x.before < limit * (1 - MOVED) || x.after < limit * (1 - MOVED);
        rate = r->unit == UNIT_ELEMENTS ? x.best / r->work * 1e9 : r->work / x.best * 1e-9;
        share = r->limit ? 100 * r->work / x.best / limit : 0;
        if (!x.moved) break;
    }
    for (size_t i = 0; i < r->outs; i++) x.sum += (double)r->out[i];
    row_show(r, &x, rate, share);
    return x.status == ATTN_OK ? x.best / r->work : 0;
}

static bench_row row_make(const char *op, const char *variant, int unit, int limit) {
    bench_row r;
    memset(&r, 0, sizeof r);
    r.op = op; r.variant = variant; r.unit = unit; r.limit = limit; r.isa = bench.isa;
    return r;
}

static void table_head(const char *text) {
    bench.used = 0;
    if (bench.json) return;
    printf("\n%s\n%-9s %-37s %-8s %3s %9s %9s    %14s ", text, "op", "shape", "isa", "thr", "best", "median", "rate");
    printf("%11s %8s  %-5s %5s %s\n", "share", "aim", "", "k", "checksum");
}

// ---- memory and inputs of the cases

static void *take(size_t bytes) {
    const size_t room = SEGMENT * (SEGMENTS + 1);
    char *p;
    if (!bench.arena) bench.arena = (char *)malloc(room + LINE);
    bytes = (bytes + LINE - 1) / LINE * LINE;
    if (!bench.arena || bytes > room - bench.used) { fputs("no memory for the case\n", stderr); exit(2); }
    p = bench.arena + (LINE - (uintptr_t)bench.arena % LINE) % LINE + bench.used;
    bench.used += bytes;
    return p;
}

// n floats about 0, nearly normal, standard deviation about `gain`; the same on every machine.
static float *take_random(size_t n, float gain) {
    float *x = (float *)take(n * sizeof *x);
    uint32_t seed = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (int j = 0; j < 3; j++) {
            seed = seed * 1664525u + 1013904223u;
            sum += (float)(seed >> 8) * (1.0f / 8388608) - 1;
        }
        x[i] = sum * gain;
    }
    return x;
}

// ---- floor

// The limits are rows of their own: best and median of repeated probes, so that their spread is seen.
static void floor_row(int kind, int isa, const char *name) {
    enum { REPEATS = 9 };
    double rate[REPEATS];
    bench_row r = row_make("floor", name, kind == LIMIT_PEAK ? UNIT_FLOPS : UNIT_BYTES, LIMIT_NONE);
    bench_result x;
    memset(&x, 0, sizeof x);
    for (int i = 0; i < REPEATS; i++) rate[i] = limit_of(kind, isa);
    qsort(rate, REPEATS, sizeof rate[0], by_size);
    r.isa = isa;
    r.work = kind == LIMIT_PEAK ? 1e9 : (double)SEGMENT;
    x.best = r.work / rate[REPEATS - 1];
    x.median = r.work / rate[REPEATS / 2];
    x.samples = REPEATS;
    row_show(&r, &x, rate[REPEATS - 1] * 1e-9, 0);
}

static void floor_table(void) {
    table_head("floor: what the machine can do (time of 1 GFLOP, of 64 MB)");
    for (int isa = 1; isa < attn_isa_count(); isa++) if (attn_isa_has(isa)) floor_row(LIMIT_PEAK, isa, "fma");
    floor_row(LIMIT_READ, bench.isa, "read");
    floor_row(LIMIT_COPY, bench.isa, "copy, read + written");
}

// ---- gemm

typedef struct gemm_arg {
    attn_matmul_desc d;
    const char *b;
    size_t size;                        // bytes of b
    int copies, next, apart;            // apart: bias and activation after the product, as a program without them would
    const float *bias;
} gemm_arg;

static attn_status gemm_run(void *arg) {
    gemm_arg *g = (gemm_arg *)arg;
    g->d.b = g->b + g->size * (size_t)g->next;
    g->next = (g->next + 1) % g->copies;
    if (g->apart) {
        const attn_status s = attn_matmul_f32(&g->d);
        float *c = (float *)g->d.c;
        for (ptrdiff_t i = 0; i < g->d.m; i++) for (ptrdiff_t j = 0; j < g->d.n; j++) c[i * g->d.n + j] += g->bias[j];
        return s ? s : attn_map_f32(g->apart - ATTN_ACT(0), c, c, g->d.m * g->d.n, bench.isa);
    }
    return attn_matmul_f32(&g->d);
}

static void gemm_table(void) {
    // copies: as many b in turn, so that none is still in a cache
    static const struct { int m, n, k, trans_b, copies, limit; double aim[2]; int type, act, apart; } list[] = {
        { 512, 512, 512, 0, 1, LIMIT_PEAK, { 90, 95 }, 0, 0, 0 },
        { 1024, 1024, 1024, 0, 1, LIMIT_PEAK, { 88, 93 }, 0, 0, 0 },
        { 2048, 2048, 2048, 0, 1, LIMIT_PEAK, { 85, 90 }, 0, 0, 0 },
        { 64, 64, 64, 0, 1, LIMIT_PEAK, { 85, 85 }, 0, 0, 0 },
        { 128, 768, 768, 0, 1, LIMIT_PEAK, { 88, 88 }, 0, 0, 0 },
        { 1, 4096, 4096, 0, 6, LIMIT_READ, { 90, 90 }, 0, 0, 0 },
        { 1, 4096, 4096, 1, 6, LIMIT_READ, { 90, 90 }, 0, 0, 0 },
        { 16, 4096, 4096, 0, 6, LIMIT_PEAK, { 45, 45 }, 0, 0, 0 },
        { 16, 4096, 4096, 1, 6, LIMIT_PEAK, { 45, 45 }, 0, 0, 0 },
        { 1024, 16, 1024, 0, 1, LIMIT_PEAK, { 0, 0 }, 0, 0, 0 },
        { 512, 512, 512, 1, 1, LIMIT_PEAK, { 0, 0 }, ATTN_BF16, 0, 0 },
        { 512, 512, 512, 1, 1, LIMIT_PEAK, { 0, 0 }, ATTN_F16, 0, 0 },
        { 512, 512, 512, 1, 1, LIMIT_PEAK, { 0, 0 }, ATTN_Q8_0, 0, 0 },
        { 1, 4096, 4096, 1, 12, LIMIT_READ, { 0, 0 }, ATTN_BF16, 0, 0 },
        { 1, 4096, 4096, 1, 12, LIMIT_READ, { 0, 0 }, ATTN_F16, 0, 0 },
        { 1, 4096, 4096, 1, 23, LIMIT_READ, { 0, 0 }, ATTN_Q8_0, 0, 0 },
        { 16, 4096, 4096, 1, 12, LIMIT_PEAK, { 0, 0 }, ATTN_BF16, 0, 0 },
        { 16, 4096, 4096, 1, 12, LIMIT_PEAK, { 0, 0 }, ATTN_F16, 0, 0 },
        { 16, 4096, 4096, 1, 23, LIMIT_PEAK, { 0, 0 }, ATTN_Q8_0, 0, 0 },
        { 512, 2048, 512, 0, 1, LIMIT_PEAK, { 0, 0 }, 0, ATTN_ACT(ATTN_MAP_RELU), 0 },
        { 512, 2048, 512, 0, 1, LIMIT_PEAK, { 0, 0 }, 0, ATTN_ACT(ATTN_MAP_RELU), 1 },
        { 512, 2048, 512, 0, 1, LIMIT_PEAK, { 0, 0 }, 0, ATTN_ACT(ATTN_MAP_TANH), 0 },
        { 512, 2048, 512, 0, 1, LIMIT_PEAK, { 0, 0 }, 0, ATTN_ACT(ATTN_MAP_TANH), 1 },
    };
    table_head("gemm: c = a b, m x n x k, workspace given; m = 1 counts the bytes of b");
    for (int i = 0; i < COUNT(list); i++) {
        const int m = list[i].m, n = list[i].n, k = list[i].k, read = list[i].limit == LIMIT_READ;
        const int act = list[i].act, type = list[i].type;
        const size_t count = (size_t)n * (size_t)k;
        char name[NAME] = "";
        float *b;
        bench_row r;
        gemm_arg g;
        bench.used = 0;
        memset(&g, 0, sizeof g);
        if (list[i].trans_b)
            snprintf(name, sizeof name, "%s%sb [n,k]", type ? attn_type_str(type) : "", type ? " " : "");
        if (act) snprintf(name, sizeof name, "bias %s %s", act == ATTN_ACT(ATTN_MAP_RELU) ? "relu" : "tanh",
                          list[i].apart ? "apart" : "fused");
        r = row_make("gemm", name, read ? UNIT_BYTES : UNIT_FLOPS, list[i].limit);
        b = take_random(count, 1);
        g.b = (const char *)b;
        g.size = count * 4;
        g.copies = list[i].copies;
        if (type) {                                     // over the floats: an element never lies beyond its float
            const ptrdiff_t e = type_elements(type);
            g.size = (size_t)type_bytes(type, (ptrdiff_t)count);
            for (ptrdiff_t j = 0; j < (ptrdiff_t)count; j += e) {
                double x[32];
                for (ptrdiff_t u = 0; u < e; u++) x[u] = (double)b[j + u];
                type_fill(type, (char *)b + type_bytes(type, j), x, e);
            }
        }
        for (int j = 1; j < g.copies; j++) {            // one after the other
            char *to = (char *)b + g.size * (size_t)j;
            if (to + g.size > (char *)b + count * 4) take(g.size);
            memcpy(to, b, g.size);
        }
        g.d.a = take_random((size_t)m * (size_t)k, 1);
        g.bias = take_random((size_t)n, 1);
        g.d.b = g.b;
        g.d.c = take((size_t)m * (size_t)n * 4);
        g.d.m = m; g.d.n = n; g.d.k = k;
        g.d.trans_b = list[i].trans_b;
        g.d.b_type = type;
        g.apart = list[i].apart ? act : 0;
        if (!list[i].apart) { g.d.act = act; g.d.bias = act ? g.bias : NULL; }
        g.d.parallel = bench.pool;
        g.d.isa = bench.isa;
        g.d.workspace_bytes = attn_matmul_workspace(&g.d);
        if (g.d.workspace_bytes) g.d.workspace = take(g.d.workspace_bytes);
        r.rank = 3; r.dims[0] = m; r.dims[1] = n; r.dims[2] = k;
        r.work = read ? (double)g.size : 2.0 * m * (double)count;
        r.aim[0] = list[i].aim[0]; r.aim[1] = list[i].aim[1];
        r.run = gemm_run; r.arg = &g;
        r.out = (const float *)g.d.c; r.outs = (size_t)m * (size_t)n;
        row_print(&r);
    }
}

// ---- softmax

static attn_status softmax_run(void *arg) { return attn_softmax_f32((const attn_softmax_desc *)arg); }

static void softmax_table(void) {
    static const struct { int rows, cols, length, limit, aim_kind, compared; double aim[2]; float gain; } list[] = {
        { 4096, 4096, 0, LIMIT_COPY, AIM_SHARE, 0, { 75, 0 }, 3 },
        { 4096, 4096, 2000, LIMIT_COPY, AIM_SHARE, 0, { 0, 0 }, 3 },
        { 64, 512, 0, LIMIT_NONE, AIM_RATE, 0, { 68, 0 }, 3 },
        { 64, 512, 0, LIMIT_NONE, AIM_RATIO, 1, { 1.1, 1.1 }, 100 },                  // weights would be denormals
        { 64, 512, 300, LIMIT_NONE, AIM_RATE, 0, { 0, 0 }, 3 },
        { 4096, 64, 0, LIMIT_NONE, AIM_RATE, 0, { 0, 0 }, 3 }, { 8192, 64, 0, LIMIT_NONE, AIM_RATE, 0, { 0, 0 }, 3 },
        { 8192, 77, 0, LIMIT_NONE, AIM_RATIO, 1, { 1.5, 1.5 }, 3 },
    };
    static int32_t lengths[4096];
    double last = 0;
    table_head("softmax: rows x cols, bytes = read + written once; spread, 8192x77: time per element against the row "
               "above");
    for (int i = 0; i < COUNT(list); i++) {
        const size_t n = (size_t)list[i].rows * (size_t)list[i].cols;
        bench_row r = row_make("softmax", list[i].length ? "lengths" : list[i].gain > 3 ? "spread" : "",
                               UNIT_BYTES, list[i].limit);
        attn_softmax_desc d;
        bench.used = 0;
        memset(&d, 0, sizeof d);
        d.x = take_random(n, list[i].gain);
        d.y = take(n * 4);
        d.rows = list[i].rows; d.cols = list[i].cols;
        for (int j = 0; list[i].length && j < list[i].rows; j++) lengths[j] = list[i].length;
        if (list[i].length) d.lengths = lengths;
        d.parallel = bench.pool;
        d.isa = bench.isa;
        r.rank = 2; r.dims[0] = list[i].rows; r.dims[1] = list[i].cols;
        r.work = 4.0 * (double)n + 4.0 * (double)list[i].rows * (list[i].length ? list[i].length : list[i].cols);
        r.aim_kind = list[i].aim_kind; r.aim[0] = list[i].aim[0]; r.aim[1] = list[i].aim[1];
        r.reference = list[i].compared ? last : 0;
        r.run = softmax_run; r.arg = &d;
        r.out = (const float *)d.y; r.outs = n;
        last = row_print(&r);
    }
}

// ---- rows: one pass over each, in a cache and out of it

typedef struct rows_arg {
    int op;
    attn_softmax_desc softmax;
    attn_norm_desc norm;
    attn_desc rope;
    float *y;
    const float *x;
    ptrdiff_t n;
} rows_arg;
enum { ROWS_LOG = ATTN_MAP_COUNT, ROWS_LAYER, ROWS_RMS, ROWS_HALF, ROWS_INTERLEAVED };

static attn_status rows_run(void *arg) {
    const rows_arg *m = (const rows_arg *)arg;
    return m->op < ATTN_MAP_COUNT ? attn_map_f32(m->op, m->y, m->x, m->n, bench.isa) :
        m->op == ROWS_LOG ? attn_softmax_f32(&m->softmax) :
        m->op < ROWS_HALF ? attn_norm_f32(&m->norm) : attn_rope(&m->rope);
}

static void rows_table(void) {
    static const struct { const char *name; int op; } list[] = {
        { "log-softmax", ROWS_LOG }, { "layer norm", ROWS_LAYER }, { "rms norm", ROWS_RMS },
        { "rope half", ROWS_HALF }, { "rope interleaved", ROWS_INTERLEAVED }, { "exp", ATTN_MAP_EXP },
        { "silu", ATTN_MAP_SILU }, { "gelu", ATTN_MAP_GELU }, { "gelu_tanh", ATTN_MAP_GELU_TANH },
        { "relu", ATTN_MAP_RELU },
    };
    static const int shape[2][2] = { { 64, 512 }, { 4096, 4096 } };
    table_head("rows: rows x cols, bytes = read + written once; weights and biases given; rope: 8 heads of dim 128");
    for (int i = 0; i < 2 * COUNT(list); i++) {
        const int rows = shape[i % 2][0], cols = shape[i % 2][1], big = i % 2, op = list[i / 2].op;
        const int dim = 128, heads = 8, positions = rows * cols / dim / heads;
        const size_t n = (size_t)rows * (size_t)cols;
        bench_row r = row_make("rows", list[i / 2].name, UNIT_BYTES, big ? LIMIT_COPY : LIMIT_NONE);
        rows_arg m;
        bench.used = 0;
        memset(&m, 0, sizeof m);
        m.op = op; m.n = (ptrdiff_t)n;
        m.x = take_random(n, 3);
        m.y = (float *)take(n * 4);
        m.softmax.x = m.norm.x = m.rope.q = m.x;
        m.softmax.y = m.norm.y = m.rope.o = m.y;
        m.softmax.rows = m.norm.rows = rows; m.softmax.cols = m.norm.cols = cols;
        m.softmax.log = 1;
        m.softmax.parallel = m.norm.parallel = m.rope.parallel = bench.pool;
        m.softmax.isa = m.norm.isa = m.rope.isa = bench.isa;
        m.norm.kind = op == ROWS_RMS ? ATTN_ROWS_RMS : ATTN_ROWS_LAYER;
        m.norm.weight = take_random((size_t)cols, 1);
        m.norm.bias = op == ROWS_LAYER ? take_random((size_t)cols, 1) : NULL;
        m.rope.heads = heads; m.rope.queries = positions; m.rope.dim = dim;
        m.rope.rope_kind = op == ROWS_HALF ? ATTN_ROPE_HALF : ATTN_ROPE_INTERLEAVED;
        m.rope.rope_positions = positions;
        m.rope.rope_cos = take_random((size_t)(positions * dim / 2), 1);
        m.rope.rope_sin = take_random((size_t)(positions * dim / 2), 1);
        r.rank = 2; r.dims[0] = rows; r.dims[1] = cols;
        r.work = 8.0 * (double)n;
        r.aim_kind = big ? AIM_SHARE : AIM_RATE;
        r.aim[0] = big ? op == ROWS_LOG ? 75 : 90 : 0;
        r.run = rows_run; r.arg = &m;
        r.out = m.y; r.outs = n;
        row_print(&r);
    }
}

// ---- attention and decode

enum {
    PLAIN = 0, CAUSAL = 1, KEEP = 2, BIAS = 4, ROWS = 8, GROWING = 16, DENORMAL = 32, WINDOW = 64, ALIBI = 128,
    SOFTCAP = 256, SINK = 512, VARLEN = 1024, CACHE = 2048, NATIVE = 4096, RING = 8192, PAGE16 = 16384, PAGE128 = 32768,
    TIMED = 65536,                  // the aim is a time
    LENGTHS = 1 << 17, DOCS = 1 << 18, BLOCKS = 1 << 19, ADDITIVE = 1 << 20     // of each query SEEN keys are left
};
enum { F32 = ATTN_F32, F16 = ATTN_F16, BF16 = ATTN_BF16, Q8 = ATTN_Q8_0, Q4 = ATTN_Q4_0, Q4_1 = ATTN_Q4_1 };
// kv_heads 0: as many as heads. type: of the cache that k and v lie in.
typedef struct attention_case { int heads, kv_heads, queries, keys, dim, type, how; double aim[2]; } attention_case;
static const attention_case attention_list[] = {
    { 8, 0, 2048, 2048, 64, F32, PLAIN, { 84, 85 } },     { 8, 0, 512, 512, 64, F32, PLAIN, { 87, 87 } },
    { 8, 0, 512, 512, 64, F32, DENORMAL, { 0, 0 } },      { 8, 0, 2048, 2048, 128, F32, PLAIN, { 86, 87 } },
    { 8, 0, 2048, 2048, 64, F32, CAUSAL, { 80, 84 } },    { 8, 0, 512, 512, 64, F32, CAUSAL, { 81, 82 } },
    { 8, 0, 2048, 2048, 128, F32, CAUSAL, { 0, 0 } },     { 384, 0, 128, 128, 64, F32, PLAIN, { 76, 82 } },
    { 8, 0, 2048, 2048, 64, F32, KEEP, { 78, 78 } },      { 8, 0, 2048, 2048, 64, F32, BIAS, { 76, 76 } },
    { 8, 0, 2048, 2048, 64, F32, WINDOW, { 65, 70 } },    { 16, 0, 512, 512, 64, F32, ROWS, { 76, 72 } },
    { 32, 0, 512, 512, 128, F32, ROWS, { 76, 72 } },      { 8, 0, 2048, 2048, 64, F32, GROWING, { 82, 82 } },
    { 8, 0, 2048, 2048, 64, BF16, CACHE | NATIVE, { 77, 0 } },
    { 8, 0, 2048, 2048, 128, BF16, CACHE | NATIVE, { 82, 0 } },
    { 32, 0, 2048, 2048, 64, F32, KEEP, { 0, 0 } },       { 32, 0, 2048, 2048, 64, F32, BIAS, { 0, 0 } },
    { 8, 0, 2048, 2048, 64, F32, ALIBI, { 0, 0 } },       { 8, 0, 2048, 2048, 64, F32, SOFTCAP, { 0, 0 } },
    { 8, 0, 2048, 2048, 64, F32, LENGTHS, { 0, 0 } },     { 8, 0, 2048, 2048, 64, F32, DOCS, { 0, 0 } },
    { 8, 0, 2048, 2048, 64, F32, BLOCKS, { 0, 0 } },      { 1, 0, 512, 512, 32, F32, ADDITIVE, { 0, 0 } },
    { 8, 0, 2048, 2048, 64, F32, SINK, { 0, 0 } },        { 8, 0, 4096, 4096, 64, F32, VARLEN, { 0, 0 } },
    { 8, 0, 2048, 2048, 64, F16, CACHE, { 0, 0 } },       { 8, 0, 2048, 2048, 64, BF16, CACHE, { 0, 0 } },
    { 8, 0, 2048, 2048, 64, Q8, CACHE, { 0, 0 } },        { 32, 8, 512, 512, 128, F32, PLAIN, { 0, 0 } },
    { 32, 8, 512, 512, 128, F32, CAUSAL, { 0, 0 } },      { 32, 8, 16, 4096, 128, F32, CAUSAL, { 0, 0 } },
    { 32, 8, 64, 4096, 128, F32, CAUSAL, { 0, 0 } },      { 1, 0, 16, 16, 64, F32, TIMED, { 1, 1 } },
    { 1, 0, 1, 64, 64, F32, PLAIN, { 0, 0 } },            { 1, 0, 64, 64, 64, F32, PLAIN, { 0, 0 } },
};
static const attention_case decode_list[] = {
    { 32, 32, 1, 4096, 128, F32, CACHE, { 83, 0 } },          { 32, 8, 1, 4096, 128, F32, CACHE, { 72, 0 } },
    { 32, 32, 1, 4096, 128, F16, CACHE, { 88, 0 } },          { 32, 8, 1, 4096, 128, F16, CACHE, { 75, 0 } },
    { 32, 32, 1, 4096, 128, BF16, CACHE, { 88, 0 } },         { 32, 8, 1, 4096, 128, BF16, CACHE, { 75, 0 } },
    { 32, 32, 1, 4096, 128, Q8, CACHE, { 0, 0 } },            { 32, 8, 1, 4096, 128, Q8, CACHE, { 0, 0 } },
    { 32, 32, 1, 4096, 128, Q4, CACHE, { 0, 0 } },            { 32, 8, 1, 4096, 128, Q4, CACHE, { 0, 0 } },
    { 32, 32, 1, 4096, 128, Q8, CACHE | NATIVE, { 70, 0 } },  { 32, 8, 1, 4096, 128, Q8, CACHE | NATIVE, { 55, 0 } },
    { 32, 32, 1, 4096, 128, Q4, CACHE | NATIVE, { 50, 0 } },  { 32, 8, 1, 4096, 128, Q4, CACHE | NATIVE, { 40, 0 } },
    { 32, 32, 1, 4096, 128, Q4_1, CACHE, { 0, 0 } },          { 32, 8, 1, 4096, 128, Q4_1, CACHE, { 0, 0 } },
    { 32, 32, 1, 4096, 128, Q4_1, CACHE | NATIVE, { 0, 0 } }, { 32, 8, 1, 4096, 128, Q4_1, CACHE | NATIVE, { 0, 0 } },
    { 32, 32, 1, 4096, 128, F16, CACHE | PAGE16, { 0, 0 } },  { 32, 8, 1, 4096, 128, F16, CACHE | PAGE16, { 0, 0 } },
    { 32, 32, 1, 4096, 128, F16, CACHE | PAGE128, { 0, 0 } }, { 32, 8, 1, 4096, 128, F16, CACHE | PAGE128, { 0, 0 } },
    { 32, 32, 1, 4096, 128, F16, CACHE | RING, { 0, 0 } },    { 32, 8, 1, 4096, 128, F16, CACHE | RING, { 0, 0 } },
    { 32, 8, 1, 4096, 128, F32, CACHE | SOFTCAP, { 0, 0 } },  { 32, 8, 1, 4096, 128, F16, CACHE | SOFTCAP, { 0, 0 } },
    { 32, 8, 4, 4096, 128, F32, CACHE, { 0, 0 } },            { 32, 8, 4, 4096, 128, F16, CACHE, { 0, 0 } },
};
enum { SEEN = 256, RING_PAST = 1000, SEQUENCES = 8, WIDTH = 32 };
static const int32_t varlen[SEQUENCES + 1] = { 0, 37, 165, 465, 977, 1041, 2041, 2818, 4096 };

static int is_decode(const attention_case *a) { return a->queries <= 4 && a->how & CACHE; }

typedef struct attention_arg {
    attn_desc d;
    char *cache;                    // `copies` times k and v of `bytes` each, in turn: decode finds none in a cache
    size_t bytes;
    int copies, next;
    int32_t length;
} attention_arg;

static attn_status attention_run(void *arg) {
    attention_arg *g = (attention_arg *)arg;
    if (g->copies > 1) {
        g->d.k_cache = g->cache + 2 * g->bytes * (size_t)g->next;
        g->d.v_cache = (char *)g->d.k_cache + g->bytes;
        g->next = (g->next + 1) % g->copies;
    }
    return attn_fwd(&g->d);
}

// Scores of late keys grow, so that the running maximum moves again and again.
static void attention_grow(const attention_case *a, float *q, float *k) {
    const ptrdiff_t queries = (ptrdiff_t)a->heads * a->queries * a->dim, keys = (ptrdiff_t)a->heads * a->keys * a->dim;
    for (ptrdiff_t i = 0; i < queries; i++) q[i] *= 20;
    for (ptrdiff_t i = 0; i < keys; i++) k[i] *= 1 + 6 * (float)(i / a->dim % a->keys) / (float)a->keys;
}

static void attention_axes(const attention_case *a, attn_desc *d) {
    const size_t pairs = (size_t)a->queries * (size_t)a->keys;
    if (a->how & CAUSAL) d->causal = ATTN_CAUSAL_LOWER_RIGHT;
    if (a->how & WINDOW) { d->window = 1; d->window_left = SEEN - 1; }
    if (a->how & KEEP) {
        const float *x = take_random(pairs, 1);
        uint8_t *keep = (uint8_t *)take(pairs);
        for (size_t i = 0; i < pairs; i++) keep[i] = x[i] > -1;     // about one in six is left out, in no pattern
        d->keep = keep;
    }
    if (a->how & BIAS) d->bias = take_random(pairs, 1);
    if (a->how & LENGTHS) {
        int32_t *n = (int32_t *)take(sizeof *n);
        *n = SEEN;
        d->key_lengths = n;
    }
    if (a->how & DOCS) {
        int32_t *doc = (int32_t *)take((size_t)a->keys * sizeof *doc);
        for (int32_t i = 0; i < a->keys; i++) doc[i] = i / SEEN;
        d->doc_q = d->doc_k = doc;
    }
    if (a->how & BLOCKS) {                                          // of each row of blocks one, in no order
        const int n = a->keys / SEEN;
        uint8_t *seen = (uint8_t *)take((size_t)(n * n));
        for (int i = 0; i < n * n; i++) seen[i] = i % n == (3 * (i / n) + 1) % n;
        d->block_mask = seen;
        d->block_q = d->block_k = SEEN;
    }
    if (a->how & ADDITIVE) {
        d->score = ATTN_SCORE_ADDITIVE;
        d->score_width = WIDTH;
        d->w_q = take_random((size_t)(WIDTH * a->dim), 1);
        d->w_k = take_random((size_t)(WIDTH * a->dim), 1);
        d->w_v = take_random(WIDTH, 1);
    }
    if (a->how & SOFTCAP) d->softcap = 30;
    if (a->how & SINK) d->sink = take_random((size_t)a->heads, 1);
    d->alibi = (a->how & ALIBI) != 0;
    if (a->how & NATIVE) d->arith = ATTN_ARITH_NATIVE;
    if (a->how & VARLEN) {
        d->cu_q = d->cu_k = varlen;
        d->batch = SEQUENCES;
        d->queries = d->keys = varlen[SEQUENCES] - varlen[SEQUENCES - 1];
    }
    if (a->how & ROWS) {            // [N, H D]: what a projection of the model's width leaves
        ptrdiff_t *const stride[] = { d->q_stride, d->k_stride, d->v_stride, d->o_stride };
        const ptrdiff_t width = (ptrdiff_t)a->heads * a->dim;
        for (int i = 0; i < 4; i++) {
            stride[i][0] = width * (i == 0 || i == 3 ? a->queries : a->keys);
            stride[i][1] = a->dim; stride[i][2] = width; stride[i][3] = 1;
        }
    }
}

// Bytes of k, or of v
static size_t attention_bytes(const attention_case *a) {
    const size_t n = (size_t)(a->kv_heads ? a->kv_heads : a->heads) * (size_t)a->keys * (size_t)a->dim;
    return a->type == Q8 ? n / 32 * 34 : a->type == Q4 ? n / 32 * 18 : a->type == Q4_1 ? n / 32 * 20
        : n * (a->type == F32 ? 4 : 2);
}

// The caches, filled by attn_append, each key head with the same numbers; pages lie in no order, a ring has gone round.
static attn_status attention_cache(const attention_case *a, attention_arg *g) {
    const size_t n = (size_t)a->keys * (size_t)a->dim;
    const int32_t page = a->how & PAGE16 ? 16 : a->how & PAGE128 ? 128 : 0, pages = page ? a->keys / page : 0;
    attn_desc d;
    attn_status s;
    g->bytes = attention_bytes(a);
    while (is_decode(a) && 2 * g->bytes * (size_t)g->copies < 3 * SEGMENT) g->copies++;
    g->cache = (char *)take(2 * g->bytes * (size_t)g->copies);
    g->d.k_cache = g->cache;
    g->d.v_cache = g->cache + g->bytes;
    g->d.k_type = g->d.v_type = a->type;
    g->d.key_lengths = &g->length;
    g->d.ring = a->how & RING ? a->keys : 0;
    if (g->d.ring) g->d.keys += RING_PAST;
    if (page) {
        int32_t *table = (int32_t *)take((size_t)pages * sizeof *table);
        for (int32_t i = 0; i < pages; i++) table[i] = i * 37 % pages;      // pages: a power of two
        g->d.block_table = table;
        g->d.pages_per_row = g->d.page_count = pages;
        g->d.page = page;
    }
    d = g->d;
    d.arith = ATTN_ARITH_F32;
    d.k_new = take_random(n, 1);
    d.v_new = take_random(n + 1, 1);
    d.k_new_stride[2] = d.v_new_stride[2] = a->dim;
    d.k_new_stride[3] = d.v_new_stride[3] = 1;
    d.new_keys = a->keys;
    s = attn_append(&d);
    g->length = a->keys;
    if (s == ATTN_OK && d.ring) {
        d.new_keys = RING_PAST;
        s = attn_append(&d);
        g->length += RING_PAST;
    }
    for (int i = 1; i < g->copies; i++) memcpy(g->cache + 2 * g->bytes * (size_t)i, g->cache, 2 * g->bytes);
    return s;
}

static attn_status attention_make(const attention_case *a, attention_arg *g) {
    const size_t kv = (size_t)(a->kv_heads ? a->kv_heads : a->heads);
    const size_t nq = (size_t)a->heads * (size_t)a->queries * (size_t)a->dim;
    const size_t nk = kv * (size_t)a->keys * (size_t)a->dim;
    const float gain = a->how & DENORMAL ? 1e-39f : 1;
    attn_desc *d = &g->d;
    attn_status s = ATTN_OK;
    float *q, *k;
    bench.used = 0;
    memset(g, 0, sizeof *g);
    g->copies = 1;
    d->heads = a->heads; d->kv_heads = a->kv_heads; d->queries = a->queries; d->keys = a->keys; d->dim = a->dim;
    d->q = q = take_random(nq, gain);
    d->o = take(nq * 4);
    if (a->how & CACHE) s = attention_cache(a, g);
    else {
        d->k = k = take_random(nk, gain);
        d->v = take_random(nk + 1, gain);
        if (a->how & GROWING) attention_grow(a, q, k);
    }
    attention_axes(a, d);
    d->parallel = bench.pool;
    d->isa = bench.isa;
    d->workspace_bytes = attn_workspace(d);
    if (d->workspace_bytes) d->workspace = take(d->workspace_bytes);
    return s;
}

static void attention_name(const attention_case *a, char *out, size_t n) {
    static const struct { int how; const char *name; } list[] = {
        { CAUSAL, " causal" }, { KEEP, " keep" }, { BIAS, " bias" }, { GROWING, " growing" }, { DENORMAL, " denormal" },
        { WINDOW, " window 256" }, { ALIBI, " alibi" }, { SOFTCAP, " softcap" }, { SINK, " sink" },
        { VARLEN, " varlen" }, { PAGE16, " page 16" }, { PAGE128, " page 128" }, { RING, " ring" },
        { NATIVE, " native" }, { LENGTHS, " lengths 256" }, { DOCS, " documents 256" }, { BLOCKS, " blocks 256" },
        { ADDITIVE, " additive 32" },
    };
    char text[64];
    int used = 0;
    text[0] = text[1] = 0;
    if (a->kv_heads) used += snprintf(text + used, 16, " kv %d", a->kv_heads);
    if (a->how & CACHE) used += snprintf(text + used, 16, " %s", attn_type_str(a->type));
    if (a->how & ROWS) used += snprintf(text + used, 16, " rows %d", a->heads * a->dim);
    for (int i = 0; i < COUNT(list); i++)
        if (a->how & list[i].how) used += snprintf(text + used, 20, "%s", list[i].name);
    snprintf(out, n, "%s", text + 1);
}

// Pairs of query and key that are seen, in all heads
static double attention_pairs(const attention_case *a) {
    double pairs = 0;
    if (a->how & VARLEN) for (int i = 0; i < SEQUENCES; i++) {
        const double n = varlen[i + 1] - varlen[i];
        pairs += n * n;
    } else for (int i = 0; i < a->queries; i++) {
        const int to = a->how & (CAUSAL | WINDOW) ? i + 1 + a->keys - a->queries : a->keys;
        pairs += a->how & (WINDOW | LENGTHS | DOCS | BLOCKS) && to > SEEN ? SEEN : to;
    }
    return pairs * a->heads;
}

// One row: a share of the FMA peak (native: of that of bf16 pairs), of the bandwidth of reading for decode.
static double attention_row(const char *op, const attention_case *a, double reference) {
    const int decode = is_decode(a);
    const int peak = !(a->how & NATIVE) ? LIMIT_PEAK : attn_peak_loop(1, bench.isa, ATTN_ARITH_NATIVE) > 0 ? LIMIT_BF16
                                                                                                           : LIMIT_NONE;
    char variant[64];
    const int by_element = a->how & ADDITIVE;
    bench_row r = row_make(op, variant, decode ? UNIT_BYTES : by_element ? UNIT_ELEMENTS : UNIT_FLOPS,
                           a->how & (DENORMAL | TIMED | ADDITIVE) ? LIMIT_NONE : decode ? LIMIT_READ : peak);
    attention_arg g;
    if (attention_make(a, &g) != ATTN_OK) fputs("bench: attn_append was refused\n", stderr);
    attention_name(a, variant, sizeof variant);
    r.rank = 4; r.dims[0] = a->heads; r.dims[1] = a->queries; r.dims[2] = a->keys; r.dims[3] = a->dim;
    r.work = decode ? 2 * (double)g.bytes : attention_pairs(a) * (by_element ? (double)WIDTH : 4.0 * (double)a->dim);
    r.aim[0] = a->aim[0]; r.aim[1] = a->aim[1];
    r.aim_kind = a->how & TIMED ? AIM_TIME : AIM_SHARE;
    r.may_refuse = (a->how & NATIVE) != 0;
    r.reference = a->how & DENORMAL ? reference : 0;
    r.run = attention_run; r.arg = &g;
    r.out = (const float *)g.d.o; r.outs = (size_t)a->heads * (size_t)a->queries * (size_t)a->dim;
    return row_print(&r);
}

static int lanes_of(int isa) {
    static const struct { int isa, lanes; } list[] = {
        { ATTN_ISA_AVX512V, 16 }, { ATTN_ISA_AVX512, 16 }, { ATTN_ISA_AVX2, 8 },
        { ATTN_ISA_NEON, 4 }, { ATTN_ISA_NEON82, 4 }, { ATTN_ISA_NEON86, 4 },
#ifdef ATTN_SIMDE_NEON
        { ATTN_ISA_SIMDE, 4 },
#else
        { ATTN_ISA_SIMDE, 8 },
#endif
    };
    for (int i = 0; i < COUNT(list); i++) if (list[i].isa == isa) return list[i].lanes;
    return 1;
}

enum { MOST = 64, TURNS = 4 };
static void short_row(const char *op, int dim, int n, int against, const double *best, double aim) {
    char variant[32];
    bench_row r = row_make(op, variant, UNIT_FLOPS, LIMIT_NONE);
    bench_result x;
    memset(&x, 0, sizeof x);
    snprintf(variant, sizeof variant, "against %d", against);
    r.rank = 4; r.dims[0] = 1; r.dims[1] = n; r.dims[2] = MOST; r.dims[3] = dim;
    r.work = 4.0 * (n * MOST * dim);
    r.aim_kind = AIM_RATIO; r.aim[0] = r.aim[1] = aim;
    r.reference = best[against] / r.work;
    x.best = x.median = best[n];
    x.samples = TURNS;
    row_show(&r, &x, r.work / x.best * 1e-9, 0);
}

// N = 1..64 queries by turns; of each dim the N that is worst against N rounded up to the lanes, and against a later N.
static void short_table(void) {
    static const int dims[] = { 8, 16, 24, 32, 40, 64, 80, 96, 128, 192, 256 };
    const int lanes = lanes_of(bench.isa);
    const double seconds = bench.seconds;
    bench.seconds = seconds / (MOST * TURNS / 4);
    table_head("short calls: of 1..64 queries the number slowest against itself rounded up to the lanes (short),"
               " and against a later number (grows)");
    for (int i = 0; i < COUNT(dims); i++) {
        double best[MOST + 1];
        int up = 1, from = 1, to = 1;
        for (int turn = 0; turn < TURNS; turn++) for (int n = 1; n <= MOST; n++) {
            const attention_case a = { 1, 0, n, MOST, dims[i], F32, PLAIN, { 0, 0 } };
            bench_row r = row_make("short", "", UNIT_FLOPS, LIMIT_NONE);
            bench_result x;
            attention_arg g;
            memset(&x, 0, sizeof x);
            attention_make(&a, &g);
            r.run = attention_run; r.arg = &g;
            row_sample(&r, &x);
            if (x.status != ATTN_OK) { bench.failed++; x.best = 1; }
            if (turn == 0 || x.best < best[n]) best[n] = x.best;
        }
#define UP(n) (((n) + lanes - 1) / lanes * lanes)
        for (int n = 1; n <= MOST; n++) {
            if (best[n] / best[UP(n)] > best[up] / best[UP(up)] || UP(up) == up) up = n;
            for (int m = 1; m < n; m++) if (to == 1 || best[m] / best[n] > best[from] / best[to]) { from = m; to = n; }
        }
        short_row("short", dims[i], up, UP(up), best, 1.3);
        short_row("grows", dims[i], from, to, best, 1.1);
#undef UP
    }
    bench.seconds = seconds;
}

static void attention_table(void) {
    double last = 0;
    table_head("attention f32: heads x queries x keys x dim, 4 flops a pair seen and feature; denormal: time against "
               "the row above; additive: ns a tanh");
    for (int i = 0; i < COUNT(attention_list); i++) last = attention_row("attention", &attention_list[i], last);
    if (!bench.no_short) short_table();
}

static void decode_table(void) {
    table_head("decode: heads x queries x keys x dim, kv: key heads, bytes of k and v, which are in no cache before");
    for (int i = 0; i < COUNT(decode_list); i++) attention_row("decode", &decode_list[i], 0);
}

// ---- maths

typedef struct maths_arg { int op; float *y; const float *x; ptrdiff_t n; } maths_arg;

static attn_status maths_run(void *arg) {
    const maths_arg *m = (const maths_arg *)arg;
    return attn_map_f32(m->op, m->y, m->x, m->n, bench.isa);
}

static void maths_table(void) {
    static const struct { const char *name; int op; float gain; } list[] = {
        { "exp", ATTN_MAP_EXP, 4 }, { "tanh", ATTN_MAP_TANH, 1.5f }, { "erf", ATTN_MAP_ERF, 1.5f },
    };
    table_head("maths: ns an element, 4096 elements in L1, one thread");
    for (int i = 0; i < COUNT(list); i++) {
        bench_row r = row_make(list[i].name, "", UNIT_ELEMENTS, LIMIT_NONE);
        maths_arg m;
        bench.used = 0;
        m.op = list[i].op; m.n = 4096;
        m.x = take_random((size_t)m.n, list[i].gain);
        m.y = (float *)take((size_t)m.n * 4);
        r.rank = 1; r.dims[0] = (int)m.n;
        r.work = (double)m.n;
        r.run = maths_run; r.arg = &m;
        r.out = m.y; r.outs = (size_t)m.n;
        row_print(&r);
    }
}

// ---- the program

static const struct { const char *name; void (*run)(void); } suites[] = {
    { "floor", floor_table }, { "gemm", gemm_table }, { "softmax", softmax_table }, { "rows", rows_table },
    { "attention", attention_table }, { "decode", decode_table }, { "maths", maths_table },
};

static void help(void) {
    puts("build/bench [floor] [gemm] [softmax] [rows] [attention] [decode] [maths] [all] [options]\n"
         "  --isa NAME     cap on the instruction set; default: the best of this machine\n"
         "  --threads N    default 1; limits and shares are then those of N threads\n"
         "  --seconds S    time for each row, default 0.3\n"
         "  --cpu-time     one thread: process time, where other programs share the machine; default: wall time\n"
         "  --json         the same rows as JSON\n"
         "  --no-short     attention without the calls of 1..64 queries\n"
         "Columns: best and median of k samples; rate at the best; share of the machine's limit (FMA peak, reading or\n"
         "copying memory; the larger of one probe before and one after the row), or ratio to another row; the aim;\n"
         "\"below\" marks a lost row; \"moved\": the probes differ by more than 5 %, four times over: no share.\n"
         "\"not offered\": the row waits for a choice that the library still refuses.\n"
         "Pin it: taskset -c 1 build/bench. Exit status: 0, 1 when a call was refused, 2 for a wrong option.");
}

// One line of the head; in JSON, quotes and backslashes of compilers' names and flags are escaped.
static void head_text(const char *key, const char *value) {
    if (!bench.json) { printf("%-10s %s\n", key, value); return; }
    printf("  \"%s\": \"", key);
    for (; *value; value++) printf(*value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    printf("\",\n");
}

static void head_clock(const char *when) {
    const double mhz = machine_mhz(), peak = probe_peak(LIMIT_PEAK, bench.isa) * 1e-9;
    if (bench.json) printf("  \"clock_%s\": {\"mhz\": %.0f, \"peak_gflops\": %.2f}", when, mhz, peak);
    else printf("%-10s peak %.1f GFLOP/s, clock as the system tells it %.0f MHz\n", when, peak, mhz);
}

static void head_print(void) {
    char text[NAME];
    if (bench.json) puts("{");
    machine_name(text, sizeof text);
    head_text("machine", text);
    line_of("/proc/self/status", "Cpus_allowed_list", text, sizeof text);
    head_text("cpus", text[0] ? text : "not known");
    head_text("compiler", COMPILER);
    head_text("flags", BENCH_FLAGS);
    head_text("build", attn_build_info());
    head_text("isa", attn_isa_name(bench.isa));
    snprintf(text, sizeof text, "%d", bench.threads);
    head_text("threads", text);
    head_text("time", bench.cpu_time ? "of the process" : "wall");
    for (double t = now(); now() - t < 0.2;) probe_peak(LIMIT_PEAK, bench.isa);     // until the clock has settled
    head_clock("before");
    if (bench.json) printf(",\n  \"rows\": [");
}

static int isa_number(const char *name) {
    for (int i = 1; i < attn_isa_count(); i++) if (!strcmp(attn_isa_name(i), name) && attn_isa_has(i)) return i;
    return 0;
}

int main(int argc, char **argv) {
    unsigned wanted = 0;
    bench.threads = 1;
    bench.seconds = 0.3;
    bench.isa = attn_isa();
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        int known = 0;
        for (int s = 0; s < COUNT(suites); s++) if (!strcmp(argv[i], suites[s].name)) { wanted |= 1u << s; known = 1; }
        if (known) continue;
        if (!strcmp(argv[i], "all")) wanted = ~0u;
        else if (!strcmp(argv[i], "--json")) bench.json = 1;
        else if (!strcmp(argv[i], "--cpu-time")) bench.cpu_time = 1;
        else if (!strcmp(argv[i], "--no-short")) bench.no_short = 1;
        else if (!strcmp(argv[i], "--help")) { help(); return 0; }
        else if (!strcmp(argv[i], "--isa") && isa_number(value)) { bench.isa = isa_number(value); i++; }
        else if (!strcmp(argv[i], "--threads") && atoi(value) > 0) { bench.threads = atoi(value); i++; }
        else if (!strcmp(argv[i], "--seconds") && atof(value) > 0) { bench.seconds = atof(value); i++; }
        else { fprintf(stderr, "bench: cannot do \"%s %s\" here; --help lists what can\n", argv[i], value); return 2; }
    }
    if (bench.threads > 1) {
        bench.cpu_time = 0;         // the sum over threads is no time of a call
        bench.pool = attn_pool_open(bench.threads);
        if (!bench.pool) { fputs("bench: no pool of threads\n", stderr); return 2; }
        bench.threads = bench.pool->workers;
    }
    head_print();
    for (int s = 0; s < COUNT(suites); s++) if (!wanted || wanted >> s & 1) suites[s].run();
    if (bench.json) puts("\n  ],"); else puts("");
    head_clock("after");
    if (bench.json) puts("\n}");
    attn_pool_close(bench.pool);
    free(bench.probe);
    free(bench.arena);
    types_keep();
    return bench.failed != 0;
}
