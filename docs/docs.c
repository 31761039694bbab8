// docs - makes docs/reference.md from the >>api room of attn.h, and checks what the header says of itself.
//     cc -O2 docs/docs.c -o build/docs && build/docs             writes docs/reference.md
//     build/docs --check                                         compares instead; exit 1 on a difference
// Checked: the contents in >>manual name each room once, in order; the >>config table has the macros that an #if asks
// for, and no others.
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
    while (entry) {
        const size_t n = strcspn(entry + 12, " \n"), m = room ? strcspn(room + 5, " \n") : 0;
        const char *later = strstr(entry, "(not yet here)");
        const int same = n == m && !strncmp(entry + 12, room + 5, n), absent = later && later < strchr(entry, '\n');
        if (same && absent) say("a room that is here, but not in the contents", room + 5);
        if (!same && !absent) { say("contents and rooms differ at", entry + 10); return; }
        entry = line_with(strchr(entry, '\n') + 1, "//     // >>");
        if (same) room = line_with(strchr(room, '\n') + 1, "// >>");
    }
    if (room) say("a room that the contents lack", room + 5);
}
// The macro at p, which begins with ATTN_, as a word between blanks; "" for one that is the header's own.
static void macro(const char *p, char *name, size_t room) {
    const size_t n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    snprintf(name, room, " %.*s ", (int)n, p);
    if (!strncmp(p, "ATTN__", 6) || !strcmp(name, " ATTN_H ") || p[-1] == '_' || n + 3 > room) name[0] = 0;
}
static void add_macros(char *p, const char *end, char *list) {
    for (; (p = strstr(p, "ATTN_")) && p < end; p += 5) {
        char name[80];
        macro(p, name, sizeof name);
        if (name[0] && !strstr(list, name)) strcat(list, name);
    }
}
// Every macro that an #if asks for is a word of the table, and every row of the table is asked for.
static void check_config(void) {
    static char asked[1 << 14], known[1 << 14];
    char *table = line_with(text, "// >>config"), *end = line_with(table, "#"), *stop, name[80];
    for (char *p = end; p; p = line_with(stop, "#")) {
        for (stop = strchr(p, '\n'); stop[-1] == '\\'; stop = strchr(stop + 1, '\n')) { }
        if (!strncmp(p, "#if", 3) || !strncmp(p, "#elif", 5)) add_macros(p, stop, asked);
    }
    add_macros(table, end, known);
    for (char *p = asked; (p = strstr(p, " ATTN_")); p++) {
        macro(p + 1, name, sizeof name);
        if (!strstr(known, name)) say("a macro that >>config does not list", name);
    }
    for (char *p = table; (p = line_with(p, "//     ATTN_")) && p < end; p++) {
        macro(p + 7, name, sizeof name);
        if (name[0] && !strstr(asked, name)) say("a macro of >>config that no #if asks for", name);
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
