// regression.c - kernel regression is attention: the query is an x, keys and values are the points (x_i, y_i). Average
// pooling, Nadaraya-Watson with the bandwidth of least leave-one-out error, and a kernel whose width w is learnt on the
// tape; for a century of the Nile, for your CSV file, or for the data of the study notes (--notes).
//            h  RMSE: in sample  leave one out
//        1.596            98.25          131.1    Nadaraya-Watson, h of the grid
//         1.66            99.49          131.1    parametric kernel, w learnt
// data    examples/data/nile.csv: flow of the Nile at Aswan 1871-1970 (Cobb 1978), from statsmodels, public domain
// source  Nadaraya 1964; Watson 1964; "Dive into Deep Learning", attention pooling
//     cc -O2 -I. examples/regression.c -o build/regression && build/regression
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef _WIN32
#include <direct.h>
#include <io.h>
#define isatty _isatty
#define mkdir(path, mode) _mkdir(path)
#else
#include <unistd.h>
#endif

enum { MOST_POINTS = 1000, GRID = 60, CURVE = 241, EPOCHS = 300, LONGEST = 1000 };
static const char usage[] =
    "usage: regression [options] [FILE.csv | -]   kernel regression of y on x: columns x,y or y; -: standard input\n"
    "       regression [options] --notes          the study notes' data, fits and pictures\n"
    "       regression [options] --consistency    does the error vanish as n grows from 50 to 500000?\n"
    "options: --out DIR    where pictures and curves go (build/regression-out)\n"
    "         --isa NAME   cap on the instruction set: scalar, avx2, neon, ...\n"
    "         --threads N  1 unless given; 0 = one for each processor\n"
    "Without FILE: examples/data/nile.csv. NAME_lowess.csv beside NAME.csv is drawn too (examples/python/lowess.py).\n"
    "Exit code: 0 done, 1 writing or memory failed, 2 wrong use or a bad file (file:line:column: what).\n";

typedef struct run { attn_ctx *c; const attn_parallel *pool; int isa; const char *out; } run;
typedef struct table { double *cell; ptrdiff_t rows; int cols; char name[3][48]; } table;
typedef struct pair { double x, y; } pair;
// n points in ascending x, in standard deviations: x = x_mean + x_sd xs[i]. Both arrays hold the points twice in a row,
// which makes leaving one out a matter of strides (see squares).
typedef struct points { float *xs, *ys; ptrdiff_t n; double x_mean, x_sd, y_mean, y_sd; } points;

static void die(int code, const char *form, ...) {
    va_list list;
    fflush(stdout);
    va_start(list, form);
    vfprintf(stderr, form, list);
    va_end(list);
    fputc('\n', stderr);
    exit(code);
}
static void check(attn_ctx *c) { // the first failed call left its sentence: one look ends a chain of calls
    if (attn_error(c) != ATTN_OK) die(1, "%s", attn_message(c));
}
static void *grab(attn_ctx *c, ptrdiff_t n, size_t bytes) { // zeros in the context's arena: nothing to free
    ptrdiff_t doubles = (n * (ptrdiff_t)bytes + 7) / 8;
    void *p = attn_zeros(c, ATTN_F64, 1, &doubles)->data;
    check(c);
    return p;
}
static float *floats(attn_ctx *c, ptrdiff_t n) { return (float *)grab(c, n, sizeof(float)); }

// ---- the few functions wanted, from exp alone: no -lm is needed

static double exp_of(double x) {
    attn_map_f64(ATTN_MAP_EXP, &x, &x, 1);
    return x;
}
static double log_of(double x) { // Halley's method for e^l = x, x > 0
    double l = 0, step = 1;
    for (int i = 0; i < 500 && (step > 1e-15 || step < -1e-15); i++) l += step = 2 * (x - exp_of(l)) / (x + exp_of(l));
    return l;
}
static double power(double x, double p) { return x > 0 ? exp_of(p * log_of(x)) : 0; }
static double sine(double x) { // Taylor, for the notes' 0 <= x <= 5
    double sum = 0, term = x;
    for (int k = 1; k < 40; k += 2) sum += term, term *= -x * x / ((k + 1) * (k + 2));
    return sum;
}
static double truth(double x) { return 2 * sine(x) + power(x, 0.8); }

// ---- reading CSV

static char *slurp(const char *path, ptrdiff_t *bytes) {
    FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    size_t room = 1 << 16, used = 0, got;
    char *text = (char *)malloc(room + 1);
    if (text == NULL) die(1, "out of memory");
    if (f == NULL) die(2, "%s: cannot be opened (the data of the examples is found from the repository's top)", path);
    while ((got = fread(text + used, 1, room - used, f)) > 0)
        if ((used += got) == room && (text = (char *)realloc(text, (room *= 2) + 1)) == NULL) die(1, "out of memory");
    if (ferror(f)) die(2, "%s: cannot be read", path);
    if (f != stdin) fclose(f);
    text[used] = 0, *bytes = (ptrdiff_t)used;
    return text;
}
// One line: numbers between , ; or tab, quoted or not. Before the first numbers a line may name the columns.
static void read_line(table *t, const char *path, int line, char *s, int most) {
    int col = 0, naming = 0, more = 1, width = (int)strlen(s);
    for (char *p = s; more; col++) {
        char *stop = p + strcspn(p, ",;\t"), *a = p + strspn(p, " \r\""), *b = stop, *tail;
        int at = (int)((a < stop ? a : p) - s) + 1;
        more = *stop != 0, p = stop + 1;
        while (b > a && strchr(" \r\"", b[-1])) b--;
        *b = 0;
        if (col == (t->cols ? t->cols : most)) die(2, "%s:%d:%d: only %d columns are expected", path, line, at, col);
        double value = strtod(a < b ? a : b, &tail);
        if (a >= b || !strcmp(a, "NA") || value != value) die(2, "%s:%d:%d: missing value", path, line, at);
        if (t->cols == 0 && tail == a && (col == 0 || naming)) {
            naming = 1;
            snprintf(t->name[col], sizeof t->name[col], "%s", a);
            continue;
        }
        if (naming || *tail) die(2, "%s:%d:%d: not a number: %.40s", path, line, at, a);
        if (!(value > -1e30 && value < 1e30)) die(2, "%s:%d:%d: out of range: %.40s", path, line, at, a);
        t->cell[t->rows * t->cols + col] = value; // cols is not known, nor wanted, in row 0
    }
    if (col < t->cols) die(2, "%s:%d:%d: missing value: %d columns are expected", path, line, width + 1, t->cols);
    t->cols = col, t->rows += !naming;
}
static table read_csv(attn_ctx *c, const char *path, int most) {
    table t = ATTN_ZERO;
    ptrdiff_t bytes;
    char *text = slurp(path, &bytes), *p = text, *end = text + bytes;
    int line = 1;
    t.cell = (double *)grab(c, bytes / 2 + 4, sizeof(double)); // a number and its separator are two characters
    if (!strncmp(p, "\xEF\xBB\xBF", 3)) p += 3;             // a byte order mark
    for (char *next; p < end; line++, p = next + 1) {
        next = p + strcspn(p, "\n");
        if (*next == 0 && next < end) die(2, "%s:%d:%d: a zero byte", path, line, (int)(next - p) + 1);
        *next = 0;
        if (p[strspn(p, " \r")] != 0 && p[strspn(p, " ")] != '#') read_line(&t, path, line, p, most);
    }
    if (t.rows < 3) die(2, "%s:%d:1: 3 rows of numbers or more are needed, here are %d", path, line, (int)t.rows);
    free(text);
    return t;
}
static int by_x(const void *a, const void *b) {
    const pair *p = (const pair *)a, *q = (const pair *)b;
    return p->x != q->x ? (p->x > q->x) - (p->x < q->x) : (p->y > q->y) - (p->y < q->y);
}
// Sorted pairs; standard: centred and scaled, so that one first w and one rate suit every file.
static points make_points(attn_ctx *c, const pair *from, ptrdiff_t n, int standard) {
    points p = ATTN_ZERO;
    double x2 = 0, y2 = 0;
    for (ptrdiff_t i = 0; i < n && standard; i++) p.x_mean += from[i].x / (double)n, p.y_mean += from[i].y / (double)n;
    for (ptrdiff_t i = 0; i < n && standard; i++) {
        x2 += (from[i].x - p.x_mean) * (from[i].x - p.x_mean) / (double)n;
        y2 += (from[i].y - p.y_mean) * (from[i].y - p.y_mean) / (double)n;
    }
    p.xs = floats(c, 2 * n), p.ys = floats(c, 2 * n), p.n = n;
    p.x_sd = standard ? power(x2, 0.5) : 1, p.y_sd = y2 > 0 ? power(y2, 0.5) : 1;
    for (ptrdiff_t i = 0; i < 2 * n; i++) {
        p.xs[i] = (float)((from[i % n].x - p.x_mean) / p.x_sd);
        p.ys[i] = (float)((from[i % n].y - p.y_mean) / p.y_sd);
    }
    return p;
}
static points read_points(attn_ctx *c, const char *path, table *t) {
    *t = read_csv(c, path, 2);
    pair *from = (pair *)grab(c, t->rows, sizeof(pair));
    ptrdiff_t every = (t->rows + MOST_POINTS - 1) / MOST_POINTS, n = 0;
    for (ptrdiff_t i = 0; i < t->rows; i++) {
        from[i].x = t->cols == 2 ? t->cell[i * 2] : (double)i + 1;
        from[i].y = t->cell[i * t->cols + t->cols - 1];
    }
    qsort(from, (size_t)t->rows, sizeof(pair), by_x);
    if (!(from[0].x < from[t->rows - 1].x)) die(2, "%s:1:1: every x is the same", path);
    if (t->cols == 1) memcpy(t->name[1], t->name[0], sizeof t->name[0]), strcpy(t->name[0], "row");
    if (!t->name[0][0]) strcpy(t->name[0], "x");
    if (!t->name[1][0]) strcpy(t->name[1], "y");
    printf("%s: %d points, %s %.6g to %.6g\n", path, (int)t->rows, t->name[0], from[0].x, from[t->rows - 1].x);
    if (every > 1) printf("only one in %d is used: weights are n x n here (--consistency does without)\n", (int)every);
    for (ptrdiff_t i = 0; i < t->rows; i += every) from[n++] = from[i];
    return make_points(c, from, n, 1);
}

// ---- attention pooling

// f(x) = sum_i alpha(x, x_i) y_i, alpha(x, x_i) = softmax_i(-((x - x_i) w)^2 / 2): each pooling of the chapter, by w.
//   w = 0      all keys score the same: average pooling, f(x) = (1/n) sum_i y_i
//   w = 1      Nadaraya-Watson with the Gaussian kernel K(u) = exp(-u^2 / 2)
//   w = 1 / h  the same with bandwidth h: K((x - x_i) / h)
//   w learnt   parametric attention pooling: w is a parameter, so all that follows from it goes on the tape
// q [N,1], k and v [1,M] (the same for all queries) or [N,M], w [1] -> [N,1]; *weights [N,M] unless NULL.
static attn_tensor *pooling(attn_ctx *c, attn_tensor *q, attn_tensor *k, attn_tensor *v, attn_tensor *w,
                            attn_tensor **weights) {
    attn_tensor *u = attn_mul(c, attn_sub(c, q, k), w);                            // (x - x_i) w
    attn_tensor *alpha = attn_softmax(c, attn_scale(c, attn_square(c, u), -0.5), 1);
    if (weights != NULL) *weights = alpha;
    return attn_sum(c, attn_mul(c, alpha, v), 1);
}
static attn_tensor *number(attn_ctx *c, double w) {
    ptrdiff_t one = 1;
    return attn_full(c, ATTN_F32, 1, &one, w);
}
static attn_tensor *view(attn_ctx *c, float *data, ptrdiff_t rows, ptrdiff_t cols) { // row i begins at element i
    ptrdiff_t shape[2] = {rows, cols}, stride[2] = {1, 1};
    return attn_wrap(c, ATTN_F32, 2, shape, stride, data);
}
// y[i] = f(x[i]), pooled from all points; weights [n, p->n] unless NULL.
static void fit(run *r, const points *p, double w, float *x, ptrdiff_t n, float *y, float *weights) {
    size_t mark = attn_mark(r->c);
    attn_tensor *alpha, *k = view(r->c, p->xs, 1, p->n), *v = view(r->c, p->ys, 1, p->n);
    attn_read(r->c, pooling(r->c, view(r->c, x, n, 1), k, v, number(r->c, w), &alpha), y);
    if (weights != NULL) attn_read(r->c, alpha, weights);
    check(r->c);
    attn_reset(r->c, mark);
}
// Sum over i of (f(x_i) - y_i)^2. With leave_out f(x_i) is pooled from all points but the i-th: else the least error is
// had by looking at y_i alone. Row i of the keys is x_i+1 .. x_n-1, x_0 .. x_i-1: a window of n - 1 into the points
// written twice, and the next row begins one further. Nothing is copied, nothing masked.
static attn_tensor *squares(attn_ctx *c, const points *p, attn_tensor *w, int leave_out) {
    ptrdiff_t n = p->n, rows = leave_out ? n : 1, m = leave_out ? n - 1 : n;
    attn_tensor *k = view(c, p->xs + leave_out, rows, m), *v = view(c, p->ys + leave_out, rows, m);
    attn_tensor *f = pooling(c, view(c, p->xs, n, 1), k, v, w, NULL);
    return attn_sum_all(c, attn_square(c, attn_sub(c, f, view(c, p->ys, n, 1))));
}
// Root of the mean square, in the unit of y.
static double rmse(run *r, const points *p, double w, int leave_out) {
    size_t mark = attn_mark(r->c);
    double sum = attn_item(r->c, squares(r->c, p, number(r->c, w), leave_out));
    check(r->c);
    attn_reset(r->c, mark);
    return p->y_sd * power(sum / (double)p->n, 0.5);
}
static attn_tensor *learnt(run *r, float first) {
    ptrdiff_t one = 1;
    attn_tensor *w = attn_param(r->c, ATTN_F32, 1, &one);
    check(r->c);
    *(float *)w->data = first;
    return w;
}
// One step down the gradient of the leave-one-out sum of squares: w -= rate dloss/dw. Returns the loss before it.
static double descend(run *r, const points *p, attn_tensor *w, double rate, double momentum) {
    size_t mark = attn_mark(r->c);
    attn_tensor *loss = squares(r->c, p, w, 1);
    double before = attn_item(r->c, loss);
    attn_zero_grad(r->c);
    attn_backward(r->c, loss);
    attn_sgd(r->c, rate, momentum);
    check(r->c);
    attn_reset(r->c, mark);
    return before;
}

// ---- pictures

static void make_folders(const char *path) {
    char name[LONGEST];
    for (size_t i = 1; i <= strlen(path); i++) {
        snprintf(name, sizeof name, "%.*s", (int)i, path);
        if (path[i] == '/' || path[i] == 0) mkdir(name, 0777); // if it fails, the first picture says so
    }
}
static FILE *open_out(const run *r, const char *name) {
    char path[LONGEST + 100];
    make_folders(r->out); // not before there is something to write: a refused call leaves nothing behind
    snprintf(path, sizeof path, "%s/%s", r->out, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL) die(1, "%s: cannot be written", path);
    printf("writes %s\n", path);
    return f;
}
static void close_out(FILE *f, attn_status s) {
    int bad = ferror(f);
    if (fclose(f) != 0 || bad || s != ATTN_OK) die(1, "the file above: %s", attn_status_str(s ? s : ATTN_ERR_IO));
}
static void write_csv(const run *r, const char *file, const char *header, float *const *column, int cols, int n) {
    FILE *f = open_out(r, file);
    fprintf(f, "%s\n", header);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < cols; j++) fprintf(f, "%.7g%c", (double)column[j][i], j + 1 < cols ? ',' : '\n');
    close_out(f, ATTN_OK);
}
static attn_series series(const char *name, const float *x, const float *y, ptrdiff_t n, int kind, int color,
                          int dash) {
    attn_series s = ATTN_ZERO;
    s.name = name, s.x = x, s.y = y, s.n = n, s.kind = kind, s.color = color, s.dash = dash;
    return s;
}
static void plot(const run *r, const char *file, const char *title, const char *xlabel, const char *ylabel,
                 const attn_series *s, int count, int xlog, int ylog) {
    attn_plot_desc d = ATTN_ZERO;
    d.series = s, d.count = count, d.title = title, d.xlabel = xlabel, d.ylabel = ylabel, d.xlog = xlog, d.ylog = ylog;
    d.width = 720, d.height = 440;
    FILE *f = open_out(r, file);
    close_out(f, attn_plot_svg(&d, attn_to_file, f));
}
// The notes' show_heatmaps, into a file and, if shown, in the terminal: without colour if NO_COLOR is set or the output
// goes elsewhere, in 24-bit colour if COLORTERM says so.
static void heatmap(const run *r, const char *file, const float *weights, ptrdiff_t queries, ptrdiff_t keys,
                    const char *title, const char *xlabel, const char *ylabel, const char *const *ticks, int shown) {
    const char *no = getenv("NO_COLOR"), *deep = getenv("COLORTERM"), *term = getenv("TERM");
    attn_heatmap_desc d = ATTN_ZERO;
    d.data = weights, d.queries = queries, d.keys = keys, d.title = title, d.xlabel = xlabel, d.ylabel = ylabel;
    d.xticks = d.yticks = ticks, d.width = 400;
    FILE *f = open_out(r, file);
    close_out(f, attn_heatmap_svg(&d, attn_to_file, f));
    int color = (no && *no) || (term && !strcmp(term, "dumb")) || !isatty(1) ? 0
              : deep && (!strcmp(deep, "truecolor") || !strcmp(deep, "24bit")) ? 2 : 1;
    d.xticks = NULL;
    if (shown) putchar('\n'), attn_heatmap_text(&d, color, attn_to_file, stdout), putchar('\n');
}

// ---- a series: choose, learn, compare, draw

static double bandwidth(const points *p, double w) { return w < 0 ? -p->x_sd / w : p->x_sd / w; }
// Leave-one-out error over a grid of bandwidths from half a gap to half the range of x; returns the index of the least.
static int search(run *r, const points *p, float *h, float *error) {
    double low = (double)(p->xs[p->n - 1] - p->xs[0]) / (double)(2 * p->n);
    int best = 0;
    for (int g = 0; g < GRID; g++) {
        double width = low * power((double)p->n, g / (double)(GRID - 1));
        h[g] = (float)(p->x_sd * width), error[g] = (float)rmse(r, p, 1 / width, 1);
        if (error[g] < error[best]) best = g;
    }
    printf("Of %d bandwidths h the leave-one-out error is least at %.4g\n", GRID, (double)h[best]);
    return best;
}
static double train(run *r, const points *p) {
    attn_tensor *param = learnt(r, 1);
    const float *w = (const float *)param->data;
    printf("\nFrom w = 1 down the gradient of the leave-one-out error (x, y in standard deviations)\n"
           "epoch       w         h     loss\n");
    for (int epoch = 0; epoch <= EPOCHS; epoch++) {
        double before = (double)*w, loss = descend(r, p, param, 2.0 / (double)p->n, 0.9) / (double)p->n;
        if (epoch % 30 == 0) printf("%5d  %6.3f  %8.4g  %.5f\n", epoch, before, bandwidth(p, before), loss);
    }
    return (double)*w;
}
// The curve of statsmodels' LOWESS from NAME_lowess.csv, where there is one: columns x, fit, fit without that point.
static float *read_lowess(attn_ctx *c, const char *path, const points *p) {
    char name[1100];
    size_t stem = strlen(path) > 4 ? strlen(path) - 4 : 0;
    double error[2] = {0, 0};
    snprintf(name, sizeof name, "%.*s_lowess.csv", (int)stem, path);
    FILE *f = strcmp(path + stem, ".csv") ? NULL : fopen(name, "rb");
    if (f == NULL) return NULL;
    fclose(f);
    table t = read_csv(c, name, 3);
    float *y = floats(c, p->n);
    int same = t.rows == p->n && t.cols == 3;
    for (ptrdiff_t i = 0; i < p->n && same; i++) same = (float)((t.cell[3 * i] - p->x_mean) / p->x_sd) == p->xs[i];
    if (!same) return printf("%s: not for these points, left out\n", name), (float *)NULL;
    for (ptrdiff_t i = 0; i < 2 * p->n; i++) { // the fit, and the fit without the point
        double e = t.cell[i / 2 * 3 + 1 + i % 2] - p->y_mean - p->y_sd * (double)p->ys[i / 2];
        error[i % 2] += e * e / (double)p->n;
        y[i / 2] = (float)t.cell[i / 2 * 3 + 1];
    }
    printf("%8s  %15.4g  %13.4g    LOWESS of statsmodels\n", "-", power(error[0], 0.5), power(error[1], 0.5));
    return y;
}
static float *in_units(float *z, ptrdiff_t n, double mean, double deviation) {
    for (ptrdiff_t i = 0; i < n; i++) z[i] = (float)(mean + deviation * (double)z[i]);
    return z;
}
static void draw_series(run *r, points *p, const table *t, const double *w, const float *lowess) {
    static const char *const word[] = {"average pooling", "Nadaraya-Watson", "h of the grid", "learnt kernel"};
    float *x = floats(r->c, CURVE), *f[5], *weights = floats(r->c, p->n * p->n), *column[5];
    const char **tick = (const char **)grab(r->c, p->n, sizeof *tick);
    char *text = (char *)grab(r->c, p->n, 16), name[4][64], header[160], key[64], query[64];
    for (int i = 0; i < CURVE; i++) x[i] = p->xs[0] + (p->xs[p->n - 1] - p->xs[0]) * (float)i / (float)(CURVE - 1);
    for (int m = 0; m < 4; m++) {
        fit(r, p, w[m], x, CURVE, f[m] = floats(r->c, CURVE), NULL);
        in_units(column[m + 1] = f[m], CURVE, p->y_mean, p->y_sd);
        snprintf(name[m], sizeof name[m], m ? "%s, h = %.3g" : "%s", word[m], bandwidth(p, w[m]));
    }
    fit(r, p, w[3], p->xs, p->n, f[4] = floats(r->c, p->n), weights);
    in_units(column[0] = x, CURVE, p->x_mean, p->x_sd);
    const float *px = in_units(p->xs, p->n, p->x_mean, p->x_sd), *py = in_units(p->ys, p->n, p->y_mean, p->y_sd);
    attn_series s[5];
    s[0] = series("data", px, py, p->n, ATTN_SCATTER, 8, 0);
    s[1] = series(name[0], x, f[0], CURVE, ATTN_LINE, 8, ATTN_DASH_DOTTED);
    s[2] = series(name[1], x, f[1], CURVE, ATTN_LINE, 3, ATTN_DASH_DASHDOT);
    s[3] = series(name[3], x, f[3], CURVE, ATTN_LINE, 1, ATTN_DASH_SOLID);
    s[4] = series("LOWESS, statsmodels", px, lowess, p->n, ATTN_LINE, 2, ATTN_DASH_DASHED);
    plot(r, "fit.svg", "Kernel regression is attention", t->name[0], t->name[1], s, lowess ? 5 : 4, 0, 0);
    snprintf(header, sizeof header, "%s,average,plain,grid,learnt", t->name[0]);
    write_csv(r, "fit.csv", header, column, 5, CURVE);
    for (ptrdiff_t i = 0; i < p->n; i++) {
        tick[i] = text + 16 * i;
        snprintf(text + 16 * i, 16, "%.6g", (double)px[i]);
    }
    snprintf(key, sizeof key, "%s (keys)", t->name[0]), snprintf(query, sizeof query, "%s (queries)", t->name[0]);
    heatmap(r, "weights.svg", weights, p->n, p->n, "Attention weights of the learnt kernel", key, query, tick, 1);
}
static void regression(run *r, const char *path) {
    static const char *const name[] = {"average pooling", "Nadaraya-Watson, h = one standard deviation",
                                       "Nadaraya-Watson, h of the grid", "parametric kernel, w learnt"};
    table t;
    points p = read_points(r->c, path, &t);
    float h[GRID], error[GRID];
    char label[80];
    int best = search(r, &p, h, error);
    double w[4] = {0, 1, p.x_sd / (double)h[best], 0};
    w[3] = train(r, &p);
    printf("\n%8s  RMSE: in sample  leave one out\n", "h");
    for (int i = 0; i < 4; i++)
        printf("%8.4g  %15.4g  %13.4g    %s\n", bandwidth(&p, w[i]), rmse(r, &p, w[i], 0), rmse(r, &p, w[i], 1),
               name[i]);
    float *lowess = read_lowess(r->c, path, &p), at = (float)bandwidth(&p, w[3]), least = (float)rmse(r, &p, w[3], 1);
    putchar('\n');
    attn_series s[2];
    s[0] = series("Nadaraya-Watson on a grid", h, error, GRID, ATTN_LINE, 1, 0);
    s[1] = series("learnt", &at, &least, 1, ATTN_SCATTER, 4, 0);
    snprintf(label, sizeof label, "bandwidth h (%s)", t.name[0]);
    plot(r, "bandwidth.svg", "Error at points left out, by bandwidth", label, "leave-one-out RMSE", s,
         at < h[GRID - 1] && at > h[0] ? 2 : 1, 1, 0);
    draw_series(r, &p, &t, w, lowess);
}

// ---- the notes: their data, fits and pictures

enum { TEST = 50, SHOWN = 10 };
static void draw_notes(run *r, const points *p, const double *w, const char *const *name) {
    static const char *const file[] = {"notes_1_average.svg", "notes_2_kernel.svg", "notes_5_learnt.svg"};
    float x[TEST], right[TEST], y[3][TEST], *weights[3], eye[SHOWN * SHOWN] = {0}, *column[4] = {x, y[0], y[1], y[2]};
    for (int i = 0; i < TEST; i++) x[i] = 0.1f * (float)i, right[i] = (float)truth((double)x[i]);
    printf("\n       w  RMSE to truth  mean squared second difference\n");
    for (int m = 0; m < 3; m++) {
        double sum = 0, bend = 0;
        fit(r, p, w[m], x, TEST, y[m], weights[m] = floats(r->c, TEST * p->n));
        for (int i = 0; i < TEST; i++) {
            double e = (double)y[m][i] - (double)right[i];
            double d = i < 2 ? 0 : (double)y[m][i] - 2 * (double)y[m][i - 1] + (double)y[m][i - 2];
            sum += e * e / (double)TEST, bend += d * d / (double)(TEST - 2);
        }
        printf("%8.4f  %13.4f  %30.6f    %s\n", w[m], power(sum, 0.5), bend, name[m]);
    }
    printf("Learnt: closer, but less smooth.\n\n");
    for (int m = 0; m < 3; m++) {
        attn_series s[3];
        s[0] = series("training points", p->xs, p->ys, p->n, ATTN_SCATTER, 8, 0);
        s[1] = series("truth", x, right, TEST, ATTN_LINE, 2, ATTN_DASH_DASHED);
        s[2] = series("prediction", x, y[m], TEST, ATTN_LINE, 1, ATTN_DASH_SOLID);
        plot(r, file[m], name[m], "x", "y", s, 3, 0, 0);
    }
    write_csv(r, "notes_fit.csv", "x,average,kernel,learnt", column, 4, TEST);
    for (int m = 1; m < 3; m++)
        heatmap(r, m == 1 ? "notes_3_weights.svg" : "notes_6_sharper.svg", weights[m], TEST, p->n,
                m == 1 ? "Attention weights, w = 1" : "Attention weights, w learnt", "Sorted training inputs (keys)",
                "Sorted testing inputs (queries)", NULL, 1);
    for (int i = 0; i < SHOWN; i++) eye[i * SHOWN + i] = 1;
    heatmap(r, "notes_7_eye.svg", eye, SHOWN, SHOWN, "Every query sees its own key", "Keys", "Queries", NULL, 0);
}
static void notes(run *r) {
    static const char *const name[] = {"Average pooling (w = 0)", "Nadaraya-Watson (w = 1)", "Parametric (w learnt)"};
    table t = read_csv(r->c, "examples/data/notes.csv", 2);
    pair *from = (pair *)grab(r->c, t.rows, sizeof(pair));
    for (ptrdiff_t i = 0; i < t.rows; i++) from[i].x = 5 * t.cell[2 * i];
    qsort(from, (size_t)t.rows, sizeof(pair), by_x);
    for (ptrdiff_t i = 0; i < t.rows; i++) from[i].y = truth(from[i].x) + t.cell[2 * i + 1]; // 2 sin x + x^0.8 + noise
    points p = make_points(r->c, from, t.rows, 0);
    attn_tensor *w = learnt(r, 0.37555784f); // torch.rand(1) after the data
    float loss[5], epoch[5];
    printf("Leave-one-out sum of squares (before the step), SGD with rate 0.5\nepoch         w      loss\n");
    for (int e = 0; e < 5; e++) {
        epoch[e] = (float)(e + 1), loss[e] = (float)descend(r, &p, w, 0.5, 0);
        printf("%5d  %8.4f  %8.4f\n", e + 1, attn_item(r->c, w), (double)loss[e]);
    }
    const double widths[] = {0, 1, attn_item(r->c, w)};
    draw_notes(r, &p, widths, name);
    attn_series s = series(NULL, epoch, loss, 5, ATTN_LINE, 1, 0);
    plot(r, "notes_4_loss.svg", "Learning w", "epoch", "leave-one-out sum of squares", &s, 1, 0, 0);
}

// ---- consistency: ever more points, and no n x n matrix

// Mean square of f(x) - truth at 200 x in (0.5, 4.5), for the kernel of bandwidth h over n points. In the score
// -(x - x_i)^2 / 2h^2 the part -x^2 / 2h^2 is the same for all keys, so softmax does not see it. What is left,
// x x_i / h^2 - x_i^2 / 2h^2, is the dot product of q = [x, 1] and k = [x_i / h^2, -x_i^2 / 2h^2]: plain dot-product
// attention, which attn_fwd does in tiles. x counts from the middle, 2.5: small numbers. k is scratch [n,2].
static double error_of(const run *r, const float *x, const float *y, ptrdiff_t n, double h, float *k) {
    enum { AT = 200 };
    float q[2 * AT], o[AT];
    double sum = 0;
    for (int i = 0; i < AT; i++) q[2 * i] = -2 + 4 * ((float)i + 0.5f) / (float)AT, q[2 * i + 1] = 1;
    for (ptrdiff_t i = 0; i < n; i++) {
        double u = (double)x[i] - 2.5;
        k[2 * i] = (float)(u / (h * h)), k[2 * i + 1] = (float)(-u * u / (2 * h * h));
    }
    attn_desc d = ATTN_ZERO;
    d.q = q, d.k = k, d.v = y, d.o = o;
    d.heads = 1, d.queries = AT, d.keys = n, d.dim = 2, d.vdim = 1;
    d.scale = ATTN_SCALE_NONE, d.parallel = r->pool, d.isa = r->isa;
    char why[160];
    attn_status s = attn_fwd(&d);
    if (s != ATTN_OK) die(1, "%s", attn_explain(s, &d, why, sizeof why));
    for (int i = 0; i < AT; i++) {
        double e = (double)o[i] - truth(2.5 + (double)q[2 * i]);
        sum += e * e / (double)AT;
    }
    return sum;
}
static void consistency(run *r) {
    enum { SIZES = 9, LARGEST = 500000 };
    static const int sizes[SIZES] = {50, 150, 500, 1500, 5000, 15000, 50000, 150000, LARGEST};
    float n[SIZES], fixed[SIZES], shrunk[SIZES], slope[SIZES], *k = floats(r->c, 2 * LARGEST);
    printf("y = 2 sin x + x^0.8 + N(0, 0.5), x uniform in 0..5: RMSE to the truth over 0.5..4.5\n"
           "     n  samples   h = 1   h = n^-1/5\n");
    for (int i = 0; i < SIZES; i++) {
        ptrdiff_t m = sizes[i];
        int samples = m < 10000 ? 100 : 2 * LARGEST / (int)m;
        double wide = 0, narrow = 0;
        for (int j = 0; j < samples; j++) {
            size_t mark = attn_mark(r->c);
            float *x = (float *)attn_uniform(r->c, attn_zeros(r->c, ATTN_F32, 1, &m), 0, 5)->data;
            float *y = (float *)attn_normal(r->c, attn_zeros(r->c, ATTN_F32, 1, &m), 0, 0.5)->data;
            check(r->c);
            for (ptrdiff_t a = 0; a < m; a++) y[a] += (float)truth((double)x[a]);
            wide += error_of(r, x, y, m, 1, k) / samples;
            narrow += error_of(r, x, y, m, power((double)m, -0.2), k) / samples;
            attn_reset(r->c, mark);
        }
        n[i] = (float)m, fixed[i] = (float)power(wide, 0.5), shrunk[i] = (float)power(narrow, 0.5);
        slope[i] = (float)(0.6 * (double)shrunk[0] * power((double)m / sizes[0], -0.4));
        printf("%6d  %7d  %6.4f  %11.4f\n", sizes[i], samples, (double)fixed[i], (double)shrunk[i]);
        fflush(stdout);
    }
    double fall = log_of((double)shrunk[SIZES - 1] / (double)shrunk[4]) / log_of((double)LARGEST / sizes[4]);
    printf("From n = %d on the error falls as n^%.2f (theory: n^-0.40) while h shrinks;\n"
           "with h fixed it stays at the bias: the estimator converges, but not to the truth.\n\n", sizes[4], fall);
    attn_series s[3];
    s[0] = series("h = 1, as in the notes", n, fixed, SIZES, ATTN_LINE, 2, 0);
    s[1] = series("h = n^(-1/5)", n, shrunk, SIZES, ATTN_LINE, 1, 0);
    s[2] = series("slope of n^(-2/5)", n, slope, SIZES, ATTN_LINE, 8, ATTN_DASH_DASHED);
    plot(r, "consistency.svg", "Nadaraya-Watson finds the truth if the bandwidth shrinks", "number of points n",
         "RMSE to the truth", s, 3, 1, 1);
}

int main(int argc, char **argv) {
    const char *file = NULL, *mode = "";
    int threads = 1;
    run r = ATTN_ZERO;
    r.out = "build/regression-out";
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(a, "--help") || !strcmp(a, "-h")) return fputs(usage, stdout) < 0 || fflush(stdout) != 0;
        else if (!strcmp(a, "--notes") || !strcmp(a, "--consistency")) {
            if (*mode && strcmp(mode, a)) die(2, "%s beside %s: one of them\n%s", a, mode, usage);
            mode = a;
        }
        else if (!strcmp(a, "--out") && next) r.out = next, i++;
        else if (!strcmp(a, "--threads") && next && *next && !next[strspn(next, "0123456789")])
            threads = atoi(next), i++;
        else if (!strcmp(a, "--isa") && next) {
            for (r.isa = 1; r.isa < attn_isa_count() && strcmp(attn_isa_name(r.isa), next); r.isa++) continue;
            if (!attn_isa_has(r.isa)) die(2, "--isa %s: not on this machine, or not in this build", next);
            i++;
        } else if (a[0] == '-' && a[1]) die(2, "%s: not known, or its value is missing\n%s", a, usage);
        else if (file) die(2, "%s: one file only\n%s", a, usage);
        else file = a;
    }
    if (strlen(r.out) >= LONGEST) die(2, "--out: the name is too long");
    if (file && *mode) die(2, "%s: %s brings its own data", file, mode);
    r.pool = threads == 1 ? NULL : attn_pool_open(threads);
    attn_ctx_desc desc = ATTN_ZERO;
    desc.isa = r.isa, desc.parallel = r.pool, desc.seed = 1;
    if ((r.c = attn_open(NULL, 0, &desc)) == NULL) die(1, "out of memory");
    if (!strcmp(mode, "--notes")) notes(&r);
    else if (!strcmp(mode, "--consistency")) consistency(&r);
    else regression(&r, file ? file : "examples/data/nile.csv");
    attn_close(r.c);
    attn_pool_close(r.pool);
    return fflush(stdout) != 0 || ferror(stdout);
}
