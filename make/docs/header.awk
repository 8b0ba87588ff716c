# Reads include/luat_kv.h, for the script that follows: make/docs/man.awk, make/docs/doxygen.awk. What they get:
#
#   preamble[1…preambles]                          the lines of the comment at the top
#   order[1…count], kind[name], doc[name]          all that has a comment, and the comment, in the header's order.
#                                                  kind: constant, handle, alias, struct or function
#   value[constant], is_status[constant]
#   fields[struct], field[struct, i], field_doc[struct, i]
#   result[function], args[function], arg[function, i], type[function, i], noun[function]
#   text[function], told[function, name], statuses[function], after[function]
#                                                  its comment: what it does, its argument columns, the line
#                                                  "Statuses:", and what is said after that
#   guard[1…guards]                                the lines that are none of these
# What a comment says that cannot be so (a column for no argument, a status that is none) ends it with an error.

function fail(why) { print "include/luat_kv.h: " why >"/dev/stderr"; failed = 1; exit 1 }
function append(text, separator, more) { return text == "" ? more : text separator more }
function squeezed(text) { gsub(/[ \t\n]+/, " ", text); sub(/^ /, "", text); sub(/ $/, "", text); return text }
function capital(text) { return toupper(substr(text, 1, 1)) substr(text, 2) }

function add(kind_of, name) {
    if (comment == "") fail(name " has no comment")
    order[++count] = name; kind[name] = kind_of; doc[name] = comment
    comment = ""
}

# A comment, at the top or before what it tells of.
/^\/\*$/ && !preambles { in_preamble = 1; next }
in_preamble && /^ \*\// { in_preamble = 0; next }
in_preamble { sub(/^ \* ?/, ""); preamble[++preambles] = $0; next }
/^ *\/\*\*$/ { in_comment = 1; comment = ""; begun = 0; next }
in_comment && /^ *\*\/$/ { in_comment = 0; next }
in_comment { sub(/^ *\* ?/, ""); comment = begun++ ? comment "\n" $0 : $0; next }

/^#define LUAT_KV_[A-Z_]+ / {
    value[$2] = $3
    if ("luat_kv_status" in kind) is_status[$2] = 1
    add("constant", $2); next
}
/^typedef struct [a-z_]+ [a-z_]+;$/ { handle[$3] = 1; add("handle", $3); next }
/^typedef struct [a-z_]+ \{$/ { in_struct = $3; add("struct", $3); next }
/^typedef / { sub(/;/, "", $3); add("alias", $3); next }
/^\} [a-z_]+;$/ { in_struct = ""; next }
in_struct {
    field[in_struct, ++fields[in_struct]] = plain(squeezed($0))
    field_doc[in_struct, fields[in_struct]] = comment
    comment = ""; next
}
declaration == "" && comment == "" { if (NF) guard[++guards] = $0; next }
{ declaration = declaration " " $0 }
/;$/ { declare(plain(squeezed(declaration))); declaration = "" }

function plain(declared) { gsub(/struct /, "", declared); sub(/;$/, "", declared); return declared }

# A function, from its declaration on one line.
function declare(line,    name, list, i, n, parts) {
    list = line; sub(/^[^(]*\(/, "", list); sub(/\)$/, "", list)
    sub(/\(.*/, "", line)
    name = line; sub(/.*[ *]/, "", name)
    result[name] = squeezed(substr(line, 1, length(line) - length(name)))
    n = list == "void" ? 0 : split(list, parts, ", ")
    args[name] = n
    for (i = 1; i <= n; i++) {
        arg[name, i] = parts[i]; sub(/.*[ *]/, "", arg[name, i])
        type[name, i] = squeezed(substr(parts[i], 1, length(parts[i]) - length(arg[name, i])))
        has[name, arg[name, i]] = 1
    }
    add("function", name)
    explain(name)
    noun[name] = noun_of(name)
}

# What a function is about: the handle that it takes first, or else the one that it gives.
function noun_of(name,    i, found) {
    if (name ~ /_options_init$/) return "options"
    found = bare(type[name, 1])
    for (i = 1; i <= args[name] && !(found in handle); i++) if (arg[name, i] == "out") found = bare(type[name, i])
    if (!(found in handle)) return "library"
    sub(/^luat_kv_/, "", found)
    return found
}
function bare(typed) { sub(/^const /, "", typed); gsub(/[ *]/, "", typed); return typed }

# Takes a function's comment apart.
function explain(name,    i, n, paragraphs, paragraph) {
    n = split(doc[name], paragraphs, "\n\n")
    for (i = 1; i <= n; i++) {
        paragraph = paragraphs[i]
        if (paragraph ~ /^[a-z_]+(, [a-z_]+)*  /) columns(name, paragraph)
        else if (paragraph ~ /^Statuses: /) returns(name, squeezed(paragraph))
        else text[name] = append(text[name], "\n\n", squeezed(paragraph))
    }
    if (declared_with_error(name) && statuses[name] == "") fail(name " does not tell its statuses")
    if (match(text[name], /([Aa]s (with )?|[Ll]ike |what )luat_kv_[a-z0-9_]+\(\)/)) {
        base[name] = substr(text[name], RSTART, RLENGTH - 2)
        sub(/.* /, "", base[name])
    }
}

function declared_with_error(name) { return args[name] && type[name, args[name]] == "luat_kv_error **" }

# "name  text", or "name, name  text", with more of the text on lines that begin with spaces.
function columns(name, paragraph,    i, j, n, m, lines, names, said) {
    n = split(paragraph, lines, "\n")
    for (i = 1; i <= n; i++) {
        if (lines[i] !~ /^ /) {
            match(lines[i], /  /)
            m = split(substr(lines[i], 1, RSTART - 1), names, ", ")
            said = squeezed(substr(lines[i], RSTART))
        } else said = said " " squeezed(lines[i])
        for (j = 1; j <= m; j++) {
            if (!((name, names[j]) in has)) fail(name " has no argument " names[j])
            told[name, names[j]] = said
        }
    }
}

function returns(name, paragraph,    end) {
    sub(/^Statuses: /, "", paragraph)
    end = match(paragraph, /\.( |$)/)
    statuses[name] = substr(paragraph, 1, end - 1)
    after[name] = substr(paragraph, end + 2)
}

# ---- For END: what the header says once for many functions

# What an argument is: as its own column tells, or that of the function that this is like; as the preamble says of all;
# or as a sentence of the text does.
function about(name, argument, typed) {
    if ((name, argument) in told) return told[name, argument]
    if (name in base && (base[name], argument) in has) return about(base[name], argument, typed)
    if (argument == "error" && typed ~ /\*\*/) return told["luat_kv_open", "error"]
    if (bare(typed) in handle) { sub(/^.*luat_kv_/, "", typed); sub(/ .*/, "", typed); return "the " typed "." }
    if (argument in usual) return usual[argument]
    if (match(" " text[name], "[.] " argument " is [^.:;]*")) {
        argument = substr(" " text[name], RSTART, RLENGTH)
        sub(/.* is /, "", argument)
        return argument "."
    }
    fail(name " does not tell of " argument)
}

# The arguments as a list, with a length beside what it is the length of: row[1…rows], row_about[1…rows].
function lay_out(name,    i, said, last) {
    rows = 0
    usual["options"] = "the struct."
    usual["index"] = "from 0."
    usual["status"] = "any number."
    usual["len"] = "nullable; how many bytes there are; 0 with NULL."
    for (i = 1; i <= args[name]; i++) {
        said = arg[name, i] == arg[name, i - 1] "_len" ? last : about(name, arg[name, i], type[name, i])
        if (i > 1 && said == last) row[rows] = row[rows] ", " arg[name, i]
        else { row[++rows] = arg[name, i]; row_about[rows] = said }
        last = said
    }
}

# The statuses as a list: outcome[1…outcomes], outcome_about[its name]. The text after a comma follows what the constant
# says of itself; the text after a colon replaces it.
function weigh(name) { outcomes = 0; split("", outcome_about); weigh_in(name) }
function weigh_in(name,    i, n, pieces, piece, names, j, m, status, more, replaces) {
    n = split(statuses[name], pieces, "; ")
    for (i = 1; i <= n; i++) {
        piece = pieces[i]; m = 0
        if (piece ~ /^as luat_kv_[a-z0-9_]+\(\)$/) { weigh_in(substr(piece, 4, length(piece) - 5)); continue }
        while (match(piece, /^(, )?[A-Z_]+/)) {
            names[++m] = substr(piece, 1, RLENGTH); sub(/^, /, "", names[m])
            piece = substr(piece, RLENGTH + 1)
        }
        if (!m) fail(name ": \"" pieces[i] "\" names no status")
        replaces = piece ~ /^:/
        sub(/^[,:]? /, "", piece)
        more = piece == "" ? "" : " " capital(piece) "."
        for (j = 1; j <= m; j++) {
            status = "LUAT_KV_" names[j]
            if (!(status in is_status)) fail(name ": " names[j] " is no status")
            if (!(status in outcome_about)) {
                outcome[++outcomes] = status
                outcome_about[status] = squeezed(doc[status])
            }
            outcome_about[status] = replaces ? substr(more, 2) : outcome_about[status] more
        }
    }
}

# What a group of functions is called.
function title(name) {
    if (name == "library") return "The library"
    if (name ~ /s$/) return capital(name)
    if (name ~ /ch$/) return capital(name) "es"
    return capital(name ~ /y$/ ? substr(name, 1, length(name) - 1) "ie" : name) "s"
}

# A sentence's beginning, short enough for a list: up to its end, a colon, or a bracket.
function in_short(said) {
    if (match(said, /\.( |$)|[;:]( |$)| \(/)) said = substr(said, 1, RSTART - 1)
    while (length(said) > 76 && match(said, /, [^,]*$/)) said = substr(said, 1, RSTART - 1)
    return said
}
