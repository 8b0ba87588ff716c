# Doxygen's INPUT_FILTER for include/luat_kv.h: the same declarations, and the comments with Doxygen's commands.
#
#   awk -f make/docs/header.awk -f make/docs/doxygen.awk include/luat_kv.h

END {
    if (failed) exit 1
    print "/** @file\n * The C interface. */"
    print "/** @mainpage The library\n * " preamble[1]
    # Indented lines are code.
    for (i = 2; i <= preambles; i++) print " * " (preamble[i] ~ /^    / ? preamble[i] : linked(preamble[i]))
    print " */"
    groups()
    for (i = 1; i <= count; i++) show(order[i], kind[order[i]])
}

function show(name, of) {
    if (of == "function") { function_comment(name); print prototype(name) ";\n"; return }
    print "/** " linked(doc[name])
    print " * @ingroup " group_of(name) " */"
    if (of == "constant") print "#define " name " " value[name]
    if (of == "handle") print "typedef struct " name " " name ";"
    if (of == "alias") print "typedef int32_t " name ";"
    if (of == "struct") show_struct(name)
    print ""
}

function show_struct(name,    i) {
    print "typedef struct " name " {"
    for (i = 1; i <= fields[name]; i++) print "/** " linked(field_doc[name, i]) " */\n" field[name, i] ";"
    print "} " name ";"
}

function prototype(name,    i, list) {
    for (i = 1; i <= args[name]; i++) list = append(list, ", ", type[name, i] " " arg[name, i])
    return result[name] " " name "(" (list == "" ? "void" : list) ")"
}

function function_comment(name,    i, said) {
    print "/** @ingroup " group_of(name)
    print " * @brief " linked(in_short(text[name])) ".\n *\n * " linked(text[name]) "\n *"
    lay_out(name)
    for (i = 1; i <= rows; i++) { gsub(/, /, ",", row[i]); print " * @param " row[i] " " linked(row_about[i]) }
    if (name in statuses) {
        weigh(name)
        for (i = 1; i <= outcomes; i++) print " * @retval " outcome[i] " " linked(outcome_about[outcome[i]])
        if (after[name] != "") print " *\n * @remark " linked(after[name])
    } else if (result[name] != "void") {
        said = text[name]
        if (!sub(/^Returns /, "", said)) fail(name " does not tell what it returns")
        print " * @return " linked(said)
    }
    print " */"
}

# Constants as links; functions become so by their brackets.
function linked(said,    i, n, words, word) {
    n = split(said, words, " ")
    for (i = 1; i <= n; i++) {
        word = words[i]; gsub(/[^A-Z_]/, "", word)
        if (value[word] != "") sub(word, "#" word, words[i])
    }
    if (match(said, /^ +/)) words[1] = substr(said, 1, RLENGTH) words[1]
    said = words[1]
    for (i = 2; i <= n; i++) said = said " " words[i]
    return said
}

# ---- Groups

function group_of(name) {
    if (kind[name] == "function") return "of_" noun[name]
    if (name in is_status || kind[name] == "alias") return "statuses"
    return kind[name] == "constant" ? "constants" : "types"
}
function groups(    i, seen) {
    for (i = 1; i <= count; i++)
        if (kind[order[i]] == "function" && !seen[noun[order[i]]]++) group("of_" noun[order[i]], title(noun[order[i]]))
    group("types", "Types"); group("constants", "Constants"); group("statuses", "Statuses")
}
function group(name, called) { print "/** @defgroup " name " " called " */" }
