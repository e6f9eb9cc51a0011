/* The lines of an ACL file (acl.h). */
#include <errno.h>
#include <string.h>

#include "acl.h"
#include "acl_internal.h"
#include "err.h"
#include "secret_file.h"

static const char BLANKS[] = " \t";

struct acl_reader {
    struct acl *acl;
    uint32_t root; /* whom topic and deny lines are about */
};

/* The word at *TEXT, which moves behind it and the blanks that follow. */
static struct mqtt_bytes take_word(const char **text)
{
    const size_t n = strcspn(*text, BLANKS);
    const struct mqtt_bytes word = {.ptr = (const uint8_t *)*text, .len = (uint32_t)n};
    *text += n + strspn(*text + n, BLANKS);
    return word;
}

static bool word_is(struct mqtt_bytes word, const char *text)
{
    return word.len == strlen(text) && memcmp(word.ptr, text, word.len) == 0;
}

/* What is left of a line, up to its comment: a blank and #. A filter may itself begin with #. */
static struct mqtt_bytes take_rest(const char *text)
{
    size_t n = 0;
    while (text[n] && !(n > 0 && text[n] == '#' && strchr(BLANKS, text[n - 1])))
        n++;
    while (n > 0 && strchr(BLANKS, text[n - 1]))
        n--;
    return (struct mqtt_bytes){.ptr = (const uint8_t *)text, .len = (uint32_t)n};
}

struct acl_word {
    const char *text;
    unsigned access;
    bool is_deny;
};

static const struct acl_word access_words[] = {
    {"read", ACL_SUBSCRIBE, false},
    {"subscribe", ACL_SUBSCRIBE, false},
    {"write", ACL_PUBLISH, false},
    {"publish", ACL_PUBLISH, false},
    {"readwrite", ACL_PUBLISH | ACL_SUBSCRIBE, false},
    {"deny", ACL_PUBLISH | ACL_SUBSCRIBE, true},
};

/* The word at *TEXT if it says what kind of access; both where none stands. */
static struct acl_word take_access(const char **text)
{
    const char *behind = *text;
    const struct mqtt_bytes word = take_word(&behind);
    for (size_t i = 0; i < sizeof(access_words) / sizeof(access_words[0]); i++) {
        if (word_is(word, access_words[i].text)) {
            *text = behind;
            return access_words[i];
        }
    }
    return (struct acl_word){.access = ACL_PUBLISH | ACL_SUBSCRIBE};
}

static int add_rule(struct acl_reader *reader, const char *text, bool is_pattern, bool is_deny)
{
    const struct acl_word word = take_access(&text);
    const struct mqtt_bytes filter = take_rest(text);
    if (filter.len == 0)
        return err_set(-EINVAL, "there is no topic filter in it");
    if (word.is_deny && is_deny)
        return err_set(-EINVAL, "expected deny [publish|subscribe] FILTER");
    if (!is_pattern && acl_trie_has_template(filter))
        return err_set(-EINVAL, "%%c and %%u are replaced in pattern lines only");
    return acl_add(reader->acl, is_pattern ? ACL_ROOT_OF_ALL : reader->root, word.access, filter, is_pattern,
                   word.is_deny || is_deny);
}

static int begin_user(struct acl_reader *reader, const char *text)
{
    const struct mqtt_bytes user = take_rest(text);
    if (user.len == 0)
        return err_set(-EINVAL, "there is no user name in it");
    if (acl_trie_add_user(&reader->acl->trie, user, &reader->root) < 0)
        return err_set(-ENOMEM, "out of memory");
    return 0;
}

static int parse_line(char *line, void *arg)
{
    const char *text = line + strspn(line, BLANKS);
    const struct mqtt_bytes word = take_word(&text);
    if (word.len > 0 && word.ptr[0] == '#')
        return 0;
    if (word_is(word, "topic"))
        return add_rule(arg, text, false, false);
    if (word_is(word, "deny"))
        return add_rule(arg, text, false, true);
    if (word_is(word, "pattern"))
        return add_rule(arg, text, true, false);
    if (word_is(word, "user"))
        return begin_user(arg, text);
    return err_set(-EINVAL, "expected topic, user, deny or pattern");
}

int acl_load(const char *file, struct acl **ret_acl)
{
    struct acl_reader reader = {.root = ACL_ROOT_OF_ALL};
    int r = acl_new(&reader.acl);
    if (r < 0)
        return err_context(r, "%s", file);
    r = secret_file_each_line(file, parse_line, &reader);
    if (r < 0)
        acl_unref(reader.acl);
    else
        *ret_acl = reader.acl;
    return r;
}
