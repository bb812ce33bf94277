//! The command line of `stap`. In: argument strings and the user's rc file.
//! Out: an [`Invocation`], or a text that answers the user (help, version), or
//! what is wrong with the line. Opens nothing but the rc file, prints nothing.

pub(crate) mod rc;
pub mod table;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::path::PathBuf;
use stp_compiler::cache::Use;
use stp_compiler::driver::Privilege;
use table::{Opt, Support, Value, OPTIONS};

/// Where the main script comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `-e SCRIPT`
    Text(String),
    /// `FILE`
    File(PathBuf),
    /// `-`
    Stdin,
    /// Listings need none.
    None,
}

/// What the user wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Run,
    /// `-l PROBE`; `-L PROBE` with `vars`.
    List {
        pattern: String,
        vars: bool,
    },
    DumpFunctions,
    DumpProbeTypes,
    DumpProbeAliases,
    /// `--clean-cache`
    CleanCache,
}

/// Where the script is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The module, or this process where that is not to be had and the script allows it.
    Auto,
    Kernel,
    User,
}

/// When messages are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// A command line, understood.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub mode: Mode,
    pub source: Source,
    /// `-E`
    pub extra: Vec<String>,
    /// `$1 @1 …`
    pub args: Vec<String>,
    /// `-p`: 1 to 5.
    pub last_pass: u8,
    /// `-v` and `--vp` added up, for passes 1 to 5.
    pub verbose: [u32; 5],
    /// `-o`
    pub output: Option<String>,
    /// `-F`
    pub background: bool,
    /// `-c`
    pub command: Option<String>,
    /// `-x`
    pub target: Option<i64>,
    /// `-T`, in seconds.
    pub timeout: Option<u64>,
    pub defines: Vec<(String, String)>,
    pub globals: Vec<(String, String)>,
    pub includes: Vec<PathBuf>,
    pub guru: bool,
    pub unoptimized: bool,
    pub no_warnings: bool,
    pub warnings_are_errors: bool,
    /// `-m`
    pub name: Option<String>,
    /// `-s`, in MiB per CPU.
    pub buffer: Option<u32>,
    pub bulk: bool,
    /// `-S`: bytes of a file, and how many of them to keep (0: all).
    pub file_size: Option<(u64, u32)>,
    pub timing: bool,
    pub release: Option<String>,
    /// `-r DIR`
    pub build: Option<PathBuf>,
    /// `-d`
    pub objects: Vec<PathBuf>,
    pub runtime: Runtime,
    /// `--stpvm-module`
    pub module: Option<PathBuf>,
    /// `None`: what the caller may do decides.
    pub privilege: Option<Privilege>,
    pub compatible: Option<String>,
    pub suppress_time_limits: bool,
    pub suppress_handler_errors: bool,
    /// `--no-global-var-display`
    pub hide_globals: bool,
    /// `--skip-badvars`
    pub skip_badvars: bool,
    pub color: Color,
    pub sysroot: Option<PathBuf>,
    /// `--disable-cache`, `--poison-cache`
    pub cache: Use,
    /// What to tell the user about options that do nothing here.
    pub notes: Vec<String>,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    Run(Box<Invocation>),
    /// Print this and end well.
    Answer(String),
}

/// A command line that can't be obeyed; the text is for people and complete.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

const TRY_HELP: &str = "Try '--help' for more information. [man stap]";

fn usage<T>(text: impl Into<String>) -> Result<T, UsageError> {
    Err(UsageError(text.into()))
}

/// First line of `-V` and `--help`. Tools look for `version N.N` in it.
pub fn version_text() -> String {
    format!(
        "Systemtap translator/driver (version {}, stpvm {})\n",
        stp_compiler::SYSTEMTAP_VERSION,
        env!("CARGO_PKG_VERSION")
    )
}

/// The options as clap knows them; also what man page and completions are to be made from.
pub fn command() -> Command {
    let mut cmd = Command::new("stap")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .override_usage(
            "stap [options] FILE [ARGUMENTS]        Run script in file.\n       \
             stap [options] - [ARGUMENTS]           Run script on stdin.\n       \
             stap [options] -e SCRIPT [ARGUMENTS]   Run given script.\n       \
             stap [options] -l PROBE                List matching probes.\n       \
             stap [options] -L PROBE                List matching probes and their variables.\n       \
             stap [options] --dump-functions | --dump-probe-types | --dump-probe-aliases",
        )
        .help_template(
            "Usage: {usage}\n\nOptions (in $SYSTEMTAP_DIR/rc and on the command line):\n{options}\n",
        )
        .arg(Arg::new("files").num_args(0..).hide(true));
    for o in OPTIONS {
        cmd = cmd.arg(argument(o));
    }
    cmd
}

fn argument(o: &Opt) -> Arg {
    let mut arg = Arg::new(o.id).help(o.help).hide(o.support != Support::Yes);
    if let Some(c) = o.short {
        arg = arg.short(c);
    }
    if let Some(l) = o.long {
        arg = arg.long(l);
    }
    if let Some(a) = o.alias {
        arg = arg.alias(a);
    }
    match o.value {
        Value::None if o.repeat => arg.action(ArgAction::Count),
        Value::None => arg.action(ArgAction::SetTrue),
        Value::Required(name) => {
            let action = if o.repeat { ArgAction::Append } else { ArgAction::Set };
            arg.value_name(name).num_args(1).allow_hyphen_values(true).action(action)
        }
        Value::Optional(name, missing) => arg
            .value_name(name)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value(missing)
            .action(ArgAction::Set),
    }
}

/// Reads a command line (without the program's name). Options of the user's rc file come first.
pub fn parse(argv: &[String]) -> Result<Parsed, UsageError> {
    let mut line = vec!["stap".to_string()];
    line.extend(rc::options()?);
    line.extend_from_slice(argv);
    let mut cmd = command();
    let m = cmd.try_get_matches_from_mut(line).map_err(|e| in_our_words(&e))?;
    if m.get_flag("help") {
        return Ok(Parsed::Answer(format!("{}\n{}", version_text(), cmd.render_help())));
    }
    if m.get_flag("version") {
        return Ok(Parsed::Answer(version_text()));
    }
    Ok(Parsed::Run(Box::new(invocation(&m)?)))
}

/// clap's complaint in SystemTap's words, with what it suggests.
fn in_our_words(e: &clap::Error) -> UsageError {
    let text = |kind| match e.get(kind) {
        Some(ContextValue::String(s)) => Some(s.clone()),
        Some(ContextValue::Strings(v)) => v.first().cloned(),
        _ => None,
    };
    let arg = text(ContextKind::InvalidArg).unwrap_or_default();
    let name = arg.split([' ', '=']).next().unwrap_or_default().to_string();
    let head = match e.kind() {
        ErrorKind::UnknownArgument => {
            let near = text(ContextKind::SuggestedArg).map_or(String::new(), |s| format!(" (similar: {s})"));
            format!("stap: unrecognized option '{name}'{near}")
        }
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            format!("stap: option '{name}' requires an argument")
        }
        ErrorKind::TooManyValues | ErrorKind::NoEquals => {
            format!("stap: option '{name}' does not take that argument")
        }
        _ => e.to_string().trim_end().to_string(),
    };
    UsageError(format!("{head}\n{TRY_HELP}"))
}

fn invocation(m: &ArgMatches) -> Result<Invocation, UsageError> {
    let one = |id: &str| m.get_one::<String>(id).cloned();
    let all = |id: &str| m.get_many::<String>(id).map(|v| v.cloned().collect::<Vec<_>>()).unwrap_or_default();
    let notes = refused_and_harmless(m)?;

    let last_pass = match one("pass").as_deref() {
        None => 5,
        Some(p) => match p.parse() {
            Ok(n @ 1..=5) => n,
            _ => return usage("Invalid pass number (should be 1-5)."),
        },
    };
    let mut verbose = [u32::from(m.get_count("verbose")); 5];
    for digits in all("vp") {
        if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return usage("Invalid --vp argument: it takes 1 to 5 digits.");
        }
        for (level, digit) in verbose.iter_mut().zip(digits.bytes()) {
            *level += u32::from(digit - b'0');
        }
    }

    let mode = mode(m)?;
    let mut files = all("files").into_iter();
    let scripts = all("script");
    if scripts.len() > 1 {
        return usage("Only one script can be given on the command line.");
    }
    let source = match (scripts.into_iter().next(), &mode) {
        (Some(text), Mode::Run) => Source::Text(text),
        (None, Mode::Run) => match files.next() {
            Some(f) if f == "-" => Source::Stdin,
            Some(f) => Source::File(f.into()),
            None => return usage(format!("A script must be specified.\n{TRY_HELP}")),
        },
        (None, _) => Source::None,
        (Some(_), _) => {
            return usage(format!(
                "Cannot specify a script with -l/-L/--dump-*/--clean-cache switches.\n{TRY_HELP}"
            ));
        }
    };

    let command = one("command");
    let target = match one("target") {
        None => None,
        Some(_) if command.is_some() => {
            return usage(format!("You can't specify -c and -x together.\n{TRY_HELP}"));
        }
        Some(t) => match t.trim().parse::<i64>() {
            Ok(pid) if pid > 0 && pid <= i64::from(i32::MAX) => Some(pid),
            _ => return usage("Invalid target process ID number."),
        },
    };
    let timeout = match one("timeout") {
        None => None,
        Some(t) => match t.trim().parse::<u64>() {
            Ok(n @ 1..=0x7fff_ffff) => Some(n),
            _ => return usage("Invalid timeout interval."),
        },
    };
    let buffer = match one("buffer") {
        None => None,
        Some(t) => match t.trim().parse::<u32>() {
            Ok(n @ 1..=4095) => Some(n),
            _ => return usage("Invalid buffer size (should be 1-4095)."),
        },
    };
    let name = one("name").map(session_name).transpose()?;
    let guru = m.get_flag("guru");
    let privilege = privilege(m)?;
    if let (true, Some(p @ (Privilege::Stapusr | Privilege::Stapsys))) = (guru, privilege) {
        let name = if p == Privilege::Stapusr { "stapusr" } else { "stapsys" };
        return usage(format!("You can't specify -g and --privilege={name} together.\n{TRY_HELP}"));
    }
    let suppress_time_limits = m.get_flag("notime");
    if suppress_time_limits && !guru {
        return usage("ERROR: --suppress-time-limits requires guru mode (-g)");
    }
    let release =
        one("release").or_else(|| std::env::var("SYSTEMTAP_RELEASE").ok().filter(|r| !r.is_empty()));
    let (release, build) = build_directory(release)?;
    let output = one("output");
    let file_size = one("filesize").map(|s| file_size(&s)).transpose()?;
    if file_size.is_some() && output.is_none() {
        return usage(format!("-S requires -o.\n{TRY_HELP}"));
    }
    let background = m.get_flag("flight");
    if background && output.is_none() {
        return usage(format!(
            "-F requires -o FILE: a session lives as long as its process, which goes on in the background and writes there.\n{TRY_HELP}"
        ));
    }

    Ok(Invocation {
        mode,
        source,
        extra: all("extra"),
        args: files.collect(),
        last_pass,
        verbose,
        output,
        background,
        command,
        target,
        timeout,
        defines: all("define").iter().map(|d| define(d)).collect::<Result<_, _>>()?,
        globals: all("global").iter().map(|g| global(g)).collect::<Result<_, _>>()?,
        includes: all("include").into_iter().map(PathBuf::from).collect(),
        guru,
        unoptimized: m.get_flag("unoptimized"),
        no_warnings: m.get_flag("nowarn"),
        warnings_are_errors: m.get_flag("werror"),
        name,
        buffer,
        bulk: m.get_flag("bulk"),
        file_size,
        timing: m.get_flag("timing"),
        release,
        build,
        objects: all("object").into_iter().map(PathBuf::from).collect(),
        runtime: match one("runtime").as_deref() {
            None => Runtime::Auto,
            Some("kernel") => Runtime::Kernel,
            Some("user") => Runtime::User,
            Some(other) => {
                return usage(format!(
                    "ERROR: {other} is an invalid argument for --runtime (there are: kernel, user)"
                ));
            }
        },
        module: one("module").map(PathBuf::from),
        privilege,
        compatible: one("compatible"),
        suppress_time_limits,
        suppress_handler_errors: m.get_flag("noerrors"),
        hide_globals: m.get_flag("novardisplay"),
        skip_badvars: m.get_flag("skipbadvars"),
        color: match one("color").as_deref() {
            None | Some("auto") => Color::Auto,
            Some("always") => Color::Always,
            Some("never") => Color::Never,
            Some(other) => return usage(format!("Invalid argument '{other}' for --color.")),
        },
        sysroot: one("sysroot").map(PathBuf::from),
        cache: match (m.get_flag("nocache"), m.get_flag("poisoncache")) {
            (true, _) => Use::Off,
            (false, true) => Use::Write,
            (false, false) => Use::Full,
        },
        notes,
    })
}

/// `-r DIR`: the release that was built there, and the directory.
fn build_directory(release: Option<String>) -> Result<(Option<String>, Option<PathBuf>), UsageError> {
    let Some(dir) = release.as_deref().filter(|r| r.starts_with('/')).map(PathBuf::from) else {
        return Ok((release, None));
    };
    match std::fs::read_to_string(dir.join("include/config/kernel.release")) {
        Ok(text) => Ok((Some(text.trim().to_string()), Some(dir))),
        Err(e) => usage(format!(
            "ERROR: {} is no kernel build directory (include/config/kernel.release: {e})",
            dir.display()
        )),
    }
}

/// Options that we do not have end here; the notes are about those that do nothing.
fn refused_and_harmless(m: &ArgMatches) -> Result<Vec<String>, UsageError> {
    let mut notes = Vec::new();
    for o in OPTIONS {
        if m.value_source(o.id) != Some(clap::parser::ValueSource::CommandLine) {
            continue;
        }
        match o.support {
            Support::Yes => {}
            Support::No(why) => {
                return usage(format!("stap: option {} is not supported: {why}", o.spelling()));
            }
            Support::Harmless(why) => notes.push(format!("option {} has no effect: {why}", o.spelling())),
        }
    }
    Ok(notes)
}

fn mode(m: &ArgMatches) -> Result<Mode, UsageError> {
    let mut modes = Vec::new();
    for (id, vars) in [("list", false), ("listvars", true)] {
        modes.extend(m.get_one::<String>(id).map(|p| Mode::List { pattern: p.clone(), vars }));
    }
    for (id, mode) in [
        ("dumpfunctions", Mode::DumpFunctions),
        ("dumptypes", Mode::DumpProbeTypes),
        ("dumpaliases", Mode::DumpProbeAliases),
        ("cleancache", Mode::CleanCache),
    ] {
        modes.extend(m.get_flag(id).then_some(mode));
    }
    if modes.len() > 1 {
        return usage(format!(
            "Only one of -l, -L, --clean-cache and the --dump-* switches can be given.\n{TRY_HELP}"
        ));
    }
    Ok(modes.pop().unwrap_or(Mode::Run))
}

fn privilege(m: &ArgMatches) -> Result<Option<Privilege>, UsageError> {
    if m.get_flag("unprivileged") {
        return Ok(Some(Privilege::Stapusr));
    }
    match m.get_one::<String>("privilege").map(String::as_str) {
        None => Ok(None),
        Some("stapdev") => Ok(Some(Privilege::Stapdev)),
        Some("stapsys") => Ok(Some(Privilege::Stapsys)),
        Some("stapusr") => Ok(Some(Privilege::Stapusr)),
        Some(other) => usage(format!("Invalid argument '{other}' for --privilege.")),
    }
}

fn is_identifier(s: &str) -> bool {
    let mut bytes = s.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn define(text: &str) -> Result<(String, String), UsageError> {
    let (name, value) = text.split_once('=').unwrap_or((text, "1"));
    let digits = value.strip_prefix('-').unwrap_or(value);
    if !is_identifier(name)
        || digits.is_empty()
        || !digits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        return usage(format!("ERROR: -D wants NAME=VALUE, not '{text}'"));
    }
    Ok((name.to_string(), value.to_string()))
}

fn global(text: &str) -> Result<(String, String), UsageError> {
    match text.split_once('=') {
        Some((name, value)) if is_identifier(name) && !value.is_empty() => {
            Ok((name.to_string(), value.to_string()))
        }
        _ => usage(format!("ERROR: -G wants NAME=VALUE, not '{text}'")),
    }
}

/// `-m`: also the name of a file, so nothing but letters, digits and `_`; `.ko` and `.stpbc` are dropped.
fn session_name(text: String) -> Result<String, UsageError> {
    let name = text.strip_suffix(".stpbc").or(text.strip_suffix(".ko")).unwrap_or(&text);
    if name.is_empty() || name.len() > 55 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return usage(format!("ERROR: -m wants at most 55 letters, digits and underscores, not '{text}'"));
    }
    Ok(name.to_string())
}

/// `-S`: bytes of a file, and how many of them to keep (0: all).
pub fn file_size(text: &str) -> Result<(u64, u32), UsageError> {
    let (size, keep) = text.split_once(',').unwrap_or((text, "0"));
    match (size.trim().parse::<u64>(), keep.trim().parse::<u32>()) {
        (Ok(size @ 1..=0xffff_ffff), Ok(keep)) => Ok((size << 20, keep)),
        _ => usage(format!("Invalid file size option '{text}': -S wants SIZE[,N], in megabytes.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Invocation {
        let argv: Vec<String> = args.iter().map(|s| s.to_string()).collect();
        match parse(&argv) {
            Ok(Parsed::Run(i)) => *i,
            other => panic!("{other:?}"),
        }
    }
    fn refused(args: &[&str]) -> String {
        let argv: Vec<String> = args.iter().map(|s| s.to_string()).collect();
        parse(&argv).unwrap_err().to_string()
    }

    #[test]
    fn values_may_be_attached_or_apart() {
        let i =
            run(&["-DMAXACTION=5", "-D", "MAXNESTING=7", "-DSTP_NO_OVERLOAD", "-vp4", "--vp=002", "x.stp"]);
        assert_eq!(
            i.defines,
            [("MAXACTION", "5"), ("MAXNESTING", "7"), ("STP_NO_OVERLOAD", "1")]
                .map(|(a, b)| (a.into(), b.into()))
        );
        assert_eq!(i.last_pass, 4);
        assert_eq!(i.verbose, [1, 1, 3, 1, 1]);
        assert_eq!(i.source, Source::File("x.stp".into()));
    }

    #[test]
    fn options_may_stand_after_the_script_until_two_dashes() {
        let i = run(&["x.stp", "one", "-w", "--", "-g", "two"]);
        assert!(i.no_warnings && !i.guru);
        assert_eq!(i.args, ["one", "-g", "two"]);
    }

    #[test]
    fn with_a_script_text_every_word_is_an_argument() {
        let i = run(&["-e", "probe begin { }", "-E", "probe end { }", "a", "b"]);
        assert_eq!(i.source, Source::Text("probe begin { }".into()));
        assert_eq!(i.extra, ["probe end { }"]);
        assert_eq!(i.args, ["a", "b"]);
        assert_eq!(run(&["-", "a"]).source, Source::Stdin);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        assert!(refused(&["-i", "x.stp"]).contains("option --interactive is not supported"));
        assert!(refused(&["-F", "x.stp"]).contains("-F requires -o FILE"));
        assert!(refused(&["--remote=host", "x.stp"]).contains("option --remote is not supported"));
        assert_eq!(run(&["-k", "x.stp"]).notes.len(), 1);
        assert_eq!(run(&["x.stp"]).notes.len(), 0);
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        assert!(
            refused(&["--colr", "x.stp"]).starts_with("stap: unrecognized option '--colr' (similar: --color")
        );
        assert!(refused(&["-e"]).starts_with("stap: option '-e' requires an argument"));
        assert!(refused(&["-p9", "x.stp"]).contains("pass number"));
        assert!(refused(&["-x", "foo", "x.stp"]).contains("process ID"));
        assert!(refused(&["-c", "ls", "-x", "1", "x.stp"]).contains("-c and -x"));
        assert!(refused(&["--suppress-time-limits", "x.stp"]).contains("guru"));
        assert!(refused(&["-g", "--unprivileged", "x.stp"]).contains("-g and --privilege=stapusr"));
        assert!(refused(&["-D", "5x", "x.stp"]).contains("-D"));
        assert!(refused(&["-e", "a", "-e", "b"]).contains("Only one script"));
        assert!(refused(&["-l", "begin", "-e", "b"]).contains("Cannot specify a script"));
        assert!(refused(&[]).contains("A script must be specified"));
        assert!(refused(&["-m", "a b", "x.stp"]).contains("-m"));
    }

    #[test]
    fn optional_values_need_an_equals_sign() {
        assert_eq!(run(&["--color", "x.stp"]).color, Color::Always);
        assert_eq!(run(&["--colour=never", "x.stp"]).color, Color::Never);
        assert_eq!(run(&["x.stp"]).color, Color::Auto);
    }

    #[test]
    fn help_lists_every_supported_option_and_no_other() {
        let argv = vec!["--help".to_string()];
        let Ok(Parsed::Answer(text)) = parse(&argv) else { panic!() };
        for o in OPTIONS.iter().filter(|o| o.long.is_some()) {
            let there = text.contains(&format!("--{}", o.long.unwrap()));
            assert_eq!(there, o.support == Support::Yes, "{}", o.id);
        }
        assert!(version_text().contains("version "));
    }
}
