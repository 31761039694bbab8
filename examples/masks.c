// masks.c - what a query may see: nine rules, each one call of attn_fwd over the same sixteen tokens, and the weights
// of all of them in one picture. Queries run down, keys to the right; a row is shaded as shares of its largest weight.
//     full, causal, sliding window, ALiBi, sink, documents, prefix, tree, causal + window + sink
//     cc -O2 -I. examples/masks.c -o masks && ./masks
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include <stdio.h>
#include <string.h>

enum { N = 16, D = 2, RULES = 9, WIDE = N + 1 }; // tokens, features, panels, columns: the keys and the sink
static const char usage[] = "usage: masks [--svg FILE]   the weights under nine masks, as SVG or in the terminal\n"
                            "Exit code: 0 done, 1 writing or a call failed, 2 wrong use.\n";
static const char *const title[RULES] = {"full", "causal", "sliding window", "ALiBi", "sink", "documents", "prefix",
                                         "tree of drafts", "causal, window, sink"};

// Each rule is a field or two; zero fields are off.
static attn_desc rule(int i) {
    static const float slope = 0.25f, sink = 0.2f;
    static const int32_t document[N] = {0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2}, prefix = 6;
    static const int32_t parent[N] = {-1, 0, 1, 2, 3, 3, 5, 6, 5, 8, 2, 10, 11, 10, 13, 14}; // of a node; -1 = root
    attn_desc d = ATTN_ZERO;
    d.heads = 1, d.queries = N, d.keys = N, d.dim = D;
    d.q_stride[2] = d.k_stride[2] = 1, d.q_stride[3] = d.k_stride[3] = N; // q and k are [D,N] here
    switch (i) {
    case 0: break;
    case 1: d.causal = ATTN_CAUSAL_LOWER_RIGHT; break;
    case 2: d.window = 1, d.window_left = 3, d.window_right = 3; break;
    case 3: d.causal = ATTN_CAUSAL_LOWER_RIGHT, d.alibi_slopes = &slope; break;
    case 4: d.causal = ATTN_CAUSAL_LOWER_RIGHT, d.sink = &sink; break;
    case 5: d.causal = ATTN_CAUSAL_LOWER_RIGHT, d.doc_q = d.doc_k = document; break;
    case 6: d.causal = ATTN_CAUSAL_LOWER_RIGHT, d.prefix = &prefix; break;
    case 7: d.tree_parent = parent; break;
    default: d.causal = ATTN_CAUSAL_LOWER_RIGHT, d.window = 1, d.window_left = 4, d.sink = &sink;
    }
    return d;
}

int main(int argc, char **argv) {
    static float q[D][N], v[N][D], o[N][D], weights[N][N], picture[RULES][N][WIDE];
    static const char *ticks[WIDE];
    static char number[N][4];
    char why[160];
    const char *svg = argc == 3 && !strcmp(argv[1], "--svg") ? argv[2] : NULL;
    if (argc == 2 && !strcmp(argv[1], "--help")) return fputs(usage, stdout) < 0;
    if (argc > 1 && !svg) return fprintf(stderr, "%s: not known, or its value is missing\n%s", argv[1], usage), 2;

    attn_rope_table(q[0], q[1], N, 2, 0); // token i: the point of the unit circle at i radians, so near ones are alike
    for (int i = 0; i < N; i++) {
        snprintf(number[i], sizeof number[i], "%d", i), ticks[i] = i % 5 ? "" : number[i];
    }
    ticks[N] = "sink";
    for (int r = 0; r < RULES; r++) {
        attn_desc d = rule(r);
        d.q = q, d.k = q, d.v = v, d.o = o, d.weights = weights;
        attn_status s = attn_fwd(&d);
        if (s != ATTN_OK) return fprintf(stderr, "%s: %s\n", title[r], attn_explain(s, &d, why, sizeof why)), 1;
        for (int i = 0; i < N; i++) {
            float most = 0, *row = picture[r][i];
            for (int j = 0; j < N; j++) row[j] = weights[i][j], row[N] += d.sink ? -row[j] : 0;
            if (d.sink) row[N] += 1; // what the keys do not get is the sink's
            for (int j = 0; j < WIDE; j++) most = row[j] > most ? row[j] : most;
            for (int j = 0; j < WIDE; j++) row[j] /= most;
        }
    }

    attn_heatmap_desc h = ATTN_ZERO;
    h.title = "Who sees whom: weights, as shares of the largest of their row";
    h.data = picture[0][0], h.rows = 3, h.cols = 3, h.queries = N, h.keys = WIDE;
    h.titles = title, h.titles_per_panel = 1, h.xlabel = "keys", h.ylabel = "queries", h.xticks = svg ? ticks : NULL;
    h.cmap = ATTN_CMAP_BLUES, h.low = 0, h.high = 1;
    FILE *f = svg ? fopen(svg, "wb") : stdout;
    attn_status s = ATTN_ERR_IO;
    if (f) s = svg ? attn_heatmap_svg(&h, attn_to_file, f) : attn_heatmap_text(&h, 0, attn_to_file, f);
    if (f && fclose(f) != 0) s = ATTN_ERR_IO;
    if (s != ATTN_OK) return fprintf(stderr, "%s: %s\n", svg ? svg : "standard output", attn_status_str(s)), 1;
    return 0;
}
