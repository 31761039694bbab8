// attend.c - arrays in, arrays out: one call of attn_fwd over a sentence. A word is four numbers that can be read: what
// it is (keys, values) and what it looks for (queries). Prints what each word gathered, from where, and draws that.
//            living   drink    deed   trait
//     it       0.97    0.00    0.00    0.01      "it" has found the cat
//     cc -O2 -I. examples/attend.c -o attend && ./attend
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include <stdio.h>
#include <string.h>

enum { N = 12, D = 4 };
static const char usage[] = "usage: attend [--svg FILE]   attention over a sentence; with FILE the picture as SVG too\n"
                            "Exit code: 0 done, 1 writing or the call failed, 2 wrong use.\n";
static const char *const word[N] = {"the",  "grey", "cat", "drank", "the", "warm",
                                    "milk", "as",   "it",  "was",   "so",  "cold"};
static const char *const feature[D] = {"living", "drink", "deed", "trait"};

// What a word is: keys and values.
static const float is[N][D] = {
    {0, 0, 0, 0}, /* the  */ {0, 0, 0, 1}, /* grey */ {1, 0, 0, 0}, /* cat */ {0, 0, 1, 0}, /* drank */
    {0, 0, 0, 0}, /* the  */ {0, 0, 0, 1}, /* warm */ {0, 1, 0, 0}, /* milk */ {0, 0, 0, 0}, /* as */
    {0, 0, 0, 0}, /* it   */ {0, 0, 0, 0}, /* was  */ {0, 0, 0, 0}, /* so  */ {0, 0, 0, 1}, /* cold  */
};
// What it looks for: queries. "grey" something living, "warm" a drink, "drank" both, "so" a trait.
static const float seeks[N][D] = {
    {4, 4, 0, 0},  /* the */ {12, 0, 0, 0}, /* grey */ {0, 0, 8, 0},  /* cat  */ {9, 9, 0, 0},  /* drank */
    {4, 4, 0, 0},  /* the */ {0, 12, 0, 0}, /* warm */ {0, 0, 8, 0},  /* milk */ {0, 0, 10, 0}, /* as */
    {12, 0, 0, 0}, /* it  */ {4, 0, 0, 4},  /* was  */ {0, 0, 0, 10}, /* so   */ {12, 0, 0, 0}, /* cold  */
};

static void table(const char *title, const char *const *head, const float *x, int columns, int wide) {
    printf("%s\n%7s", title, "");
    for (int j = 0; j < columns; j++) printf("%*s", wide, head[j]);
    for (int i = 0; i < N; i++) {
        printf("\n%-7s", word[i]);
        for (int j = 0; j < columns; j++) printf("%*.2f", wide, (double)x[i * columns + j]);
    }
    puts("\n");
}

int main(int argc, char **argv) {
    float o[N * D], weights[N * N];
    char why[160];
    const char *svg = argc == 3 && !strcmp(argv[1], "--svg") ? argv[2] : NULL;
    if (argc == 2 && !strcmp(argv[1], "--help")) return fputs(usage, stdout) < 0;
    if (argc > 1 && !svg) return fprintf(stderr, "%s: not known, or its value is missing\n%s", argv[1], usage), 2;

    attn_desc d = ATTN_ZERO; // zero is the default of every field: softmax, scale 1/sqrt(D), nothing hidden
    d.q = seeks, d.k = is, d.v = is, d.o = o, d.weights = weights;
    d.heads = 1, d.queries = N, d.keys = N, d.dim = D;
    attn_status s = attn_fwd(&d); // o = softmax(q k' / sqrt(D)) v
    if (s != ATTN_OK) return fprintf(stderr, "%s\n", attn_explain(s, &d, why, sizeof why)), 1;

    table("What each word has gathered: o, a mixture of the values", feature, o, D, 8);
    table("From which word how much of it comes: the weights, each row sums to 1", word, weights, N, 6);

    attn_heatmap_desc h = ATTN_ZERO;
    h.data = weights, h.queries = N, h.keys = N, h.yticks = word, h.width = 360;
    h.title = "Where each word looks", h.xlabel = "keys", h.ylabel = "queries";
    attn_heatmap_text(&h, 0, attn_to_file, stdout); // 0: shades of grey; 1 and 2 are for terminals with colours
    puts("\"grey\" finds the cat, but \"the\" finds cat and milk alike: these words do not know where they stand.");
    if (svg) {
        FILE *f = fopen(svg, "wb");
        h.xticks = word;
        s = f ? attn_heatmap_svg(&h, attn_to_file, f) : ATTN_ERR_IO;
        if (f && fclose(f) != 0) s = ATTN_ERR_IO;
        if (s != ATTN_OK) return fprintf(stderr, "%s: %s\n", svg, attn_status_str(s)), 1;
        printf("writes %s\n", svg);
    }
    return fflush(stdout) != 0 || ferror(stdout);
}
