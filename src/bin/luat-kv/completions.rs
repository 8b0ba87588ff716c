//! `luat-kv completions`: what shells complete, from the same text as the help.

use clap::{Arg, Command, ValueHint};
use clap_complete::Shell;

use crate::fail::Fail;
use crate::output::Output;

pub fn completions(shell: Shell, cli: Command, out: &mut Output) -> Result<(), Fail> {
    // It is written to memory first: clap_complete panics if it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut with_hints(cli), "luat-kv", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    for (_, fault, right) in FAULTS.iter().filter(|(of, ..)| *of == shell) {
        script = script.replace(fault, right);
    }
    Ok(out.raw(script.as_bytes())?)
}

/// What is wrong in the scripts of clap_complete 4.6, and what is right. With a version that has mended it, this changes
/// nothing. The tests type into these shells.
const FAULTS: [(Shell, &str, &str); 5] = [
    // A command that was found is `luat__kv__subcmd__put`, and what it has is that of `luat__subcmd__kv__subcmd__put`, if
    // the tool's name has a hyphen (clap-rs/clap#6421).
    (Shell::Bash, "luat__subcmd__kv__", "luat__kv__"),
    // Files are left to bash, as where a script has nothing to offer. It knows of quotes, variables and folders, and its
    // settings (`failglob`) do not matter.
    (Shell::Bash, r#"COMPREPLY=($(compgen -f "${cur}"))"#, "COMPREPLY=()"),
    // The words before the last of several keys are the command's, too: the options that it has depend on them.
    (Shell::Zsh, "'*::", "'*:"),
    // An argument for which there is nothing to offer kept options from being offered. The manual of zsh has `( )` for it.
    (Shell::Zsh, ":' \\\n", ":( )' \\\n"),
    // While the value of an option before the command is typed, it cannot be parsed. Then no option was known.
    (Shell::Fish, "2>/dev/null\n    or return\n", "2>/dev/null\n    or return 0\n"),
];

/// What takes a path offers files. What takes a namespace, a key or another text offers nothing, but without a hint it
/// would offer files too. (So it does in bash and fish where the text is no option's value: the scripts of clap_complete
/// have no hints there.)
fn with_hints(command: Command) -> Command {
    let hint = |arg: Arg| match arg.get_value_hint() {
        ValueHint::Unknown if arg.get_action().takes_values() && arg.get_possible_values().is_empty() => {
            arg.value_hint(ValueHint::Other)
        }
        _ => arg,
    };
    command.mut_args(hint).mut_subcommands(with_hints)
}
