// limits.h - what bench.c measures against: time, the machine's name and clock, FMA peak, reading and copying memory.
// Include it after attn.h.
#ifndef LIMITS_H
#define LIMITS_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif
#if defined(__GNUC__) || defined(__clang__)
#define PREFETCH(p) __builtin_prefetch(p)
#else
#define PREFETCH(p) ((void)0)
#endif
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

enum { LINE = 64, NAME = 160 };
static const size_t SEGMENT = (size_t)64 << 20;     // one timed stretch of memory: larger than any cache it may meet
static const size_t SEGMENTS = 6;

static struct {
    int isa, threads, json, cpu_time, no_short, rows, failed;
    double seconds;
    const attn_parallel *pool;
    char *probe;                    // memory of the limits; the cases have their own, so that a copy spoils no input
    char *arena;                    // memory of one case at a time
    size_t used;
} bench;

// ---- time

// Seconds. Time of the process leaves out what other programs took of a shared machine, not what they did to caches.
static double now(void) {
    struct timespec t;
    clock_gettime(bench.cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// ---- machine

// The value of the first line of a file that starts with key, "" when there is none.
static void line_of(const char *path, const char *key, char *out, size_t n) {
    FILE *f = fopen(path, "r");
    char line[1024];
    out[0] = 0;
    if (!f) return;
    while (!out[0] && fgets(line, sizeof line, f)) {
        const char *value = strncmp(line, key, strlen(key)) ? NULL : strchr(line, ':');
        if (!value) continue;
        value += 1 + strspn(value + 1, " \t");
        snprintf(out, n, "%.*s", (int)strcspn(value, "\n"), value);
    }
    fclose(f);
}

static void machine_name(char *out, size_t n) {
#ifdef __APPLE__
    if (sysctlbyname("machdep.cpu.brand_string", out, &n, NULL, 0)) snprintf(out, n, "unknown");
#else
    char family[32], model[32], name[NAME - 40];
    line_of("/proc/cpuinfo", "model name", name, sizeof name);
    if (!name[0]) line_of("/proc/cpuinfo", "CPU part", name, sizeof name);
    line_of("/proc/cpuinfo", "cpu family", family, sizeof family);
    line_of("/proc/cpuinfo", "model\t", model, sizeof model);
    snprintf(out, n, "%s%s%.8s%s%.8s", name[0] ? name : "unknown", family[0] ? ", family " : "", family,
             model[0] ? " model " : "", model);
#endif
}

static double machine_mhz(void) {
    char text[NAME];
    line_of("/proc/cpuinfo", "cpu MHz", text, sizeof text);
    return atof(text);
}

// ---- limits: FMA peak, reading, copying

enum { LIMIT_NONE, LIMIT_PEAK, LIMIT_READ, LIMIT_COPY, LIMIT_BF16 };    // BF16: the peak of its products
static int is_peak(int kind) { return kind == LIMIT_PEAK || kind == LIMIT_BF16; }
typedef struct probe_part {
    int kind, isa;
    int streams, ahead;             // of reading; ahead: lines prefetched in front, 0 = none
    size_t chunk;                   // of copying: bytes of one memcpy
    ptrdiff_t loops;
    char *from, *to;
    size_t bytes;
    double flops;
    uint64_t sum;                   // the result of reading, kept so that the reading is done
} probe_part;

// Four sums over four lines of 64 bytes a turn: bound by memory, not by adding, without any vector instruction. The
// lines lie side by side (streams 1) or in four quarters (streams 4), which keeps more requests under way.
static uint64_t probe_read(const char *from, size_t bytes, int ahead, int streams) {
    const size_t lines = bytes / LINE / 4, word = 8;
    const size_t apart = streams == 1 ? word : lines * word, step = streams == 1 ? 4 * word : word;
    uint64_t sum[4] = { 0, 0, 0, 0 };
    if (streams == 0) return memchr(from, 0, bytes) != NULL;        // memory of the limits holds ones
    for (size_t i = 0; i < lines; i++) {
        const uint64_t *p = (const uint64_t *)(const void *)from + i * step;
        for (int j = 0; j < 4; j++) {
            const uint64_t *x = p + (size_t)j * apart;
            if (ahead) PREFETCH(x + (size_t)ahead * word);
            sum[j] += x[0] + x[1] + (x[2] + x[3]) + (x[4] + x[5] + (x[6] + x[7]));
        }
    }
    return sum[0] + sum[1] + sum[2] + sum[3];
}

static void probe_task(void *arg, ptrdiff_t i, int worker) {
    probe_part *p = (probe_part *)arg + i;
    (void)worker;
    if (p->kind == LIMIT_PEAK) p->flops = attn_peak_loop(p->loops, p->isa, ATTN_ARITH_F32);
    else if (p->kind == LIMIT_BF16) p->flops = attn_peak_loop(p->loops, p->isa, ATTN_ARITH_NATIVE);
    else if (p->kind == LIMIT_READ) p->sum += probe_read(p->from, p->bytes, p->ahead, p->streams);
    else for (size_t done = 0; done < p->bytes; done += p->chunk)
        memcpy(p->to + done, p->from + done, p->bytes - done < p->chunk ? p->bytes - done : p->chunk);
}

// Runs one part per thread, the segment cut evenly; returns flops or bytes per second.
static double probe_once(const probe_part *whole) {
    enum { PARTS = 256 };
    static probe_part part[PARTS];
    const int n = bench.threads < PARTS ? bench.threads : PARTS;
    const size_t share = whole->bytes / (size_t)n / 4096 * 4096;
    double t, work = 0;
    for (int i = 0; i < n; i++) {
        part[i] = *whole;
        part[i].from += share * (size_t)i;
        part[i].to += share * (size_t)i;
        part[i].bytes = share;
    }
    t = now();
    if (bench.pool) bench.pool->run(bench.pool->user, probe_task, part, n);
    else probe_task(part, 0, 0);
    t = now() - t;
    for (int i = 0; i < n; i++)
        work += is_peak(whole->kind) ? part[i].flops : (double)share * (whole->kind == LIMIT_COPY ? 2 : 1);
    return work / t;
}

// The best of five ways to do it, which differs by machine: memcpy turns to other instructions beyond some size; memchr
// reads in the C library's vectors, for a machine whose memory is faster than eight loads a line.
static double probe_memory(int kind) {
    static const struct { int streams, ahead; size_t chunk; } way[] = {
        { 1, 0, (size_t)64 << 20 }, { 4, 32, (size_t)2 << 20 },
        { 4, 128, (size_t)256 << 10 }, { 1, 128, (size_t)32 << 10 }, { 0, 0, (size_t)1 << 20 },
    };
    const size_t half = kind == LIMIT_COPY ? SEGMENTS / 2 : SEGMENTS;
    double best = 0, start = now();
    char *memory;
    if (!bench.probe) {
        bench.probe = (char *)malloc(SEGMENT * SEGMENTS + 4096 * LINE);
        if (!bench.probe) { fputs("no memory for the limits\n", stderr); exit(2); }
        memset(bench.probe, 1, SEGMENT * SEGMENTS + 4096 * LINE);   // untouched pages would all be one page of zeros
    }
    memory = bench.probe + (LINE - (uintptr_t)bench.probe % LINE) % LINE;
    for (int round = 0; round < 2 * COUNT(way) || now() - start < 0.1; round++) for (size_t s = 0; s < half; s++) {
        const int w = round % COUNT(way);
        probe_part p = { kind, 0, way[w].streams, way[w].ahead, way[w].chunk, 0, NULL, NULL, SEGMENT, 0, 0 };
        double rate;
        p.from = memory + s * SEGMENT;
        p.to = memory + (s + SEGMENTS / 2) % SEGMENTS * SEGMENT;
        rate = probe_once(&p);
        if (rate > best) best = rate;
    }
    return best;
}

// Short runs, so that one of them falls between two interruptions. Longer ones where threads must wake up first, and by
// process time, which systems correct in steps of microseconds: a short run may then seem faster than it was.
static double probe_peak(int kind, int isa) {
    const int longer = bench.pool || bench.cpu_time;
    const double piece = longer ? 3e-3 : 3e-4;
    probe_part p = { 0, 0, 0, 0, 0, 1000, NULL, NULL, 0, 0, 0 };
    double best = 0, t, start = now();
    p.kind = kind; p.isa = isa;
    for (t = 0; t < piece; p.loops *= 2) { t = now(); probe_once(&p); t = now() - t; }
    while (now() - start < (longer ? 0.1 : 0.02)) {
        const double rate = probe_once(&p);
        if (rate > best) best = rate;
    }
    return best;
}

static double limit_of(int kind, int isa) {
    return kind == LIMIT_NONE ? 0 : is_peak(kind) ? probe_peak(kind, isa) : probe_memory(kind);
}
#endif // LIMITS_H
