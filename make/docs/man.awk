# Writes a manual page of mdoc(7) for each function of include/luat_kv.h, and luat_kv.3 for all of them:
#
#   awk -v dir=FOLDER -v date=2026-01-31 -v version=0.1.0 -f make/docs/header.awk -f make/docs/man.awk \
#       include/luat_kv.h

END {
    if (failed) exit 1
    for (i = 1; i <= count; i++) if (kind[order[i]] == "function") page(order[i])
    overview()
}

# The form that mdoc(7) wants: January 31, 2026.
function spelled(date,    parts, months) {
    split(date, parts, "-")
    split("January February March April May June July August September October November December", months, " ")
    return months[parts[2] + 0] " " (parts[3] + 0) ", " parts[1]
}

function put(line) { print line >file }
function head(name, short) {
    self = name; file = dir "/" name ".3"
    put(".\\\" Made from include/luat_kv.h.")
    put(".Dd " spelled(date)); put(".Dt " toupper(name) " 3"); put(".Os luat_kv " version)
    put(".Sh NAME")
    put(".Nm " name (short == "" ? "" : " ,"))
    if (short != "") put(".Nm " short)
}

# ---- Text

function escaped(said) {
    gsub(/\\/, "\\e", said)
    while (sub(/`/, "\\(oq", said)) sub(/`/, "\\(cq", said)
    if (said ~ /^-[0-9]/) said = "\\" said
    if (said ~ /^[.']/) said = "\\&" said
    return said
}

# Running text: a sentence a line, and names as references.
function say(said,    i, n, words, word, open_with, close_with, line) {
    n = split(squeezed(said), words, " ")
    for (i = 1; i <= n; i++) {
        word = words[i]; open_with = close_with = ""
        if (word ~ /^\(./) { open_with = "( "; word = substr(word, 2) }
        if (match(word, /[.,;:)]+$/)) { close_with = substr(word, RSTART); word = substr(word, 1, RSTART - 1) }
        if (close_with ~ /^\)/ && word ~ /\($/) { sub(/\($/, "", word); close_with = substr(close_with, 2) }
        if (kind[word] == "function" || value[word] != "") {
            if (line != "") put(escaped(line))
            gsub(/./, " &", close_with)
            put((kind[word] != "function" ? ".Dv " open_with word : \
                word == self ? ".Fn " open_with word : ".Xr " open_with word " 3") close_with)
            line = ""
        } else {
            line = append(line, " ", words[i])
            if (words[i] ~ /[.?!][")]*$/ && words[i] !~ /\.\.\.$/) { put(escaped(line)); line = "" }
        }
    }
    if (line != "") put(escaped(line))
}
function say_all(said,    i, n, paragraphs) {
    n = split(said, paragraphs, "\n\n")
    for (i = 1; i <= n; i++) { if (i > 1) put(".Pp"); say(paragraphs[i]) }
}
function item(macro, name, said) { put(".It " macro " " name); say(said) }

# ---- A page for a function

function page(name,    struct, i, said) {
    struct = name; sub(/_init$/, "", struct)
    head(name, kind[struct] == "struct" ? struct : "")
    said = in_short(text[name])
    put(".Nd " escaped(tolower(substr(said, 1, 1)) substr(said, 2)))
    put(".Sh SYNOPSIS"); put(".In luat_kv.h")
    signature(name)
    put(".Sh DESCRIPTION")
    say_all(text[name])
    if (args[name]) {
        lay_out(name)
        put(".Bl -tag -width Ds")
        for (i = 1; i <= rows; i++) { gsub(/, /, " , ", row[i]); item("Fa", row[i], capital(row_about[i])) }
        put(".El")
    }
    if (kind[struct] == "struct") {
        put(".Ss The struct"); say(doc[struct]); list_fields(struct)
    }
    if (name in statuses) {
        put(".Sh RETURN VALUES")
        weigh(name)
        put(".Bl -tag -width Ds")
        for (i = 1; i <= outcomes; i++) item("Bq Dv", outcome[i], outcome_about[outcome[i]])
        put(".El")
        if (after[name] != "") { put(".Pp"); say(after[name]) }
    }
    see_also(name)
    close(file)
}

function signature(name,    i) {
    put(".Ft " typed(result[name]))
    if (!args[name]) { put(".Fn " name " void"); return }
    put(".Fo " name)
    for (i = 1; i <= args[name]; i++) put(".Fa \"" declared(type[name, i], arg[name, i]) "\"")
    put(".Fc")
}
function declared(type_of, name) { return type_of (type_of ~ /\*$/ ? "" : " ") name }
function typed(name) { return "\"" name "\"" }

function list_fields(struct,    i) {
    put(".Bl -tag -width Ds")
    for (i = 1; i <= fields[struct]; i++) item("Vt", typed(field[struct, i]), field_doc[struct, i])
    put(".El")
}

# The functions that are named in what this one says, that name it, whose name begins or goes on as its own, or that are
# called after the same handle.
function see_also(name,    i, n, other, found) {
    put(".Sh SEE ALSO")
    for (i = 1; i <= count; i++) {
        other = order[i]
        if (kind[other] != "function" || other == name) continue
        if (index(doc[name] "\n", other "()") || index(doc[other], name "()") || index(other, name "_") == 1 ||
            index(name, other "_") == 1 || takes(name, other) || family(name) == family(other)) found[++n] = other
    }
    put(".Xr luat_kv 3" (n ? " ," : ""))
    sort(found, n)
    for (i = 1; i <= n; i++) put(".Xr " found[i] " 3" (i < n ? " ," : ""))
}
# Whether a function takes the options that the other one sets up, or gives the handle that the other one frees.
function takes(name, other,    i) {
    if (other !~ /_options_init$|_free$|_close$/) return 0
    for (i = 1; i <= args[name]; i++)
        if (bare(type[name, i]) == bare(type[other, 1]) && (other ~ /_init$/ || arg[name, i] == "out")) return 1
    return 0
}
function family(name,    parts) {
    split(name, parts, "_")
    return ("luat_kv_" parts[3]) in handle ? parts[3] : name
}
function sort(list, n,    i, j, moved) {
    for (i = 2; i <= n; i++) {
        moved = list[i]
        for (j = i - 1; j && list[j] > moved; j--) list[j + 1] = list[j]
        list[j + 1] = moved
    }
}

# ---- The page for all

function overview(    i, name) {
    head("luat_kv", "")
    put(".Nd " substr(preamble[1], index(preamble[1], ": ") + 2, length(preamble[1]) - index(preamble[1], ": ") - 2))
    put(".Sh LIBRARY"); put("libluat_kv: cc hello.c $(pkg-config --cflags --libs luat_kv)")
    put(".Sh SYNOPSIS"); put(".In luat_kv.h")
    put(".Sh DESCRIPTION")
    for (i = 2; i <= preambles; i++) prefaced(preamble[i])
    say(point); put(".El")
    put(".Sh FUNCTIONS"); put("Each has a page of its own, which says more.")
    by_noun()
    put(".Sh TYPES"); put(".Bl -tag -width Ds")
    for (i = 1; i <= count; i++) if (kind[order[i]] ~ /handle|alias/) item("Vt", order[i], doc[order[i]])
    put(".El")
    for (i = 1; i <= count; i++)
        if (kind[order[i]] == "struct") { put(".Ss struct " order[i]); say(doc[order[i]]); list_fields(order[i]) }
    put(".Sh CONSTANTS"); constants(0)
    put(".Sh STATUSES"); constants(1)
    put(".Sh SEE ALSO"); put(".Xr pkg-config 1 ,"); put(".Xr luat_kv_open 3")
    close(file)
}

# A line of the preamble: its example, indented by four; its points, which begin with "- "; and text between these.
function prefaced(line) {
    if (line ~ /^    / && !in_example) { put(".Bd -literal -offset indent"); in_example = 1 }
    if (in_example && line == "") { put(".Ed"); put(".Pp"); in_example = 0; return }
    if (in_example) { gsub(/\\/, "\\e", line); put(substr(line, 5)); return }
    if (line ~ /^- |^$/ && point != "") { say(point); point = "" }
    if (line ~ /^- /) { if (!points++) put(".Bl -bullet"); put(".It") }
    sub(/^- /, "", line)
    point = append(point, " ", squeezed(line))
    if (!points || line !~ /[^ ]/) { if (point ~ /[^ ]/) say(point); point = "" }
}

function by_noun(    i, name, nouns, n, j, seen) {
    for (i = 1; i <= count; i++) {
        name = noun[order[i]]
        if (kind[order[i]] == "function" && !seen[name]++) nouns[++n] = name
    }
    for (j = 1; j <= n; j++) {
        put(".Ss " title(nouns[j])); put(".Bl -tag -width Ds")
        for (i = 1; i <= count; i++) if (kind[order[i]] == "function" && noun[order[i]] == nouns[j]) summary(order[i])
        put(".El")
    }
}
function summary(name,    i, line) {
    line = ".It Ft " typed(result[name]) (result[name] ~ /\*$/ ? " Ns" : "") " Fn " name (args[name] ? "" : " void")
    for (i = 1; i <= args[name]; i++) line = line " " whole(declared(type[name, i], arg[name, i]))
    put(line); say(in_short(text[name]) ".")
}

# An argument that is not broken where the line ends.
function whole(said) { gsub(/ /, "\\ ", said); return "\"" said "\"" }

function constants(of_status,    i, name) {
    put(".Bl -tag -width Ds")
    for (i = 1; i <= count; i++) {
        name = order[i]
        if (kind[name] == "constant" && (name in is_status) == of_status)
            item("Dv", name " No = " escaped(value[name]), doc[name])
    }
    put(".El")
}
