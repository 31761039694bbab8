// report.c - what `bench --json` wrote on two machines, or by two instruction sets, beside each other: a table in
// Markdown, and with --svg the shares and the times as a picture. --help explains the columns.
//     cc -O2 -I. bench/report.c -o build/bench-report && build/bench-report A.json B.json --svg both.svg
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 160, ROWS = 1024, DEEP = 16, OPS = 17, WIDE = 960, HIGH = 330 };
typedef struct row {
    char op[TEXT], shape[TEXT], isa[TEXT], status[TEXT], name[3 * TEXT];
    double best_ms, share;          // NaN = not there
    int moved, other;               // other: 1 + the row of the other file that goes with it; 0 = none
} row;
typedef struct report {
    const char *path, *at;          // at: where the parser stands
    char *text;
    int line, count, seen;          // seen: "rows" was there
    char machine[TEXT], compiler[TEXT], flags[TEXT], isa[TEXT], threads[TEXT], time[TEXT];
    row *rows;
} report;
static const char usage[] =
    "usage: bench-report A.json B.json [--svg FILE]   two outputs of build/bench --json beside each other\n"
    "  --svg FILE   also a picture: shares of both, and the times of A over those of B, by the number of the row\n"
    "Columns: best time of A and of B; A/B, above 1 where B is faster; shares of each machine's own limit, \"moved\"\n"
    "where that limit did not hold still. Rows go together by op and shape, and by instruction set where a file has\n"
    "several; a row that one file lacks stays, with \"-\".\n"
    "Exit code: 0 done, 1 writing failed, 2 wrong use or a file that bench did not write.\n";

// ---- reading: JSON, one value after the other; what is not known is passed over

static void bad(const report *r, const char *form, ...) {
    va_list list;
    va_start(list, form);
    fprintf(stderr, "%s:%d: ", r->path, r->line);
    vfprintf(stderr, form, list);
    fputs("\n", stderr);
    va_end(list);
    exit(2);
}
static char look(report *r) {       // the next character that is no blank; 0 at the end
    for (; *r->at && strchr(" \t\r\n", *r->at); r->at++) r->line += *r->at == '\n';
    return *r->at;
}
static void take(report *r, char c) {
    if (look(r) == 0) bad(r, "the file ends where '%c' is expected", c);
    if (*r->at != c) bad(r, "'%c' is expected, not '%.12s'", c, r->at);
    r->at++;
}
static void take_text(report *r, char *to) {
    size_t n = 0;
    for (take(r, '"'); *r->at != '"'; r->at++) {
        if (*r->at == 0 || *r->at == '\n') bad(r, "a string does not end");
        if (*r->at == '\\' && !*++r->at) bad(r, "a string does not end");
        if (n < TEXT - 1) to[n++] = *r->at;
    }
    to[n] = 0;
    r->at++;
}
// A value that is no list: its text, and its number, NaN where it is none.
static double take_value(report *r, char *to) {
    char *end;
    double x = NAN;
    size_t n;
    if (look(r) == '"') { take_text(r, to); return x; }
    n = strcspn(r->at, ",]} \t\r\n");
    if (n == 0 || n >= TEXT) bad(r, "a value is expected");
    memcpy(to, r->at, n);
    to[n] = 0;
    if (strcmp(to, "true") && strcmp(to, "false") && strcmp(to, "null")) {
        if (!strchr("-0123456789", *to)) bad(r, "not a value: %.40s", to);
        x = strtod(to, &end);
        if (*end) bad(r, "not a number: %.40s", to);
    }
    r->at += n;
    return x;
}
static void put(report *r, row *at, const char *key, const char *text, double x) {
#define KEEP(whose, field) if (!strcmp(key, #field)) { strcpy((whose)->field, text); return; }
    if (!at) {
        KEEP(r, machine) KEEP(r, compiler) KEEP(r, flags) KEEP(r, isa) KEEP(r, threads) KEEP(r, time)
        return;
    }
    KEEP(at, op) KEEP(at, shape) KEEP(at, isa) KEEP(at, status)
#undef KEEP
    if (!strcmp(key, "best_ms")) at->best_ms = x;
    else if (!strcmp(key, "share")) at->share = x;
    else if (!strcmp(key, "moved")) at->moved = !strcmp(text, "true");
}
// A value of any kind under `key`; at: the row it belongs to, NULL outside of rows.
static void take_any(report *r, row *at, const char *key, int deep) {
    char name[TEXT], text[TEXT];
    const char open = look(r), close = open == '{' ? '}' : ']';
    const int rows = deep == 1 && open == '[' && !strcmp(key, "rows");
    if (open != '{' && open != '[') {
        const double x = take_value(r, text);
        if (deep == 1 || (at && deep == 3)) put(r, at, key, text, x);
        return;
    }
    if (deep >= DEEP) bad(r, "lists in lists, too deep");
    r->seen |= rows;
    take(r, open);
    for (int first = 1; look(r) != close; first = 0) {
        if (!first) take(r, ',');
        if (open == '{') { take_text(r, name); take(r, ':'); }
        if (rows) {
            if (look(r) != '{') bad(r, "a row is expected");
            if (r->count == ROWS) bad(r, "more than %d rows", (int)ROWS);
            at = &r->rows[r->count++];
            memset(at, 0, sizeof *at);
            at->best_ms = at->share = NAN;
        }
        take_any(r, at, open == '{' ? name : "", deep + 1);
        if (!rows) continue;
        if (!at->op[0] || !at->status[0]) bad(r, "a row without \"op\" or \"status\"");
        if (!strcmp(at->status, "done") && !(at->best_ms > 0)) bad(r, "a row without a time \"best_ms\"");
        snprintf(at->name, sizeof at->name, "%s %s%s%s", at->op, at->shape, strcmp(at->isa, r->isa) ? " " : "",
                 strcmp(at->isa, r->isa) ? at->isa : "");
    }
    take(r, close);
}
static void read_report(report *r, const char *path) {
    FILE *f = fopen(path, "rb");
    size_t room = 0, n = 0, got = 1;
    r->path = path;
    r->line = 1;
    r->rows = (row *)malloc(ROWS * sizeof *r->rows);
    for (; f && got; n += got) {
        if (n + 4096 >= room) r->text = (char *)realloc(r->text, room = 2 * room + 8192);
        if (!r->text || !r->rows) { fputs("no memory\n", stderr); exit(2); }
        got = fread(r->text + n, 1, 4096, f);
    }
    if (!f || ferror(f)) { fprintf(stderr, "%s: cannot be read\n", path); exit(2); }
    fclose(f);
    r->text[n] = 0;
    r->at = r->text;
    if (look(r) != '{') bad(r, "'{' is expected: not what bench --json prints");
    take_any(r, NULL, "", 0);
    if (look(r)) bad(r, "more after the end: %.12s", r->at);
    if (!r->seen || !r->isa[0]) bad(r, "no \"rows\" or no \"isa\": not what bench --json prints");
}

// ---- writing

static void cells(const row *x, char *time, char *share) {      // what stands in the table for a row of one file
    const int done = x && !strcmp(x->status, "done");
    strcpy(time, "-");
    strcpy(share, "-");
    if (x && !done) snprintf(time, 32, "%.30s", strstr(x->status, "not offered") ? "not offered" : x->status);
    if (done) snprintf(time, 32, "%.3f %s", x->best_ms * (x->best_ms < 0.1 ? 1e3 : 1), x->best_ms < 0.1 ? "us" : "ms");
    if (done && x->moved) strcpy(share, "moved");
    else if (done && !isnan(x->share)) snprintf(share, 32, "%.1f %%", x->share);
}
static int plot(FILE *f, const attn_plot_desc *d, int y) {
    return fprintf(f, "<g transform=\"translate(0,%d)\">\n", y) > 0 && attn_plot_svg(d, attn_to_file, f) == ATTN_OK &&
           fputs("</g>\n", f) >= 0;
}
// line: numbers of the rows, shares of A, of B, times of A over those of B
static int draw(FILE *f, const report *r, int n, float *const line[4]) {
    char title[512];
    const float ends[2] = { 0, (float)n * 1.15f + 1 }, one[2] = { 1, 1 };
    attn_series share[2], factor[OPS];
    int count = 1;
    attn_plot_desc d = ATTN_ZERO;
    memset(share, 0, sizeof share);
    memset(factor, 0, sizeof factor);
    snprintf(title, sizeof title, "A: %s, %.48s; B: %s, %.48s", r[0].isa, r[0].machine, r[1].isa, r[1].machine);
    for (int i = 0; i < 2; i++) {
        share[i].name = i ? "B" : "A";
        share[i].x = line[0]; share[i].y = line[1 + i]; share[i].n = n; share[i].kind = ATTN_SCATTER;
    }
    d.series = share; d.count = 2; d.width = WIDE; d.height = HIGH; d.legend = 1;
    d.title = title; d.xlabel = "row of the table"; d.ylabel = "share of the machine's limit, %";
    d.xlow = ends[0]; d.xhigh = ends[1]; d.ylow = 0; d.yhigh = 105;
    if (fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n",
                WIDE, 2 * HIGH, WIDE, 2 * HIGH) < 0 || !plot(f, &d, 0)) return 0;
    factor[0].x = ends; factor[0].y = one; factor[0].n = 2; factor[0].dash = ATTN_DASH_DASHED; factor[0].color = 8;
    for (int i = 0; i < r->count; i++) {                        // rows that B has alone come after these
        if (count < OPS && (i == 0 || strcmp(r->rows[i].op, r->rows[i - 1].op))) {
            factor[count].name = r->rows[i].op; factor[count].kind = ATTN_SCATTER;
            factor[count].x = line[0] + i; factor[count].y = line[3] + i;
            factor[count].color = count % 10 ? count % 10 : 10;
            count++;
        }
        if (count > 1) factor[count - 1].n++;
    }
    d.series = factor; d.title = NULL;
    d.ylabel = "time of A / time of B: above 1 B is faster"; d.ylow = d.yhigh = 0; d.ylog = 1; d.count = count;
    return plot(f, &d, HIGH) && fputs("</svg>\n", f) >= 0;
}

int main(int argc, char **argv) {
    static report r[2];
    static float number[2 * ROWS], a_share[2 * ROWS], b_share[2 * ROWS], factor[2 * ROWS];
    float *const line[4] = { number, a_share, b_share, factor };
    static const char dashes[] = "---------------------------------------------";
    const char *svg = NULL, *file[2] = { NULL, NULL };
    int files = 0, n = 0, both = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help")) return fputs(usage, stdout) < 0;
        if (!strcmp(argv[i], "--svg") && i + 1 < argc) svg = argv[++i];
        else if (argv[i][0] != '-' && files < 2) file[files++] = argv[i];
        else return fprintf(stderr, "%s: not known, or its value is missing\n%s", argv[i], usage), 2;
    }
    if (files < 2) return fprintf(stderr, "two files are expected\n%s", usage), 2;
    for (int i = 0; i < 2; i++) {
        read_report(&r[i], file[i]);
        printf("%c: %s, %s: %s threads, time %s, %s, %s  \n", "AB"[i], r[i].machine, r[i].isa, r[i].threads, r[i].time,
               r[i].compiler, r[i].flags);
    }
    for (int i = 0; i < r[0].count; i++) for (int j = 0; j < r[1].count; j++) { // the first that nobody has taken
        row *a = &r[0].rows[i], *b = &r[1].rows[j];
        if (a->other == 0 && b->other == 0 && !strcmp(a->name, b->name)) { a->other = j + 1; b->other = i + 1; }
    }
    printf("\n| %4s | %-44s | %11s | %11s | %7s | %7s | %7s |\n|-----:|:%.45s|%.12s:|%.12s:|%.8s:|%.8s:|%.8s:|\n",
           "row", "op, shape", "A", "B", "A/B", "A share", "B share", dashes, dashes, dashes, dashes, dashes, dashes);
    for (int side = 0; side < 2; side++) for (int i = 0; i < r[side].count; i++) {
        const row *x = &r[side].rows[i], *y = x->other ? &r[!side].rows[x->other - 1] : NULL;
        const row *a = side ? NULL : x, *b = side ? x : y;
        char time[2][32], share[2][32], ratio[32] = "-";
        if (side && x->other) continue;
        cells(a, time[0], share[0]);
        cells(b, time[1], share[1]);
        number[n] = (float)(n + 1);
        a_share[n] = a && !a->moved ? (float)a->share : NAN;
        b_share[n] = b && !b->moved ? (float)b->share : NAN;
        factor[n] = a && b ? (float)(a->best_ms / b->best_ms) : NAN;
        if (factor[n] > 0) { snprintf(ratio, sizeof ratio, "%.2f", (double)factor[n]); both++; }
        printf("| %4d | %-44s | %11s | %11s | %7s | %7s | %7s |\n", ++n, x->name, time[0], time[1], ratio, share[0],
               share[1]);
    }
    printf("\n%d rows, %d with a time of both\n", n, both);
    if (fflush(stdout) || ferror(stdout)) return fputs("standard output: cannot be written\n", stderr), 1;
    if (svg) {
        FILE *f = fopen(svg, "wb");
        const int done = f && draw(f, r, n, line);
        if ((f && fclose(f)) || !done) return fprintf(stderr, "%s: cannot be written\n", svg), 1;
    }
    return 0;
}
