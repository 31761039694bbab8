// docs - makes docs/reference.md from the >>api room of attn.h, and checks what the header says of itself.
//     cc -O2 docs/docs.c -o build/docs && build/docs             writes docs/reference.md
//     build/docs --check                                         compares instead; exit 1 on a difference
// Checked: the contents in >>manual name each room once, in order; every macro tested by #if is in the >>config table.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static int failed;

static char *slurp(const char *path) {
    FILE *f = fopen(path, "rb");
    char *s = NULL;
    size_t n = 0, got;
    if (!f) return NULL;
    do {
        s = (char *)realloc(s, n + 65537);
        if (!s) exit(2);
        got = fread(s + n, 1, 65536, f);
        n += got;
    } while (got);
    s[n] = 0;
    fclose(f);
    return s;
}
static void say(const char *what, const char *which) {
    printf("FAILED  %s: %.40s\n", what, which);
    failed++;
}
// The next line that begins with `start`, from p; NULL at the end
static char *line_with(char *p, const char *start) {
    for (; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) if (!strncmp(p, start, strlen(start))) return p;
    return NULL;
}
static void check_contents(void) {
    char *entry = line_with(text, "//     // >>"), *room = line_with(text, "// >>");
    while (entry && room) {
        const size_t n = strcspn(room + 5, " \n");
        if (strncmp(entry + 12, "(not", 4) && strncmp(entry + 12, room + 5, n)) {
            if (strstr(entry, "(not yet here)") && strstr(entry, "(not yet here)") < strchr(entry, '\n')) {
                entry = line_with(strchr(entry, '\n') + 1, "//     // >>");
                continue;
            }
            say("contents and rooms differ at", entry + 10);
            return;
        }
        entry = line_with(strchr(entry, '\n') + 1, "//     // >>");
        room = line_with(strchr(room, '\n') + 1, "// >>");
    }
    if (room) say("a room that the contents lack", room + 5);
    if (entry) say("contents name a room that is not there", entry + 10);
}
static void check_config(void) {
    char *end = strstr(text, "#ifndef ATTN__CONFIG");
    for (char *p = strstr(text, "defined(ATTN_"); p; p = strstr(p + 1, "defined(ATTN_")) {
        char name[80];
        const size_t n = strcspn(p + 8, ")");
        char *row;
        if (n > 60) continue;
        sprintf(name, "%.*s", (int)n, p + 8);
        row = strstr(line_with(text, "// >>config"), name);
        if (strncmp(p + 8, "ATTN__", 6) && strncmp(p + 8, "ATTN_H", n) && (!row || row > end))
            say("a macro that >>config does not list", p + 8);
    }
}
// The api as Markdown: each "// ---- title" a heading, what follows a block of C
static size_t reference(char *out) {
    char *p = line_with(text, "// >>api"), *end = strstr(text, "// ---- END OF API");
    size_t n = (size_t)sprintf(out,
        "# Reference\n\nMade from the `>>api` room of attn.h by `make docs`; edit there.\n");
    int open = 0;
    while (p && p < end) {
        char *next = strchr(p, '\n') + 1;
        if (!strncmp(p, "// ---- ", 8)) {
            if (open) n += (size_t)sprintf(out + n, "```\n");
            n += (size_t)sprintf(out + n, "\n## %.*s\n\n```c\n", (int)(strcspn(p + 8, "\n-")), p + 8);
            open = 1;
        } else if (open && strncmp(p, "#", 1) && !(p[0] == '\n' && next[0] == '\n')) {
            memcpy(out + n, p, (size_t)(next - p));
            n += (size_t)(next - p);
        } else if (open && !strncmp(p, "#define ATTN_", 13)) {
            memcpy(out + n, p, (size_t)(next - p));
            n += (size_t)(next - p);
        }
        p = next;
    }
    if (open) n += (size_t)sprintf(out + n, "```\n");
    out[n] = 0;
    return n;
}
int main(int argc, char **argv) {
    const char *path = "docs/reference.md";
    const int check = argc > 1 && !strcmp(argv[1], "--check");
    char *out, *have;
    text = slurp("attn.h");
    if (!text || !line_with(text, "// >>api")) { fprintf(stderr, "docs: attn.h not found here\n"); return 2; }
    out = (char *)malloc(2 * strlen(text) + 4096);
    if (!out) return 2;
    reference(out);
    check_contents();
    check_config();
    if (check) {
        have = slurp(path);
        if (!have || strcmp(have, out)) say("docs/reference.md is not what attn.h makes", "run make docs");
        free(have);
        printf("%d passed, %d failed\n", 3 - (failed < 3 ? failed : 3), failed);
    } else {
        FILE *f = fopen(path, "wb");
        if (!f || fputs(out, f) < 0 || fclose(f)) { fprintf(stderr, "docs: cannot write %s\n", path); return 2; }
    }
    free(out); free(text);
    return failed != 0;
}
