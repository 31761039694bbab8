// test_draw - pictures as text: marks and words, ranges, characters, misuse. What is looked at is in docs/pictures.
//     cc -O2 -I. tests/test_draw.c -o test_draw && ./test_draw
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"

static char out[1 << 22];
static size_t used;
static int keep(void *user, const char *text, size_t n) {
    (void)user;
    if (used + n >= sizeof out) return 1;
    memcpy(out + used, text, n);
    out[used += n] = 0;
    return 0;
}
static int refuse(void *user, const char *text, size_t n) { (void)user; (void)text; (void)n; return 1; }
static attn_status plot(const attn_plot_desc *d) { used = 0; out[0] = 0; return attn_plot_svg(d, keep, NULL); }
static attn_status map(const attn_heatmap_desc *d) { used = 0; out[0] = 0; return attn_heatmap_svg(d, keep, NULL); }
static attn_status lines(const attn_heatmap_desc *d, int color) {
    used = 0; out[0] = 0;
    return attn_heatmap_text(d, color, keep, NULL);
}
static int has(const char *text) { return strstr(out, text) != NULL; }
static int columns(void) {                                  // of the longest line without escapes; é counts 1
    int most = 0, n = 0;
    for (const char *p = out; *p; p++) {
        if (*p == '\n') n = -1;
        if (((unsigned char)*p & 0xC0) != 0x80 && ++n > most) most = n;
    }
    return most;
}
static attn_series one(const float *x, const float *y, ptrdiff_t n) {
    attn_series s = ATTN_ZERO;
    s.x = x; s.y = y; s.n = n;
    return s;
}

TEST(draw, whole_numbers_get_whole_marks) {
    const float x[5] = { 1, 2, 3, 4, 5 }, y[5] = { 62.5f, 20, 20, 20, 20 };
    attn_series s = one(x, y, 5);
    attn_plot_desc d = ATTN_ZERO;
    d.series = &s; d.count = 1; d.width = 720;
    CHECK(plot(&d) == ATTN_OK && has(">5</text>") && !has(">1.5<") && !has(">5.0<"));
}
TEST(draw, words_on_a_logarithmic_side_do_not_touch) {
    const float x[3] = { 50, 5000, 500000 };
    attn_series s = one(x, x, 3);
    attn_plot_desc d = ATTN_ZERO;
    d.series = &s; d.count = 1; d.xlog = d.ylog = 1;
    for (d.width = 120; d.width <= 900; d.width += 30) {
        double right = -1e9, row = 0;
        int marks = 0;
        CHECK(plot(&d) == ATTN_OK);
        for (const char *p = out; (p = strstr(p, "<text transform='translate(")) != NULL; p++) {
            double at, y;
            char text[32];
            if (sscanf(p, "<text transform='translate(%lf %lf)'>%31[0-9.e-]<", &at, &y, text) != 3) continue;
            CHECK(at - 3 * (double)strlen(text) > right + 4);
            CHECK(marks == 0 || y == row);
            right = at + 3 * (double)strlen(text); row = y; marks++;
        }
        CHECK(marks >= 1);
    }
}
TEST(draw, a_legend_takes_a_place_without_points) {
    float x[400], y[400];                                   // everywhere but in the middle of the bottom
    ptrdiff_t n = 0;
    for (int i = 0; i < 20; i++) for (int j = 0; j < 20; j++) {
        if (i < 6 && j > 4 && j < 15) continue;
        x[n] = (float)j; y[n++] = (float)i;
    }
    attn_series s = one(x, y, n);
    attn_plot_desc d = ATTN_ZERO;
    s.name = "points"; s.kind = ATTN_SCATTER;
    d.series = &s; d.count = 1;
    double left = 0, top = 0;
    CHECK(plot(&d) == ATTN_OK);
    const char *box = strstr(out, "<rect x='");
    CHECK(box != NULL && sscanf(box, "<rect x='%lf' y='%lf'", &left, &top) == 2);
    CHECK(left > 120 && left < 240 && top > 200);
}
TEST(draw, constant_empty_and_nan_are_drawn) {
    float data[9];
    attn_heatmap_desc d = ATTN_ZERO;
    const float values[4] = { 0, 2.5f, -7, NAN };
    d.data = data; d.queries = d.keys = 3;
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < 9; i++) data[i] = values[k];
        CHECK(map(&d) == ATTN_OK && has("</svg>") && has(">NaN<") == (k == 3) && !has("nan"));
        CHECK(lines(&d, 0) == ATTN_OK && has("?? NaN") == (k == 3));
    }
    d.queries = 0;
    CHECK(map(&d) == ATTN_OK && has("nothing to draw: 0 queries, 3 keys"));
    CHECK(lines(&d, 2) == ATTN_OK && !strcmp(out, "nothing to draw: 0 queries, 3 keys\n"));
}
TEST(draw, the_terminal_fits_80_columns_and_without_colour_is_plain) {
    static float data[200 * 200];
    static const char *names[200];
    attn_heatmap_desc d = ATTN_ZERO;
    for (int i = 0; i < 200; i++) names[i] = i % 3 ? "token" : "a much longer token";
    for (int i = 0; i < 200 * 200; i++) data[i] = (float)(i % 101);
    d.data = data; d.xticks = d.yticks = names;
    for (ptrdiff_t n = 1; n <= 200; n += 7) {
        d.queries = d.keys = n;
        CHECK(lines(&d, 0) == ATTN_OK && columns() <= 80 && !has("\x1b"));
        CHECK(lines(&d, 1) == ATTN_OK && has("\x1b[") && lines(&d, 2) == ATTN_OK && has(";2;"));
    }
    d.yticks = NULL; d.queries = d.keys = 20;
    CHECK(lines(&d, 2) == ATTN_OK && has("\xE2\x96\x80"));
}
TEST(draw, text_is_escaped_and_utf8_kept) {
    const float data[1] = { 1 };
    attn_heatmap_desc d = ATTN_ZERO;
    d.data = data; d.queries = d.keys = 1;
    d.title = "<a> & \xC3\xA9 \xE7\x8C\xAB \x1b[1m \xFF \xC0\xAF \xED\xA0\x80";
    CHECK(map(&d) == ATTN_OK && has("&lt;a&gt; &amp; \xC3\xA9 \xE7\x8C\xAB \xEF\xBF\xBD[1m \xEF\xBF\xBD "));
    CHECK(lines(&d, 0) == ATTN_OK && has("<a> & \xC3\xA9 \xE7\x8C\xAB \xEF\xBF\xBD[1m"));
    CHECK(!has("\x1b") && !has("\xFF"));
}
TEST(draw, misuse_has_its_status_and_writes_nothing) {
    const float data[1] = { 1 };
    attn_series s = one(NULL, data, 1);
    attn_heatmap_desc d = ATTN_ZERO, h;
    attn_plot_desc p = ATTN_ZERO, q;
    d.data = data; d.queries = d.keys = 1; p.series = &s; p.count = 1;
    CHECK(map(NULL) == ATTN_ERR_NULL && plot(NULL) == ATTN_ERR_NULL && attn_plot_svg(&p, NULL, NULL) == ATTN_ERR_NULL);
    h = d; h.data = NULL; CHECK(map(&h) == ATTN_ERR_NULL);
    h = d; h.size = 1; CHECK(map(&h) == ATTN_ERR_RANGE);
    h = d; h.size = sizeof h + 1; CHECK(map(&h) == ATTN_ERR_RANGE);
    h = d; h.rows = -1; CHECK(map(&h) == ATTN_ERR_RANGE);
    h = d; h.keys = PTRDIFF_MAX; h.rows = 2; CHECK(map(&h) == ATTN_ERR_RANGE);
    h = d; h.cmap = ATTN_CMAP_COUNT; CHECK(map(&h) == ATTN_ERR_RANGE);
    h = d; h.low = 1; CHECK(map(&h) == ATTN_ERR_RANGE);
    CHECK(lines(&d, 3) == ATTN_ERR_RANGE);
    q = p; q.width = 119; CHECK(plot(&q) == ATTN_ERR_RANGE);
    q = p; q.legend = 5; CHECK(plot(&q) == ATTN_ERR_RANGE);
    q = p; q.xlog = 1; q.xlow = -1; q.xhigh = 1; CHECK(plot(&q) == ATTN_ERR_RANGE);
    q = p; q.series = NULL; CHECK(plot(&q) == ATTN_ERR_NULL);
    s.color = 11; CHECK(plot(&p) == ATTN_ERR_RANGE);
    CHECK(used == 0 && attn_heatmap_svg(&d, refuse, NULL) == ATTN_ERR_IO);
}
int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(draw, whole_numbers_get_whole_marks);
    RUN(draw, words_on_a_logarithmic_side_do_not_touch);
    RUN(draw, a_legend_takes_a_place_without_points);
    RUN(draw, constant_empty_and_nan_are_drawn);
    RUN(draw, the_terminal_fits_80_columns_and_without_colour_is_plain);
    RUN(draw, text_is_escaped_and_utf8_kept);
    RUN(draw, misuse_has_its_status_and_writes_nothing);
    return test_end();
}
